"""How much at once: probes for each host and person, and open event streams, so that one caller harms nobody else.

In this process only. What waits is answered in turn; what would wait too long is refused at once, with 429.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeVar

from app.core.errors import Refused

_PROBES_AT_ONCE = 2
_WAITING_FOR_ONE_HOST = 8
_PROBES_OF_ONE_PERSON = 6
_STREAMS_OF_ONE_PERSON, _STREAMS = 12, 400

T = TypeVar("T")


class Probes:
    """Who probes what now."""

    def __init__(self) -> None:
        """Begin with nothing under way."""
        self._hosts: dict[str, asyncio.Semaphore] = {}
        self._on: Counter[str] = Counter()
        self._by: Counter[str] = Counter()
        self._between: dict[str, asyncio.Future[Any]] = {}

    async def between(self, host: str, look: Callable[[], Awaitable[T]]) -> T | None:
        """Look at a host while no person wants to: not at all where one does, and only until one comes.

        Returns None where it gave way. What was seen by then is not told.
        """
        if self._on[host] or host in self._between:
            return None
        looking = asyncio.ensure_future(look())
        self._between[host] = looking
        try:
            return await looking
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            return None
        finally:
            del self._between[host]

    @contextlib.asynccontextmanager
    async def turn(self, host: str, person: str) -> AsyncIterator[None]:
        """Wait for a turn to probe a host, ahead of any sweep. Raises Refused where too many wait already."""
        if self._on[host] >= _PROBES_AT_ONCE + _WAITING_FOR_ONE_HOST or self._by[person] >= _PROBES_OF_ONE_PERSON:
            raise _too_many("probes", "Wait until some have been answered.")
        try:
            with _counted(self._on, host), _counted(self._by, person):
                if sweep := self._between.get(host):
                    sweep.cancel()
                    await asyncio.wait({sweep})
                async with self._hosts.setdefault(host, asyncio.Semaphore(_PROBES_AT_ONCE)):
                    yield
        finally:
            if host not in self._on:
                self._hosts.pop(host, None)


class Streams:
    """Who follows requests now."""

    def __init__(self) -> None:
        """Begin with none open."""
        self._by: Counter[str] = Counter()

    def check(self, person: str) -> None:
        """Raise Refused where the person, or everybody together, has too many open."""
        if self._by[person] >= _STREAMS_OF_ONE_PERSON or self._by.total() >= _STREAMS:
            raise _too_many("open event streams", "Close some, or read the request itself from time to time.")

    @contextlib.contextmanager
    def open(self, person: str) -> Iterator[None]:
        """Count one as open."""
        with _counted(self._by, person):
            yield


@contextlib.contextmanager
def _counted(counter: Counter[str], name: str) -> Iterator[None]:
    counter[name] += 1
    try:
        yield
    finally:
        counter[name] -= 1
        if not counter[name]:
            del counter[name]


def _too_many(what: str, next_step: str) -> Refused:
    return Refused(f"There are too many {what} at once.", code="too_many", next_step=next_step)


probes = Probes()
streams = Streams()
