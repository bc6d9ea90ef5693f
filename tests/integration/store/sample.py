"""What the tests of the store write: the events of a request's life, and a hand on the database that no rule holds."""

import asyncio
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from app.core.commitment import Text
from app.core.events import Approved, Asked, Blocked, Cancelled, Denied, RunStarted, Verified
from app.core.lifecycle import Request
from app.store import requests
from app.store.engine import Database, open_database
from app.store.log import Tx, body_for

NOW = 1769508900.25
_numbers = count(1)
REASON = Text(b"0123456789abcdef", "TFTP fix 6ed8c30 is pulled, the process is older")


def fresh_id() -> str:
    return f"e{next(_numbers):06}"


def asked(service: str = "pypnm-gui", **other: Any) -> Asked:
    event = Asked(
        id=fresh_id(),
        at=NOW,
        by="ada",
        service=service,
        host="alpha",
        environment="production",
        requester="ada",
        requester_human="ada",
        reason_text=REASON.commitment,
        ticket_text="",
        registry=1,
    )
    return replace(event, **other)


def verified(**other: Any) -> Verified:
    event = Verified(
        id=fresh_id(),
        at=NOW + 1,
        by="askfirst",
        need="NEEDED",
        evidence_text="sha256:evidence",
        warrant_text="sha256:warrant",
        digest="d1",
        manager="supervisor",
        policy="production",
        policy_revision=1,
        approvers=1,
        groups=(("lab-team",),),
        assurance=1,
        not_after=NOW + 900,
    )
    return replace(event, **other)


def approved(by: str = "bo", **other: Any) -> Approved:
    return replace(Approved(id=fresh_id(), at=NOW + 2, by=by, human=by, digest="d1", level="click"), **other)


def denied(by: str = "bo") -> Denied:
    return Denied(id=fresh_id(), at=NOW + 2, by=by, reason_text="")


def blocked() -> Blocked:
    return Blocked(
        id=fresh_id(), at=NOW + 1, by="askfirst", verdict="WRONG_MANAGER", need="UNSURE", evidence_text="sha256:e"
    )


def cancelled() -> Cancelled:
    return Cancelled(id=fresh_id(), at=NOW + 2, by="ada")


def run_started(worker: str = "w1") -> RunStarted:
    return RunStarted(id=fresh_id(), at=NOW + 3, by="askfirst", digest="d1", worker=worker)


async def ask(db: Database, request_id: str = "", event: Asked | None = None) -> Request:
    texts = [REASON]
    return await requests.create(
        db, request_id or f"01REQ{fresh_id()}", event or asked(), texts, key=None, key_digest=""
    )


async def waiting(db: Database, request_id: str = "", event: Asked | None = None, **other: Any) -> Request:
    return await requests.append(db, await ask(db, request_id, event), verified(**other))


async def note(db: Database, event_id: str = "", at: float = NOW) -> int:
    """Write an event that is nobody's projection."""

    async def change(tx: Tx) -> int:
        return await tx.record(body_for("noted", {}, event_id=event_id or fresh_id(), at=at, by="ada"))

    return await db.write(change)


def raw(url: str, *statements: str | tuple[str, tuple[Any, ...]]) -> list[Any]:
    """Run SQL past all of Askfirst's code, as whoever can write the file could, and return the last one's rows."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
        rows: list[Any] = []
        for statement in statements:
            sql, values = (statement, ()) if isinstance(statement, str) else statement
            rows = connection.execute(sql, values).fetchall()
        return rows


def disarmed(url: str, *statements: str | tuple[str, tuple[Any, ...]]) -> list[Any]:
    """The same as the database's owner could, who drops the triggers first."""
    triggers = raw(url, "SELECT name FROM sqlite_master WHERE type = 'trigger'")
    return raw(
        url, *(f"DROP TRIGGER {name}" for (name,) in triggers), "PRAGMA ignore_check_constraints=ON", *statements
    )


def made_once(file: Path, fill: Callable[[Database], Awaitable[None]] | None = None) -> Path:
    """Make a database that tests take copies of: migrating and filling one takes longer than most of them do."""

    async def make() -> None:
        db = await open_database(f"sqlite:///{file}")
        if fill is not None:
            await fill(db)
        await db.close()

    asyncio.run(make())
    return file


async def open_copy(file: Path, url: str) -> Database:
    place = Path(url.removeprefix("sqlite:///"))
    place.parent.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(file, place)
    return await open_database(url)
