"""A host's map: managers, what they call their units, processes and ports, as columns of boxes with lines between them.

It places things and judges nothing: who owns what was found by ``core.owner``. The page shows the same as a table.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from app.core.manager import Manager
from app.flow.discover import Discovery, Seen

ROW, TOP, BOX = 44, 34, 30
COLUMNS = (0, 190, 440, 700)  # manager, unit, process, port
WIDTHS = (150, 210, 220, 120)
WIDTH = COLUMNS[-1] + WIDTHS[-1]


@dataclass(frozen=True, slots=True)
class Line:
    """One listening port, with who holds it. ``service`` is the claim's name, empty where nobody has registered it."""

    manager: str
    unit: str
    process: str
    port: str
    service: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Box:
    """A box of the drawing, in its own coordinates. ``kind`` is known (registered) or stray."""

    x: int
    y: int
    width: int
    text: str
    kind: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """A line from the right side of one box to the left side of another."""

    x1: int
    y1: int
    x2: int
    y2: int

    @property
    def path(self) -> str:
        """The curve, for an SVG path."""
        middle = (self.x1 + self.x2) // 2
        return f"M{self.x1} {self.y1}C{middle} {self.y1} {middle} {self.y2} {self.x2} {self.y2}"


@dataclass(frozen=True, slots=True)
class Map:
    """The drawing and the same as rows."""

    lines: tuple[Line, ...]
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]
    at: float
    width: int = WIDTH

    @property
    def height(self) -> int:
        """The drawing's height."""
        return TOP + ROW * max(1, len(self.lines))


def map_of(found: Discovery, managers: Mapping[str, Manager]) -> Map:
    """Place what was found, grouped by manager and unit; managers of registered services come first."""
    unsorted = [_line(each, managers) for each in found.seen]
    known = {line.manager for line in unsorted if line.service}
    lines = tuple(sorted(unsorted, key=lambda line: (line.manager not in known, *_order(line))))
    boxes: dict[tuple[int, str], Box] = {}
    edges: dict[tuple[Box, Box], Edge] = {}
    for index, line in enumerate(lines):
        y = TOP + ROW * index
        kind = "known" if line.service else "stray"
        before: Box | None = None
        for column, (key, text) in enumerate(_cells(line)):
            box = boxes.get((column, key))
            if box is None:
                href = f"/services/{line.service}" if column == 3 and line.service else ""
                box = boxes[(column, key)] = Box(COLUMNS[column], y, WIDTHS[column], text, kind, href)
            if before is not None:
                edges[(before, box)] = Edge(before.x + before.width, before.y + BOX // 2, box.x, box.y + BOX // 2)
            before = box
    return Map(lines, tuple(boxes.values()), tuple(edges.values()), found.at)


def _cells(line: Line) -> list[tuple[str, str]]:
    """Return each column's key and text; the same key is the same box."""
    texts = (line.manager, line.unit, line.process, f":{line.port}")
    keys = ["\0".join(texts[: column + 1]) for column in range(len(texts))]
    return list(zip(keys, texts, strict=True))


def _line(seen: Seen, managers: Mapping[str, Manager]) -> Line:
    owner, process = seen.owner, seen.process
    manager = managers.get(owner.manager) if owner else None
    return Line(
        manager=manager.label if manager else owner.manager if owner else "not seen",
        unit=(owner.unit if owner else None) or "–",
        process=f"{process.pid} {process.comm} ({process.user})" if process else "not seen",
        port=str(seen.port),
        service=seen.service or "",
        evidence=owner.evidence if owner else "",
    )


def _order(line: Line) -> tuple[str, str, str, int]:
    return line.manager, line.unit, line.process, int(line.port)
