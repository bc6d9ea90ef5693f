"""What is PostgreSQL's own: its connections and its locks. Nothing else here names a setting.

The database's triggers and generated columns stand in the migrations, its roles in ``roles``, what its failures mean in
``postgres_failures``. Every writer begins by locking the log's head: of all replicas one writes at a time, each sees
what the one before committed, and no two can wait for each other. A writer that was stopped in the middle is ended by
the server, so that it holds up nobody.
"""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from typing import Any

import psycopg
from sqlalchemy import event, text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.core.errors import Refused
from app.store import postgres_failures as failures
from app.store import roles

FAILURES, CONSTRAINTS = failures.FAILURES, failures.CONSTRAINTS
explain, is_duplicate = failures.explain, failures.is_duplicate
is_refusal, is_lost = failures.is_refusal, failures.is_lost
HEAD = "SELECT seq, hash, latest FROM audit_head WHERE id = 1 FOR UPDATE"
CLOCK = "COALESCE(EXTRACT(EPOCH FROM clock_timestamp())::float8, ?)"
IS_SHARED = True
TAMPERING: tuple[tuple[str, ...], ...] = (
    ("UPDATE audit SET prev = prev WHERE seq = (SELECT max(seq) FROM audit)",),
    ("DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)",),
    ("TRUNCATE audit",),
    (
        """INSERT INTO audit (seq, body, prev, hash) SELECT seq, body, prev, hash FROM audit ORDER BY seq DESC LIMIT 1
           ON CONFLICT (seq) DO UPDATE SET prev = excluded.prev""",
    ),
    # Only the database's administrator may say the first of these; the trigger must hold even then.
    ("SET LOCAL session_replication_role = replica", "DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)"),
)

