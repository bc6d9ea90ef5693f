"""Recording: one event of a request is written, then whoever waits for it is woken.

It decides nothing; what may happen next stands in ``core.lifecycle``, and ``store.requests`` holds to it.
"""

from collections.abc import Iterable

from app.core.commitment import Text
from app.core.events import Event
from app.core.lifecycle import Request
from app.flow.ports import World
from app.store import requests


async def record(world: World, request: Request, event: Event, texts: Iterable[Text] = ()) -> Request:
    """Write what happened to a request, wake its followers and the worker, and return it as it then stands.

    Raises what ``store.requests.append`` does.
    """
    request = await requests.append(world.db, request, event, texts)
    world.news.tell(request.id)
    world.news.tell("work")
    return request
