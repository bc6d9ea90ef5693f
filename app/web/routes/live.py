"""Live pages: a stream that says when a page has changed and hands on new lines of output.

It carries no decision and no page: what changed is fetched as the page itself. Before each event, and each minute
where nothing happens, a stream asks whether its reader is still signed in; it ends after ten minutes, and a browser
opens the next one by itself, where it left off."""

import asyncio
import json
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from starlette.responses import StreamingResponse

from app.core.lifecycle import ENDED
from app.flow import following
from app.flow.limits import streams
from app.flow.ports import World
from app.store import freezes, listing, notices, requests, sessions
from app.web.deps import SignedIn
from app.web.pages import Visit
from app.web.waiting import for_person

router = APIRouter()
_CALM = ": still here\n\n"
_POLL_SECONDS = 2.0
_CALM_SECONDS = 0.15
_CHECK_SECONDS = 60.0
_LONGEST_SECONDS = 600.0


@router.get("/live")
async def inbox(visit: SignedIn) -> StreamingResponse:
    """Say when the visitor's inbox has changed."""
    return _stream(visit, _inbox(visit))


@router.get("/requests/{request_id}/live")
async def one(request: Request, visit: SignedIn, request_id: str, version: int = 0, line: int = 1) -> StreamingResponse:
    """Say when a request has changed, and hand on its output from a line on."""
    asked = await requests.load(visit.world.db, request_id)
    left_off = request.headers.get("last-event-id", "").split(":")
    if len(left_off) == 2 and all(part.isdecimal() and len(part) < 9 for part in left_off):
        version, line = int(left_off[0]), int(left_off[1])
    return _stream(visit, _follow(visit.world, asked.id, version, line))


def _stream(visit: Visit, events: AsyncIterator[str]) -> StreamingResponse:
    streams.check(visit.person.id)
    return StreamingResponse(_counted(visit, events), media_type="text/event-stream")


async def _counted(visit: Visit, events: AsyncIterator[str]) -> AsyncIterator[str]:
    """Hand events on while the reader is signed in and the stream is young."""
    clock = asyncio.get_running_loop().time
    began = checked = clock()
    with streams.open(visit.person.id):
        async for event in events:
            if event != _CALM or clock() - checked > _CHECK_SECONDS:
                checked = clock()
                if await sessions.person_of(visit.world.db, visit.secret, visit.world.clock.now()) is None:
                    return
            yield event
            if clock() - began > _LONGEST_SECONDS:
                return


async def _follow(world: World, request_id: str, version: int, line: int) -> AsyncIterator[str]:
    async for seen in following.follow(world, request_id, line, _POLL_SECONDS):
        asked = seen.request
        if seen.lines:
            yield _event("lines", {"first": seen.first, "lines": seen.lines}, f"{version}:{seen.next_line}")
        if asked.version != version:
            version = asked.version
            yield _event("changed", asked.state, f"{version}:{seen.next_line}")
        if asked.state in ENDED:
            yield _event("ended", asked.state, f"{version}:{seen.next_line}")
        else:
            yield _CALM
            await asyncio.sleep(_CALM_SECONDS)


async def _inbox(visit: Visit) -> AsyncIterator[str]:
    world = visit.world
    before = await _signature(visit)
    while True:
        yield _CALM
        await world.news.wait("work", _POLL_SECONDS)
        now = await _signature(visit)
        if now != before:
            before = now
            yield _event("changed", "inbox", "")
        await asyncio.sleep(_CALM_SECONDS)


async def _signature(visit: Visit) -> object:
    db = visit.world.db
    waiting = await for_person(visit.world, visit.person, await freezes.current(db))
    yours = await listing.page(db, listing.Filter(requester=visit.person.id), limit=10)
    told = [each.seq for each in await notices.of(db, visit.person.id)]
    return [(each.id, each.version) for each in waiting], [(row.id, row.state) for row in yours.rows], told


def _event(kind: str, data: object, mark: str) -> str:
    head = f"id: {mark}\n" if mark else ""
    return f"{head}event: {kind}\ndata: {json.dumps(data)}\n\n"
