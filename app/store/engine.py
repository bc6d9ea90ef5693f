"""Opens the database: the reading side, the one writer, the schema, and the lock of the one server.

It knows no table. All writes go through ``Database.writer``; the reading side cannot write. Queries stand beside their
nouns. SQLite is the only database yet; ``sqlite.py`` holds all that is its own.
"""

import fcntl
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.core.errors import Refused
from app.store import schema, sqlite
from app.store.log import Tx
from app.store.writer import Writer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Database:
    """An open database. ``engine`` reads and cannot write; ``writer`` writes."""

    engine: AsyncEngine
    writer: Writer

    @asynccontextmanager
    async def read(self, *, seconds: float | None = None) -> AsyncIterator[AsyncConnection]:
        """Give a connection that sees one snapshot. Raises Refused after so many seconds, Broken where it fails."""
        try:
            async with self.engine.connect() as connection:
                if seconds is None:
                    yield connection
                else:
                    async with sqlite.deadline(connection, seconds):
                        yield connection
        except DBAPIError as error:
            raise sqlite.explain(error) from error
        except PoolTimeout as error:
            raise Refused(
                "Too many questions are asked of the database at once.",
                code="store_busy",
                next_step="Try again in a minute.",
            ) from error

    async def write(self, change: Callable[[Tx], Awaitable[T]]) -> T:
        """Make one change, and return when it is durable: see ``Writer.write``."""
        return await self.writer.write(change)

    async def close(self) -> None:
        """Let what is queued be written, then close."""
        await self.writer.close()
        await self.engine.dispose()


async def open_database(url: str, *, upgrade: bool = True) -> Database:
    """Open a database and bring its schema to this version.

    Raises Refused where it is not ours to open, is newer than this version, or (without ``upgrade``) older.
    """
    address = _address(url)
    sqlite.secure(_path(address))
    await _prepare(address, upgrade=upgrade)
    return Database(sqlite.reader(address), Writer(sqlite.writer(address)))


@contextmanager
def lock_for_serving(url: str) -> Iterator[None]:
    """Hold the lock that only one server process can hold. Raises Refused where another holds it."""
    path = _path(_address(url))
    sqlite.secure(path)
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(lock, "r+", encoding="ascii", errors="replace") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            other = file.read(20).strip()
            raise Refused(
                f"Another server uses this database already{f', as process {other}' if other else ''}.",
                code="already_serving",
                next_step="Stop it first. Commands such as `askfirst request` may run beside it.",
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


async def _prepare(address: URL, *, upgrade: bool) -> None:
    engine = sqlite.writer(address, foreign_keys=False)
    try:
        async with engine.begin() as connection:
            if upgrade:
                await connection.run_sync(schema.upgrade)
            elif not await connection.run_sync(schema.is_current):
                raise Refused(
                    "The database is older than this version of Askfirst.",
                    code="schema_older",
                    next_step="Make a copy of its file, then run `askfirst db upgrade`.",
                )
    except DBAPIError as error:
        raise sqlite.explain(error) from error
    finally:
        await engine.dispose()


def _address(url: str) -> URL:
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise _no_address("is no database URL") from error
    if address.get_backend_name() != "sqlite":
        raise _no_address(f"names {address.get_backend_name()}, which this version does not offer")
    if not address.database or address.database == ":memory:" or address.database.startswith("file:"):
        raise _no_address("names no file, and a log that is gone with its process proves nothing")
    return URL.create("sqlite+aiosqlite", database=address.database)


def _path(address: URL) -> Path:
    return Path(address.database or "").absolute()


def _no_address(why: str) -> Refused:
    return Refused(
        f"ASKFIRST_DATABASE_URL {why}.", code="database_url", next_step="Write sqlite:////absolute/path/askfirst.db"
    )
