"""A stretch of time as a stretch of the log, so that a week of long ago is found without reading all that came since.

The log is in the order of ``seq``, which is nearly that of time. Rows whose time lies well before an earlier row's are
noted in ``late``; but for those, no row outside the two bounds found here can lie within the time, and those are looked
at one by one. The time itself is still compared, so the answer is exact whatever the clocks did.
"""

from typing import Any

from sqlalchemy import ColumnElement, Float, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.events import iso
from app.store.log import SLACK_SECONDS
from app.store.tables import LATE

_MARGIN_SECONDS = SLACK_SECONDS + 1.0  # more than rounding to milliseconds could hide


async def within(
    connection: AsyncConnection,
    seq: ColumnElement[int],
    time: ColumnElement[Any],
    since: float | None,
    until: float | None,
) -> list[ColumnElement[bool]]:
    """Return the conditions for rows at or after ``since`` and before ``until`` (epoch seconds).

    ``time`` is an indexed column of epoch seconds, or of the log's own text.
    """
    conditions: list[ColumnElement[bool]] = []
    # An expression, since an index on the time would be read whole and then sorted by seq.
    is_number = isinstance(time.type, Float)
    unindexed = time + 0.0 if is_number else time.concat("")

    def written(at: float) -> float | str:
        return at if is_number else iso(at)

    if since is not None:
        conditions.append(unindexed >= written(since))
        earlier = select(seq).where(time < written(since - _MARGIN_SECONDS), seq.not_in(select(LATE.c.seq)))
        last = await connection.scalar(earlier.order_by(time.desc(), seq.desc()).limit(1))
        if last is not None:
            conditions.append(seq > last)
    if until is not None:
        conditions.append(unindexed < written(until))
        later = select(seq).where(time >= written(until + _MARGIN_SECONDS)).order_by(time, seq).limit(1)
        first = await connection.scalar(later)
        if first is not None:
            late = await connection.scalar(select(func.max(LATE.c.seq)).where(LATE.c.at < until))
            conditions.append(seq < max(first, (late or 0) + 1))
    return conditions
