"""Opens the database: the reading side, the one writer, the schema, and the lock of the one server.

It knows no table. All writes go through ``Database.writer``; the reading side cannot write. Queries stand beside their
nouns, and what SQLite and PostgreSQL do differently behind ``dialect``.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.core.errors import NotFound, Refused
from app.store import dialect as dialects
from app.store import schema
from app.store.dialect import Dialect, find, shown
from app.store.log import Tx
from app.store.schema import Found
from app.store.writer import Writer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Database:
    """An open database. ``engine`` reads and cannot write; ``writer`` writes, what ``guard`` lets it."""

    engine: AsyncEngine
    writer: Writer
    guard: Callable[[Tx], Awaitable[None]] | None = None

    @property
    def dialect(self) -> Dialect:
        """What is its own of the two databases."""
        return dialects.of(self.engine)

    @property
    def is_full(self) -> bool:
        """Whether nothing more fits where the database lies, as far as that can be seen from here."""
        room = self.dialect.room(self.engine.url)
        return room is not None and room < dialects.LEAST_ROOM

    @asynccontextmanager
    async def read(self, *, seconds: float | None = None) -> AsyncIterator[AsyncConnection]:
        """Give a connection that sees one snapshot. Raises Refused after so many seconds, Broken where it fails."""
        try:
            async with self.engine.connect() as connection:
                if seconds is None:
                    yield connection
                else:
                    async with self.dialect.deadline(connection, seconds):
                        yield connection
        except self.dialect.FAILURES as error:  # the fast path raises the driver's own
            raise self.dialect.explain(error) from error
        except PoolTimeout as error:
            raise Refused(
                "Too many questions are asked of the database at once.",
                code="store_busy",
                next_step="Try again in a minute.",
            ) from error

    async def clock(self, now: float) -> float:
        """Return the time by the database's clock; a file has none, so that there it is ``now``, the asker's."""
        async with self.read() as connection:
            run = await self.dialect.fast(connection)
            ((at,),) = await run(dialects.timed(self.dialect, "SELECT CLOCK"), (now,))
            return float(at)

    async def write(self, change: Callable[[Tx], Awaitable[T]]) -> T:
        """Make one change, and return when it is durable: see ``Writer.write``. The guard raises in its transaction."""
        guard = self.guard
        if guard is None:
            return await self.writer.write(change)

        async def guarded(tx: Tx) -> T:
            await guard(tx)
            return await change(tx)

        return await self.writer.write(guarded)

    async def close(self) -> None:
        """Let what is queued be written, then close."""
        await self.writer.close()
        await self.engine.dispose()


async def heard(url: str) -> AsyncGenerator[str, None]:
    """Yield each topic that another process of this database tells, an empty one where some may have been missed.

    It ends at once where one process is alone with its database. Raises Broken where the line is lost: begin anew.
    """
    dialect, address = find(url)
    try:
        async with aclosing(dialect.heard(address)) as topics:
            async for topic in topics:
                yield topic
    except dialect.FAILURES as error:
        raise dialect.explain(error) from error


async def open_database(url: str, *, make: bool = True, upgrade: bool = True) -> Database:
    """Open a database, make it where there is none, and bring its schema to this version.

    Raises Refused where it is not ours to open, is newer than this version, or (without ``upgrade``) older, and
    NotFound ``no_database`` (without ``make``) where there is none; then nothing is made.
    """
    dialect, address = find(url)
    if not make:
        require_made(url)
    dialect.secure(address)
    await _prepare(dialect, address, make=make, upgrade=upgrade)
    return Database(dialect.reader(address), Writer(dialect.writer(address)))


def require_made(url: str) -> None:
    """Raise NotFound ``no_database`` where there cannot be a database."""
    if not dialects.is_made(url):
        raise _no_database(url)


def lock_for_serving(url: str, *, alone: bool = False) -> AbstractContextManager[None]:
    """Hold a server's place at the database, for as long as the context lasts.

    A file has one place. On PostgreSQL any number of servers have one, unless somebody is to be there ``alone``.
    Raises Refused where none is free.
    """
    dialect, address = find(url)
    return dialect.serving(address, alone=alone)


async def _prepare(dialect: Dialect, address: URL, *, make: bool, upgrade: bool) -> None:
    engine = dialect.writer(address, foreign_keys=False)
    try:
        async with engine.begin() as connection:
            if make or upgrade:
                await dialect.alone(connection)
            found = await connection.run_sync(schema.found)
            if found is Found.NOTHING and not make:
                raise _no_database(address)
            if found is Found.OLDER and not upgrade:
                raise _older(address)
            if found is not Found.CURRENT:
                await connection.run_sync(schema.move, "head")
                await dialect.settle_rights(connection)
    except DBAPIError as error:
        raise dialect.explain(error) from error
    finally:
        await engine.dispose()


def _no_database(url: str | URL) -> NotFound:
    return NotFound(
        f"There is no database of Askfirst at {shown(url)}.",
        code="no_database",
        next_step="Set ASKFIRST_DATA_DIR and ASKFIRST_DATABASE_URL as the server has them, or start it there once.",
    )


def _older(url: str | URL) -> Refused:
    return Refused(
        f"The database {shown(url)} is older than this version of Askfirst.",
        code="schema_older",
        next_step="Make a backup with the version that wrote it, then run `askfirst db upgrade`.",
    )
