"""What is read of a long table: a page by key, how many rows there are, a stream of all; and a stretch of time.

A page is keyed by ``seq``, never by an offset, so that any page of a million costs what the first one does.

A stretch of time is a stretch of the log, so that a week of long ago is found without reading all that came since. The
log is in the order of ``seq``, which is nearly that of time. Rows whose time lies well before an earlier row's are
noted in ``late``; but for those, no row outside the two bounds found here can lie within the time, and those are looked
at one by one. The time itself is still compared, so the answer is exact whatever the clocks did.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Float, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.events import iso
from app.store.engine import Database
from app.store.log import SLACK_SECONDS
from app.store.tables import LATE

T = TypeVar("T")
# Selects all that fits, newest first, with its ``seq``; it may ask the database how best to.
Choose = Callable[[AsyncConnection], Awaitable[Select[Any]]]

_SEARCH_SECONDS = 2.0
_STREAM_ROWS = 500
_MARGIN_SECONDS = SLACK_SECONDS + 1.0  # more than rounding to milliseconds could hide


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, newest first, and the key of the next page (None on the last)."""

    rows: tuple[T, ...]
    before: int | None


async def page(
    db: Database,
    choose: Choose,
    make: Callable[[Any], T],
    before: int | None,
    limit: int,
    *,
    seconds: float | None = _SEARCH_SECONDS,
) -> Page[T]:
    """Return the newest of what fits, below a key. Raises Refused ``too_slow`` for what no index can answer."""
    async with db.read(seconds=seconds) as connection:
        rows = await _below(connection, await choose(connection), before, limit + 1)
    return Page(tuple(make(row) for row in rows[:limit]), rows[limit - 1].seq if len(rows) > limit else None)


async def count(db: Database, choose: Choose, cap: int) -> int:
    """Return how many fit, at most one more than the cap. Raises Refused ``too_slow`` as a page does."""
    async with db.read(seconds=_SEARCH_SECONDS) as connection:
        fitting = await choose(connection)
        some = fitting.with_only_columns(fitting.selected_columns.seq).limit(cap + 1).subquery()
        return int((await connection.scalar(select(func.count()).select_from(some))) or 0)


async def stream(db: Database, choose: Choose, make: Callable[[Any], T]) -> AsyncIterator[T]:
    """Yield all that fits, newest first, but nothing that came after the first row was asked for.

    It is read page by page, and no connection is held between: whoever takes the rows may be slow, or gone. What never
    changes is so as of one moment; a row that does is as its page found it, and comes at most once all the same.
    """
    some = await page(db, choose, make, None, _STREAM_ROWS, seconds=None)
    while True:
        for row in some.rows:
            yield row
        if some.before is None:
            return
        some = await page(db, choose, make, some.before, _STREAM_ROWS, seconds=None)


async def _below(connection: AsyncConnection, fitting: Select[Any], before: int | None, limit: int) -> list[Any]:
    if before is not None:
        fitting = fitting.where(fitting.selected_columns.seq < before)
    return list((await connection.execute(fitting.limit(limit))).all())


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
