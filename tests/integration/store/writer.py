"""A process that writes events and prints the id of each once it was told that it is durable, until it is killed."""

import asyncio
import sys

from app.store.engine import open_database
from tests.integration.store.sample import note


async def write(url: str, name: str) -> None:
    db = await open_database(url)
    number = 0

    async def caller(lane: int) -> None:
        nonlocal number
        while True:
            number += 1
            event_id = f"{name}-{lane}-{number}"
            await note(db, event_id)
            print(event_id, flush=True)

    await asyncio.gather(*(caller(lane) for lane in range(8)))


asyncio.run(write(sys.argv[1], sys.argv[2]))
