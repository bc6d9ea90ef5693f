"""The audit log and the one writer of this process: callers queue a change and are released when it is durable.

The writer takes whatever has queued, gives each change a savepoint of its own, chains their events in order, and
commits once; an idle queue commits at once. It decides nothing about what a change is. Keeps law 10 (log, then act): a
change's events and its rows are one transaction, and nobody is told of success before the commit has returned.

One row: ``body`` is the RFC 8785 bytes of the event with its ``seq``, stored as written and never written anew to
verify; ``hash`` is SHA-256 over ``0x02``, the hash before (32 zero bytes for the first) and the body::

    {"at":"2026-01-27T10:15:00.250Z","by":"ada","data":{},"id":"e1","seq":1,"type":"cancelled"}

Every other column is generated from ``body`` by the database, so that what is shown cannot differ from what is proved.
"""

import asyncio
import hashlib
import json
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import rfc8785
from sqlalchemy import insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.core.commitment import Text
from app.core.errors import AskfirstError, Broken, Conflict
from app.core.events import iso
from app.store import sqlite
from app.store.tables import AUDIT, TEXTS

T = TypeVar("T")

FIRST = bytes(32)
_LARGEST_BATCH = 256
_HEAD = "SELECT seq, hash FROM audit_head WHERE id = 1"
_MOVE_HEAD = "UPDATE audit_head SET seq = ?, hash = ? WHERE id = 1"
_APPEND = "INSERT INTO audit (seq, body, prev, hash) VALUES (?, ?, ?, ?)"


def canonical(body: Mapping[str, Any]) -> bytes:
    """Write a body in the one way there is to write it (RFC 8785). Raises Broken for what JSON cannot hold exactly."""
    try:
        return rfc8785.dumps(dict(body))
    except rfc8785.CanonicalizationError as error:
        raise Broken(
            f"An event cannot be written exactly: {error}.",
            code="event_not_exact",
            next_step="Report this: it is a fault of Askfirst.",
        ) from error


def body_for(kind: str, data: Mapping[str, Any], *, event_id: str, at: float, by: str, **about: str) -> dict[str, Any]:
    """Write an event that is no request's; ``about`` may name a service and a host."""
    return {"type": kind, "id": event_id, "at": iso(at), "by": by, "data": dict(data), **about}


def link(prev: bytes, body: bytes) -> bytes:
    """Return the hash that chains a body to the row before it."""
    return hashlib.sha256(b"\x02" + prev + body).digest()


@dataclass(slots=True)
class Head:
    """Where the log ends: the last row's number and hash."""

    seq: int
    hash: bytes


class Tx:
    """What a change is given: the connection that it writes its rows on, and the log."""

    def __init__(self, connection: AsyncConnection, head: Head) -> None:
        """Continue a log from its head."""
        self.connection = connection
        self.head = head

    async def record(self, body: Mapping[str, Any]) -> int:
        """Append one event and return its number. Raises Conflict where its id or its version is taken."""
        seq = self.head.seq + 1
        written = canonical({**body, "seq": seq})
        chained = link(self.head.hash, written)
        try:
            await self.connection.exec_driver_sql(_APPEND, (seq, written, self.head.hash, chained))
        except IntegrityError as error:
            if sqlite.is_duplicate(error):
                raise Conflict(
                    "Somebody else was first.", code="too_late", next_step="Open it again: it shows what holds now."
                ) from error
            raise Broken(
                f"The audit log refuses a row: {error.orig}.",
                code="log_refuses",
                next_step="Run `askfirst audit verify` before anything else.",
            ) from error
        self.head = Head(seq, chained)
        return seq

    async def recorded(self, body: Mapping[str, Any]) -> int | None:
        """Return the number of an event that is in the log already, byte for byte: its acknowledgement was lost.

        Raises Conflict where its id was used for something else.
        """
        wanted = select(AUDIT.c.seq, AUDIT.c.body).where(AUDIT.c.event_id == body["id"])
        row = (await self.connection.execute(wanted)).one_or_none()
        if row is None:
            return None
        if row.body != canonical({**body, "seq": row.seq}):
            raise id_is_used(str(body["id"]))
        return int(row.seq)

    async def keep(self, texts: Iterable[Text]) -> None:
        """Keep the texts that events of this change name by their commitments."""
        for text in texts:
            known = select(TEXTS.c.salt).where(TEXTS.c.commitment == text.commitment)
            if (await self.connection.execute(known)).one_or_none() is None:
                body = text.body.encode("utf-8", "surrogateescape")
                row = {"commitment": text.commitment, "salt": text.salt, "body": body}
                await self.connection.execute(insert(TEXTS).values(row))

    async def keep_words(self, body: str) -> str:
        """Keep a text that was written just now, with a fresh salt, and return its commitment; nothing for no text."""
        if not body:
            return ""
        text = Text(secrets.token_bytes(16), body)
        await self.keep([text])
        return text.commitment


