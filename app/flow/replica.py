"""One replica's life: it hears what the others tell, works unless its role says otherwise, and ends in order.

It decides nothing. What it hears only wakes whoever waits: everybody reads the store, and looks there each second where
nothing is heard. Told to end, it begins nothing new, lets the steps under way end for a while, and leaves the rest to
the next replica at once, by giving its leases back.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog

from app.core.errors import AskfirstError
from app.flow.ports import World
from app.flow.worker import Worker
from app.store import leases
from app.store.engine import heard

DRAIN_SECONDS = 25.0
"""How long a step may go on after the replica was told to end. Pages get a few seconds before: half a minute in all."""
_AGAIN_SECONDS = 1.0
_LOG = structlog.get_logger("askfirst.replica")


@contextlib.asynccontextmanager
async def replica(world: World, url: str, *, works: bool) -> AsyncIterator[asyncio.Task[None] | None]:
    """Live for as long as the context lasts; gives the worker's task, which ends only by a fault."""
    hearing = asyncio.create_task(_hear(world, url))
    try:
        if not works:
            yield None
            return
        if not world.db.dialect.IS_SHARED:
            await leases.clear(world.db)
        worker = Worker(world)
        working = asyncio.create_task(worker.run())
        try:
            yield working
        finally:
            worker.stop()
            await asyncio.wait({working}, timeout=DRAIN_SECONDS)
            await _ended(working)
    finally:
        await _ended(hearing)


async def _hear(world: World, url: str) -> None:
    """Pass on what other processes tell, for as long as there can be any."""
    while True:
        try:
            async for topic in heard(url):
                if topic:
                    world.news.tell(topic)
                else:
                    world.news.tell_all()
            return
        except AskfirstError as error:
            _LOG.info("nothing is heard from other replicas for a moment", why=error.message)
        await world.clock.sleep(_AGAIN_SECONDS)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
