"""A database server of our own for one simulated world: real SQLite on a real file, reached by a line that can break.

It stands where aiosqlite stands, below SQLAlchemy, and offers what SQLAlchemy asks of that. There is no thread: a
statement is a message that arrives a moment later, runs in the loop's own turn, and is answered a moment after that.
A process that dies in between gets no answer, and whether its last message still arrives is chance. Writers wait for
each other in the order in which they came; one that stands still in the middle of a transaction is ended by the server,
as PostgreSQL is told to do. What it does not simulate is a loss of power: what was committed stays.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tests.simulator.faults import Chances, Fault
from tests.simulator.loop import PROCESS, Life, Loop, Process

_IDLE_SECONDS = 10.0
_WAIT_SECONDS = 10.0
_WRITES = "BEGIN IMMEDIATE"
_PRAGMAS = ("synchronous=OFF", "recursive_triggers=ON")


class Gone(sqlite3.OperationalError):
    """The line to the server is lost; SQLAlchemy knows it by its words."""

    def __init__(self) -> None:
        super().__init__("connection closed")


class Failed(sqlite3.OperationalError):
    """A statement failed for a reason that SQLite names."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.sqlite_errorname = name


@dataclass(eq=False, repr=False)
class Message:
    """A statement on its way."""

    session: "Session"
    what: str
    run: Callable[[], Any]
    answer: "asyncio.Future[Any]"
    is_done: bool = False


@dataclass(eq=False, repr=False)
class Session:
    """One connection, in the form of aiosqlite's."""

    server: "Server"
    process: Process
    _raw: sqlite3.Connection | None
    is_reader: bool
    used_at: float = 0.0
    _connection: bool = True  # SQLAlchemy would make nothing of a commit on what it takes for closed

    def cursor(self) -> "Cursor":
        return Cursor(self)

    async def create_function(self, *args: Any, **options: Any) -> None:
        """Take the functions that SQLAlchemy offers to SQLite; nothing of ours calls one."""

    async def execute_fetchall(self, statement: str, values: Sequence[Any] = ()) -> Iterable[Any]:
        rows: list[Any] = await self.send(statement, lambda: self.raw.execute(statement, values).fetchall())
        return rows

    async def commit(self) -> None:
        await self.send("COMMIT", self.raw.commit)

    async def rollback(self) -> None:
        await self.send("ROLLBACK", self.raw.rollback)

    async def close(self) -> None:
        self.end()

    def stop(self) -> None:
        self.end()

    @property
    def raw(self) -> sqlite3.Connection:
        if self._raw is None:
            raise Gone
        return self._raw

    @property
    def is_open(self) -> bool:
        return self._raw is not None

    def end(self) -> None:
        """Close; what is not committed is undone."""
        raw, self._raw = self._raw, None
        if raw is not None:
            self.server.gone(self, raw)

    async def send(self, what: str, run: Callable[[], Any]) -> Any:
        if not self.is_open or self.process.life is Life.BURIED:
            raise Gone
        return await self.server.send(self, what, run)


class Cursor:
    """A cursor, in the form of aiosqlite's; its rows come with the answer."""

    arraysize = 1

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rows: list[Any] = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> "Cursor":
        return self

    async def execute(self, statement: str, values: Sequence[Any] = ()) -> None:
        self._take(await self._session.send(statement, lambda: self._run(statement, values)))

    async def executemany(self, statement: str, values: Sequence[Sequence[Any]]) -> None:
        self._take(await self._session.send(statement, lambda: self._run_many(statement, values)))

    async def fetchall(self) -> list[Any]:
        return self._rows

    async def close(self) -> None:
        return

    def _run(self, statement: str, values: Sequence[Any]) -> Any:
        cursor = self._session.raw.execute(statement, values)
        return cursor.fetchall() if cursor.description else [], cursor.description, cursor.rowcount, cursor.lastrowid

    def _run_many(self, statement: str, values: Sequence[Sequence[Any]]) -> Any:
        cursor = self._session.raw.executemany(statement, values)
        return [], None, cursor.rowcount, cursor.lastrowid

    def _take(self, answer: Any) -> None:
        self._rows, self.description, self.rowcount, self.lastrowid = answer


