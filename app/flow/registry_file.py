"""The registry as YAML: read with line and column for everything that is wrong, and written the same way each time.

It stores nothing. Duplicate keys, unknown keys, aliases and contradictions are refused, all of them at once, so that
one run shows the whole list. The shape is the one of the README; durations are ``500ms``, ``5s``, ``15m`` or ``1h``.
"""

import io
from collections.abc import Callable, Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import Node

from app.core.duration import span_of
from app.core.level import Level
from app.core.policy import Assurance, Policy
from app.core.registry import Registry, problems
from app.core.service import Check, Host, HttpCheck, JsonCheck, Problem, Service, TcpCheck
from app.flow.yaml_reader import Invalid, Misplaced, Reader, compose
from app.managers import MANAGERS


def parse(text: str) -> Registry:
    """Read a registry. Raises Invalid with every problem and its line and column.

    A document with nothing in it is one of them: a pipe that failed looks like that, and would remove everything.
    """
    reader = Reader()
    node = compose(text, reader)
    if node is None:
        raise Invalid([Misplaced(1, 1, "file", "nothing is in it; write hosts: [] where nothing is to be registered")])
    kinds: dict[str, Callable[[Node, str], Any]] = {
        "hosts": reader.items(lambda n, w: _host(reader, n, w)),
        "services": reader.items(lambda n, w: _service(reader, n, w)),
        "policies": reader.items(lambda n, w: _policy(reader, n, w)),
    }
    values = reader.mapping(node, "", kinds)
    hosts, found, policies = (tuple(each for each in values.get(kind, []) if each is not None) for kind in kinds)
    registry = Registry(hosts, found, policies)
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


def _check(reader: Reader, node: Node, where: str) -> Check | None:
    shapes: dict[str, Callable[[Node, str], Any]] = {
        "tcp": lambda n, w: reader.mapping(n, w, {"port": reader.number, "address": reader.text}),
        "http": lambda n, w: reader.mapping(n, w, {"url": reader.text, "status": reader.number}),
        "json": lambda n, w: reader.mapping(n, w, {"url": reader.text, "field": reader.text, "equals": reader.text}),
    }
    values = reader.mapping(node, where, shapes)
    if len(values) != 1:
        reader.wrong(node, where, "expected one of tcp, http, json")
        return None
    ((kind, given),) = values.items()
    made: type[Check] = {"tcp": TcpCheck, "http": HttpCheck, "json": JsonCheck}[kind]
    check: Check | None = reader.make(node, where, made, given)
    return check


def _host(reader: Reader, node: Node, where: str) -> Host | None:
    def level(node: Node, where: str) -> Level:
        name = reader.text(node, where)
        if name not in set(Level):
            reader.wrong(node, where, "expected open, enforced or sealed")
            return Level.OPEN
        return Level(name)

    given = reader.mapping(
        node,
        where,
        {
            **dict.fromkeys(("name", "address", "environment", "user", "jump"), reader.text),
            "host_keys": reader.items(reader.text),
            "port": reader.number,
            "level": level,
            **dict.fromkeys(("sudo", "certificates"), reader.truth),
        },
    )
    host: Host | None = reader.make(node, where, Host, {**given, "host_keys": tuple(given.get("host_keys", ()))})
    return host


def _service(reader: Reader, node: Node, where: str) -> Service | None:
    texts = ("name", "host", "owner", "manager", "unit", "user", "path", "config", "docs")
    given = reader.mapping(
        node,
        where,
        {
            **dict.fromkeys(texts, reader.text),
            "ports": reader.items(reader.number),
            "args": reader.items(reader.text),
            "settle": reader.duration,
            "start": reader.truth,
            "checks": reader.items(lambda n, w: _check(reader, n, w)),
        },
    )
    if "settle" in given:
        given["settle_seconds"] = given.pop("settle")
    given |= {name: tuple(given.get(name, ())) for name in ("ports", "args")}
    given["checks"] = tuple(c for c in given.get("checks", ()) if c)
    service: Service | None = reader.make(node, where, Service, given)
    return service


def _policy(reader: Reader, node: Node, where: str) -> Policy | None:
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
            "plain_keys": reader.truth,
        },
    )
    if "expires" in given:
        given["expires_seconds"] = int(given.pop("expires"))
    policy: Policy | None = reader.make(node, where, Policy, {**given, "groups": tuple(given.get("groups", ()))})
    return policy


def _placed(reader: Reader, registry: Registry) -> Iterator[Misplaced]:
    """Give every contradiction the place of the field that it is in."""
    index = {("host", each.name): f"hosts.{n}" for n, each in enumerate(registry.hosts)}
    index |= {("service", each.name): f"services.{n}" for n, each in enumerate(registry.services)}
    index |= {("policy", each.name): f"policies.{n}" for n, each in enumerate(registry.policies)}
    for kind, name, problem in problems(registry, MANAGERS):
        line, column = _place(reader, index[(kind, name)], problem)
        yield Misplaced(line, column, f"{kind} {name}: {problem.field}", problem.message)


def _place(reader: Reader, entry: str, problem: Problem) -> tuple[int, int]:
    path = f"{entry}.{problem.field}"
    while path not in reader.places and "." in path:
        path = path.rpartition(".")[0]
    fallback = reader.places.get(f"{entry}.name", reader.places.get(f"{entry}.environment", (1, 1)))
    return reader.places.get(path, fallback) if path.startswith(entry + ".") else fallback


def _sorted(registry: Registry) -> Registry:
    return Registry(
        hosts=tuple(sorted(registry.hosts, key=lambda each: each.name)),
        services=tuple(sorted(registry.services, key=lambda each: each.name)),
        policies=tuple(sorted(registry.policies, key=lambda each: each.name)),
    )


def _trimmed(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value not in (None, (), [], "")}


def _host_out(host: Host) -> dict[str, Any]:
    defaults = {"port": 22, "user": "askfirst", "sudo": False, "level": "open", "certificates": False}
    values = {
        "name": host.name,
        "address": host.address,
        "port": host.port,
        "user": host.user,
        "sudo": host.sudo,
        "level": host.level.value,
        "certificates": host.certificates,
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
            "args": list(service.args),
            "settle": span_of(service.settle_seconds),
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
            "expires": span_of(policy.expires_seconds),
            "plain_keys": policy.plain_keys or None,
        }
    )
