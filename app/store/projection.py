"""The rows that a request's events say there must be: what ``requests`` writes, and what ``verify`` expects to find.

Pure: it reads and writes no database. It is the one place that says how a request becomes rows.
"""

import re
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from app.core import events as happened
from app.core.events import Event
from app.core.lifecycle import ENDED, Request
from app.store.tables import RequestRow

_WORD = re.compile(r"\w[\w.-]{0,62}\w|\w")
_LONGEST_SEARCH = 8
_SAME = frozenset(RequestRow.model_fields) & frozenset(each.name for each in fields(Request))


def row_of(request: Request, seq: int) -> dict[str, Any]:
    """Return the row of ``requests``; ``seq`` is the number of the request's first event."""
    row = {name: getattr(request, name) for name in _SAME}
    return {
        **row,
        "seq": seq,
        "short": request.short_id.removeprefix("R-"),
        "state": str(request.state),
        "is_open": request.state not in ENDED,
    }


def decision_of(request: Request, event: Event, seq: int) -> dict[str, Any] | None:
    """Return the row of ``decisions`` that an event makes, given the request after it; None for any other event."""
    if not isinstance(event, happened.Approved | happened.Denied):
        return None
    return {
        "request": request.id,
        "version": request.version,
        "person": event.by,
        "human": event.human if isinstance(event, happened.Approved) else None,
        "answer": event.type,
        "at": event.at,
        "seq": seq,
    }


def words_of(text: str) -> list[str]:
    """Return the words of a text as search compares them: folded, each once, in the order of the text."""
    return list(dict.fromkeys(word.casefold() for word in _WORD.findall(text)))


def words_sought(text: str) -> list[str]:
    """Return the words that a search asks for; a long question is cut."""
    return words_of(text)[:_LONGEST_SEARCH]


def reasons(event: Event, texts: Iterable[Any]) -> list[str]:
    """Return the texts of this event that are a requester's reasons or ticket: what search looks in."""
    if not isinstance(event, happened.Asked | happened.Insisted):
        return []
    named = {event.reason_text, getattr(event, "ticket_text", "")}
    return [text.body for text in texts if text.commitment in named]
