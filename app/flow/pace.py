"""How often is too often, for one question and one warrant: asks the store what happened lately, and ``core.pace``.

It writes nothing, and refuses no yes.
"""

from app.core.pace import ASKED_SECONDS, LOOP_SECONDS, approvers_after, asking_refusal
from app.core.policy import Person, Rule
from app.flow.ports import World
from app.store import lately, requests


async def check(world: World, who: Person, service: str, key: str | None) -> None:
    """Raise Conflict where this person's last question for the service was just denied, Refused after too many.

    A question that is repeated with its key is no new one.
    """
    if key is not None and await requests.knows(world.db, who.id, key):
        return
    now = world.clock.now()
    asked = await lately.asked(world.db, who.human, now - ASKED_SECONDS)
    if refusal := asking_refusal(who.human, await lately.denial(world.db, service), asked, now=now):
        raise refusal


async def approvers(world: World, service: str, rule: Rule) -> int:
    """Return how many have to say yes: what the rule says, and one more person where restarts go round in a loop."""
    runs = await lately.runs(world.db, service, world.clock.now() - LOOP_SECONDS)
    return approvers_after(rule.approvers, runs)
