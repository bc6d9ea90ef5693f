"""Leases: which worker takes the next step with a request or a host, until when, and the fence against a late one.

A lease proves nothing about the world: it only spares two workers the same work. What makes two runs impossible is the
event's unique key, then the host. It decides nothing; ``flow.worker`` does. Times are the database's own clock, seconds
of the epoch; a file has none, so that there it is the asker's. The fence counts how often a subject was taken: what is
written under a lease that somebody else took since, or that ran out, is refused in its own transaction (``fenced``),
whatever the writer believes. Of all replicas one writes at a time, by the log's head: no locked row has to be skipped.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from app.core.errors import Conflict
from app.store.dialect import timed
from app.store.engine import Database
from app.store.log import Tx

LONGEST_SECONDS = 900.0
"""No lease is given for longer, whatever a server is set to: one that ends later was given before the clock was set
back, and is none. Whoever takes one honours what others hold up to that, so that their own lengths may differ."""
_HELD = "SELECT subject FROM leases WHERE until > CLOCK AND until <= CLOCK + ?"
_TAKE = """
INSERT INTO leases (subject, worker, fence, until) VALUES (?, ?, 1, CLOCK + ?)
ON CONFLICT (subject) DO UPDATE SET worker = excluded.worker, fence = leases.fence + 1, until = excluded.until
WHERE leases.until <= excluded.until - ? OR leases.until > excluded.until + ?
RETURNING fence
"""
_RENEW = """
UPDATE leases SET until = CLOCK + ?
WHERE subject = ? AND worker = ? AND fence = ? AND until > CLOCK
RETURNING fence
"""
_HOLDS = "SELECT 1 FROM leases WHERE subject = ? AND worker = ? AND fence = ? AND until > CLOCK"
_GIVE_BACK = "UPDATE leases SET until = 0 WHERE subject = ? AND worker = ? AND fence = ?"
_FORGET = "DELETE FROM leases WHERE subject = ? AND until = 0"
_CLEAR = "UPDATE leases SET until = 0"


@dataclass(frozen=True, slots=True)
class Lease:
    """What one worker holds: a request's id, or ``sweep HOST``."""

    subject: str
    worker: str
    fence: int


async def held(db: Database, now: float) -> set[str]:
    """Return what is held now, by whomever."""
    async with db.read() as connection:
        run = await db.dialect.fast(connection)
        rows = await run(timed(db.dialect, _HELD), (now, now, LONGEST_SECONDS))
        return {subject for (subject,) in rows}


async def take(db: Database, subjects: Sequence[str], worker: str, *, now: float, seconds: float) -> list[Lease]:
    """Take what of these is free, for so many seconds, and return the leases that were got."""

    async def change(tx: Tx) -> list[Lease]:
        statement = timed(tx.dialect, _TAKE)
        got = []
        for subject in subjects:
            values = (subject, worker, now, seconds, seconds, LONGEST_SECONDS - seconds)
            got += [Lease(subject, worker, fence) for (fence,) in await tx.run(statement, values)]
        return got

    return await db.write(change) if subjects else []


async def renew(db: Database, leases: Iterable[Lease], *, now: float, seconds: float) -> set[Lease]:
    """Make these last so many seconds from now, and return those that are lost: taken since, or run out."""
    kept = list(leases)

    async def change(tx: Tx) -> set[Lease]:
        statement = timed(tx.dialect, _RENEW)
        lost = set()
        for each in kept:
            values = (now, seconds, each.subject, each.worker, each.fence, now)
            if not list(await tx.run(statement, values)):
                lost.add(each)
        return lost

    return await db.write(change) if kept else set()


async def give_back(db: Database, lease: Lease) -> None:
    """Let the next one take it at once. One that is not ours any more stays with whoever has it."""

    async def change(tx: Tx) -> None:
        await tx.run(_GIVE_BACK, (lease.subject, lease.worker, lease.fence))

    await db.write(change)


async def forget(db: Database, subjects: Iterable[str]) -> None:
    """Remember nothing more of what is over, and held by nobody."""
    kept = list(subjects)

    async def change(tx: Tx) -> None:
        for subject in kept:
            await tx.run(_FORGET, (subject,))

    await db.write(change)


async def clear(db: Database) -> None:
    """Give back all leases: for the one process of a file, which knows that whoever held them is gone."""

    async def change(tx: Tx) -> None:
        await tx.run(_CLEAR)

    await db.write(change)


def fenced(db: Database, lease: Lease, now: Callable[[], float]) -> Database:
    """Return the database as the holder of a lease writes to it: not at all once the lease is lost.

    ``write`` then raises Conflict ``lease_lost``, with nothing changed.
    """

    async def guard(tx: Tx) -> None:
        values = (lease.subject, lease.worker, lease.fence, now())
        if not list(await tx.run(timed(tx.dialect, _HOLDS), values)):
            raise Conflict(
                "Another worker has taken this over: what this one found came too late.",
                code="lease_lost",
                next_step="Nothing is to do: whoever holds it finds out what is true.",
            )

    return replace(db, guard=guard)
