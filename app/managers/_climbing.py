"""A manager's own count of restarts as a sign of need: it counts while the last of them is a quarter of an hour old.

A count alone says nothing: one crash last spring stays in it. It is judged by time, and not by what the proof before
counted: that proof may be a minute or a month old, and two people who look would be told different things.
"""

from app.core.display import span, visible
from app.core.verdict import Sign

CLIMBING_SECONDS = 900.0


def climbing(who: str, what: str, restarts: int, last_at: float, now: float) -> tuple[Sign, ...]:
    """Say that a manager restarts something again and again; ``last_at`` is when what runs now was started."""
    if restarts <= 0 or now - last_at >= CLIMBING_SECONDS:
        return ()
    times = "once" if restarts == 1 else f"{restarts} times"
    ago = span(max(now - last_at, 0.0))
    return (Sign("restarts", f"{who} has restarted {visible(what, 200)} {times} by itself, last {ago} ago.", last_at),)
