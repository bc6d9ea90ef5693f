"""When a host is looked at without anybody asking: once in each interval, at a time of its own.

Pure: the interval, the last time and now are arguments, in epoch seconds. A host's place in the interval follows from
its name alone, so that hosts spread evenly, and every worker that ever runs agrees on it without talking.

- A host is due at the first of its places after it was last looked at, yet no sooner than half an interval after.
- Where it was never looked at, or its last time lies in the future (the clock was set back), it is due now.
- However long nobody looked, it is due once: what was missed is not made up for.
- Hosts that are due together (a first start, a long stop, a jump of the clock) still begin one after the other.
"""

import hashlib

# The second look at a host that could not be seen comes soon: one miss proves nothing, and two that are an interval
# apart would leave a dead host unnoticed for half an hour.
AGAIN_SECONDS = 90.0
# Clocks that differ by less are the same.
SLACK_SECONDS = 60.0
_LONGEST_GAP = 5.0


def place(name: str, every: float) -> float:
    """Return a host's place in the interval: seconds after its beginning, the same for ever."""
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])
    return every * number / 2**64


def due_at(name: str, last: float | None, every: float, now: float, *, misses: int = 0) -> float:
    """Return when a host is to be looked at next. ``misses`` counts its looks in a row that saw nothing."""
    if last is None or last > now + SLACK_SECONDS:
        return 0.0
    if misses == 1:
        return last + min(AGAIN_SECONDS, every / 2)
    offset = place(name, every)
    following = offset + every * ((last - offset) // every + 1)
    return max(following, last + every / 2)


def gap(hosts: int, every: float) -> float:
    """Return the least time between two beginnings, so that all hosts that are due at once take half an interval."""
    return min(_LONGEST_GAP, every / (2 * max(1, hosts)))
