"""The audit log: how an event becomes a row, and what a change is given to write one.

It commits nothing, ``writer`` does. A change's events and its other rows are one transaction, so that neither is ever
there without the other.

One row: ``body`` is the RFC 8785 bytes of the event with its ``seq``, stored as written and never written anew to
verify; ``hash`` is SHA-256 over ``0x02``, the hash before (32 zero bytes for the first) and the body::

    {"at":"2026-01-27T10:15:00.250Z","by":"ada","data":{},"id":"e1","seq":1,"type":"cancelled"}

Every other column is generated from ``body`` by the database, so that what is shown cannot differ from what is proved.
The order of the log is ``seq``'s, never a clock's. An event whose time lies more than ``SLACK_SECONDS`` before one that
is already there is noted in ``late``: a clock was set back, or somebody dates back.
"""

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import rfc8785
from sqlalchemy import select
from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.commitment import Text
from app.core.errors import Broken, Conflict
from app.core.events import epoch, iso
from app.store.dialect import Dialect, Run
from app.store.tables import AUDIT

FIRST = bytes(32)
SLACK_SECONDS = 60.0
_APPEND = "INSERT INTO audit (seq, body, prev, hash) VALUES (?, ?, ?, ?)"
_KEEP = sql("INSERT INTO texts (commitment, salt, body) VALUES (:commitment, :salt, :body) ON CONFLICT DO NOTHING")
_NOTE_LATE = "INSERT INTO late (seq, at) VALUES (?, ?)"


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


def is_late(at: float, latest: float) -> bool:
    """Whether an event is dated before what is already there, by more than callers who queue at once explain."""
    return at < latest - SLACK_SECONDS


@dataclass(slots=True)
class Head:
    """Where the log ends: the last row's number and hash, and the latest time (epoch seconds) of any row."""

    seq: int
    hash: bytes
    latest: float


class Tx:
    """What a change is given: the connection that it writes its rows on, and the log.

    ``topics`` is whom to wake in other processes once it is durable: who follows a request (its id), who looks for
    ``work``.
    """

    def __init__(self, dialect: Dialect, connection: AsyncConnection, run: Run, head: Head) -> None:
        """Continue a log from its head; ``run`` is the connection's fast path for plain statements."""
        self.dialect = dialect
        self.connection = connection
        self.run = run
        self.head = head
        self.topics: set[str] = set()

    async def record(self, body: Mapping[str, Any]) -> int:
        """Append one event and return its number. Raises Conflict where its id or its version is taken."""
        seq, at = self.head.seq + 1, epoch(body["at"])
        written = canonical({**body, "seq": seq})
        chained = link(self.head.hash, written)
        try:
            await self.run(_APPEND, (seq, written, self.head.hash, chained))
        except self.dialect.CONSTRAINTS as error:
            if self.dialect.is_duplicate(error):
                raise Conflict(
                    "Somebody else was first.", code="too_late", next_step="Open it again: it shows what holds now."
                ) from error
            raise Broken(
                f"The audit log refuses a row: {error}.",
                code="log_refuses",
                next_step="Run `askfirst audit verify` before anything else.",
            ) from error
        if is_late(at, self.head.latest):
            await self.run(_NOTE_LATE, (seq, at))
        self.head = Head(seq, chained, max(at, self.head.latest))
        self.topics |= {"work", *filter(None, [body.get("request")])}
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
        rows = [
            {"commitment": text.commitment, "salt": text.salt, "body": text.body.encode("utf-8", "surrogateescape")}
            for text in texts
        ]
        if rows:
            await self.connection.execute(_KEEP, rows)

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
    return dict(json.loads(row.decode()))
