"""Ninety days of a service as one strip: what was asked and how it ended, a bar for each day, and the same as numbers.

It draws nothing; the template does, from these numbers, so that the picture and the table cannot differ.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from app.core.lifecycle import ENDED, State
from app.store.listing import Row

DAYS = 90
_ILL = frozenset({State.FAILED, State.NOT_RUN, State.GIVEN_UP})


@dataclass(frozen=True, slots=True)
class Day:
    """One day (in UTC): how many requests succeeded, failed after the yes, or ended without a run."""

    day: date
    good: int = 0
    ill: int = 0
    other: int = 0

    @property
    def total(self) -> int:
        """All requests of the day."""
        return self.good + self.ill + self.other

    @property
    def words(self) -> str:
        """The day in a sentence."""
        parts = [(self.good, "restarted"), (self.ill, "failed"), (self.other, "not run")]
        told = ", ".join(f"{count} {word}" for count, word in parts if count)
        return f"{self.day:%-d %b %Y}: {told or 'nothing was asked'}"


@dataclass(frozen=True, slots=True)
class Strip:
    """The days, oldest first, and what they add up to."""

    days: tuple[Day, ...]

    @property
    def busy(self) -> tuple[Day, ...]:
        """The days on which something was asked, newest first."""
        return tuple(day for day in reversed(self.days) if day.total)

    @property
    def most(self) -> int:
        """The largest number of requests on one day."""
        return max((day.total for day in self.days), default=0)


def strip_of(rows: Iterable[Row], now: float) -> Strip:
    """Count a service's requests by the day on which they were asked. Those that have not ended are left out."""
    today = datetime.fromtimestamp(now, UTC).date()
    counts: dict[date, list[int]] = {today - timedelta(days=back): [0, 0, 0] for back in range(DAYS - 1, -1, -1)}
    for row in rows:
        state = State(row.state)
        day = datetime.fromtimestamp(row.asked_at, UTC).date()
        if day in counts and state in ENDED:
            counts[day][0 if state is State.SUCCEEDED else 1 if state in _ILL else 2] += 1
    return Strip(tuple(Day(day, *numbers) for day, numbers in counts.items()))
