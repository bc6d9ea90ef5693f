"""What runs on a host, put together from one whole probe: each thing once, under whoever keeps it, with its processes,
its ports, and what the registry says of it.

A thing is one unit of a manager, or one tree of processes that nobody keeps. Nothing that was seen is left out: what
belongs to the machine itself (its own daemons, managers that only keep others), or neither listens nor is kept, is
told apart, and still told. It judges no claim: the verdicts come from ``judge``, by the same facts. Keeps law 1: a
holder that could not be seen stands as unseen, and is nobody's.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum

from app.core.facts import Facts, Process
from app.core.manager import Manager, Nearness, Owner
from app.core.owner import owner_of
from app.core.service import Service
from app.core.verdict import Code, Verdict

# Programs of the machine itself, where root's own file runs them. Whoever else calls a program so is not taken for one.
_MACHINES_OWN = re.compile(
    r"accounts-daemon|acpid|agetty|anacron|atd|auditd|avahi-daemon|chronyd|crond?|dbus-broker(-launch)?|dbus-daemon"
    r"|firewalld|gpm|haveged|init|irqbalance|login|mcelog|ModemManager|multipathd|NetworkManager|ntpd|polkitd|qemu-ga"
    r"|rngd|rsyslogd|sshd|sssd|syslog-ng|thermald|udisksd|unattended-upgr|upowerd|wpa_supplicant"
)
_SYSTEMDS = ("/usr/lib/systemd/", "/lib/systemd/")


class Standing(StrEnum):
    """How a running thing stands to the registry."""

    REGISTERED = "registered"
    WRONG = "wrong"
    UNREGISTERED = "unregistered"
    UNSEEN = "unseen"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True, order=True)
class Port:
    """A TCP port that is listened on, and the address of the host."""

    port: int
    address: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """A service of the registry, and the verdict on its claim by the same facts."""

    service: str
    verdict: Code


@dataclass(frozen=True, slots=True)
class Running:
    """One thing that runs. ``manager`` is empty, and ``main`` None, where the holder of its port could not be seen.

    ``processes`` are its own, as far as they were looked at; there are none where its manager only holds a port for it,
    and ``main`` is then the holder. ``face`` is the one that people know it by: its first that listens, else ``main``.
    ``claim`` is what an editor could register it as.
    """

    manager: str
    unit: str | None
    config: str | None
    is_believed: bool
    evidence: str
    main: Process | None
    face: Process | None
    processes: tuple[Process, ...]
    ports: tuple[Port, ...]
    standing: Standing
    claims: tuple[Claimed, ...] = ()
    claim: Service | None = None

    @property
    def wrong(self) -> tuple[Claimed, ...]:
        """The claims about it that are not proved."""
        return tuple(each for each in self.claims if each.verdict is not Code.VERIFIED)


@dataclass(slots=True)
class _Thing:
    """A thing while it is put together."""

    owner: Owner | None
    pids: set[int] = field(default_factory=set)
    holders: set[int] = field(default_factory=set)
    ports: set[Port] = field(default_factory=set)


def running(
    facts: Facts, managers: Mapping[str, Manager], judged: Sequence[tuple[Service, Verdict]]
) -> tuple[Running, ...]:
    """Put together what runs, in the order of managers, units and ports. ``judged`` are the claims about this host."""
    things = _things(facts, managers)
    keepers = _keepers(things, facts)
    claims = _claims(things, judged)
    made = [_running(thing, facts, claims.get(key, ()), key in keepers) for key, thing in things.items()]
    return tuple(sorted(made, key=_order))


def met_nothing(found: Iterable[Running], judged: Sequence[tuple[Service, Verdict]]) -> tuple[Claimed, ...]:
    """Return the claims that fit nothing that runs, by name."""
    met = {claimed.service for each in found for claimed in each.claims}
    return tuple(
        sorted(
            (Claimed(service.name, verdict.code) for service, verdict in judged if service.name not in met),
            key=lambda each: each.service,
        )
    )


_Key = tuple[str, str | None, str]


def _things(facts: Facts, managers: Mapping[str, Manager]) -> dict[_Key, _Thing]:
    things: dict[_Key, _Thing] = {}
    for listener in facts.listeners:
        held = Port(listener.port, listener.address)
        if not listener.pids:
            things.setdefault(("", None, str(listener.port)), _Thing(None)).ports.add(held)
        for pid in listener.pids:
            owner = owner_of(pid, facts, managers, listener.port)
            thing = things.setdefault(_key(owner, pid, facts), _Thing(owner))
            thing.ports.add(held)
            thing.holders.add(pid)
    for pid in facts.processes:
        if pid == 1:
            continue
        owner = owner_of(pid, facts, managers)
        things.setdefault(_key(owner, pid, facts), _Thing(owner)).pids.add(pid)
    return things


def _key(owner: Owner, pid: int, facts: Facts) -> _Key:
    """The same key is the same thing: one name of one manager's, or what descends from one process.

    Several of a kind may call theirs alike: supervisord of two configurations, the systemd of two users.
    """
    if owner.unit is None:
        return owner.manager, None, str(owner.main or pid)
    main = facts.processes.get(owner.main or 0)
    return owner.manager, owner.unit, f"{owner.config or ''} {main.user if main else ''}"


def _keepers(things: Mapping[_Key, _Thing], facts: Facts) -> AbstractSet[_Key]:
    """Find the things whose processes keep others, or ports for them: a manager, a session, a container's shim."""
    owns = {pid: key for key, thing in things.items() for pid in thing.pids}
    found = {owns[pid] for key, thing in things.items() for pid in thing.holders if owns.get(pid, key) != key}
    for pid, key in owns.items():
        above = {owns[each.pid] for each in facts.chain(pid)[1:] if each.pid in owns}
        found |= above - {key}
    return found


