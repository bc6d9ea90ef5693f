"""Following a request: how it stands and what it has printed since, each time that something may be new.

It decides nothing and knows no reader: a door tells what it is given in its own way, while its reader may hear it.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from app.core.lifecycle import ENDED, Request
from app.flow.ports import World
from app.flow.printed import Cutter, fresh
from app.store import requests


@dataclass(frozen=True, slots=True)
class Seen:
    """A request at one moment, and its new lines, which are numbered from 1.

    ``first`` is the number of the first of them, ``next_line`` of the one that comes next.
    """

    request: Request
    lines: list[str]
    first: int
    next_line: int


async def follow(world: World, request_id: str, line: int, poll_seconds: float) -> AsyncIterator[Seen]:
    """Yield a request with its lines from ``line`` on, then at each news of it or after so many seconds, to its end."""
    cutter = Cutter()
    while True:
        request = await requests.load(world.db, request_id)
        number = cutter.number
        lines = await fresh(world, request, cutter)
        yield Seen(request, lines[max(0, line - number) :], max(number, line), cutter.number)
        if request.state in ENDED:
            return
        await world.news.wait(request_id, poll_seconds)
