"""Anchoring the log while a server runs, and saying in it that an older state was put back.

It decides nothing about a request. An anchor that cannot be written stops nothing: it is told in the server's log each
time, and by `askfirst doctor`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from app.core.errors import AskfirstError
from app.core.events import Restored
from app.core.lifecycle import ASKING
from app.flow.ask import REASON_BYTES, words
from app.flow.ids import new_id, stamp
from app.flow.people import operator
from app.flow.ports import World
from app.store import recovery, requests
from app.store.anchor import Anchor, missing
from app.store.engine import Database

_LOG = structlog.get_logger("askfirst.anchor")
_SINCE = "An older state of the database was put back: it may have been approved and have run since."


@asynccontextmanager
async def anchored(world: World, path: Path, every: float) -> AsyncIterator[None]:
    """Anchor the log every so many seconds, where it has grown, and once more at the end.

    Raises Refused, before anything is begun, where the log is not the one that was anchored.
    """
    anchor = Anchor(path)
    await anchor.check(world.db)
    keeping = asyncio.create_task(_keep(world, anchor, every))
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await _mark(world, anchor)


async def recovered(db: Database, path: Path, reason: str, now: float) -> int:
    """Write into the log that the operator put an older state back. Returns how many events are known to be gone.

    What had not run in that state is unknown from here on: its host burns it, or tells what became of it.
    Raises Refused ``bad_text`` or ``anchor_unreadable``, with nothing written.
    """
    said = words(reason, "reason", REASON_BYTES)
    marks = Anchor(path).marks()
    # It forgives what was anchored before it, so it is dated after that, whatever this machine's clock says.
    at = max([now, *(mark.at for mark in marks)])
    newest = max(marks, key=lambda mark: mark.seq, default=None)
    by, ids = operator().id, (new_id(now), new_id(now))
    found = [await requests.load(db, each) for each in await requests.wanting(db, ASKING)]
    asking = [(request, Restored(**stamp(at, by), why=_SINCE)) for request in found]
    gone = await missing(db, marks)
    return await recovery.record(db, newest, gone, asking=asking, reason=said, by=by, at=at, ids=ids)


async def _keep(world: World, anchor: Anchor, every: float) -> None:
    while True:
        await _mark(world, anchor)
        await world.clock.sleep(every)


async def _mark(world: World, anchor: Anchor) -> None:
    """Anchor the log once, where it has grown. What fails is told, and tried again later."""
    try:
        await anchor.mark(world.db, world.clock.now())
    except AskfirstError as error:
        _LOG.error("the log is not anchored", why=error.message, next=error.next_step)
    except OSError as error:
        _LOG.error("the log is not anchored", why=error.strerror, file=str(anchor.path))
