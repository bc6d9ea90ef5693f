"""A service's freshness as a word, an icon and a tone, with its reason."""

from collections.abc import Mapping
from dataclasses import replace

from app.core.freshness import Freshness
from app.flow.freshness import worth_of
from app.flow.ports import World
from app.store.proofs import Proof
from app.web.words import Sign

SIGNS: Mapping[Freshness, Sign] = {
    Freshness.WRONG: Sign("Wrong", "barred", "no"),
    Freshness.STALE: Sign("Stale", "past", "wait"),
    Freshness.NEVER: Sign("Never proved", "ask", "past"),
    Freshness.FRESH: Sign("Fresh", "shield", "yes"),
}


def sign_of(world: World, proof: Proof | None) -> Sign:
    """Say what a service's last proof is worth now, and why in the place of what comes next."""
    worth = worth_of(world, proof)
    return replace(SIGNS[worth.freshness], next_step=worth.why)
