"""Records become facts: the one place that knows which fields a record of the frame has and what they mean.

It does not judge and fills nothing in: a field that the host did not print stays None. What contradicts itself (a
process twice, a number that is none, an answer about services nobody asked for) makes the whole answer ``garbled``. A
gate that refused to look is Unreachable with the code ``gate_refused`` and its own reason.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

from app.core.display import visible
from app.core.errors import Unreachable
from app.core.facts import Blind, Checkout, Facts, Listener, Process, Record, Writable
from app.core.level import Level
from app.core.records import HEADER, garbled
from app.core.service import Service

K = TypeVar("K")
T = TypeVar("T")


def facts(records: Iterable[Record], taken_at: float, services: Sequence[Service]) -> Facts:
    """Put the records of one probe together. Raises Unreachable: refused, or they cannot be true together (garbled)."""
    by_kind: dict[str, list[Record]] = defaultdict(list)
    own: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        manager, dot, _ = record.kind.partition(".")
        (own[manager] if dot else by_kind[record.kind]).append(record)
    asked = tuple(service.name for service in services)
    for refused in by_kind["refused"]:
        raise _refused(refused.get("why"))
    try:
        return _facts(by_kind, own, taken_at, asked)
    except (KeyError, ValueError) as error:
        wrong = garbled(f"a record lacks a field, or holds what cannot be ({error})")
        if any(header.get("level", Level.OPEN) != Level.OPEN for header in by_kind[HEADER]):
            wrong.next_step = "The gate that is installed on the host may be of another version: renew the kit there."
        raise wrong from error


def _refused(why: str) -> Unreachable:
    return Unreachable(
        f"The host's gate refused to look: {visible(why, 300)}.",
        code="gate_refused",
        next_step="Renew the kit on the host, whose `--check` says what differs there.",
    )


def _facts(
    by_kind: Mapping[str, list[Record]], own: Mapping[str, list[Record]], taken_at: float, asked: tuple[str, ...]
) -> Facts:
    (header,), (host,) = by_kind[HEADER], by_kind["host"]
    return Facts(
        hostname=host.fields["name"],
        uid=int(host.fields["uid"]),
        user=host.fields["user"],
        now=float(host.fields["now"]),
        taken_at=taken_at,
        gate=header.fields["gate"],
        level=header.get("level", Level.OPEN),
        permitted=_permitted(header.get("level", Level.OPEN), by_kind["permitted"]),
        processes=_once(((process.pid, process) for process in map(_process, by_kind["process"])), "process"),
        listeners=_listeners(by_kind["listen"], by_kind["holder"]),
        own=MappingProxyType({manager: tuple(found) for manager, found in own.items()}),
        identity=_of_service(by_kind["identity"], asked, _line),
        code=_once(((_about(record, asked), _checkout(record)) for record in by_kind["code"]), "code"),
        writable=_of_service(by_kind["writable"], asked, _writable),
        blind=tuple(map(_blind, by_kind["blind"])),
        asked=asked,
    )


def _permitted(level: str, records: Sequence[Record]) -> frozenset[str] | None:
    return None if level == Level.OPEN else frozenset(record.fields["line"] for record in records)


def _line(record: Record) -> str:
    """Read an identity line. The gate writes whatever it read itself escaped, so that a warrant can hold it."""
    line = record.fields["line"]
    if not (line.isascii() and line.isprintable()):
        raise ValueError(f"an identity line is not of its form: {line[:40]!a}")
    return line


def _process(record: Record) -> Process:
    fields = record.fields
    return Process(
        pid=int(fields["pid"]),
        ppid=int(fields["ppid"]),
        start=int(fields["start"]),
        started_at=float(fields["started"]),
        uid=int(fields["uid"]),
        user=fields["user"],
        comm=fields["comm"],
        argv=tuple(fields["argv"].split("\0")) if fields["argv"] else (),
        cgroup=fields["cgroup"],
        exe=fields.get("exe"),
        exe_uid=int(fields["exe-uid"]) if "exe-uid" in fields else None,
        cwd=fields.get("cwd"),
        deleted=tuple(fields["deleted"].split("\0")) if fields.get("deleted") else (),
    )


def _listeners(listens: Sequence[Record], holders: Sequence[Record]) -> tuple[Listener, ...]:
    pids: dict[str, list[int]] = defaultdict(list)
    for record in holders:
        pids[record.fields["inode"]].append(int(record.fields["pid"]))
    return tuple(
        Listener(
            port=int(record.fields["port"]),
            address=record.fields["addr"],
            uid=int(record.fields["uid"]),
            pids=tuple(sorted(set(pids[record.fields["inode"]]))),
        )
        for record in listens
    )


def _checkout(record: Record) -> Checkout:
    return Checkout(
        commit=record.get("commit") or None,
        commit_at=_time(record.get("at")),
        subject=record.get("subject"),
        newest_file=record.get("newest") or None,
        newest_at=_time(record.get("newest-at")),
        changed=_count(record.get("changed")),
        untracked=_count(record.get("untracked")),
        ahead=_count(record.get("ahead")),
        upstream=record.get("upstream"),
        fetched_at=_time(record.get("fetched-at")),
        untold=record.get("untold"),
    )


def _writable(record: Record) -> Writable:
    return Writable(record.fields["path"], record.fields["by"])


def _blind(record: Record) -> Blind:
    return Blind(record.fields["what"], record.fields["why"], record.get("about"))


def _time(value: str) -> float | None:
    return float(value) if value else None


def _count(value: str) -> int | None:
    return int(value) if value else None


def _about(record: Record, asked: tuple[str, ...]) -> str:
    service = record.fields["service"]
    if service not in asked:
        raise ValueError(f"it speaks of a service {service[:40]!a} that was not asked about")
    return service


def _of_service(
    records: Sequence[Record], asked: tuple[str, ...], value: Callable[[Record], T]
) -> Mapping[str, tuple[T, ...]]:
    found: dict[str, list[T]] = defaultdict(list)
    for record in records:
        found[_about(record, asked)].append(value(record))
    return MappingProxyType({service: tuple(values) for service, values in found.items()})


def _once(pairs: Iterable[tuple[K, T]], what: str) -> Mapping[K, T]:
    found: dict[K, T] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{what} {key} is there twice")
        found[key] = value
    return MappingProxyType(found)
