"""Discovering: what runs on a host, who keeps it, and what the registry says of it.

It changes nothing on the host (law 2), and the verdicts are those of one probe. A host that cannot be reached is an
error here, since there is nothing else to show.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from app.core.discovery import Claimed, Port, Running, Standing, met_nothing, running
from app.core.facts import Facts
from app.core.judge import judge
from app.core.registry import Registry
from app.core.service import Host
from app.core.suggestion import suggested
from app.core.verdict import Code
from app.flow.ports import World
from app.flow.prove import dated, look_in, place, remember
from app.gate.build import expected
from app.managers import MANAGERS
from app.store import services


@dataclass(frozen=True, slots=True)
class Discovery:
    """What one probe saw of a whole host. ``lost`` are the claims that fit nothing that runs there."""

    host: Host
    facts: Facts
    running: tuple[Running, ...]
    lost: tuple[Claimed, ...]

    @property
    def at(self) -> float:
        """When the facts were taken, in epoch seconds."""
        return self.facts.taken_at

    @property
    def listening(self) -> tuple[tuple[Running, Port], ...]:
        """Each port with what holds it, ports in order."""
        pairs = ((each, port) for each in self.running for port in each.ports)
        return tuple(sorted(pairs, key=lambda pair: pair[1]))

    @property
    def counts(self) -> Mapping[Standing, int]:
        """How many things stand how; a claim that fits nothing that runs counts by its verdict."""
        stand = Counter(each.standing for each in self.running)
        stand += Counter(Standing.REGISTERED if each.verdict is Code.VERIFIED else Standing.WRONG for each in self.lost)
        return {each: stand[each] for each in Standing}


async def discover(world: World, host_name: str, *, keep: bool = False) -> Discovery:
    """Probe a host once, and put together what runs there; ``keep`` the proof of each service that claims to.

    Raises NotFound, Unreachable.
    """
    registry = await services.registry(world.db)
    host, via = place(registry, host_name)
    claims = registry.services_on(host_name)
    facts = await dated(world, await world.hosts.probe(host, claims, via, whole=True))
    if keep:
        for each in await look_in(world, host, via, claims, facts):
            await remember(world, each)
    return discovered(registry, host, facts)


def discovered(registry: Registry, host: Host, facts: Facts) -> Discovery:
    """Put together what the facts of a host show, with a claim suggested for each thing that nobody has registered."""
    gate = expected(host.level)
    judged = [(each, judge(each, facts, MANAGERS, gate, host.level)) for each in registry.services_on(host.name)]
    taken = {each.name for each in registry.services}
    found: list[Running] = []
    for thing in running(facts, MANAGERS, judged):
        claim = None
        if thing.standing is Standing.UNREGISTERED:
            claim = suggested(thing, host.name, facts, MANAGERS, taken)
            taken |= {claim.name} if claim else set()
        found.append(replace(thing, claim=claim))
    return Discovery(host, facts, tuple(found), met_nothing(found, judged))
