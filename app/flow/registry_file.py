"""The registry as YAML: read with line and column for everything that is wrong, and written the same way each time.

It stores nothing. Duplicate keys, unknown keys, aliases and contradictions are refused, all of them at once, so that
one run shows the whole list. The shape is the one of the README; durations are ``500ms``, ``5s``, ``15m`` or ``1h``.
"""

import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from app.core.errors import Refused
from app.core.policy import Assurance, Policy
from app.core.registry import Registry, problems
from app.core.service import Check, Host, HttpCheck, JsonCheck, Problem, Service, TcpCheck
from app.managers import MANAGERS

MOST_BYTES = 1 << 20
_DURATION = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


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
class _Reader:
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
        match = _DURATION.fullmatch(self.text(node, where))
        if match is None:
            self.wrong(node, where, "expected a duration such as 5s or 15m")
            return 0.0
        return float(match[1]) * _SECONDS[match[2]]

    def check(self, node: Node, where: str) -> Check | None:
        shapes: dict[str, Callable[[Node, str], Any]] = {
            "tcp": lambda n, w: self.mapping(n, w, {"port": self.number, "address": self.text}),
            "http": lambda n, w: self.mapping(n, w, {"url": self.text, "status": self.number}),
            "json": lambda n, w: self.mapping(n, w, {"url": self.text, "field": self.text, "equals": self.text}),
        }
        values = self.mapping(node, where, shapes)
        if len(values) != 1:
            self.wrong(node, where, "expected one of tcp, http, json")
            return None
        ((kind, given),) = values.items()
        made: type[Check] = {"tcp": TcpCheck, "http": HttpCheck, "json": JsonCheck}[kind]
        return self.make(node, where, made, given)

    def make(self, node: Node, where: str, made: type[Any], given: dict[str, Any]) -> Any:
        """Make a value of its fields, or note which one is missing."""
        try:
            return made(**given)
        except TypeError:
            needed = [name for name in made.__dataclass_fields__ if name not in given and _is_needed(made, name)]
            self.wrong(node, where, f"missing: {', '.join(needed)}")
            return None


def parse(text: str) -> Registry:
    """Read a registry. Raises Invalid with every problem and its line and column."""
    reader = _Reader()
    node = _compose(text, reader)
    if node is None:
        return Registry()
    kinds: dict[str, Callable[[Node, str], Any]] = {
        "hosts": reader.items(lambda n, w: _host(reader, n, w)),
        "services": reader.items(lambda n, w: _service(reader, n, w)),
        "policies": reader.items(lambda n, w: _policy(reader, n, w)),
    }
    values = reader.mapping(node, "", kinds)
    registry = Registry(**{kind: tuple(each for each in values.get(kind, []) if each is not None) for kind in kinds})
    if not reader.found:
        reader.found.extend(_placed(reader, registry))
    if reader.found:
        raise Invalid(sorted(reader.found, key=lambda each: (each.line, each.column)))
    return _sorted(registry)


def export(registry: Registry) -> str:
    """Write a registry as YAML that ``parse`` reads back to the same value."""
    document = {
        "hosts": [_host_out(host) for host in registry.hosts],
        "services": [_service_out(service) for service in registry.services],
        "policies": [_policy_out(policy) for policy in registry.policies],
    }
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = io.StringIO()
    yaml.dump(document, out)
    return out.getvalue()


def _compose(text: str, reader: _Reader) -> Node | None:
    if len(text.encode()) > MOST_BYTES:
        raise Invalid([Misplaced(1, 1, "file", f"longer than {MOST_BYTES} bytes")])
    try:
        node: Node | None = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise Invalid([Misplaced(*place, "file", str(error.problem or error.context or "not YAML"))]) from error
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


def _host(reader: _Reader, node: Node, where: str) -> Host | None:
    given = reader.mapping(
        node,
        where,
        {
            **dict.fromkeys(("name", "address", "environment", "user", "jump"), reader.text),
            "host_keys": reader.items(reader.text),
            "port": reader.number,
            "sudo": reader.truth,
        },
    )
    host: Host | None = reader.make(node, where, Host, {**given, "host_keys": tuple(given.get("host_keys", ()))})
    return host


def _service(reader: _Reader, node: Node, where: str) -> Service | None:
    texts = ("name", "host", "owner", "manager", "unit", "user", "path", "config", "docs")
    given = reader.mapping(
        node,
        where,
        {
            **dict.fromkeys(texts, reader.text),
            "ports": reader.items(reader.number),
            "settle": reader.duration,
            "start": reader.truth,
            "checks": reader.items(reader.check),
        },
    )
    if "settle" in given:
        given["settle_seconds"] = given.pop("settle")
    given |= {"ports": tuple(given.get("ports", ())), "checks": tuple(c for c in given.get("checks", ()) if c)}
    service: Service | None = reader.make(node, where, Service, given)
    return service