def _claims(
    things: Mapping[_Key, _Thing], judged: Sequence[tuple[Service, Verdict]]
) -> Mapping[_Key, tuple[Claimed, ...]]:
    """Lead each claim to the things that it is about: by its processes, else by its name, else by its ports."""
    found: dict[_Key, list[Claimed]] = {}
    for service, verdict in judged:
        pids, ports = set(verdict.pids), set(service.ports)
        about = (
            [key for key, thing in things.items() if pids & thing.pids]
            or [key for key in things if key[:2] == (service.manager, verdict.unit or service.unit)]
            or [key for key, thing in things.items() if ports & {each.port for each in thing.ports}]
        )
        for key in about:
            found.setdefault(key, []).append(Claimed(service.name, verdict.code))
    order = list(Code)
    return {
        key: tuple(sorted(claims, key=lambda each: (-order.index(each.verdict), each.service)))
        for key, claims in found.items()
    }


def _running(thing: _Thing, facts: Facts, claims: tuple[Claimed, ...], is_keeper: bool) -> Running:
    owner = thing.owner
    main = facts.processes.get(owner.main or 0) if owner else None
    inside = sorted((facts.processes[pid] for pid in thing.pids), key=lambda each: (each != main, each.start, each.pid))
    main = main or next(iter(inside), None)
    holder = next((facts.processes.get(pid) for pid in sorted(thing.holders)), None)
    listening = (each for each in inside if each.pid in thing.holders)
    return Running(
        manager=owner.manager if owner else "",
        unit=owner.unit if owner else None,
        config=owner.config if owner else None,
        is_believed=owner.is_believed if owner else False,
        evidence=owner.evidence if owner else "who holds it could not be seen",
        main=main or holder,
        face=next(listening, main or holder),
        processes=tuple(inside),
        ports=tuple(sorted(thing.ports)),
        standing=_standing(thing, claims, main, is_keeper),
        claims=claims,
    )


def _standing(thing: _Thing, claims: tuple[Claimed, ...], main: Process | None, is_keeper: bool) -> Standing:
    if claims:
        is_proved = any(each.verdict is Code.VERIFIED for each in claims)
        return Standing.REGISTERED if is_proved else Standing.WRONG
    if thing.owner is None:
        return Standing.UNSEEN
    is_unit = thing.owner.nearness is Nearness.UNIT and thing.owner.is_believed
    if thing.ports and not is_unit:
        return Standing.UNREGISTERED
    if thing.owner.nearness is Nearness.NOBODY:
        return Standing.SYSTEM  # it neither listens nor does anybody keep it: a shell's child, a session
    if is_keeper or (main is not None and _is_machines_own(main)):
        return Standing.SYSTEM
    return Standing.UNREGISTERED


def _is_machines_own(process: Process) -> bool:
    if process.exe is None or process.exe_uid != 0:
        return False
    return process.exe.startswith(_SYSTEMDS) or _MACHINES_OWN.fullmatch(process.exe.rsplit("/", 1)[-1]) is not None


def _order(each: Running) -> tuple[str, bool, str, tuple[Port, ...], int]:
    return each.manager, each.unit is None, each.unit or "", each.ports, each.main.pid if each.main else 0
