"""Filters as they stand in an address, and back: what a list shows is what its address says.

It reads no store. Days are whole days in UTC, the last one included; a day that is none is said, and filters nothing.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlencode

_WEEK = 7
DAY_SECONDS = 86_400.0
LAST_SECOND = datetime(9999, 12, 31, tzinfo=UTC).timestamp()  # much later there is no year to write


def day(text: str) -> float | None:
    """Return the first second of a day such as 2026-01-27, None where nothing is written. Raises ValueError."""
    if not text:
        return None
    found = date.fromisoformat(text)
    return datetime(found.year, found.month, found.day, tzinfo=UTC).timestamp()


def week_before(now: float) -> str:
    """Return the day a week before, as an address writes it."""
    return (datetime.fromtimestamp(now, UTC) - timedelta(days=_WEEK)).date().isoformat()


def since_until(values: Mapping[str, str]) -> tuple[float | None, float | None, dict[str, str]]:
    """Return the span between two days, and what is wrong with them by field."""
    problems: dict[str, str] = {}
    found: dict[str, float | None] = {}
    for name in ("since", "until"):
        try:
            found[name] = day(values.get(name, ""))
        except ValueError:
            found[name] = None
            problems[name] = "Write a day as 2026-01-27."
    until = found["until"]
    end = None if until is None else min(until + DAY_SECONDS, LAST_SECOND)
    return found["since"], end, problems


def address(path: str, values: Mapping[str, str], **more: str) -> str:
    """Write a path with its filters; an empty ``since`` stays, since it means "from the beginning"."""
    kept = {name: value for name, value in {**values, **more}.items() if value or name == "since"}
    return f"{path}?{urlencode(kept)}" if kept else path


def key(text: str) -> int | None:
    """Return the key of a page, None for the first or for what is no key."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else None
