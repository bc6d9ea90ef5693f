"""The registry as one value: hosts, services and policies, the contradictions in it, and the difference of two.

It reads no YAML and no database; how problems find their line and column is ``flow.registry``'s. Every writer (file,
form, API) asks ``problems`` first, so that a contradiction is refused where it is written.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

from app.core.errors import Refused
from app.core.level import Level
from app.core.manager import Manager
from app.core.policy import Assurance, Policy, Rule, policy_problems, rule_for
from app.core.service import Host, Problem, Service, host_problems, service_problems

MOST_JUMPS = 5
Entry = Host | Service | Policy
Kind = Literal["host", "service", "policy"]


@dataclass(frozen=True, slots=True)
class Registry:
    """All entries, at one revision."""

    hosts: tuple[Host, ...] = ()
    services: tuple[Service, ...] = ()
    policies: tuple[Policy, ...] = ()
    revision: int = 0

    def host(self, name: str) -> Host | None:
        """Return the host of this name."""
        return next((host for host in self.hosts if host.name == name), None)

    def service(self, name: str) -> Service | None:
        """Return the service of this name."""
        return next((service for service in self.services if service.name == name), None)

    def services_on(self, host: str) -> tuple[Service, ...]:
        """Return the services that claim to run on a host."""
        return tuple(service for service in self.services if service.host == host)

    def entries(self) -> Iterator[tuple[Kind, str, Entry]]:
        """Yield every entry with its kind and name."""
        yield from (("host", host.name, host) for host in self.hosts)
        yield from (("service", service.name, service) for service in self.services)
        yield from (("policy", policy.name, policy) for policy in self.policies)


@dataclass(frozen=True, slots=True)
class Change:
    """One entry that differs: ``before`` is None where it is new, ``after`` None where it goes."""

    kind: Kind
    name: str
    before: Entry | None
    after: Entry | None

    @property
    def verb(self) -> str:
        """What happens to the entry: add, change or remove."""
        return "add" if self.before is None else "remove" if self.after is None else "change"


def difference(before: Registry, after: Registry) -> list[Change]:
    """List what has to change to get from one registry to the other, hosts first."""
    old = {(kind, name): entry for kind, name, entry in before.entries()}
    new = {(kind, name): entry for kind, name, entry in after.entries()}
    keys = [*new, *(key for key in old if key not in new)]
    changed = [Change(kind, name, old.get((kind, name)), new.get((kind, name))) for kind, name in keys]
    return [change for change in changed if change.before != change.after]


def with_entry(registry: Registry, kind: Kind, name: str, entry: Entry | None) -> Registry:
    """Return the registry with one entry added, replaced or (None) taken out."""
    kept = [item for item in registry.entries() if (item[0], item[1]) != (kind, name)]
    entries = [item[2] for item in kept] + ([entry] if entry is not None else [])
    return replace(
        registry,
        hosts=tuple(sorted((e for e in entries if isinstance(e, Host)), key=lambda e: e.name)),
        services=tuple(sorted((e for e in entries if isinstance(e, Service)), key=lambda e: e.name)),
        policies=tuple(sorted((e for e in entries if isinstance(e, Policy)), key=lambda e: e.name)),
    )


def rules(registry: Registry) -> list[Rule]:
    """Return the rules that hold for the registered services, each once, by name: which policies it is made of."""
    found: dict[str, Rule] = {}
    for service in registry.services:
        host = registry.host(service.host)
        with suppress(Refused):  # no policy fits: there is no rule
            if host is not None:
                rule = rule_for(service, host, registry.policies, registry.revision)
                found[rule.name] = rule
    return [found[name] for name in sorted(found)]


def problems(registry: Registry, managers: Mapping[str, Manager]) -> list[tuple[Kind, str, Problem]]:
    """Say everything that is wrong, each with the entry it is wrong in."""
    found: list[tuple[Kind, str, Problem]] = []
    for host in registry.hosts:
        own = (*host_problems(host), *_jump(host, registry), *_same_machine(host, registry))
        found += [("host", host.name, problem) for problem in own]
    for service in registry.services:
        claimed = (*service_problems(service), *_under(service, managers), *_placed(service, registry))
        found += [("service", service.name, problem) for problem in claimed]
    for policy in registry.policies:
        own = (*policy_problems(policy), *_sealed_elsewhere(policy, registry))
        found += [("policy", policy.name, problem) for problem in own]
    return found + list(_twice(registry))


def _jump(host: Host, registry: Registry) -> Iterator[Problem]:
    if host.jump is not None and registry.host(host.jump) is None:
        yield Problem("jump", f"there is no host {host.jump!r} in the registry")
    passed, hop = [host.name], registry.host(host.jump or "")
    while hop is not None and hop.name not in passed:
        passed.append(hop.name)
        hop = registry.host(hop.jump or "")
    if len(passed) > MOST_JUMPS + 1:
        yield Problem("jump", f"at most {MOST_JUMPS} jump hosts one after the other: {' → '.join(passed)}")
    if hop is not None and hop.name == host.name and len(passed) > 1:
        yield Problem("jump", f"the jump hosts go in a circle: {' → '.join((*passed, host.name))}")


def _under(service: Service, managers: Mapping[str, Manager]) -> Iterable[Problem]:
    manager = managers.get(service.manager)
    claimable = ", ".join(sorted(name for name, each in managers.items() if each.is_claimable))
    if manager is None:
        return [Problem("manager", f"no such manager; one of {claimable}")]
    if not manager.is_claimable:
        hint = f"{manager.label} is recognised, never driven: register the service as manual, or as one of {claimable}"
        return [Problem("manager", hint)]
    found = list(manager.problems(service))
    if service.args and not manager.takes_args:
        found.append(Problem("args", f"{manager.label} is asked by a name alone: leave the arguments out"))
    return found


def _placed(service: Service, registry: Registry) -> Iterator[Problem]:
    if registry.host(service.host) is None:
        yield Problem("host", f"there is no host {service.host!r} in the registry")
    for other in registry.services_on(service.host):
        if other.name >= service.name:
            continue
        for port in sorted(set(other.ports) & set(service.ports)):
            yield Problem("ports", f"port {port} of {service.host} is already claimed by {other.name}")
        if _called(other) == _called(service):
            yield Problem("unit", f"{other.name} already claims this unit")


def _called(service: Service) -> tuple[object, ...]:
    """What tells one unit of a host from another."""
    return service.manager, service.unit, service.args, service.user, service.config


def _same_machine(host: Host, registry: Registry) -> Iterator[Problem]:
    """A machine under two names would have two locks and two histories. Its key is what it is known by."""
    for other in registry.hosts:
        if other.name < host.name and set(other.host_keys) & set(host.host_keys):
            hint = "if it was copied from it, give it keys of its own (`ssh-keygen -A`)"
            yield Problem("host_keys", f"{other.name} has this key already: a machine has one name; {hint}")


def _sealed_elsewhere(policy: Policy, registry: Registry) -> Iterator[Problem]:
    """Only a sealed host checks a signature by itself: the word may not stand where none does."""
    if policy.assurance is not Assurance.SEALED:
        return
    for host in registry.hosts:
        covered = [each.name for each in registry.services_on(host.name) if policy.covers(each, host)]
        if covered and host.level is not Level.SEALED:
            hint = f"seal it (`level: sealed` and its kit), or write passkey: {', '.join(covered)} runs there"
            yield Problem("assurance", f"the host {host.name} is {host.level}; {hint}")


def _twice(registry: Registry) -> Iterator[tuple[Kind, str, Problem]]:
    counts = Counter((kind, name) for kind, name, _ in registry.entries())
    for (kind, name), count in counts.items():
        if count > 1:
            yield kind, name, Problem("name", f"there are {count} of this name")