@dataclass(eq=False, repr=False)
class Server:
    """The server. ``committed`` is called after each commit that wrote something, before anybody is told."""

    loop: Loop
    chances: Chances
    file: Path
    is_served: bool
    started_at: float
    committed: Callable[[str], None]
    is_away: bool = False
    sessions: list[Session] = field(default_factory=list)
    here: Context = field(default_factory=Context)
    _free: dict[bool, list[sqlite3.Connection]] = field(default_factory=lambda: {True: [], False: []})
    _under_way: list[Message] = field(default_factory=list)
    _untold: list[Message] = field(default_factory=list)
    _holder: Session | None = None
    _waiting: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.here.run(PROCESS.set, self.loop.process("server"))

    async def connect(self, *, is_reader: bool) -> Session:
        """Open a session for the process that asks."""
        process = PROCESS.get()
        if process.life is Life.BURIED:
            raise Gone
        if self.is_away:
            await asyncio.sleep(self.chances.moment())
            raise Gone
        free = self._free[is_reader]
        session = Session(self, process, free.pop() if free else self.raw(is_reader=is_reader), is_reader)
        self.sessions.append(session)
        return session

    def raw(self, *, is_reader: bool) -> sqlite3.Connection:
        """Open SQLite itself."""
        raw = sqlite3.connect(self.file, isolation_level=None, timeout=0, check_same_thread=False)
        for each in (*_PRAGMAS, "query_only=ON" if is_reader else "foreign_keys=ON"):
            raw.execute(f"PRAGMA {each}")
        raw.create_function("server_clock", 0, self.now)
        return raw

    def now(self) -> float:
        """Return the time by the server's own clock."""
        return self.started_at + self.loop.time()

    async def send(self, session: Session, what: str, run: Callable[[], Any]) -> Any:
        message = Message(session, what, run, self.loop.create_future())
        self._under_way.append(message)
        self.loop.call_later(self.chances.moment(), self._arrive, message, context=self.here)
        return await message.answer

    def go_away(self) -> None:
        """End all sessions, and take no new one for a while."""
        self.is_away = True
        for session in list(self.sessions):
            session.end()

    def come_back(self) -> None:
        """Take sessions again."""
        self.is_away = False

    def forget(self, process: Process) -> None:
        """End what a dead process had open; what it had sent may still arrive first."""
        for message in [each for each in self._under_way if each.session.process is process]:
            if self.chances.chance.random() < 0.5:
                self._arrive(message)
        for session in [each for each in self.sessions if each.process is process]:
            session.end()

    def gone(self, session: Session, raw: sqlite3.Connection) -> None:
        """Undo what a session has not committed, and let the next writer in."""
        self.sessions.remove(session)
        if raw.in_transaction:
            raw.rollback()
        self._free[session.is_reader].append(raw)
        for message in [each for each in self._under_way if each.session is session]:
            self._answer(message, error=Gone())
        self._let_go(session)

    def hang_up(self) -> None:
        """End all that is under way: nobody waits for an answer any more."""
        for session in list(self.sessions):
            session.end()
        for message in self._untold:
            if not message.answer.done():
                message.answer.set_exception(Gone())

    def close(self) -> None:
        """Close SQLite's own connections."""
        for raw in (*self._free[True], *self._free[False]):
            raw.close()

    # A message arrives.

    def _arrive(self, message: Message) -> None:
        session = message.session
        if message.is_done:
            return
        session.used_at = self.loop.time()
        if message.what == _WRITES and self._holder not in {None, session}:
            self._wait(message)
            return
        if message.what == "COMMIT" and session.raw.in_transaction:
            self._commit(message)
            return
        if self._breaks(message):
            return
        self._run(message)

    def _breaks(self, message: Message) -> bool:
        """Whether the line, or the disk, fails instead."""
        name = message.session.process.name
        if self.chances.strikes(Fault.LINE, name, _short(message.what)):
            message.session.end()
            return True
        if (
            message.what != "ROLLBACK"
            and not message.session.is_reader
            and self.chances.strikes(Fault.FULL, name, _short(message.what))
        ):
            self._answer(message, error=Failed("SQLITE_FULL", "database or disk is full"))
            return True
        return False

    def _run(self, message: Message) -> None:
        session = message.session
        self.chances.record.note(session.process.name, _short(message.what))
        try:
            result = message.run()
        except Exception as error:  # noqa: BLE001 - it belongs to whoever sent it
            self._answer(message, error=error)
            return
        if message.what == _WRITES:
            self._hold(session)
        elif not session.raw.in_transaction:
            self._let_go(session)
        self._answer(message, result)

    def _commit(self, message: Message) -> None:
        """Commit, or lose the line just before it, or just after it."""
        session, name = message.session, message.session.process.name
        if self.chances.strikes(Fault.COMMIT_UNDONE, name):
            session.end()
            return
        if self._breaks(message):
            return
        is_untold = not session.is_reader and self.chances.strikes(Fault.COMMIT_UNTOLD, name)
        self._run(message)
        if not session.is_reader:
            self.committed(name)
        if is_untold:
            session.end()

    def _answer(self, message: Message, result: Any = None, error: Exception | None = None) -> None:
        message.is_done = True
        self._under_way.remove(message)
        if message in self._waiting:
            self._waiting.remove(message)
        if message.session.process.is_dead:
            self._untold.append(message)
            return
        self.loop.call_later(self.chances.moment(), _tell, message, result, error, context=self.here)

    # One writer at a time.

    def _wait(self, message: Message) -> None:
        self._waiting.append(message)
        self.loop.call_later(_WAIT_SECONDS, self._give_up, message, context=self.here)

    def _give_up(self, message: Message) -> None:
        if not message.is_done:
            self._answer(message, error=Failed("SQLITE_BUSY", "database is locked"))

    def _hold(self, session: Session) -> None:
        self._holder = session
        if self.is_served:
            self.loop.call_later(_IDLE_SECONDS, self._look_at, session, context=self.here)

    def _look_at(self, session: Session) -> None:
        """End a session that stands still in the middle of a transaction."""
        if self._holder is not session:
            return
        wait = session.used_at + _IDLE_SECONDS - self.loop.time()
        if wait > 0:
            self.loop.call_later(wait, self._look_at, session, context=self.here)
        else:
            session.end()

    def _let_go(self, session: Session) -> None:
        if self._holder is not session:
            return
        self._holder = None
        while self._waiting and self._holder is None:
            self._arrive(self._waiting.pop(0))


def _tell(message: Message, result: Any, error: Exception | None) -> None:
    if message.answer.done():
        return
    if not message.session.is_open and error is None:
        error = Gone()  # the answer was on its way when the line broke
    if error is not None:
        message.answer.set_exception(error)
    else:
        message.answer.set_result(result)


@cache
def _short(statement: str) -> str:
    """Name a statement: its verb and its table."""
    words = statement.split()
    verb = words[0].upper()
    after = {"SELECT": "FROM", "INSERT": "INTO", "DELETE": "FROM"}.get(verb, verb)
    upper = [word.upper() for word in words]
    table = words[upper.index(after) + 1] if after in upper[:-1] else ""
    return f"{verb} {table}".strip()
