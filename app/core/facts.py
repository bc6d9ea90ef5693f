"""What the probe saw on a host, as values: with when, as whom, and what it could not see.

Facts do not judge, and unseen is never absent: what could not be looked at is a ``Blind``, not an empty field. Each
string is what the host printed, decoded from its percent-escapes, and is hostile (law 13): it is shown only through
``display``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Record:
    """One framed record of the gate: its kind (for a manager's own records ``<manager>.<kind>``) and its fields."""

    kind: str
    fields: Mapping[str, str]

    def get(self, key: str, default: str = "") -> str:
        """Return a field, or the default where the record has none."""
        return self.fields.get(key, default)

    def number(self, key: str) -> int:
        """Return a field of digits, 0 where it is none: what a host prints there is hostile too."""
        value = self.fields.get(key, "")
        return int(value) if value.isascii() and value.isdecimal() and len(value) <= 15 else 0


@dataclass(frozen=True, slots=True)
class Process:
    """One process. Its identity is boot id, pid and ``start`` (clock ticks since boot), so a reused pid is another.

    ``exe``, ``exe_uid`` and ``cwd`` are None where the probe may not read them. ``deleted`` names what it still runs
    although the file was replaced or removed. ``started_at`` is in epoch seconds by the host's clock.
    """

    pid: int
    ppid: int
    start: int
    started_at: float
    uid: int
    user: str
    comm: str
    argv: tuple[str, ...]
    cgroup: str
    exe: str | None = None
    exe_uid: int | None = None
    cwd: str | None = None
    deleted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening TCP socket. ``pids`` is empty where no holder could be seen (then a ``Blind`` says why)."""

    port: int
    address: str
    uid: int
    pids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Checkout:
    """The code under a service's path: the checked-out commit, the newest file, and whether all of it is pushed.

    Times are epoch seconds by the host's clock; None where there is no git checkout or no file. ``changed`` and
    ``untracked`` count files, ``ahead`` the commits that ``upstream`` lacks by the last fetch, at ``fetched_at``; None
    where git did not tell, and ``untold`` says why, or where there is no upstream.
    """

    commit: str | None = None
    commit_at: float | None = None
    subject: str = ""
    newest_file: str | None = None
    newest_at: float | None = None
    changed: int | None = None
    untracked: int | None = None
    ahead: int | None = None
    upstream: str = ""
    fetched_at: float | None = None
    untold: str = ""


@dataclass(frozen=True, slots=True)
class Writable:
    """A path that root would run or read for this service, and which user other than root can write."""

    path: str
    by: str


@dataclass(frozen=True, slots=True)
class Blind:
    """Something that could not be seen: what, why, and for which manager or service (empty: the whole host)."""

    what: str
    why: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything one probe saw. ``taken_at`` is Askfirst's clock, ``now`` the host's, both in epoch seconds.

    ``own`` holds each manager's own records, ``identity`` the identity lines per service name, both as the gate printed
    them. ``asked`` names the services that the probe was asked about. ``gate`` is the digest of the gate that answered,
    ``level`` what it says of its host: ``open``, ``enforced`` or ``sealed``. ``permitted`` are the restarts that the
    host's own table allows, each ``SERVICE MANAGER UNIT ACTION USER ARGV…``; None where it has no table.
    """

    hostname: str
    uid: int
    user: str
    now: float
    taken_at: float
    gate: str
    processes: Mapping[int, Process] = field(default_factory=lambda: MappingProxyType({}))
    listeners: tuple[Listener, ...] = ()
    own: Mapping[str, tuple[Record, ...]] = field(default_factory=lambda: MappingProxyType({}))
    identity: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    code: Mapping[str, Checkout] = field(default_factory=lambda: MappingProxyType({}))
    writable: Mapping[str, tuple[Writable, ...]] = field(default_factory=lambda: MappingProxyType({}))
    blind: tuple[Blind, ...] = ()
    asked: tuple[str, ...] = ()
    level: str = "open"
    permitted: frozenset[str] | None = None

    def chain(self, pid: int) -> tuple[Process, ...]:
        """Return the process and its ancestors, nearest first, as far as they were seen."""
        found: list[Process] = []
        seen: set[int] = set()
        while pid in self.processes and pid not in seen:
            seen.add(pid)
            found.append(self.processes[pid])
            pid = self.processes[pid].ppid
        return tuple(found)

    def records(self, kind: str) -> tuple[Record, ...]:
        """Return a manager's own records of one kind, such as ``supervisor.program``."""
        return tuple(record for record in self.own.get(kind.split(".", 1)[0], ()) if record.kind == kind)
