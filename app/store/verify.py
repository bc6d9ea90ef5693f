"""Checks the whole log and everything that was derived from it, trusting no row and no column.

First the chain: each row's number follows, its hash follows from its own bytes and the hash before, and its columns say
what its bytes say. Then the projections: each is built anew from the events and compared with the rows that are there.
It repairs nothing, and needs memory for a few hundred rows at a time, however long the log is. What it cannot see is a
log that was written anew as a whole, or cut at its end together with its head: a head kept elsewhere tells that.
"""

import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field, fields
from itertools import groupby
from typing import Any

from sqlalchemy import Table, exists, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel

from app.core import lifecycle
from app.core.errors import AskfirstError, IllegalEvent
from app.core.events import event_of
from app.store import projection
from app.store.engine import Database
from app.store.log import FIRST, Head, body_in, link
from app.store.rebuild import Rebuilt, Rows
from app.store.tables import AUDIT, AUDIT_HEAD, DECISIONS, REQUESTS

_ROWS = 500
_MOST_DIFFERENCES = 100
_NO_EVENT = (KeyError, TypeError, ValueError, AttributeError)  # what reading a forged event may raise
_SECRETS = frozenset({"digest", "password_hash"})  # the log knows none of them, and an auditor may not read them
_SHOWN = ("seq", "id", "type", "at", "by", "request", "version", "service", "host")


@dataclass(slots=True)
class Report:
    """What was found: how many rows, the last good hash (hex), the first row that is broken with why, what differs.

    ``differences`` is empty where the log itself is broken: then nothing derived from it was compared.
    """

    rows: int = 0
    head: str = FIRST.hex()
    first_broken: int | None = None
    why: str = ""
    differences: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether the log is unbroken and every projection is what the log says."""
        return self.first_broken is None and not self.differences


async def verify(db: Database) -> Report:
    """Check the log and all that was derived from it, as of one moment."""
    async with db.read() as connection:
        return await verify_on(connection)


async def verify_on(connection: AsyncConnection) -> Report:
    """The same, as a transaction sees it that is not committed yet."""
    report, rebuilt = Report(), Rebuilt()
    await _chain(connection, report, rebuilt)
    if report.first_broken is None:
        async for difference in _differences(connection, rebuilt):
            report.differences.append(difference)
            if len(report.differences) >= _MOST_DIFFERENCES:
                break
    return report


async def _chain(connection: AsyncConnection, report: Report, rebuilt: Rebuilt) -> None:
    here = Head(0, FIRST, 0.0)
    async for row in pages(connection, select(AUDIT), AUDIT.c.seq):
        body, why = _read(row, here)
        if why:
            report.first_broken, report.why = here.seq + 1, why
            return
        here = Head(row.seq, row.hash, 0.0)
        report.rows, report.head = row.seq, row.hash.hex()
        try:
            rebuilt.see(body)
        except _NO_EVENT:
            report.first_broken, report.why = row.seq, "it is no event that Askfirst writes"
            return
    head = (await connection.execute(select(AUDIT_HEAD.c.seq, AUDIT_HEAD.c.hash))).one_or_none()
    if head is None or (head.seq, head.hash) != (here.seq, here.hash):
        report.first_broken = here.seq + 1
        report.why = f"the log's head names row {head.seq if head else 'none'}, the last row is {here.seq}"


def _read(row: Any, before: Head) -> tuple[dict[str, Any], str]:
    """Read a row's body, and say what is wrong with the row, or nothing."""
    if row.seq != before.seq + 1:
        return {}, f"row {before.seq + 1} is missing: row {row.seq} comes next"
    if row.prev != before.hash:
        return {}, "it does not follow from the row before"
    if row.hash != link(row.prev, row.body):
        return {}, "its hash does not follow from its bytes"
    try:
        body = body_in(row.body)
    except _NO_EVENT:
        return {}, "its bytes are no event"
    shown = (row.seq, row.event_id, row.type, row.at, row.by, row.request, row.version, row.service, row.host)
    for name, value in zip(_SHOWN, shown, strict=True):
        if body.get(name) != value:
            return body, f"its {name} is shown as {value!r}, its bytes say {body.get(name)!r}"
    return body, ""


