"""Discovering: what listens on a host, who runs it, and which of it the registry knows.

It judges no claim and changes nothing (law 2). A host that cannot be reached is an error here, since there is nothing
else to show.
"""

from dataclasses import dataclass

from app.core.facts import Facts, Listener, Process
from app.core.manager import Owner
from app.core.owner import holding, owner_of
from app.core.registry import Registry
from app.core.service import Host
from app.flow.ports import World
from app.flow.prove import place
from app.managers import MANAGERS
from app.store import services


@dataclass(frozen=True, slots=True)
class Seen:
    """One listening port: the process that holds it and its owner (None where no holder could be seen)."""

    port: int
    address: str
    process: Process | None
    owner: Owner | None
    service: str | None


@dataclass(frozen=True, slots=True)
class Discovery:
    """What one probe saw of a whole host, ports in order."""

    host: Host
    facts: Facts
    seen: tuple[Seen, ...]

    @property
    def at(self) -> float:
        """When the facts were taken, in epoch seconds."""
        return self.facts.taken_at


async def discover(world: World, host_name: str) -> Discovery:
    """Probe a host once and name the owner of every port. Raises NotFound, Unreachable."""
    registry = await services.registry(world.db)
    host, via = place(registry, host_name)
    facts = await world.hosts.probe(host, registry.services_on(host_name), via, whole=True)
    listeners = sorted(facts.listeners, key=lambda each: (each.port, each.address))
    return Discovery(host, facts, tuple(_seen(each, facts, registry, host_name) for each in listeners))


def _seen(listener: Listener, facts: Facts, registry: Registry, host: str) -> Seen:
    pid = next((pid for pid in holding(listener.port, facts) if pid in listener.pids), None)
    owner = owner_of(pid, facts, MANAGERS, listener.port) if pid is not None else None
    claimed = [each.name for each in registry.services_on(host) if listener.port in each.ports]
    unit = [
        each.name
        for each in registry.services_on(host)
        if owner is not None and owner.unit is not None and (each.manager, each.unit) == (owner.manager, owner.unit)
    ]
    process = facts.processes.get(pid) if pid is not None else None
    return Seen(listener.port, listener.address, process, owner, next(iter((*claimed, *unit)), None))
