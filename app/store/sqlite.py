"""What is SQLite's own: its connections and its files. Nothing else here names a pragma.

The database's triggers and generated columns stand in the migrations, what its failures mean in ``sqlite_failures``.
Writers begin with ``BEGIN IMMEDIATE``, so that of several processes one writes at a time and none has to give up
half-way; readers are set to ``query_only`` and see one snapshot.
"""

import asyncio
import fcntl
import os
import shutil
import sqlite3
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL, Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.core.errors import Refused
from app.store import sqlite_failures as failures

FAILURES, CONSTRAINTS = failures.FAILURES, failures.CONSTRAINTS
explain, is_duplicate = failures.explain, failures.is_duplicate
is_refusal, is_lost = failures.is_refusal, failures.is_lost
HEAD = "SELECT seq, hash, latest FROM audit_head WHERE id = 1"
CLOCK = "?"
IS_SHARED = False
TAMPERING: tuple[tuple[str, ...], ...] = (
    ("UPDATE audit SET prev = prev WHERE seq = (SELECT max(seq) FROM audit)",),
    ("DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)",),
    (
        "PRAGMA recursive_triggers=OFF",  # as any other program's connection has it
        """INSERT OR REPLACE INTO audit (seq, body, prev, hash)
           SELECT seq, body, prev, hash FROM audit ORDER BY seq DESC LIMIT 1""",
    ),
    ("UPDATE OR REPLACE audit SET seq = seq + 1 WHERE seq = (SELECT max(seq) FROM audit)",),
    # A next row as it should be, but for an id that is taken: what has it already would go, and no trigger told.
    (
        "PRAGMA recursive_triggers=OFF",
        """INSERT OR REPLACE INTO audit (seq, body, prev, hash)
           SELECT seq + 1, CAST(json_set(CAST(body AS TEXT), '$.seq', seq + 1) AS BLOB), hash, hash
           FROM audit ORDER BY seq DESC LIMIT 1""",
    ),
)

BUSY_MILLISECONDS = 10_000
_LOGGED = ("journal_mode=WAL", "synchronous=FULL")
_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "fuse.sshfs", "fuse.glusterfs"})


def address(url: URL) -> URL:
    """Return the address that is connected to. Raises ValueError, which says why, where it is none."""
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise ValueError("names no file, and a log that is gone with its process proves nothing")
    # One file has one name here, however it is reached: the lock beside it is of the file, not of a link to it.
    return URL.create("sqlite+aiosqlite", database=str(Path(url.database).resolve()))


def reader(address: URL) -> AsyncEngine:
    """Return an engine that can only read."""
    return _engine(address, "BEGIN", (*_LOGGED, "query_only=ON"), pool_size=8, max_overflow=24)


def writer(address: URL, *, foreign_keys: bool = True) -> AsyncEngine:
    """Return the engine of the one writer; a migration that rebuilds tables runs without ``foreign_keys``."""
    pragmas = (*_LOGGED, f"foreign_keys={int(foreign_keys)}")
    return _engine(address, "BEGIN IMMEDIATE", pragmas, pool_size=1, max_overflow=0)


def filler(address: URL) -> AsyncEngine:
    """Return an engine for the one transaction that fills an empty file, which needs no ``-wal`` beside it after that.

    Through a WAL everything would be written twice, and of the second time, from there into the file, SQLite tells
    nobody that the disk is full.
    """
    pragmas = ("journal_mode=DELETE", "synchronous=EXTRA", "foreign_keys=1")
    return _engine(address, "BEGIN IMMEDIATE", pragmas, pool_size=1, max_overflow=0)


