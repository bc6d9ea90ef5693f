"""Everything that the flow may do to the world outside its own store, listed.

``Hosts`` is fulfilled by ``ssh`` (real hosts) and by ``tests/fakes`` (a little world); one conformance suite runs on
both.
Adapters raise only Unreachable (nothing ran), HostKeyChanged and Lost (it may have run), never a foreign exception.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.core.facts import Facts
from app.core.run import Checked, Progress, Spool
from app.core.service import Check, Host, Service
from app.store.engine import Database


class Clock(Protocol):
    """Time, in seconds: of the epoch, and of a clock that nobody sets."""

    def now(self) -> float:
        """Return the time, in epoch seconds."""

    def monotonic(self) -> float:
        """Return the seconds since some moment, which setting the clock does not change: how long something takes."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class Hosts(Protocol):
    """The hosts, by way of the gate. The only port that can start anything."""

    async def probe(
        self,
        host: Host,
        services: Sequence[Service],
        via: Sequence[Host] = (),
        *,
        whole: bool = False,
        git: bool = False,
    ) -> Facts:
        """Take the facts of a host in one round trip: what these services need, or ``whole``, everything that it runs.

        ``via`` are the jump hosts, first first; ``git`` asks besides whether the claimed code is committed and pushed.
        """

    def restart(
        self,
        host: Host,
        warrant: str,
        via: Sequence[Host] = (),
        *,
        signatures: Sequence[str] = (),
        serial: int = 0,
    ) -> AsyncIterator[Progress]:
        """Run a warrant's text. Raises Unreachable only where nothing can have run, Lost ever after.

        ``signatures`` are the armored SSH signatures that a sealed host asks for, one for each approval; ``serial`` is
        the audit log's number of the run's start, which its certificate bears.
        """

    async def burn(self, host: Host, request_id: str, via: Sequence[Host] = ()) -> Spool:
        """Make the warrant unusable, or read what became of it. Never answers UNSPENT."""

    async def result(self, host: Host, request_id: str, via: Sequence[Host] = ()) -> Spool:
        """Read what the spool holds about a warrant, changing nothing."""

    async def check(self, host: Host, check: Check, via: Sequence[Host] = ()) -> Checked:
        """Make one check through the SSH connection, from the host's own point of view."""

    def keep(self, host: str) -> None:
        """Keep the connection to the host of this name open from now on: a request on it is alive."""

    def release(self, host: str) -> None:
        """Let the connection go once nothing needs it: by name, for the host may be in no registry any more."""


class News:
    """Wakes whoever follows a request in this process; what is new they read from the store."""

    def __init__(self) -> None:
        """Start with nobody listening."""
        self._listening: dict[str, set[asyncio.Event]] = {}

    def tell(self, topic: str) -> None:
        """Wake all who listen to a topic (a request's id, or ``work``)."""
        for event in self._listening.get(topic, ()):
            event.set()

    def tell_all(self) -> None:
        """Wake all who listen to anything: something was told that was not heard."""
        for topic in list(self._listening):
            self.tell(topic)

    @contextlib.contextmanager
    def listen(self, topic: str) -> Iterator[Callable[[float], Awaitable[None]]]:
        """Listen from now on. What it yields waits so many seconds at most, and not at all for what was told meanwhile.

        So nothing is missed between reading the store and waiting: begin to listen, then read, then wait.
        """
        event = asyncio.Event()
        self._listening.setdefault(topic, set()).add(event)
        try:
            yield lambda seconds: _next(event, seconds)
        finally:
            self._listening[topic].discard(event)
            if not self._listening[topic]:
                del self._listening[topic]

    async def wait(self, topic: str, seconds: float) -> None:
        """Return at the next ``tell`` of the topic, or after so many seconds."""
        with self.listen(topic) as wait:
            await wait(seconds)


async def _next(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
    event.clear()


@dataclass(frozen=True, slots=True)
class Limits:
    """The numbers that the flow goes by. An installation's are its ``settings``, which give the reasons.

    The defaults are for a world without settings, as tests build one. Two numbers are no settings: without a sweep a
    proof is fresh for ``unswept_fresh_seconds``, and one worker takes ``steps_at_once``.
    """

    step_up_seconds: float = 300.0
    proof_max_age_seconds: float = 120.0
    probe_timeout_seconds: float = 20.0
    run_timeout_seconds: float = 900.0
    settle_timeout_seconds: float = 60.0
    by_hand_seconds: float = 3600.0
    sweep_every_seconds: float = 0.0
    sweep_grace_seconds: float = 300.0
    sweep_hosts_at_once: int = 8
    new_key_seconds: float = 86_400.0
    unswept_fresh_seconds: float = 86_400.0
    lease_seconds: float = 20.0
    steps_at_once: int = 64

    @property
    def fresh_seconds(self) -> float:
        """How old a proof may be and still count as fresh: as old as the sweep lets it become, where there is one."""
        if not self.sweep_every_seconds:
            return self.unswept_fresh_seconds
        return self.sweep_every_seconds + self.sweep_grace_seconds


@dataclass(frozen=True, slots=True)
class World:
    """What every step of the flow is given."""

    db: Database
    hosts: Hosts
    clock: Clock
    news: News
    limits: Limits
    worker: str

    async def time(self) -> float:
        """Return the time by which replicas agree on what is over: the database's clock, with a file this machine's."""
        return await self.db.clock(self.clock.now())
