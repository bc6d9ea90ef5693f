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
from app.core.manager import Found, Manager, Nearness
from app.core.owner import owner_of
from app.core.service import Service, service_problems

_KIND = re.compile(r"\.(service|socket)$")
_NO_NAME = re.compile(r"[^a-z0-9]+")
_NO_LABEL = re.compile(r"[^A-Za-z0-9@._-]+")


def suggested(
    thing: Running, host: str, facts: Facts, managers: Mapping[str, Manager], taken: AbstractSet[str]
) -> Service:
    """Fill a claim for a thing. ``taken`` are the names that the registry has; the owner is left empty."""
    known = managers.get(thing.manager)
    ports = tuple(sorted({each.port for each in thing.ports}))
    by_hand = next(each for each in managers.values() if each.is_by_hand)
    if known is not None and known.is_driven and known.is_claimable and thing.is_believed and thing.unit is not None:
        claim = Service("", host, "", known.name, thing.unit, ports=ports)
        if not any(each.field in {"unit", "config"} for each in (*service_problems(claim), *known.problems(claim))):
            return _filled(claim, thing, facts, managers, taken)
    return _filled(Service("", host, "", by_hand.name, _label(thing), ports=ports), thing, facts, managers, taken)


def _filled(
    claim: Service, thing: Running, facts: Facts, managers: Mapping[str, Manager], taken: AbstractSet[str]
) -> Service:
    user, path = _user_and_path(claim, thing, facts, managers)
    claim = replace(claim, name=_name(thing, taken), user=user, path=path)
    wrong = {each.field for each in service_problems(claim)}
    return replace(claim, user=None if "user" in wrong else user, path=None if "path" in wrong else path)


def _user_and_path(
    claim: Service, thing: Running, facts: Facts, managers: Mapping[str, Manager]
) -> tuple[str | None, str | None]:
    """Return what the main processes that the manager names are seen to be; of a container the manager's word."""
    found = managers[claim.manager].find(claim, facts)
    mains = [facts.processes[pid] for pid in found.main if pid in facts.processes] if isinstance(found, Found) else []
    mains = mains or [each for each in thing.processes if each == thing.main]
    if not mains or owner_of(mains[0].pid, facts, managers).nearness is Nearness.CONTAINER:
        return (found.user, None) if isinstance(found, Found) else (None, None)
    users, places = {each.user for each in mains}, {each.cwd for each in mains}
    user = users.pop() if len(users) == 1 else None
    path = places.pop() if len(places) == 1 else None
    return user, None if path == "/" else path


def _label(thing: Running) -> str:
    """Name by hand what has no name that a claim may bear."""
    own = thing.unit or (thing.face.comm if thing.face else "")
    keeper = "" if thing.unit is None and thing.is_believed else thing.manager
    return _NO_LABEL.sub("-", "-".join(filter(None, (keeper, own)))).strip("-.@")[:100] or "by-hand"


def _name(thing: Running, taken: AbstractSet[str]) -> str:
    """Suggest a name that the registry has not, from the thing's own."""
    own = re.split(r"[/:]", _KIND.sub("", thing.unit or ""))[-1] or (thing.face.comm if thing.face else "")
    base = _NO_NAME.sub("-", own.lower()).strip("-")[:30].strip("-") or "service"
    tried = [base, *(f"{base}-{each.port}" for each in thing.ports)]
    tried += [f"{base}-{number}" for number in range(2, len(taken) + 3)]
    return next(name for name in tried if name not in taken)
