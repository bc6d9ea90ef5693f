"""The picture of a host: boxes, lines and words in coordinates, wide for a desk and narrow for a phone.

It knows no host and no service: it places the rows that ``hostmap`` wrote. Widths of words are reckoned, not measured,
so each text is cut where its box ends. Both pictures say the same, one below the other's width.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from app.web.hostmap import Group, Map, Pill, Row

# The advance of a character: of the monospaced face at 13 px; of the other at 12 px, and where it is bold.
MONO, SANS, BOLD = 7.9, 6.7, 7.5
ACT = "Register"


@dataclass(frozen=True, slots=True)
class Text:
    """A text, by the left end of its base line. ``kind`` is a class of the stylesheet."""

    x: int
    y: int
    text: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """An icon of the sprite, by its upper left corner."""

    x: int
    y: int
    icon: str
    kind: str


@dataclass(frozen=True, slots=True)
class Box:
    """A box with its texts, in the order in which they are read. It leads nowhere where ``href`` is empty."""

    x: int
    y: int
    width: int
    height: int
    kind: str
    texts: tuple[Text, ...]
    marks: tuple[Mark, ...] = ()
    href: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """One drawing. ``edges`` are paths."""

    name: str
    width: int
    height: int
    texts: tuple[Text, ...]
    boxes: tuple[Box, ...]
    edges: tuple[str, ...]


def pictures(drawn: Map) -> tuple[Picture, Picture]:
    """Draw the map, wide and narrow."""
    return _wide(drawn), _narrow(drawn)


# A row of the wide picture: manager, unit, process, ports, in columns with room for lines between them.
_X, _W = (0, 184, 520, 906), (150, 300, 350, 154)
_BOX, _WARNING, _BETWEEN, _GAP, _HEAD = 54, 20, 10, 14, 26


def _wide(drawn: Map) -> Picture:
    boxes: list[Box] = []
    edges: list[str] = []
    y = _HEAD
    for group in drawn.groups:
        boxes.append(_manager(group, _X[0], y, _W[0]))
        above = y + _BOX // 2
        edges.append(f"M{_X[0] + _W[0]} {above}H{_X[1]}")
        for index, row in enumerate(group.rows):
            middle = y + _BOX // 2
            if index:
                edges.append(f"M{_X[0] + _W[0] + 16} {above}V{middle - 8}q0 8 8 8H{_X[1]}")
                above = middle - 8
            edges.append(
                f"M{_X[1] + _W[1]} {middle}H{_X[2]}" + (f"M{_X[2] + _W[2]} {middle}H{_X[3]}" * bool(row.pills))
            )
            boxes += [_unit(row, _X[1], y, _W[1]), _process(row, _X[2], y, _W[2]), *_pills(row, _X[3], y)]
            y += _BOX + _BETWEEN + (_WARNING if row.warns else 0)
        y += _GAP
    words = zip(_X, ("Manager", "Its name there", "Process", "Ports"), strict=True)
    texts = tuple(Text(x + 2, 14, word) for x, word in words)
    return Picture("wide", _X[3] + _W[3], max(y - _GAP - _BETWEEN + 2, _HEAD + _BOX), texts, tuple(boxes), tuple(edges))


def _manager(group: Group, x: int, y: int, width: int) -> Box:
    texts = (
        Text(x + 12, y + 24, _cut(group.label, width - 20, BOLD * 1.15), "strong"),
        Text(x + 12, y + 42, _count(group)),
    )
    return Box(x, y, width, _BOX, "manager", texts)


def _unit(row: Row, x: int, y: int, width: int) -> Box:
    texts, marks = _standing(row, x, y, width)
    height = _BOX + (_WARNING if row.warns else 0)
    return Box(x, y, width, height, f"unit {row.sign.tone}", texts, marks, row.href)


def _standing(row: Row, x: int, y: int, width: int) -> tuple[tuple[Text, ...], tuple[Mark, ...]]:
    """Place a thing's name, how it stands to the registry, and what else is claimed of it, each on a line."""
    kind, room = row.sign.tone, width - 42
    texts = [Text(x + 14, y + 22, _cut(row.name, width - 22, MONO), "name")]
    marks = [Mark(x + 13, y + 30, row.sign.icon, kind)]
    act = int(len(ACT) * BOLD) if row.is_open else 0
    texts.append(Text(x + 32, y + 42, _cut(row.says, room - act, BOLD), kind))
    if act:
        texts.append(Text(x + width - 14 - act, y + 42, ACT, "act"))
    if row.warns:
        marks.append(Mark(x + 13, y + 30 + _WARNING, "x", "no"))
        texts.append(Text(x + 32, y + 42 + _WARNING, _cut(row.warns, width - 42, BOLD), "no"))
    return tuple(texts), tuple(marks)


