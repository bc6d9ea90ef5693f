"""What the services' last proofs are worth now, for every door alike. The rule stands in ``core.freshness``."""

from collections import Counter
from dataclasses import dataclass

from app.core.freshness import Freshness, Worth, worth
from app.flow.ports import World
from app.store import proofs, services
from app.store.proofs import Proof


@dataclass(frozen=True, slots=True)
class Summary:
    """How many services are how fresh, and how many seconds ago the one that waits longest was proved."""

    counts: dict[Freshness, int]
    oldest_seconds: float


def worth_of(world: World, proof: Proof | None) -> Worth:
    """Say what a service's last proof is worth now."""
    return worth(proof.seen if proof else None, world.clock.now(), world.limits.fresh_seconds)


async def summary(world: World) -> Summary:
    """Count all registered services."""
    registry, known = await services.registry(world.db), await proofs.proofs(world.db)
    found = [worth_of(world, known.get(each.name)) for each in registry.services]
    counts = Counter(each.freshness for each in found)
    proved = [each.proved_at for each in found if each.proved_at]
    oldest = max(0.0, world.clock.now() - min(proved)) if proved else 0.0
    return Summary({each: counts[each] for each in Freshness}, oldest)
