"""Lists of requests: the filters of the history page, a page by key, how many there are, and a stream of all of them.

A page is keyed by the number of the request's first event. A word is looked up as a whole word, newest first, never
ranked and never as a part of a word. A search that still takes too long is stopped, and says so.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core import lifecycle
from app.store import projection, window
from app.store.engine import Database
from app.store.tables import DECISIONS, PEOPLE, REQUESTS, WORDS
from app.store.window import Page, within

# Below this many rows a word leads the search; above, the other filters do.
_RARE = 2_000


@dataclass(frozen=True, slots=True)
class Filter:
    """What is looked for; an empty field asks for nothing. ``requester`` and ``approver`` are people's ids.

    ``since`` and ``until`` are epoch seconds of the asking, the second exclusive; ``q`` holds words of the reason.
    """

    service: str = ""
    host: str = ""
    requester: str = ""
    approver: str = ""
    state: str = ""
    verdict: str = ""
    since: float | None = None
    until: float | None = None
    q: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One request in a list. ``requester`` is the person's name, the id where the person is gone."""

    id: str
    seq: int
    service: str
    host: str
    requester: str
    state: str
    verdict: str
    need: str
    asked_at: float
    changed_at: float
    not_after: float
    outcome: str

    @property
    def short_id(self) -> str:
        """A name that can be read over a phone, ``R-7F3K``."""
        return lifecycle.short_id(self.id)


_NAME = func.coalesce(PEOPLE.c.name, REQUESTS.c.requester).label("requester")
_COLUMNS = [_NAME if each.name == "requester" else REQUESTS.c[each.name] for each in fields(Row)]
_EQUAL = ("service", "host", "requester", "state", "verdict")


async def page(db: Database, wanted: Filter, before: int | None = None, limit: int = 50) -> Page[Row]:
    """Return the newest requests that fit, below a key. Raises Refused ``too_slow`` for what no index can answer."""
    return await window.page(db, partial(_select, wanted=wanted), _row, before, limit)


async def count(db: Database, wanted: Filter, cap: int = 50) -> int:
    """Return how many fit, at most one more than the cap: more than the cap is shown as "50+"."""
    return await window.count(db, partial(_select, wanted=wanted), cap)


def stream(db: Database, wanted: Filter) -> AsyncIterator[Row]:
    """Yield every request that fits, newest first: see ``window.stream``."""
    return window.stream(db, partial(_select, wanted=wanted), _row)


def _row(row: Any) -> Row:
    return Row(*row)


async def _select(connection: AsyncConnection, wanted: Filter) -> Select[Any]:
    conditions: list[ColumnElement[bool]] = [
        REQUESTS.c[name] == getattr(wanted, name) for name in _EQUAL if getattr(wanted, name)
    ]
    conditions += await within(connection, REQUESTS.c.seq, REQUESTS.c.asked_at, wanted.since, wanted.until)
    if wanted.approver:
        conditions.append(REQUESTS.c.seq.in_(select(DECISIONS.c.seq).where(DECISIONS.c.person == wanted.approver)))
    conditions += await _words(connection, projection.words_sought(wanted.q))
    source = REQUESTS.outerjoin(PEOPLE, PEOPLE.c.id == REQUESTS.c.requester)
    return select(*_COLUMNS).select_from(source).where(*conditions).order_by(REQUESTS.c.seq.desc())


async def _words(connection: AsyncConnection, words: list[str]) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    for word in words:
        some = select(WORDS.c.seq).where(WORDS.c.word == word).limit(_RARE).subquery()
        if ((await connection.scalar(select(func.count()).select_from(some))) or 0) < _RARE:
            conditions.append(REQUESTS.c.seq.in_(select(WORDS.c.seq).where(WORDS.c.word == word)))
        else:
            conditions.append(exists().where(WORDS.c.word == word, WORDS.c.seq == REQUESTS.c.seq))
    return conditions