def id_is_used(event_id: str) -> Conflict:
    """Return the refusal of an event whose id stands in the log with another content."""
    return Conflict(
        f"The event {event_id} is in the log already, with another content.",
        code="event_id_used",
        next_step="Repeat it with a new id.",
    )


def body_in(row: bytes) -> dict[str, Any]:
    """Read a stored body."""
    return dict(json.loads(row))


class _Job:
    """One change that waits, and its caller's future."""

    def __init__(self, change: Callable[[Tx], Awaitable[Any]]) -> None:
        self.change = change
        self.done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.result: Any = None
        self.refusal: Exception | None = None

    async def run(self, tx: Tx) -> None:
        """Make the change in a savepoint and undo it alone where it is refused. Raises where the batch cannot go on."""
        head = tx.head
        savepoint = await tx.connection.begin_nested()
        try:
            self.result = await self.change(tx)
        except Exception as error:  # noqa: BLE001 - it is handed to the caller, whatever it is
            await savepoint.rollback()
            tx.head = head
            self.refusal = sqlite.explain(error) if isinstance(error, DBAPIError) else error
            self.refusal.__cause__ = error if self.refusal is not error else error.__cause__
        else:
            await savepoint.commit()

    def release(self) -> None:
        """Tell the caller, who may have gone."""
        if self.done.done():
            return
        if self.refusal is not None:
            self.done.set_exception(self.refusal)
        else:
            self.done.set_result(self.result)

    def fail(self, error: Exception) -> None:
        """Tell the caller that nothing was recorded."""
        if not self.done.done():
            self.done.set_exception(error)


class Writer:
    """The one writer of this process."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Write through this engine, whose transactions begin by excluding every other writer."""
        self._engine = engine
        self._queue: deque[_Job] = deque()
        self._task: asyncio.Task[None] | None = None

    async def write(self, change: Callable[[Tx], Awaitable[T]]) -> T:
        """Run a change and return its answer once it is durable.

        The change awaits nothing but its own ``Tx``, and runs at most once. What it raises undoes it alone and comes
        back here. Raises Broken where the database could not take it (a full disk): then nothing of it is there.
        """
        job = _Job(change)
        self._queue.append(job)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        result: T = await job.done
        return result

    async def close(self) -> None:
        """Let what is queued be written, then close."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])
        await self._engine.dispose()

    async def _work(self) -> None:
        while self._queue:
            count = min(len(self._queue), _LARGEST_BATCH)
            batch = [self._queue.popleft() for _ in range(count)]
            batch = [job for job in batch if not job.done.done()]  # a caller who went away before it began
            try:
                await self._commit(batch)
            except DBAPIError as error:
                _fail(batch, sqlite.explain(error), error)
            except AskfirstError as error:
                _fail(batch, error, error)
            except BaseException as error:
                for job in (*batch, *self._queue):
                    job.done.cancel()
                self._queue.clear()
                raise error from None
            else:
                for job in batch:
                    job.release()

    async def _commit(self, batch: list[_Job]) -> None:
        async with self._engine.begin() as connection:
            head = (await connection.exec_driver_sql(_HEAD)).one_or_none()
            if head is None:
                raise Broken(
                    "The audit log has lost its head.", code="log_broken", next_step="Run `askfirst audit verify`."
                )
            tx = Tx(connection, Head(head.seq, head.hash))
            for job in batch:
                await job.run(tx)
            if tx.head.seq != head.seq:
                await connection.exec_driver_sql(_MOVE_HEAD, (tx.head.seq, tx.head.hash))


def _fail(batch: list[_Job], meaning: AskfirstError, cause: Exception) -> None:
    for job in batch:
        error = type(meaning)(meaning.message, next_step=meaning.next_step, code=meaning.code)
        error.__cause__ = cause
        job.fail(error)
