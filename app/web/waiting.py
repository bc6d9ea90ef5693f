"""What waits for one person: requests that they may approve now, oldest first.

The guard in ``core`` decides; nothing here does. A session's age is left out, since a password can be asked for on
the page."""

from collections.abc import Sequence

from app.core.lifecycle import Request
from app.core.policy import Attempt, Person, Via, approval_refusal
from app.flow.ports import World
from app.store import freezes as switches
from app.store import requests
from app.store.freezes import Freeze


async def for_person(world: World, person: Person, frozen: Sequence[Freeze]) -> list[Request]:
    """Return what this person may approve now."""
    now = world.clock.now()
    return [
        each
        for each in await requests.inbox(world.db)
        if approval_refusal(
            each,
            Attempt(person, Via.SESSION, now, each.digest),
            now=now,
            frozen=switches.sentence(tuple(frozen), each.host, each.environment),
            step_up_seconds=world.limits.step_up_seconds,
        )
        is None
    ]
