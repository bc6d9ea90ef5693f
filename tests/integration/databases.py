"""Where the tests' databases lie, files and servers alike, and a hand on them that no rule of ours holds."""

import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import psycopg

from app.store import dialect, schema
from app.store.engine import Database, open_database

Statement = str | tuple[str, Sequence[Any]]
# What the two databases say differently, as statements below may say it.
_WORDS = {
    "ZEROS": ("zeroblob(32)", "decode(repeat('00', 32), 'hex')"),
    "FORGED_BODY": (
        "CAST(replace(CAST(body AS TEXT), 'ada', 'eve') AS BLOB)",
        "convert_to(replace(convert_from(body, 'UTF8'), 'ada', 'eve'), 'UTF8')",
    ),
}
Fill = Callable[[Database], Awaitable[None]]
REFUSED = (sqlite3.DatabaseError, psycopg.DatabaseError)


class Places(Protocol):
    """What makes databases: ``Files``, or a server."""

    def place(self) -> str:
        """Return the URL of a database that is not there yet."""

    def create(self, url: str) -> None:
        """Make a database with nothing in it."""

    def copy(self, template: str, url: str) -> None:
        """Make a database that holds what another one holds."""

    def drop(self, url: str) -> None:
        """Take a database away."""


class Files:
    """SQLite's databases, each a file in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count(1)

    def place(self) -> str:
        return f"sqlite:///{self._folder}/{next(self._numbers)}/askfirst.db"

    def create(self, url: str) -> None:
        """Do nothing: Askfirst makes the file."""

    def copy(self, template: str, url: str) -> None:
        file(url).parent.mkdir(mode=0o700, exist_ok=True)
        shutil.copy(file(template), file(url))

    def drop(self, url: str) -> None:
        shutil.rmtree(file(url).parent, ignore_errors=True)


class Databases:
    """Databases of one kind: new ones, and copies of what was made once, since migrating takes longer than most tests.

    ``url`` names one that is made when it is wanted.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._made: dict[Fill | None, str] = {}

    def place(self) -> str:
        return self._places.place()

    def create(self, url: str) -> None:
        self._places.create(url)

    def drop(self, url: str) -> None:
        self._places.drop(url)

    async def open(self, url: str, fill: Fill | None = None) -> Database:
        """Open a database that has all tables, filled as asked."""
        if fill not in self._made:
            template = self._places.place()
            self._places.create(template)
            db = await open_database(template)
            if fill is not None:
                await fill(db)
            await db.close()
            self._made[fill] = template
        self._places.copy(self._made[fill], url)
        return await open_database(url)


def file(url: str) -> Path:
    """Return the file of an SQLite database."""
    return Path(url.partition(":///")[2])


def is_file(url: str) -> bool:
    return url.startswith("sqlite")


async def moved(url: str, revision: str) -> None:
    """Make of the tables what an earlier version had."""
    found, address = dialect.find(url)
    engine = found.writer(address, foreign_keys=False)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(schema.move, revision)
    finally:
        await engine.dispose()


def raw(url: str, *statements: Statement) -> list[Any]:
    """Run SQL past all of Askfirst's code, as whoever owns the database could, and return the last one's rows.

    Values stand at each ``?``; ``ZEROS`` and ``FORGED_BODY`` are written as each database takes them.
    """
    rows: list[Any] = []
    with closing(_connected(url)) as connection:
        for statement in statements:
            sql, values = (statement, ()) if isinstance(statement, str) else statement
            for word, said in _WORDS.items():
                sql = sql.replace(word, said[0 if is_file(url) else 1])
            cursor = connection.execute(*((sql, values) if is_file(url) else (sql.replace("?", "%s"), values or None)))
            rows = cursor.fetchall() if cursor.description else []
    return rows


def set_clock(url: str, reads: str) -> None:
    """Let a server's clock read what this SQL says, for connections to come; NULL is none at all, so as of a file.

    What has no schema in its name is looked for where the tables are before it is among the server's own.
    """
    function = "CREATE OR REPLACE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE sql"
    order = "format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database())"
    raw(
        url,
        f"{function} AS $$ SELECT ({reads})::timestamptz $$",
        f"DO $$ BEGIN EXECUTE {order}; END $$",
    )


def _connected(url: str) -> Any:
    if is_file(url):
        return sqlite3.connect(file(url), isolation_level=None)
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)


def disarmed(url: str, *statements: Statement) -> list[Any]:
    """The same as the database's owner could, who takes triggers and checks away first."""
    if is_file(url):
        triggers = raw(url, "SELECT name FROM sqlite_master WHERE type = 'trigger'")
        drops = [f"DROP TRIGGER {name}" for (name,) in triggers]
        return raw(url, *drops, "PRAGMA ignore_check_constraints=ON", *statements)
    triggers = raw(url, "SELECT tgname, tgrelid::regclass FROM pg_trigger WHERE NOT tgisinternal")
    checks = raw(url, "SELECT conname, conrelid::regclass FROM pg_constraint WHERE contype = 'c' AND conrelid <> 0")
    drops = [f"DROP TRIGGER {name} ON {table}" for name, table in triggers]
    return raw(url, *drops, *(f"ALTER TABLE {table} DROP CONSTRAINT {name}" for name, table in checks), *statements)
