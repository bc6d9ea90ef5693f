"""What happened to a service lately, as the audit log tells it: the last no, its restarts, changes of its entries.

Each answer reads a few rows by index, however long the log is. What follows from it is not decided here.
"""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.events import epoch, iso
from app.core.pace import LOOP_RUNS, Denial
from app.core.registry import Change
from app.store.engine import Database
from app.store.entries import change_of
from app.store.log import body_in
from app.store.tables import AUDIT, PROPOSALS, REQUESTS

_RUNS = ("run_started", "handed_over")
_MOST_CHANGES = 200


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of a registry's entry. ``by`` made it, ``confirmed_by`` is the second editor (people's ids)."""

    change: Change
    at: float
    by: str
    confirmed_by: str | None


async def denial(db: Database, service: str) -> Denial | None:
    """Return the last no to a restart of a service."""
    wanted = (
        select(AUDIT.c.request, AUDIT.c.at, AUDIT.c.by, REQUESTS.c.requester_human)
        .join(REQUESTS, REQUESTS.c.id == AUDIT.c.request)
        .where(AUDIT.c.type == "denied", AUDIT.c.service == service)
        .order_by(AUDIT.c.seq.desc())
        .limit(1)
    )
    async with db.read() as connection:
        row = (await connection.execute(wanted)).one_or_none()
    return Denial(row.request, epoch(row.at), row.by, row.requester_human) if row else None


async def runs(db: Database, service: str, since: float) -> int:
    """Return how often a service was restarted since then; more than make a loop are not counted."""
    wanted = (
        select(AUDIT.c.at)
        .where(AUDIT.c.type.in_(_RUNS), AUDIT.c.service == service)
        .order_by(AUDIT.c.seq.desc())
        .limit(LOOP_RUNS)
    )
    async with db.read() as connection:
        return sum(epoch(at) >= since for at in (await connection.scalars(wanted)).all())


async def asked(db: Database, human: str, since: float) -> int:
    """Return how many restarts a human, by whatever account, asked for since then."""
    wanted = select(func.count()).where(REQUESTS.c.asked_at >= since, REQUESTS.c.requester_human == human)
    async with db.read() as connection:
        return int(await connection.scalar(wanted) or 0)


async def edit(db: Database, service: str, host: str, since: float) -> Edit | None:
    """Return the last change since then of a service's own entry or of its host's."""
    wanted = {("service", service), ("host", host)}
    return next((each for each in await edits(db, since) if (each.change.kind, each.change.name) in wanted), None)


async def edits(db: Database, since: float) -> list[Edit]:
    """Return the changes of the registry since then, the last first, as far as the last few hundred tell."""
    wanted = (
        select(AUDIT.c.body)
        .where(AUDIT.c.type == "registry_changed", AUDIT.c.at >= iso(since))
        .order_by(AUDIT.c.seq.desc())
        .limit(_MOST_CHANGES)
    )
    async with db.read() as connection:
        bodies = [body_in(body) for body in (await connection.scalars(wanted)).all()]
        proposers = await _proposers(connection, [body["data"]["proposal"] for body in bodies])
    return [
        Edit(
            change=change_of(change),
            at=epoch(body["at"]),
            by=proposers.get(body["data"]["proposal"], body["by"]),
            confirmed_by=body["by"] if body["data"]["proposal"] else None,
        )
        for body in bodies
        for change in body["data"]["changes"]
    ]


async def _proposers(connection: AsyncConnection, proposals: list[str]) -> dict[str, str]:
    wanted = select(PROPOSALS.c.id, PROPOSALS.c.by).where(PROPOSALS.c.id.in_(proposals))
    return {row.id: row.by for row in (await connection.execute(wanted)).all()}
