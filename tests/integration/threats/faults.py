"""A world in which one call fails: the nth of all calls to the store and to the hosts, once, and then never again."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.errors import Broken, Lost, Unreachable
from app.core.facts import Facts
from app.core.run import Checked, Progress, Spool
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


@dataclass
class Fault:
    """Counts calls, and fails the one of number ``at``. ``struck`` names what it was."""

    at: int
    how: How
    calls: int = 0
    struck: str = ""

    def before(self, what: str, error: Exception) -> None:
        if what == "read" and self.how in {How.UNACKNOWLEDGED, How.KILLED_AFTER}:
            return  # a read has no effect that could be there without its answer
        self.calls += 1
        if self.calls == self.at:
            self.struck = what
            if self.how is How.KILLED_BEFORE:
                raise Killed
            if self.how is How.REFUSED:
                raise error

    def after(self, error: Exception) -> None:
        if self.calls == self.at and self.struck:
            self.at = -1
            if self.how is How.KILLED_AFTER:
                raise Killed
            if self.how is How.UNACKNOWLEDGED:
                raise error


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultyDatabase(Database):
    """The real database, but for the one call."""

    fault: Fault

    @asynccontextmanager
    async def read(self, *, seconds: float | None = None) -> AsyncIterator[AsyncConnection]:
        self.fault.before("read", _full())
        async with Database.read(self, seconds=seconds) as connection:
            yield connection

    async def write(self, change: Callable[[Tx], Awaitable[T]]) -> T:
        self.fault.before("write", _full())
        result = await Database.write(self, change)
        self.fault.after(_silent())
        return result


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
        self.fault.before("probe", _away())
        facts = await self.hosts.probe(host, services, via, whole=whole, git=git)
        self.fault.after(_away())
        return facts

    async def restart(
        self,
        host: Host,
        warrant: str,
        via: Sequence[Host] = (),
        *,
        signatures: Sequence[str] = (),
        serial: int = 0,
    ) -> AsyncIterator[Progress]:
        self.fault.before("restart", _away())
        async for progress in self.hosts.restart(host, warrant, via, signatures=signatures, serial=serial):
            self.fault.after(_lost())
            self.fault.before(f"restart: {type(progress).__name__}", _lost())
            yield progress
            self.fault.after(_lost())

    async def burn(self, host: Host, request_id: str, via: Sequence[Host] = ()) -> Spool:
        self.fault.before("burn", _away())
        spool = await self.hosts.burn(host, request_id, via)
        self.fault.after(_away())
        return spool

    async def result(self, host: Host, request_id: str, via: Sequence[Host] = ()) -> Spool:
        self.fault.before("result", _away())
        return await self.hosts.result(host, request_id, via)

    async def check(self, host: Host, check: Check, via: Sequence[Host] = ()) -> Checked:
        self.fault.before("check", _away())
        checked = await self.hosts.check(host, check, via)
        self.fault.after(_away())
        return checked

    def keep(self, host: Host) -> None:
        self.hosts.keep(host)

    def release(self, host: Host) -> None:
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
