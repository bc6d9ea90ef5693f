"""What waits for one person: requests that they may decide now, oldest first.

The guard in ``core`` decides; nothing here does. A session's age is left out, since a password can be asked for on
the page, and so is what only a key can give: the page says how."""

from collections.abc import Sequence

from app.core.lifecycle import Request
from app.core.policy import Attempt, Person, Via, approval_refusal
from app.flow.ports import World
from app.store import freezes as switches
from app.store import requests
from app.store.freezes import Freeze


async def for_person(world: World, person: Person, frozen: Sequence[Freeze]) -> list[Request]:
    """Return what this person may decide now."""
    now = world.clock.now()
    waiting = await requests.inbox(world.db)
    refusals = [
        approval_refusal(
            each,
            Attempt(person, Via.SESSION, now, each.digest),
            now=now,
            frozen=switches.sentence(tuple(frozen), each.host, each.environment),
            step_up_seconds=world.limits.step_up_seconds,
        )
        for each in waiting
    ]
    return [each for each, no in zip(waiting, refusals, strict=True) if no is None or no.code == "needs_signature"]
