"""Recording: one event of a request is written, then whoever waits for it is woken.

It decides nothing; what may happen next stands in ``core.lifecycle``, and ``store.requests`` holds to it.
"""

from collections.abc import Iterable
from dataclasses import replace

from app.core.commitment import Text
from app.core.errors import Refused
from app.core.events import Event, HandedOver, RunStarted
from app.core.lifecycle import Request
from app.flow.ports import World
from app.store import freezes, requests


async def record(world: World, request: Request, event: Event, texts: Iterable[Text] = ()) -> Request:
    """Write what happened to a request, wake its followers and the worker, and return it as it then stands.

    Raises what ``store.requests.append`` does.
    """
    request = await requests.append(world.db, request, event, texts)
    world.news.tell(request.id)
    world.news.tell("work")
    return request


async def begin(world: World, request: Request, event: RunStarted | HandedOver) -> Request | None:
    """Write that a request begins to run, unless a freeze stops it by then: None, and nothing is written.

    What is frozen is asked in the same commit, so that of a freeze and a start one comes first, for everybody.
    """
    heeding = replace(world, db=freezes.heeding(world.db, request.host, request.environment))
    try:
        return await record(heeding, request, event)
    except Refused as refused:
        if refused.code != "frozen":
            raise
        return None
