"""A world in which one call fails: the nth of all calls to the store and to the hosts, once, and then never again."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NoReturn, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.errors import Broken, Lost, Unreachable
from app.core.facts import Facts
from app.core.run import Checked, Output, Progress, Spool, Started
from app.core.service import Check, Host, Service
from app.flow.ports import Hosts, World
from app.store.engine import Database
from app.store.log import Tx

T = TypeVar("T")


class Killed(BaseException):
    """The process is gone in the middle of a call: nothing of it catches this."""


class How(StrEnum):
    """What becomes of the call that fails."""

    REFUSED = "it fails, and nothing was done"
    UNACKNOWLEDGED = "it is done, and its answer is lost"
    KILLED_BEFORE = "the process dies before it"
    KILLED_AFTER = "the process dies when it is done"


AFTERWARDS = frozenset({How.UNACKNOWLEDGED, How.KILLED_AFTER})


@dataclass
class Fault:
    """Counts calls, and fails the one of number ``at``: ``reached`` names it, ``struck`` too once it has failed."""

    at: int
    how: How
    calls: int = 0
    reached: str = ""
    struck: str = ""

    @contextmanager
    def call(self, what: str, error: Exception, lost: Exception | None = None) -> Iterator[None]:
        """Let one call be made, or fail with ``error`` before it, or with ``lost`` once it is done.

        Without ``lost`` there is nothing of it that could be lost: where calls fail afterwards it is none of them.
        """
        if self.how in AFTERWARDS and lost is None:
            yield
            return
        self.calls += 1
        is_it = self.calls == self.at
        if is_it:
            self.reached = what
        if is_it and self.how not in AFTERWARDS:
            self._strike(error)
        yield
        if is_it and lost is not None:
            self._strike(lost)

    def _strike(self, error: Exception) -> NoReturn:
        self.struck = self.reached
        raise error if self.how in {How.REFUSED, How.UNACKNOWLEDGED} else Killed


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultyDatabase(Database):
    """The real database, but for the one call."""

    fault: Fault

    @asynccontextmanager
    async def read(self, *, seconds: float | None = None) -> AsyncIterator[AsyncConnection]:
        with self.fault.call("read", _full()):
            async with Database.read(self, seconds=seconds) as connection:
                yield connection

    async def write(self, change: Callable[[Tx], Awaitable[T]]) -> T:
        with self.fault.call("write", _full(), _silent()):
            return await Database.write(self, change)


@dataclass(frozen=True, slots=True)
class FaultyHosts:
    """The little world's hosts, but for the one call. It raises what the port may raise there, and nothing else."""

    hosts: Hosts
    fault: Fault

    async def probe(
        self,
        host: Host,
        services: Sequence[Service],
        via: Sequence[Host] = (),
        *,
        whole: bool = False,
        git: bool = False,
    ) -> Facts:
        with self.fault.call("probe", _away(), _away()):
            return await self.hosts.probe(host, services, via, whole=whole, git=git)

    async def restart(
        self,
        host: Host,
        warrant: str,
        via: Sequence[Host] = (),
        *,
        signatures: Sequence[str] = (),
        serial: int = 0,
    ) -> AsyncIterator[Progress]:
        answer = self.hosts.restart(host, warrant, via, signatures=signatures, serial=serial)
        with self.fault.call("restart", _away(), _lost()):
            progress = await anext(answer, None)
        while progress is not None:
            # Behind what ends a run nobody listens any more.
            lost = _lost() if isinstance(progress, Started | Output) else None
            with self.fault.call(f"restart: {type(progress).__name__}", _lost(), lost):
                yield progress
            progress = await anext(answer, None)

    async def burn(self, host: Host, request_id: str, via: Sequence[Host] = ()) -> Spool:
        with self.fault.call("burn", _away(), _away()):
            return await self.hosts.burn(host, request_id, via)

    async def result(self, host: Host, request_id: str, via: Sequence[Host] = ()) -> Spool:
        with self.fault.call("result", _away()):
            return await self.hosts.result(host, request_id, via)

    async def check(self, host: Host, check: Check, via: Sequence[Host] = ()) -> Checked:
        with self.fault.call("check", _away(), _away()):
            return await self.hosts.check(host, check, via)

    def keep(self, host: str) -> None:
        self.hosts.keep(host)

    def release(self, host: str) -> None:
        self.hosts.release(host)


def faulty(world: World, fault: Fault) -> World:
    """Return the same world, in which one call fails."""
    db = FaultyDatabase(engine=world.db.engine, writer=world.db.writer, guard=world.db.guard, fault=fault)
    return replace(world, db=db, hosts=FaultyHosts(world.hosts, fault))


def _full() -> Broken:
    return Broken("The disk is full.", code="disk_full", next_step="Free space on it.")


def _silent() -> Broken:
    return Broken("The database does not answer.", code="store_away", next_step="Look what stands there.")


def _away() -> Unreachable:
    return Unreachable("alpha did not answer. Nothing was run.", code="timeout", next_step="Try again.")


def _lost() -> Lost:
    return Lost("alpha was lost in the middle of the run.", code="line_lost", next_step="Askfirst finds out.")
