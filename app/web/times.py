"""Times as people read them. It reads no clock; epoch seconds and lengths in seconds are arguments.

The server writes UTC; the page's script rewrites each ``<time>`` in the reader's own zone, with the zone's name.
"""

from datetime import UTC, datetime


def iso(at: float) -> str:
    """Write epoch seconds for ``<time datetime>``."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def clock(at: float, now: float) -> str:
    """Write the time of day in UTC, with the date where it is another day than today."""
    then = datetime.fromtimestamp(int(at), UTC)
    is_today = then.date() == datetime.fromtimestamp(now, UTC).date()
    return then.strftime("%H:%M:%S UTC" if is_today else "%-d %b %Y %H:%M UTC")


def span(seconds: float) -> str:
    """Write a length of time in its two largest units: ``78 s``, ``13 min 42 s``, ``6 d 4 h``."""
    whole = max(0, int(seconds))
    if whole < 100:
        return f"{whole} s"
    for unit, size, lesser, part in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit}" + (f" {rest} {lesser}" if rest else "")
    return f"{whole} s"
