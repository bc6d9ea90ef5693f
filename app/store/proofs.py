"""The last look at each service, and the verdict that holds of it.

What a look means is decided in ``core.freshness``. A verdict that changes is an event, written in the same transaction
as the row that says what holds and as the notices of those whom it concerns, so that none is there without the others.
"""

import json
import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.events import SYSTEM, epoch, iso
from app.core.freshness import Seen, after, holds, is_overtaken
from app.core.registry import Change
from app.core.service import Host, Service
from app.store import notices
from app.store.engine import Database
from app.store.log import Tx, body_for
from app.store.tables import NOTICES, PROOFS, REGISTRY, SWEEPS, VERDICTS


@dataclass(frozen=True, slots=True)
class Proof:
    """The last look at a service, with what it and those before come to. ``findings_json`` is what the flow wrote.

    ``held`` is the verdict that holds, ``since`` when it began to; empty and 0 where none does yet.
    """

    service: str
    host: str
    need: str
    findings_json: str
    seen: Seen
    held: str = ""
    since: float = 0.0

    @property
    def verdict(self) -> str:
        """The last look's verdict."""
        return self.seen.verdict

    @property
    def at(self) -> float:
        """When the last look was taken."""
        return self.seen.at


@dataclass(frozen=True, slots=True)
class Turn:
    """A verdict that changed. ``before`` is empty where none held; ``told`` is how many people it concerns."""

    service: str
    host: str
    before: str
    after: str
    at: float
    told: int


_PROOFS = select(PROOFS, VERDICTS.c.verdict.label("held"), VERDICTS.c.since).select_from(
    PROOFS.outerjoin(VERDICTS, VERDICTS.c.service == PROOFS.c.service)
)


async def proofs(db: Database) -> dict[str, Proof]:
    """Return the last look at each service that was looked at since its claim last changed."""
    async with db.read() as connection:
        return {row.service: _proof(row) for row in (await connection.execute(_PROOFS)).all()}


async def proof(db: Database, service: str) -> Proof | None:
    """Return the last look at one service."""
    async with db.read() as connection:
        row = (await connection.execute(_PROOFS.where(PROOFS.c.service == service))).one_or_none()
    return _proof(row) if row is not None else None


async def record_proof(  # noqa: PLR0917 - a proof's fields, in the order in which they are made
    db: Database, service: str, verdict: str, need: str, at: float, findings_json: str
) -> Turn | None:
    """Keep a look as a service's last one, unless a later one is there; return the change of verdict that it makes.

    A service that is no longer in the registry has no last look.
    """

    async def change(tx: Tx) -> Turn | None:
        claim = select(REGISTRY.c.body).where(REGISTRY.c.kind == "service", REGISTRY.c.name == service)
        entry = await tx.connection.scalar(claim)
        last = (await tx.connection.execute(select(PROOFS).where(PROOFS.c.service == service))).one_or_none()
        if entry is None or (last is not None and is_overtaken(at, last.at)):
            return None
        claimed = json.loads(entry)
        seen = after(_seen(last) if last is not None else None, str(verdict), at)
        await tx.connection.execute(delete(PROOFS).where(PROOFS.c.service == service))
        row = {"service": service, "host": claimed["host"], "need": str(need), "findings": findings_json}
        await tx.connection.execute(insert(PROOFS).values(**row, **_columns(seen)))
        held = await tx.connection.scalar(select(VERDICTS.c.verdict).where(VERDICTS.c.service == service)) or ""
        now = holds(seen, held)
        return None if now == held else await _turned(tx, claimed, held, now, need=str(need), at=at)

    return await db.write(change)


async def forget(connection: AsyncConnection, change: Change) -> None:
    """Forget what was proved of a service, or of all on a host, where its claim is another now; its host is due."""
    entries = [each for each in (change.before, change.after) if isinstance(each, (Service, Host))]
    for entry in entries:
        host = entry.host if isinstance(entry, Service) else entry.name
        await connection.execute(delete(SWEEPS).where(SWEEPS.c.host == host))
        for table in (PROOFS, VERDICTS, NOTICES):
            column = table.c.service if isinstance(entry, Service) else table.c.host
            await connection.execute(delete(table).where(column == entry.name))


async def _turned(tx: Tx, claimed: dict[str, Any], before: str, now: str, *, need: str, at: float) -> Turn:
    """Write that a verdict changed, what holds now, and a notice to everybody whom it concerns."""
    about = {"service": claimed["name"], "host": claimed["host"]}
    data = {"before": before, "after": now, "need": need}
    event_id = f"proof-{secrets.token_hex(16)}"
    seq = await tx.record(body_for("verdict_changed", data, event_id=event_id, at=at, by=SYSTEM, **about))
    await tx.connection.execute(delete(VERDICTS).where(VERDICTS.c.service == claimed["name"]))
    row = {**about, "verdict": now, "since": epoch(iso(at))}
    await tx.connection.execute(insert(VERDICTS).values(row))
    told = await notices.tell(tx.connection, row, owner=claimed["owner"], was=before, seq=seq)
    return Turn(**about, before=before, after=now, at=at, told=told)


def _proof(row: Row[Any]) -> Proof:
    return Proof(row.service, row.host, row.need, row.findings, _seen(row), row.held or "", row.since or 0.0)


def _seen(row: Row[Any]) -> Seen:
    return Seen(row.verdict, row.at, row.proved, row.proved_at, row.unseen, row.unseen_since)


def _columns(seen: Seen) -> dict[str, Any]:
    return {name: getattr(seen, name) for name in Seen.__dataclass_fields__}
