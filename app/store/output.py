"""What a run prints, piece by piece while it runs, for those who watch. The text that stays is kept with its event.

A piece may come twice (from the stream, then from the gate's spool): only bytes beyond what is there are added. Nothing
beyond ``OUTPUT_BYTES`` of one run is kept: one that floods its output harms nobody else.
"""

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.run import OUTPUT_BYTES
from app.store.engine import Database
from app.store.log import Tx
from app.store.tables import OUTPUT


async def append(db: Database, request_id: str, offset: int, data: bytes) -> int:
    """Add what is new in a piece that begins at ``offset``, and return how many bytes there are.

    A piece beyond a gap is left out: whoever reads the gate's spool sends the whole again.
    """

    async def change(tx: Tx) -> int:
        end = await _end(tx.connection, request_id)
        fresh = data[end - offset : OUTPUT_BYTES - offset] if offset <= end < OUTPUT_BYTES else b""
        if fresh:
            await tx.connection.execute(insert(OUTPUT).values(request=request_id, position=end, data=fresh))
            tx.topics.add(request_id)
        return end + len(fresh)

    return await db.write(change)


async def read(db: Database, request_id: str, offset: int = 0) -> bytes:
    """Return what was printed, from an offset on."""
    reach = select(func.max(OUTPUT.c.position)).where(OUTPUT.c.request == request_id, OUTPUT.c.position <= offset)
    wanted = select(OUTPUT.c.position, OUTPUT.c.data).where(
        OUTPUT.c.request == request_id, OUTPUT.c.position >= func.coalesce(reach.scalar_subquery(), 0)
    )
    async with db.read() as connection:
        rows = (await connection.execute(wanted.order_by(OUTPUT.c.position))).all()
    if not rows:
        return b""
    return b"".join(row.data for row in rows)[max(0, offset - rows[0].position) :]


async def _end(connection: AsyncConnection, request_id: str) -> int:
    wanted = select(OUTPUT.c.position, func.length(OUTPUT.c.data)).where(OUTPUT.c.request == request_id)
    last = (await connection.execute(wanted.order_by(OUTPUT.c.position.desc()).limit(1))).one_or_none()
    return sum(last) if last is not None else 0
