"""The audit log as people read it: filtered pages by key, counts, and exports of exactly what was filtered.

It proves nothing: ``verify`` does. An export of events carries each row's own bytes and hashes, so that it can be
checked without us. One event of it, here on two lines::

    {"body":{"at":"2026-01-27T10:15:00.250Z","by":"ada","data":{},"id":"e1","seq":1,"type":"cancelled"},
     "hash":"9f86…","prev":"0000…"}
"""

import csv
import io
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.events import epoch, iso
from app.store import listing, window
from app.store.engine import Database
from app.store.log import body_in
from app.store.tables import AUDIT, PEOPLE
from app.store.window import Page, within

_EQUAL = ("type", "by", "request", "service", "host")
_COLUMNS = (AUDIT, func.coalesce(PEOPLE.c.name, AUDIT.c.by).label("by_name"))
# A spreadsheet takes a cell that begins so for a formula and runs it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Filter:
    """What is looked for; an empty field asks for nothing. ``by`` is a person's id, or ``askfirst``.

    ``since`` and ``until`` are epoch seconds, the second exclusive.
    """

    type: str = ""
    by: str = ""
    request: str = ""
    service: str = ""
    host: str = ""
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of the log. ``hash`` is hex; ``by_name`` is the id where the person is gone."""

    seq: int
    at: float
    type: str
    by: str
    by_name: str
    request: str | None
    version: int | None
    service: str | None
    host: str | None
    data: Mapping[str, Any]
    hash: str


async def page(db: Database, wanted: Filter, before: int | None = None, limit: int = 50) -> Page[Entry]:
    """Return the newest events that fit, below a key. Raises Refused ``too_slow`` for what no index can answer."""
    return await window.page(db, partial(_select, wanted=wanted), _entry, before, limit)


async def count(db: Database, wanted: Filter, cap: int = 50) -> int:
    """Return how many fit, at most one more than the cap: more than the cap is shown as "50+"."""
    return await window.count(db, partial(_select, wanted=wanted), cap)


async def events_as_json_lines(db: Database, wanted: Filter) -> AsyncIterator[str]:
    """Yield every event that fits, newest first, one JSON object a line, with the bytes and hashes of its row."""
    async for row in _stream(db, wanted):
        yield f'{{"body":{row.body.decode()},"hash":"{row.hash.hex()}","prev":"{row.prev.hex()}"}}\n'


async def events_as_csv(db: Database, wanted: Filter) -> AsyncIterator[str]:
    """Yield every event that fits, newest first, as CSV with a header."""
    names = [each.name for each in fields(Entry)]
    yield _csv(names)
    async for row in _stream(db, wanted):
        entry = _entry(row)
        values = {**{name: getattr(entry, name) for name in names}, "at": row.at, "data": json.dumps(entry.data)}
        yield _csv(values.values())


async def requests_as_json_lines(db: Database, wanted: listing.Filter) -> AsyncIterator[str]:
    """Yield every request that fits, newest first, one JSON object a line."""
    async for row in listing.stream(db, wanted):
        yield json.dumps(_shown(row), ensure_ascii=False) + "\n"


async def requests_as_csv(db: Database, wanted: listing.Filter) -> AsyncIterator[str]:
    """Yield every request that fits, newest first, as CSV with a header."""
    yield _csv(each.name for each in fields(listing.Row))
    async for row in listing.stream(db, wanted):
        yield _csv(_shown(row).values())


def _shown(row: listing.Row) -> dict[str, Any]:
    times = {name: iso(getattr(row, name)) for name in ("asked_at", "changed_at")}
    return {**asdict(row), **times, "not_after": iso(row.not_after) if row.not_after else ""}


def _csv(values: Iterable[Any]) -> str:
    cells = ["" if value is None else str(value) for value in values]
    line = io.StringIO()
    csv.writer(line).writerow([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells])
    return line.getvalue()


def _stream(db: Database, wanted: Filter) -> AsyncIterator[Any]:
    return window.stream(db, partial(_select, wanted=wanted), lambda row: row)


async def _select(connection: AsyncConnection, wanted: Filter) -> Select[Any]:
    conditions: list[ColumnElement[bool]] = [
        AUDIT.c[name] == getattr(wanted, name) for name in _EQUAL if getattr(wanted, name)
    ]
    conditions += await within(connection, AUDIT.c.seq, AUDIT.c.at, wanted.since, wanted.until)
    source = AUDIT.outerjoin(PEOPLE, PEOPLE.c.id == AUDIT.c.by)
    return select(*_COLUMNS).select_from(source).where(*conditions).order_by(AUDIT.c.seq.desc())


def _entry(row: Any) -> Entry:
    data = body_in(row.body).get("data", {})
    return Entry(
        row.seq,
        epoch(row.at),
        row.type,
        row.by,
        row.by_name,
        row.request,
        row.version,
        row.service,
        row.host,
        data,
        row.hash.hex(),
    )
