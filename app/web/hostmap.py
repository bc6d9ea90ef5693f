"""What a host's map shows: a row for each thing that runs, in words, grouped under its manager; and the table's lines.

It draws nothing (``drawing`` does) and judges nothing: who keeps what was found by ``core.discovery``. Where so much
runs that no picture could be read, like things become one row; the table always has each by itself.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from urllib.parse import urlencode

from app.core.discovery import Claimed, Running, Standing
from app.core.display import argv, masked, span, visible
from app.core.manager import Manager
from app.core.service import Service
from app.core.verdict import Code
from app.flow.discover import Discovery
from app.web.words import STANDINGS, Sign

MOST_ROWS = 36
LIKE = 3
LOCAL = ("127.", "::1", "::ffff:127.")


@dataclass(frozen=True, slots=True)
class Pill:
    """A port, or a range of them. ``is_local`` says that only the host itself reaches it."""

    text: str
    is_local: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the picture. ``says`` is how it stands to the registry, ``warns`` what else is claimed of it.

    ``href`` leads to its service, or, where it ``is_open`` to be registered, to a filled form.
    """

    name: str
    sign: Sign
    says: str
    process: str
    where: str
    pills: tuple[Pill, ...]
    href: str = ""
    warns: str = ""
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """A manager with its rows. ``count`` counts things, which may be more than rows."""

    label: str
    count: int
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One thing as a row of the table. ``claims`` are service and verdict; ``register`` leads to the filled form."""

    manager: str
    unit: str
    evidence: str
    process: str
    command: str
    since: float | None
    ports: tuple[str, ...]
    sign: Sign
    claims: tuple[tuple[str, str, bool], ...]
    register: str


@dataclass(frozen=True, slots=True)
class Map:
    """The picture's rows, and every thing as a line; ``own`` are the lines of what is the machine's own."""

    groups: tuple[Group, ...]
    lines: tuple[Line, ...]
    own: tuple[Line, ...]
    lost: tuple[tuple[str, str], ...]
    blind: tuple[str, ...]
    counts: Mapping[Standing, int]
    at: float

    @property
    def is_folded(self) -> bool:
        """Whether like things share a row of the picture."""
        return sum(group.count for group in self.groups) > sum(len(group.rows) for group in self.groups)


def map_of(found: Discovery, managers: Mapping[str, Manager], *, may_edit: bool) -> Map:
    """Put into words what was found. ``may_edit`` adds the ways to a filled claim."""
    shown = [each for each in found.running if each.standing is not Standing.SYSTEM]
    own = [each for each in found.running if each.standing is Standing.SYSTEM]
    is_big = len(shown) > MOST_ROWS
    by_name = [(name, list(things)) for name, things in groupby(shown, key=lambda each: each.manager)]
    groups = [
        Group(_label(name, managers), len(things), tuple(_rows(things, found.facts.now, may_edit, is_big)))
        for name, things in sorted(by_name, key=lambda pair: _rank(pair[1]))
    ]
    lost = tuple((each.service, str(each.verdict)) for each in found.lost)
    if lost:
        groups.append(Group("nothing runs", len(lost), tuple(map(_lost, found.lost))))
    return Map(
        groups=tuple(groups),
        lines=tuple(_line(each, managers, may_edit) for each in shown),
        own=tuple(_line(each, managers, may_edit) for each in own),
        lost=lost,
        blind=tuple(f"{visible(each.what, 200)}: {visible(each.why, 300)}" for each in found.facts.blind),
        counts=found.counts,
        at=found.at,
    )


def claim_link(claim: Service) -> str:
    """Return the address of the form that is filled with a claim."""
    fields = {
        "host": claim.host,
        "name": claim.name,
        "manager": claim.manager,
        "unit": claim.unit,
        "user": claim.user or "",
        "path": claim.path or "",
        "ports": " ".join(map(str, claim.ports)),
        "config": claim.config or "",
    }
    return "/registry/services/new?" + urlencode({key: value for key, value in fields.items() if value})


def _rank(things: Sequence[Running]) -> tuple[int, str]:
    """What the registry speaks of comes first; what nobody keeps, and what nobody saw, last."""
    if not things[0].manager:
        return 3, ""
    if any(each.claims for each in things):
        return 0, things[0].manager
    return 1 if any(each.unit for each in things) else 2, things[0].manager


def _rows(things: Sequence[Running], now: float, may_edit: bool, is_big: bool) -> Iterable[Row]:
    if not is_big:
        yield from (_row(each, now, may_edit) for each in things)
        return
    families: dict[tuple[str, ...], list[Running]] = {}
    for each in things:
        families.setdefault(_family(each), []).append(each)
    for family in families.values():
        if len(family) < LIKE:
            yield from (_row(each, now, may_edit) for each in family)
        else:
            yield _family_row(family)


def _family(each: Running) -> tuple[str, ...]:
    """Things of one family differ by numbers only, and by their ports."""
    main = each.face
    codes = sorted({one.verdict for one in each.claims})
    return (each.standing, _stem(each), main.user if main else "", main.comm if main else "", *codes)


def _stem(each: Running) -> str:
    return re.sub(r"\d+", "*", each.unit or "")


def _row(each: Running, now: float, may_edit: bool) -> Row:
    claims = each.claims
    right = [one.service for one in claims if one.verdict is Code.VERIFIED]
    wrong = [f"{one.service}: {one.verdict}" for one in each.wrong]
    is_open = each.claim is not None and may_edit
    return Row(
        name=_name(each),
        sign=STANDINGS[each.standing],
        says=", ".join(right or wrong) or STANDINGS[each.standing].word,
        process=_process(each, now),
        where=_where(each),
        pills=_pills(each),
        href=claim_link(each.claim) if each.claim and is_open else f"/services/{claims[0].service}" if claims else "",
        warns=f"also {', '.join(wrong)}" if right and wrong else "",
        is_open=is_open,
    )


def _process(each: Running, now: float) -> str:
    main = each.face
    if main is None:
        return "not seen"
    who = f"{visible(main.comm, 40)} {main.pid}"
    if not each.processes:
        return f"{who} holds its port"
    more = f" +{len(each.processes) - 1}" if len(each.processes) > 1 else ""
    return f"{who}{more} · up {span(max(0.0, now - main.started_at))}"


def _family_row(family: Sequence[Running]) -> Row:
    first = family[0]
    main = first.face
    processes = sum(len(each.processes) for each in family)
    ports = sorted({held.port for each in family for held in each.ports})
    is_local = all(pill.is_local for each in family for pill in _pills(each))
    codes = sorted({str(one.verdict) for each in family for one in each.wrong})
    return Row(
        name=f"{visible(_stem(first), 100)} ×{len(family)}" if first.unit else f"{len(family)} alike",
        sign=STANDINGS[first.standing],
        says=", ".join(codes) or f"{len(family)} {STANDINGS[first.standing].word}",
        process=f"{visible(main.comm, 40)} · {processes} processes" if main else "not seen",
        where=_where(first),
        pills=(Pill(f":{ports[0]}…{ports[-1]}", is_local),) if len(ports) > 1 else _pills(first),
        href="#rows",
    )


def _lost(claim: Claimed) -> Row:
    href = f"/services/{claim.service}"
    if claim.verdict is Code.VERIFIED:
        sign = STANDINGS[Standing.REGISTERED]
        return Row(claim.service, sign, sign.word, "nothing runs; a start may be asked for", "", (), href)
    return Row(claim.service, STANDINGS[Standing.WRONG], claim.verdict, "nothing that runs fits it", "", (), href)


def _where(each: Running) -> str:
    main = each.face
    if main is None:
        return ""
    return f"{visible(main.user, 40)}" + (f" · {visible(main.cwd, 200)}" if main.cwd and main.cwd != "/" else "")


def _pills(each: Running) -> tuple[Pill, ...]:
    held: dict[int, list[str]] = {}
    for port in each.ports:
        held.setdefault(port.port, []).append(port.address)
    return tuple(
        Pill(f":{port}", all(address.startswith(LOCAL) for address in addresses)) for port, addresses in held.items()
    )


def _line(each: Running, managers: Mapping[str, Manager], may_edit: bool) -> Line:
    main = each.face
    more = f" and {len(each.processes) - 1} more" if len(each.processes) > 1 else ""
    return Line(
        manager=_label(each.manager, managers),
        unit=_name(each),
        evidence=visible(masked(each.evidence), 300),
        process=f"{visible(main.comm, 40)} {main.pid}{more}, {_where(each)}" if main else "not seen",
        command=argv(main.argv) if main else "",
        since=main.started_at if main else None,
        ports=tuple(_address(port.address, port.port) for port in each.ports),
        sign=STANDINGS[each.standing],
        claims=tuple((one.service, str(one.verdict), one.verdict is Code.VERIFIED) for one in each.claims),
        register=claim_link(each.claim) if each.claim is not None and may_edit else "",
    )


def _address(address: str, port: int) -> str:
    return f"[{visible(address, 60)}]:{port}" if ":" in address else f"{visible(address, 60)}:{port}"


def _name(each: Running) -> str:
    if each.unit is not None:
        return visible(each.unit, 120)
    return visible(each.face.comm, 40) if each.face else "not seen"


def _label(name: str, managers: Mapping[str, Manager]) -> str:
    return managers[name].label if name in managers else name or "not seen"