async def _differences(connection: AsyncConnection, rebuilt: Rebuilt) -> AsyncIterator[str]:
    latest = await connection.scalar(select(AUDIT_HEAD.c.latest))
    if latest != rebuilt.latest:
        yield f"audit_head: latest is {latest!r}, the log says {rebuilt.latest!r}"
    for name in (each.name for each in fields(Rebuilt) if each.name != "latest"):
        table, expected = SQLModel.metadata.tables[name], getattr(rebuilt, name)
        columns = [column for column in table.columns if column.name not in _SECRETS]
        stored = [row._asdict() async for row in pages(connection, select(*columns), *table.primary_key.columns)]
        for difference in _compare(table, expected, stored):
            yield difference
    async for batch in _requests(connection):
        async for difference in _batch_differences(connection, batch):
            yield difference
    for table, column in ((REQUESTS, REQUESTS.c.id), (DECISIONS, DECISIONS.c.request)):
        orphans = select(column).where(~exists().where(AUDIT.c.request == column)).limit(_MOST_DIFFERENCES)
        for name in (await connection.scalars(orphans)).all():
            yield f"{table.name} {name}: the log holds no such request"


async def _requests(connection: AsyncConnection) -> AsyncIterator[list[tuple[str, list[Any]]]]:
    """Yield the rows of some whole requests at a time."""
    batch: list[Any] = []
    wanted = select(AUDIT.c.request, AUDIT.c.version, AUDIT.c.seq, AUDIT.c.body).where(AUDIT.c.request.is_not(None))
    async for row in pages(connection, wanted, AUDIT.c.request, AUDIT.c.version):
        if len(batch) >= _ROWS and row.request != batch[-1].request:
            yield _by_request(batch)
            batch = []
        batch.append(row)
    if batch:
        yield _by_request(batch)


def _by_request(rows: list[Any]) -> list[tuple[str, list[Any]]]:
    return [(request, list(group)) for request, group in groupby(rows, key=lambda row: row.request)]


async def _batch_differences(connection: AsyncConnection, batch: list[tuple[str, list[Any]]]) -> AsyncIterator[str]:
    requests: Rows = {}
    decisions: Rows = {}
    for request_id, rows in batch:
        try:
            _fold(request_id, rows, requests, decisions)
        except (AskfirstError, *_NO_EVENT) as error:
            yield f"requests {request_id}: its events do not fit each other: {error}"
    ids = [request_id for request_id, _ in batch]
    for table, column, expected in ((REQUESTS, REQUESTS.c.id, requests), (DECISIONS, DECISIONS.c.request, decisions)):
        stored = [row._asdict() for row in (await connection.execute(select(table).where(column.in_(ids)))).all()]
        for difference in _compare(table, expected, stored):
            yield difference


def _fold(request_id: str, rows: list[Any], requests: Rows, decisions: Rows) -> None:
    request, first = None, rows[0].seq
    for row in rows:
        event = event_of(json.loads(row.body))
        request = lifecycle.begin(request_id, event) if request is None else lifecycle.apply(request, event)
        if request.version != row.version:
            raise IllegalEvent(f"version {request.version} is missing", next_step="Look at the log.")
        if decision := projection.decision_of(request, event, first):
            decisions[request_id, row.version] = decision
    if request is not None:
        requests[request_id,] = projection.row_of(request, first)


def _compare(table: Table, expected: Rows, stored: Iterable[dict[str, Any]]) -> list[str]:
    keys = [column.name for column in table.primary_key.columns]
    found = {tuple(row[key] for key in keys): row for row in stored}
    differences = []
    for key in sorted({*expected, *found}, key=str):
        name = f"{table.name} {' '.join(map(str, key))}"
        if key not in found:
            differences.append(f"{name}: the row is missing")
        elif key not in expected:
            differences.append(f"{name}: the log knows no such row")
        else:
            differences += [
                f"{name}: {column} is {found[key][column]!r}, the log says {value!r}"
                for column, value in expected[key].items()
                if found[key][column] != value
            ]
    return differences


async def pages(connection: AsyncConnection, source: Any, *keys: Any) -> AsyncIterator[Any]:
    """Yield every row in the order of a unique key, a page at a time."""
    wanted = source.order_by(*keys).limit(_ROWS)
    rows = (await connection.execute(wanted)).all()
    while rows:
        for row in rows:
            yield row
        last: list[Any] = [getattr(rows[-1], key.name) for key in keys]
        rows = (await connection.execute(wanted.where(tuple_(*keys) > tuple_(*last)))).all()