def _engine(url: URL, begin: str, pragmas: Iterable[str], **pool: int) -> AsyncEngine:
    engine = create_async_engine(url, connect_args={"timeout": BUSY_MILLISECONDS / 1000}, **pool)

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves: sqlite3 would begin late, and never for a read
        cursor = connection.cursor()
        for each in (*pragmas, "recursive_triggers=ON"):
            cursor.execute(f"PRAGMA {each}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin_now(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


async def alone(connection: AsyncConnection) -> None:
    """Do nothing: a writer is alone as soon as its transaction begins."""


async def be_patient(connection: AsyncConnection) -> None:
    """Do nothing: a file ends no transaction."""


async def settle_rights(connection: AsyncConnection) -> None:
    """Do nothing: a file has no roles."""


async def fast(connection: AsyncConnection) -> Callable[..., Awaitable[Iterable[Any]]]:
    """Return a way to run a plain statement with one turn to the driver's thread, where SQLAlchemy takes four."""
    driver: Any = (await connection.get_raw_connection()).driver_connection
    run: Callable[..., Awaitable[Iterable[Any]]] = driver.execute_fetchall
    return run


@asynccontextmanager
async def deadline(connection: AsyncConnection, seconds: float) -> AsyncIterator[None]:
    """Interrupt whatever the connection still computes after so many seconds."""
    driver: Any = (await connection.get_raw_connection()).driver_connection
    interrupt = driver._conn.interrupt  # noqa: SLF001 - aiosqlite's own is a coroutine, which a timer cannot call
    timer = asyncio.get_running_loop().call_later(seconds, interrupt)
    try:
        yield
    finally:
        timer.cancel()


async def weakness(connection: AsyncConnection) -> str:
    """Say nothing: the connections are set so that what is acknowledged is on the disk."""
    return ""


def version() -> str:
    """Name the library that reaches the database, with its version."""
    return f"SQLite {sqlite3.sqlite_version}"


def is_new_enough() -> bool:
    """Whether the library has all that the tables need."""
    return sqlite3.sqlite_version_info >= (3, 37)


def is_made(address: URL) -> bool:
    """Whether the file is there and holds anything."""
    path = _path(address)
    return path.exists() and path.stat().st_size > 0


def room(address: URL) -> int | None:
    """Return how many bytes are free on the disk that holds the file, None where its folder is not there."""
    try:
        return shutil.disk_usage(_path(address).parent).free
    except OSError:
        return None


def _path(address: URL) -> Path:
    return Path(address.database or "")


def secure(address: URL, mounts: Path = _MOUNTS) -> None:
    """Make the file and its folder private before anything is written. Raises Refused where that cannot be."""
    path = _path(address)
    if (kind := filesystem(path.parent, mounts)) in _NETWORK:
        raise Refused(
            f"The database {path} lies on a network file system ({kind}), where SQLite's locks do not hold.",
            code="store_network",
            next_step="Name a file on a local disk in ASKFIRST_DATABASE_URL.",
        )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        for file in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
            if file.exists() and file.stat().st_mode & 0o077:
                file.chmod(0o600)
        mode = path.parent.stat().st_mode
    except OSError as error:
        raise Refused(
            f"The database {path} cannot be opened privately: {error.strerror}.",
            code="store_private",
            next_step="Give the file and its folder to the user that runs Askfirst, or name another in "
            "ASKFIRST_DATABASE_URL.",
        ) from error
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise Refused(
            f"Anybody on this machine may write in {path.parent}, where the database lies.",
            code="store_private",
            next_step=f"chmod o-w {path.parent}",
        )


@contextmanager
def serving(address: URL, *, alone: bool) -> Iterator[None]:
    """Hold the lock of the one server of a file, whatever it does. Raises Refused where another holds it."""
    secure(address)
    lock = os.open(f"{_path(address)}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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


async def tell(run: Callable[..., Awaitable[Iterable[Any]]], topics: Iterable[str]) -> None:
    """Do nothing: one process serves a file, and tells itself."""


async def heard(address: URL) -> AsyncGenerator[str, None]:
    """Yield nothing: one process serves a file."""
    nothing: tuple[str, ...] = ()
    for topic in nothing:
        yield topic


def filesystem(folder: Path, mounts: Path = _MOUNTS) -> str:
    """Return the type of the file system that holds a folder, empty where the system does not tell."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    wanted, best = folder.resolve(), ("", "")
    for line in lines:
        before, _, after = line.partition(" - ")
        point = before.split()[4].replace("\\040", " ")
        if wanted.is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, after.split()[0])
    return best[1]
