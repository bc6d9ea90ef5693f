"""When each host was last swept: what a worker that starts anew goes on from. It decides nothing; ``flow.sweep`` does.

A sweep is noted once it has ended, so that one which was cut off by a kill comes again and is not skipped. Where a
claim changes, its host counts as never swept (``proofs.forget``), so that it is soon.
"""

from dataclasses import dataclass

from sqlalchemy import delete, insert, select

from app.store.engine import Database
from app.store.log import Tx
from app.store.tables import SWEEPS


@dataclass(frozen=True, slots=True)
class Swept:
    """The last sweep of a host, and how many in a row got no answer."""

    at: float
    misses: int


async def every(db: Database) -> dict[str, Swept]:
    """Return the last sweep of each host that was swept."""
    async with db.read() as connection:
        rows = (await connection.execute(select(SWEEPS))).all()
    return {row.host: Swept(row.at, row.misses) for row in rows}


async def note(db: Database, host: str, swept: Swept) -> None:
    """Note that a host was swept. A time before the last one is taken: the clock was set back."""

    async def change(tx: Tx) -> None:
        await tx.connection.execute(delete(SWEEPS).where(SWEEPS.c.host == host))
        await tx.connection.execute(insert(SWEEPS).values(host=host, at=swept.at, misses=swept.misses))

    await db.write(change)
