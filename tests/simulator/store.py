"""Askfirst's own store on the simulated server: the real ``Database`` and ``Writer``, on engines of our own driver.

The dialect is SQLite's own. Where the simulated server is one that is reached by a line, it says besides what
PostgreSQL's says of a lost one, so that the writer finds out what became of a commit, as it does there.
"""

import secrets
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any, TypeVar, cast

from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from app.core.errors import AskfirstError, Broken
from app.store import sqlite
from app.store.dialect import Dialect
from app.store.engine import Database
from app.store.log import Tx
from app.store.writer import Writer
from tests.simulator.driver import Gone, Server, Session
from tests.simulator.loop import PROCESS
from tests.simulator.model import Model

T = TypeVar("T")

SERVERS: dict[int, Server] = {}
"""The server of the seed that runs now, so that the two engines below need to be made only once."""


class Served:
    """SQLite's dialect, on a server that is reached by a line, and has a clock of its own."""

    IS_SHARED = True
    CLOCK = "COALESCE(server_clock(), ?)"

    def __getattr__(self, name: str) -> Any:
        return getattr(sqlite, name)

    def is_lost(self, error: Exception) -> bool:
        return isinstance(getattr(error, "orig", error), Gone)

    def explain(self, error: Exception) -> AskfirstError:
        if self.is_lost(error):
            return Broken("The database does not answer.", code="store_away", next_step="Look what stands there.")
        return sqlite.explain(error)


DIALECTS: dict[bool, Dialect] = {True: cast(Dialect, Served()), False: cast(Dialect, sqlite)}


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedDatabase(Database):
    """The real database, which tells the model what it has acknowledged."""

    is_served: bool
    model: Model

    @property
    def dialect(self) -> Dialect:
        return DIALECTS[self.is_served]

    async def write(self, change: Callable[[Tx], Awaitable[T]]) -> T:
        written: list[tuple[int, bytes]] = []

        async def watched(tx: Tx) -> T:
            before = tx.head.seq
            result = await change(tx)
            if tx.head.seq != before:
                written.append((tx.head.seq, tx.head.hash))
            return result

        try:
            result = await Database.write(self, watched)
        except AskfirstError as error:
            if error.code != "store_away":
                self.model.refused(written, error)
            raise
        self.model.acknowledged(written)
        return result


class SimulatedWriter(Writer):
    """The real writer, with the dialect of the simulated server."""

    def __init__(self, engine: AsyncEngine, dialect: Dialect) -> None:
        super().__init__(engine)
        self._dialect = dialect


def database(model: Model, *, is_served: bool) -> SimulatedDatabase:
    """Open the server's database for one process."""
    reader, writer = engine(is_reader=True), engine(is_reader=False)
    writes = SimulatedWriter(writer, DIALECTS[is_served])
    return SimulatedDatabase(engine=reader, writer=writes, is_served=is_served, model=model)


@cache
def engine(*, is_reader: bool) -> AsyncEngine:
    """Return the engine that reads, or the one that writes: for all processes and seeds, since it keeps nothing."""

    async def connect(*_: Any, **__: Any) -> Session:
        return await SERVERS[0].connect(is_reader=is_reader)

    made = create_async_engine("sqlite+aiosqlite:///simulated", async_creator=connect, poolclass=NullPool)
    begin = "BEGIN" if is_reader else "BEGIN IMMEDIATE"

    @event.listens_for(made.sync_engine, "begin")
    def begin_now(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return made


@contextmanager
def chance_from(chance: Random) -> Iterator[None]:
    """Take all that is drawn from the operating system's chance from a seed instead, while the context lasts."""
    before = (secrets.token_bytes, secrets.randbits, secrets.token_hex, uuid.uuid4)
    secrets.token_bytes = lambda nbytes=None: chance.randbytes(nbytes or 32)
    secrets.randbits = lambda k: chance.getrandbits(k)  # noqa: PLW0108 - as the other is called
    secrets.token_hex = lambda nbytes=None: chance.randbytes(nbytes or 32).hex()
    uuid.uuid4 = lambda: uuid.UUID(int=chance.getrandbits(128), version=4)
    try:
        yield
    finally:
        secrets.token_bytes, secrets.randbits, secrets.token_hex, uuid.uuid4 = before


def who() -> str:
    """Name the process that runs now."""
    return PROCESS.get().name
