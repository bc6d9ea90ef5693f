"""Reading YAML with a place for everything that is wrong: line and column, all problems at once.

It knows no field of the registry. Duplicate and unknown keys and aliases are refused (an alias can make a short file
read as a huge one, and two people read it differently).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from app.core.duration import seconds_of
from app.core.errors import Refused

MOST_BYTES = 1 << 20


class Invalid(Refused):
    """The file is refused; ``problems`` lists everything wrong with it, each with its place."""

    code = "registry_invalid"

    def __init__(self, found: list["Misplaced"]) -> None:
        """Say how many problems there are, and the first."""
        super().__init__(
            f"{len(found)} thing{'s' if len(found) > 1 else ''} wrong; the first: {found[0]}",
            next_step="Correct each line named, then try again. Nothing was changed.",
        )
        self.problems = found


@dataclass(frozen=True, slots=True)
class Misplaced:
    """One problem and where it stands; line and column count from 1."""

    line: int
    column: int
    where: str
    message: str

    def __str__(self) -> str:
        """Say place, field and problem in one line."""
        return f"line {self.line}, column {self.column}: {self.where}: {self.message}"


@dataclass(slots=True)
class Reader:
    """Reads nodes into values, collecting problems instead of stopping at the first."""

    found: list[Misplaced] = field(default_factory=list)
    places: dict[str, tuple[int, int]] = field(default_factory=dict)

    def wrong(self, node: Node, where: str, message: str) -> None:
        self.found.append(Misplaced(node.start_mark.line + 1, node.start_mark.column + 1, where, message))

    def mapping(self, node: Node, where: str, known: Mapping[str, Callable[[Node, str], Any]]) -> dict[str, Any]:
        """Read a mapping whose keys are known; a key that is unknown or stands twice is a problem."""
        values: dict[str, Any] = {}
        if not isinstance(node, MappingNode):
            self.wrong(node, where or "file", "expected keys with values")
            return values
        for key_node, value_node in node.value:
            key = str(key_node.value)
            path = f"{where}.{key}" if where else key
            if key not in known:
                self.wrong(key_node, path, f"unknown key; known are {', '.join(known)}")
            elif key in values:
                self.wrong(key_node, path, "this key stands twice")
            else:
                self.places[path] = (value_node.start_mark.line + 1, value_node.start_mark.column + 1)
                values[key] = known[key](value_node, path)
        return values

    def items(self, read: Callable[[Node, str], Any]) -> Callable[[Node, str], list[Any]]:
        """Return a reader of lists."""

        def read_list(node: Node, where: str) -> list[Any]:
            if isinstance(node, ScalarNode) and str(node.tag).endswith(":null"):
                return []
            if not isinstance(node, SequenceNode):
                self.wrong(node, where, "expected a list")
                return []
            return [read(each, f"{where}.{index}") for index, each in enumerate(node.value)]

        return read_list

    def text(self, node: Node, where: str) -> str:
        if not isinstance(node, ScalarNode):
            self.wrong(node, where, "expected one value")
            return ""
        return str(node.value)

    def number(self, node: Node, where: str) -> int:
        value = self.text(node, where)
        if not re.fullmatch(r"\d{1,9}", value):
            self.wrong(node, where, "expected a whole number")
            return 0
        return int(value)

    def truth(self, node: Node, where: str) -> bool:
        value = self.text(node, where)
        if value not in {"true", "false"}:
            self.wrong(node, where, "expected true or false")
        return value == "true"

    def duration(self, node: Node, where: str) -> float:
        seconds = seconds_of(self.text(node, where))
        if seconds is None:
            self.wrong(node, where, "expected a duration such as 5s or 15m")
            return 0.0
        return seconds

    def make(self, node: Node, where: str, made: type[Any], given: dict[str, Any]) -> Any:
        """Make a value of its fields, or note which one is missing."""
        try:
            return made(**given)
        except TypeError:
            needed = [name for name in made.__dataclass_fields__ if name not in given and _is_needed(made, name)]
            self.wrong(node, where, f"missing: {', '.join(needed)}")
            return None


def compose(text: str, reader: Reader) -> Node | None:
    """Parse the text into nodes that know their places. Raises Invalid for what is no YAML, or has aliases."""
    if len(text.encode()) > MOST_BYTES:
        raise Invalid([Misplaced(1, 1, "file", f"longer than {MOST_BYTES} bytes")])
    try:
        node: Node | None = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (int(mark.line) + 1, int(mark.column) + 1) if mark else (1, 1)
        raise Invalid([Misplaced(line, column, "file", str(error.problem or error.context or "not YAML"))]) from error
    except (YAMLError, ValueError) as error:
        raise Invalid([Misplaced(1, 1, "file", f"not YAML: {str(error).splitlines()[0]}")]) from error
    seen: set[int] = set()
    stack = [node] if node is not None else []
    while stack:
        each = stack.pop()
        if id(each) in seen:
            reader.wrong(each, "file", "an alias; write the value out, so that everybody reads the same")
            raise Invalid(reader.found)
        seen.add(id(each))
        if isinstance(each, MappingNode):
            stack.extend(part for pair in each.value for part in pair)
        elif isinstance(each, SequenceNode):
            stack.extend(each.value)
    return node


def _is_needed(made: type[Any], name: str) -> bool:
    try:
        made(**{other: None for other in made.__dataclass_fields__ if other != name})
    except TypeError:
        return True
    return False