_SERVING, _MIGRATING = 0x61736B31, 0x61736B32  # two numbers of our own for advisory locks
_BE_ALONE, _BE_ONE_OF_MANY = "SELECT pg_try_advisory_lock(%s, 0)", "SELECT pg_try_advisory_lock_shared(%s, 0)"
_NOTIFY = "SELECT pg_notify('askfirst', topic) FROM unnest(?::text[]) AS topic"
_LOCAL = frozenset({"", "localhost", "127.0.0.1", "::1"})
# Seconds. A dead line is noticed within a quarter of a minute, whatever the system's own patience is.
_CONNECT: Mapping[str, Any] = {
    "application_name": "askfirst",
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
_READS = ("SET default_transaction_read_only = on", "SET default_transaction_isolation = 'repeatable read'")
_WRITES = (
    "SET default_transaction_isolation = 'read committed'",
    "SET lock_timeout = '10s'",
    "SET idle_in_transaction_session_timeout = '10s'",
    # Whatever the server is set to: what we say is durable is. A stronger setting than `on` stays.
    """SELECT set_config('synchronous_commit', 'on', false)
       WHERE current_setting('synchronous_commit') IN ('off', 'local')""",
)


def address(url: URL) -> URL:
    """Return the address that is connected to. Over a network the server must prove itself, unless the URL says not.

    Raises ValueError, which says why, where it is none.
    """
    if url.drivername not in {"postgresql", "postgresql+psycopg"}:
        raise ValueError(f"names the driver {url.get_driver_name()}, and Askfirst has psycopg")
    if not url.database:
        raise ValueError("names no database of the server")
    if "password" in url.query:
        raise ValueError("holds a password in its query; keep it in the file that PGPASSFILE names")
    hosts = [url.host or "", *_listed(url.query.get("host", ()))]
    if "sslmode" not in url.query and not all(host in _LOCAL or host.startswith("/") for host in hosts):
        url = url.update_query_dict({"sslmode": "verify-full"})
    return url.set(drivername="postgresql+psycopg")


def _listed(value: str | tuple[str, ...]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def is_made(address: URL) -> bool:
    """Say yes: a database is made by the server's administrator."""
    return True


def room(address: URL) -> int | None:
    """Say nothing: the disk is the server's, which tells of it when it writes."""
    return None


def secure(address: URL) -> None:
    """Make nothing private: what lies on the server's disk is the server's."""


@contextmanager
def serving(address: URL, *, alone: bool) -> Iterator[None]:
    """Hold one of any number of places, or be alone there. Raises Refused where somebody else is, or is alone."""
    try:
        connection = psycopg.connect(_conninfo(address), autocommit=True, **_CONNECT)
    except psycopg.Error as error:
        raise explain(error) from error
    with contextlib.closing(connection):
        if connection.execute(_BE_ALONE if alone else _BE_ONE_OF_MANY, (_SERVING,)).fetchone() != (True,):
            raise Refused(
                "Servers use this database now." if alone else "Somebody moves or restores this database now.",
                code="already_serving",
                next_step="Stop them all first." if alone else "Start the server again once that has ended.",
            )
        yield


async def tell(run: Callable[..., Awaitable[Iterable[Any]]], topics: Iterable[str]) -> None:
    """Have every replica hear these topics, once the transaction is durable."""
    await run(_NOTIFY, (list(topics),))


async def heard(address: URL) -> AsyncGenerator[str, None]:
    """Yield what any replica tells, and first of all an empty topic: what was told before is not known.

    Raises psycopg.Error where the line is lost. Its connection holds a server's place too, so that a database which
    was away for a moment knows again that it is served; where somebody wants to be alone there by then, it is lost.
    """
    async with await psycopg.AsyncConnection.connect(_conninfo(address), autocommit=True, **_CONNECT) as connection:
        got = await connection.execute(_BE_ONE_OF_MANY, (_SERVING,))
        if await got.fetchone() != (True,):
            raise psycopg.OperationalError("somebody moves or restores this database now")
        await connection.execute("LISTEN askfirst")
        yield ""
        async with contextlib.aclosing(connection.notifies()) as notices:
            async for told in notices:
                yield told.payload


def _conninfo(address: URL) -> str:
    return address.set(drivername="postgresql").render_as_string(hide_password=False)


def reader(address: URL) -> AsyncEngine:
    """Return an engine that can only read; each transaction sees one snapshot."""
    return _engine(address, _READS, pool_size=8, max_overflow=8)


def writer(address: URL, *, foreign_keys: bool = True) -> AsyncEngine:
    """Return the engine of the one writer of this process; PostgreSQL alters a table without rebuilding it."""
    return _engine(address, _WRITES, pool_size=1, max_overflow=0)


def filler(address: URL) -> AsyncEngine:
    """Return an engine that writes as any other does: a server tells of everything that finds no room."""
    return writer(address)


def _engine(address: URL, settings: Iterable[str], **pool: int) -> AsyncEngine:
    engine = create_async_engine(address, connect_args=dict(_CONNECT), pool_pre_ping=True, **pool)

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, record: object) -> None:
        cursor = connection.cursor()
        for each in settings:
            cursor.execute(each)
        cursor.close()
        connection.commit()

    return engine


async def alone(connection: AsyncConnection) -> None:
    """Let nobody else change the tables until the transaction ends: replicas that start together migrate once."""
    await connection.execute(text("SELECT pg_advisory_xact_lock(:ours, 0)").bindparams(ours=_MIGRATING))


async def be_patient(connection: AsyncConnection) -> None:
    """Let this transaction stand still for as long as it must."""
    await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))


async def settle_rights(connection: AsyncConnection) -> None:
    """Give each role what it may do with the tables, where the roles are there and the tables are ours to give."""
    await roles.grant(connection)


async def fast(connection: AsyncConnection) -> Callable[..., Awaitable[Iterable[Any]]]:
    """Return a way to run a plain statement that leaves SQLAlchemy out."""
    driver: Any = (await connection.get_raw_connection()).driver_connection

    async def run(statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        cursor = await driver.execute(_placed(statement), values)
        return await cursor.fetchall() if cursor.description else []

    return run


@cache
def _placed(statement: str) -> str:
    return statement.replace("?", "%s")


@asynccontextmanager
async def deadline(connection: AsyncConnection, seconds: float) -> AsyncIterator[None]:
    """End each statement of this transaction after so many seconds."""
    limit = text("SELECT set_config('statement_timeout', :limit, true)")
    await connection.execute(limit.bindparams(limit=f"{seconds * 1000:.0f}"))
    yield


async def weakness(connection: AsyncConnection) -> str:
    """Say what about the server or our role there makes the log less durable than it could be, or nothing."""
    settings = text("SELECT name FROM pg_settings WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off'")
    if off := (await connection.scalars(settings)).all():
        return f"the server runs with {' and '.join(off)} off: a power cut can lose what was acknowledged"
    return await roles.weakness(connection)


def version() -> str:
    """Name the library that reaches the database, with its version."""
    return f"psycopg {psycopg.__version__}"