def _policy(reader: _Reader, node: Node, where: str) -> Policy | None:
    def assurance(node: Node, where: str) -> Assurance:
        name = reader.text(node, where)
        if name.upper() not in Assurance.__members__:
            reader.wrong(node, where, "expected click, passkey or sealed")
            return Assurance.CLICK
        return Assurance[name.upper()]

    given = reader.mapping(
        node,
        where,
        {
            **dict.fromkeys(("environment", "service"), reader.text),
            "approvers": reader.number,
            "groups": reader.items(reader.text),
            "assurance": assurance,
            "expires": reader.duration,
        },
    )
    if "expires" in given:
        given["expires_seconds"] = int(given.pop("expires"))
    policy: Policy | None = reader.make(node, where, Policy, {**given, "groups": tuple(given.get("groups", ()))})
    return policy


def _placed(reader: _Reader, registry: Registry) -> Iterator[Misplaced]:
    """Give every contradiction the place of the field that it is in."""
    index = {("host", each.name): f"hosts.{n}" for n, each in enumerate(registry.hosts)}
    index |= {("service", each.name): f"services.{n}" for n, each in enumerate(registry.services)}
    index |= {("policy", each.name): f"policies.{n}" for n, each in enumerate(registry.policies)}
    for kind, name, problem in problems(registry, MANAGERS):
        line, column = _place(reader, index[(kind, name)], problem)
        yield Misplaced(line, column, f"{kind} {name}: {problem.field}", problem.message)


def _place(reader: _Reader, entry: str, problem: Problem) -> tuple[int, int]:
    path = f"{entry}.{problem.field}"
    while path not in reader.places and "." in path:
        path = path.rpartition(".")[0]
    fallback = reader.places.get(f"{entry}.name", reader.places.get(f"{entry}.environment", (1, 1)))
    return reader.places.get(path, fallback) if path.startswith(entry + ".") else fallback


def _is_needed(made: type[Any], name: str) -> bool:
    try:
        made(**{other: None for other in made.__dataclass_fields__ if other != name})
    except TypeError:
        return True
    return False


def _sorted(registry: Registry) -> Registry:
    return Registry(
        hosts=tuple(sorted(registry.hosts, key=lambda each: each.name)),
        services=tuple(sorted(registry.services, key=lambda each: each.name)),
        policies=tuple(sorted(registry.policies, key=lambda each: each.name)),
    )


def _span(seconds: float) -> str:
    for unit in ("h", "m", "s"):
        if seconds >= _SECONDS[unit] and seconds % _SECONDS[unit] == 0:
            return f"{int(seconds // _SECONDS[unit])}{unit}"
    return f"{round(seconds * 1000)}ms"


def _trimmed(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value not in (None, (), [], "")}


def _host_out(host: Host) -> dict[str, Any]:
    defaults = {"port": 22, "user": "askfirst", "sudo": False}
    values = {
        "name": host.name,
        "address": host.address,
        "port": host.port,
        "user": host.user,
        "sudo": host.sudo,
        "jump": host.jump,
        "host_keys": list(host.host_keys),
        "environment": host.environment,
    }
    return _trimmed({key: value for key, value in values.items() if defaults.get(key, ...) != value})


def _service_out(service: Service) -> dict[str, Any]:
    values = {name: getattr(service, name) for name in ("name", "host", "owner", "manager", "unit", "user", "path")}
    return _trimmed(
        {
            **values,
            "ports": list(service.ports),
            "config": service.config,
            "settle": _span(service.settle_seconds),
            "start": service.start or None,
            "checks": [_check_out(check) for check in service.checks],
            "docs": service.docs,
        }
    )


def _check_out(check: Check) -> dict[str, Any]:
    match check:
        case TcpCheck(port, address):
            return {"tcp": {"port": port, "address": address}}
        case HttpCheck(url, status):
            return {"http": {"url": url, "status": status}}
        case JsonCheck(url, path, equals):
            return {"json": {"url": url, "field": path, "equals": equals}}


def _policy_out(policy: Policy) -> dict[str, Any]:
    return _trimmed(
        {
            "environment": policy.environment,
            "service": policy.service,
            "approvers": policy.approvers,
            "groups": list(policy.groups),
            "assurance": policy.assurance.name.lower(),
            "expires": _span(policy.expires_seconds),
        }
    )
