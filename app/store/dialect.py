"""Which database this is, and all that the two of them do differently: the list that each of their files fulfils.

Nothing else assumes a dialect but the migrations. It opens nothing itself.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Protocol

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.core.errors import AskfirstError, Refused
from app.store import postgres, sqlite

Run = Callable[..., Awaitable[Iterable[Any]]]
"""Runs a plain statement, its values at each ``?``, and returns its rows."""


class Dialect(Protocol):
    """What a database has to offer. ``sqlite`` and ``postgres`` are such modules."""

    FAILURES: tuple[type[Exception], ...]
    """What a failure of the database is raised as."""
    CONSTRAINTS: tuple[type[Exception], ...]
    """What a row that breaks a constraint is raised as."""
    HEAD: str
    """Reads the log's head, and keeps every other writer out until the transaction ends."""
    CLOCK: str
    """What the database's clock says, in epoch seconds; ``?`` is the asker's time, which holds where it has none."""
    IS_SHARED: bool
    """Whether any number of servers may work on one database."""
    TAMPERING: tuple[tuple[str, ...], ...]
    """Ways to change the log; the last statement of each must be refused."""

    def address(self, url: URL) -> URL:
        """Return the address that is connected to. Raises ValueError, which says why, where it is none."""

    def is_made(self, address: URL) -> bool:
        """Whether there can be a database already: opening one that is a file would make it."""

    def room(self, address: URL) -> int | None:
        """Return how many bytes are free where the database lies, None where that cannot be seen from here."""

    def secure(self, address: URL) -> None:
        """Make private what is ours to make so. Raises Refused where that cannot be."""

    def serving(self, address: URL, *, alone: bool) -> AbstractContextManager[None]:
        """Hold a server's place, or be ``alone`` there. Raises Refused where that cannot be."""

    async def tell(self, run: Run, topics: Iterable[str]) -> None:
        """Have every process that listens hear these topics, once the transaction is durable."""

    def heard(self, address: URL) -> AsyncGenerator[str, None]:
        """Yield what any process tells, an empty topic where some may have been missed; nothing where one is alone.

        Raises one of FAILURES where the line is lost.
        """

    def reader(self, address: URL) -> AsyncEngine:
        """Return an engine that can only read; each transaction sees one snapshot."""

    def writer(self, address: URL, *, foreign_keys: bool = True) -> AsyncEngine:
        """Return the engine of the one writer of this process."""

    def filler(self, address: URL) -> AsyncEngine:
        """Return an engine that fills an empty database: once it has committed, nothing is left to be written."""

    async def alone(self, connection: AsyncConnection) -> None:
        """Let nobody else change the tables until the transaction ends."""

    async def be_patient(self, connection: AsyncConnection) -> None:
        """Let this transaction stand still for as long as it must, while another database is read."""

    async def settle_rights(self, connection: AsyncConnection) -> None:
        """Give each role of the database what it may do with the tables, where it has such roles."""

    async def fast(self, connection: AsyncConnection) -> Run:
        """Return the shortest way to run a plain statement on a connection."""

    def deadline(self, connection: AsyncConnection, seconds: float) -> AbstractAsyncContextManager[None]:
        """End what the connection computes after so many seconds."""

    def explain(self, error: Exception) -> AskfirstError:
        """Say what a failure means, and what to do next."""

    def is_duplicate(self, error: Exception) -> bool:
        """Whether a row was refused because a unique value is taken."""

    def is_refusal(self, error: Exception) -> bool:
        """Whether the database refused a change of the log because it is append-only, or by the role's rights."""

    def is_lost(self, error: Exception) -> bool:
        """Whether the connection was lost: what was sent last may be done, or not."""

    async def weakness(self, connection: AsyncConnection) -> str:
        """Say what about the server or our role there makes the log less durable than it could be, or nothing."""

    def version(self) -> str:
        """Name the library that reaches the database, with its version."""


_BY_NAME: dict[str, Dialect] = {"sqlite": sqlite, "postgresql": postgres}


def of(engine: AsyncEngine) -> Dialect:
    """Return the dialect of an open engine."""
    return _BY_NAME[engine.dialect.name]


def find(url: str | URL) -> tuple[Dialect, URL]:
    """Return the dialect that a URL names, and the address that it connects to. Raises Refused ``database_url``."""
    try:
        address = make_url(url)
        dialect = _BY_NAME.get(address.get_backend_name())
        if dialect is None:
            raise ValueError(f"names {address.get_backend_name()}, which Askfirst does not write to")
        return dialect, dialect.address(address)
    except ArgumentError as error:
        raise _no_address("is no database URL") from error
    except ValueError as error:
        raise _no_address(str(error)) from error


def timed(dialect: Dialect, statement: str) -> str:
    """Return a statement with the database's clock in the place of ``CLOCK``."""
    return statement.replace("CLOCK", dialect.CLOCK)


def explain(error: Exception) -> AskfirstError:
    """Say what a failure means, of whichever database it is."""
    cause = getattr(error, "orig", error)
    return next(each for each in _BY_NAME.values() if isinstance(cause, each.FAILURES)).explain(error)


def versions() -> list[str]:
    """Name the libraries that reach the databases."""
    return [each.version() for each in _BY_NAME.values()]


def is_made(url: str) -> bool:
    """Whether there can be a database already. Raises Refused ``database_url``."""
    dialect, address = find(url)
    return dialect.is_made(address)


LEAST_ROOM = 1 << 20
"""Bytes. Where less is free the next write may already find no place."""


def room(url: str) -> int | None:
    """Return how many bytes are free where the database lies, None where that cannot be seen from here."""
    dialect, address = find(url)
    return dialect.room(address)


def shown(url: str | URL) -> str:
    """Return a database's URL as it may be shown: without its password."""
    return find(url)[1].render_as_string(hide_password=True)


def _no_address(why: str) -> Refused:
    return Refused(
        f"ASKFIRST_DATABASE_URL {why}.",
        code="database_url",
        next_step="Write sqlite:////absolute/path/askfirst.db or postgresql+psycopg://user@host/database",
    )
