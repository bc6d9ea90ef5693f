"""Following a request: a stream of what happens to it and of what its command prints, until it has ended.

The id of each item is ``VERSION:LINES``: how many events and how many lines of output are told by then. A client that
comes back with ``Last-Event-ID`` misses nothing and hears nothing twice. Reading it changes nothing. A token that was
revoked meanwhile hears nothing more: that is asked before each item, and each minute where nothing happens.
"""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.api import schemas
from app.api.deps import Reader
from app.api.replies import problems
from app.core.display import visible
from app.core.lifecycle import ENDED, Request
from app.flow import following
from app.flow.limits import streams
from app.flow.ports import World
from app.shapes.model import moment
from app.store import people, requests

router = APIRouter(prefix="/requests", tags=["requests"])
_POLL_SECONDS = 1.0
_CHECK_SECONDS = 60.0
_ITEMS = (
    "Each item's event says what its data is: `happened` a Happened, `printed` a Printed, at last `ended` an Ended."
)
LastId = Annotated[
    str,
    Header(
        alias="Last-Event-ID", pattern=r"^(\d{1,9}:\d{1,9})?$", description="The id of the last item that was heard."
    ),
]


async def _follower(caller: Reader, request_id: str) -> Request:
    streams.check(caller.person.id)
    return await requests.load(caller.world.db, request_id)


@router.get(
    "/{request_id}/events",
    response_class=EventSourceResponse,
    responses={**problems(404, 409, 429), 200: {"description": _ITEMS}},
    operation_id="followRequest",
)
async def follow(
    caller: Reader, asked: Annotated[Request, Depends(_follower)], last_event_id: LastId = ""
) -> AsyncIterator[ServerSentEvent]:
    """Follow a request: items `happened`, `printed` and, at the end, `ended`; a comment every 15 s keeps it open."""
    version, _, line = last_event_id.partition(":")
    clock = caller.world.clock.now
    checked = clock()
    with streams.open(caller.person.id):
        async for item in _items(caller.world, asked.id, int(version or 0), int(line or 0)):
            if item is not None or clock() - checked >= _CHECK_SECONDS:
                checked = clock()
                if not await caller.is_still_let_in():
                    return
            if item is not None:
                yield item


async def _items(world: World, request_id: str, version: int, line: int) -> AsyncIterator[ServerSentEvent | None]:
    """Yield what is new, and None from time to time where nothing is."""
    names = await people.names(world.db)
    async for seen in following.follow(world, request_id, line + 1, _POLL_SECONDS):
        asked = seen.request
        for item in await _happened(world, asked, version, names):
            version = item.version
            yield _item("happened", item, version, line)
        if seen.lines:
            line = seen.next_line - 1
            yield _item("printed", schemas.Printed(first=seen.first, lines=seen.lines), version, line)
        if asked.state in ENDED:
            yield _item("ended", schemas.Ended(state=asked.state, outcome=visible(asked.outcome)), version, line)
        yield None


async def _happened(world: World, asked: Request, after: int, names: dict[str, str]) -> list[schemas.Happened]:
    if asked.version <= after:
        return []
    events = await requests.events(world.db, asked.id)
    return [
        schemas.Happened(
            version=version,
            type=event.type,
            at=moment(event.at),
            by=visible(names.get(event.by, event.by)),
        )
        for version, event in enumerate(events, 1)
        if after < version <= asked.version
    ]


def _item(
    kind: str, data: schemas.Happened | schemas.Printed | schemas.Ended, version: int, line: int
) -> ServerSentEvent:
    return ServerSentEvent(event=kind, data=data, id=f"{version}:{line}")
