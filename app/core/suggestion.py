"""What an editor could register a running thing as: a claim filled from the facts, for a person to read and confirm.

It registers nothing, and proves nothing: a suggested claim is judged as any other. A manager that is driven and
believed is suggested with its own name for the thing; for all else a person restarts it by hand. What the host shows in
a form that no claim may have is left out, so that nothing hostile is proposed (law 13); the owner is for people to say.
"""

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace

from app.core.discovery import Running
from app.core.facts import Facts
from app.core.manager import Found, Manager, Missing, Nearness
from app.core.owner import owner_of
from app.core.service import Service, service_problems

_KIND = re.compile(r"\.(service|socket)$")
_NO_NAME = re.compile(r"[^a-z0-9]+")


def suggested(
    thing: Running, host: str, facts: Facts, managers: Mapping[str, Manager], taken: AbstractSet[str]
) -> Service | None:
    """Fill a claim for a thing, None where nothing of it could be claimed. ``taken`` are the registry's names.

    The owner is left empty.
    """
    if not thing.processes:
        return None
    ports = tuple(sorted({each.port for each in thing.ports}))
    claim = Service(_name(thing, taken), host, "", thing.manager, thing.unit or "", ports=ports)
    by_name = _filled(replace(claim, config=thing.config), thing, facts, managers)
    if by_name is not None and thing.is_believed and managers[thing.manager].is_driven:
        return by_name
    by_hand = next(each.name for each in managers.values() if each.is_by_hand)
    return _filled(replace(claim, manager=by_hand, unit=_label(thing, claim.name)), thing, facts, managers)


def _filled(claim: Service, thing: Running, facts: Facts, managers: Mapping[str, Manager]) -> Service | None:
    """Add user and path; None where the manager could not take such a claim, or says that it means another thing."""
    manager = managers[claim.manager]
    main = thing.main if thing.main in thing.processes else None
    is_contained = main is not None and owner_of(main.pid, facts, managers).nearness is Nearness.CONTAINER
    claim = _clean(replace(claim, user=main.user if main and not is_contained else None))
    found = manager.find(claim, facts)
    mains = [facts.processes[pid] for pid in found.main if pid in facts.processes] if isinstance(found, Found) else []
    if isinstance(found, Missing) or (isinstance(found, Found) and not set(mains) & set(thing.processes)):
        return None
    if is_contained:
        claim = replace(claim, user=found.user if isinstance(found, Found) else None)
    elif mains := mains or ([main] if main else []):
        users, places = {each.user for each in mains}, {each.cwd for each in mains} - {"/"}
        claim = replace(
            claim,
            user=users.pop() if len(users) == 1 else None,
            path=places.pop() if len(places) == 1 else None,
        )
    claim = _clean(claim)
    wrong = {each.field for each in (*service_problems(claim), *manager.problems(claim))}
    return None if wrong - {"owner"} or not manager.is_claimable else claim


def _clean(claim: Service) -> Service:
    """Leave out what the host showed in a form that no claim may have."""
    wrong = {each.field for each in service_problems(claim)}
    return replace(claim, user=None if "user" in wrong else claim.user, path=None if "path" in wrong else claim.path)


def _label(thing: Running, name: str) -> str:
    """Name by hand what has no name that a claim may bear, by who keeps it and the name that is suggested for it."""
    is_nobodys = thing.unit is None and thing.is_believed
    return name if is_nobodys else f"{thing.manager}-{name}"


def _name(thing: Running, taken: AbstractSet[str]) -> str:
    """Suggest a name that the registry has not, from the thing's own."""
    own = re.split(r"[/:]", _KIND.sub("", thing.unit or ""))[-1] or (thing.face.comm if thing.face else "")
    base = _NO_NAME.sub("-", own.lower()).strip("-")[:30].strip("-") or "service"
    tried = [base, *(f"{base}-{each.port}" for each in thing.ports)]
    tried += [f"{base}-{number}" for number in range(2, len(taken) + 3)]
    return next(name for name in tried if name not in taken)