def _process(row: Row, x: int, y: int, width: int) -> Box:
    if not row.where:
        return Box(x, y, width, _BOX, "process none", (Text(x + 12, y + 32, _cut(row.process, width - 24, SANS)),))
    texts = (
        Text(x + 12, y + 22, _cut(row.process, width - 22, MONO), "name"),
        Text(x + 12, y + 42, _cut(row.where, width - 22, SANS)),
    )
    return Box(x, y, width, _BOX, "process", texts)


def _pills(row: Row, x: int, y: int) -> Iterator[Box]:
    """Place two rows of two ports; where there are more, the last tells how many."""
    if not row.pills:
        yield Box(x, y, 0, 0, "none", (Text(x + 2, y + 32, "none"),))
    shown = row.pills if len(row.pills) <= 4 else (*row.pills[:3], Pill(f"+{len(row.pills) - 3} more", is_local=False))
    top = 15 if len(shown) <= 2 else 1
    for index, pill in enumerate(shown):
        yield _pill(pill, x + (index % 2) * 79, y + top + (index // 2) * 28)


def _pill(pill: Pill, x: int, y: int) -> Box:
    kind = "pill local" if pill.is_local else "pill"
    return Box(x, y, _length(pill), 24, kind, (Text(x + 10, y + 17, pill.text, "name"),))


def _length(pill: Pill) -> int:
    return int(len(pill.text) * MONO) + 20


# The narrow picture: a manager as a heading, its things as cards under it, hung on one line.
_NARROW, _INDENT = 312, 16


def _narrow(drawn: Map) -> Picture:
    boxes: list[Box] = []
    edges: list[str] = []
    y = 0
    for group in drawn.groups:
        boxes.append(_heading(group, y))
        top, y = y + 30, y + 40
        for row in group.rows:
            card = list(_card(row, y))
            boxes += card
            edges.append(f"M8 {top}V{y + 16}q0 8 8 8H{_INDENT + 2}")
            top, y = y + 16, y + card[0].height + 10
        y += 8
    return Picture("narrow", _NARROW, max(y - 18, 40), (), tuple(boxes), tuple(edges))


def _heading(group: Group, y: int) -> Box:
    count = _count(group)
    texts = (
        Text(10, y + 20, _cut(group.label, 220, BOLD * 1.15), "strong"),
        Text(_NARROW - 10 - int(len(count) * SANS), y + 20, count),
    )
    return Box(0, y, _NARROW, 30, "manager", texts)


def _card(row: Row, y: int) -> Iterator[Box]:
    x, width = _INDENT, _NARROW - _INDENT
    texts, marks = _standing(row, x, y, width)
    line = y + 42 + (_WARNING if row.warns else 0)
    for text in filter(None, (row.process, row.where)):
        line += 19
        texts += (Text(x + 14, line, _cut(text, width - 24, SANS)),)
    pills, left, line = [], x + 14, line + 12
    for pill in row.pills:
        if left + _length(pill) > x + width - 10:
            left, line = x + 14, line + 30
        pills.append(_pill(pill, left, line))
        left += _length(pill) + 8
    bottom = line + (36 if row.pills else 2)
    yield Box(x, y, width, bottom - y, f"unit {row.sign.tone}", texts, marks, row.href)
    yield from pills


def _count(group: Group) -> str:
    return "1 thing" if group.count == 1 else f"{group.count} things"


def _cut(text: str, width: float, advance: float) -> str:
    """Cut a text where its room ends."""
    most = max(1, int(width / advance))
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
