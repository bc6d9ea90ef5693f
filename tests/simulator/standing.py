"""What stood where when: the simulator's own account of leases, freezes, clocks, and of what changed on the host.

It judges nothing; ``rules`` does. A moment is how many commits there were by then: two things that happened are in the
order of their moments, whatever any clock says.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from app.core.events import RunStarted
from app.core.lifecycle import Request
from tests.simulator.clock import SimulatedClock

LEASE_SECONDS = 20.0
_LEASES = "SELECT subject, worker, fence, until FROM leases"
_LEASE = f"{_LEASES} WHERE subject = ?"
_SWEEPS = "SELECT host, at, misses FROM sweeps"
# What a process decided by its clock is written by then, or its lease is lost.
_STEADY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Taken:
    """A lease on a request: whose, since which moment, and when that was by the database's clock."""

    worker: str
    fence: int
    moment: int
    at: float


@dataclass
class Told:
    """What the log says of one request, and the moments when it was asked for and proved."""

    request: Request
    first: int
    asked: int
    proved: int = 0
    started: list[tuple[int, RunStarted]] = field(default_factory=list)
    was_over: bool = False


@dataclass(repr=False)
class Standing:
    """The account. ``true`` tells the time that no clock is wrong about, which is the server's own."""

    raw: sqlite3.Connection
    true: Callable[[], float]
    is_served: bool
    moment: int = 0
    clocks: dict[str, SimulatedClock] = field(default_factory=dict)
    frozen: set[str] = field(default_factory=set)
    leases: dict[str, Taken] = field(default_factory=dict)
    changes: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    running: set[str] = field(default_factory=set)
    unanswered: int = -1
    _swept: list[Any] = field(default_factory=list)

    def changed(self, service: str, *, runs: bool) -> None:
        """Take note that a process of a service came or went."""
        self.changes[service].append(self.moment)
        (self.running.add if runs else self.running.discard)(service)

    def switched(self, kind: str, scope: str) -> None:
        """Take note of a freeze, or of its release."""
        if kind == "frozen":
            self.frozen.add(scope)
        else:
            self.frozen.discard(scope)

    def read(self) -> bool:
        """Read who holds what by now, and say whether a sweep was noted."""
        for subject, worker, fence, until in self.raw.execute(_LEASES).fetchall():
            held = self.leases.get(subject)
            if until and (held is None or held.fence != fence):
                self.leases[subject] = Taken(worker, fence, self.moment, until - LEASE_SECONDS)
        before, self._swept = self._swept, self.raw.execute(_SWEEPS).fetchall()
        return before != self._swept

    def holds(self, worker: str, subject: str) -> bool:
        """Whether a lease is a worker's, and nobody has taken it since; it may run out before the commit."""
        row = self.raw.execute(_LEASE, (subject,)).fetchone()
        return row is not None and row[1] == worker and row[3] > 0

    def is_frozen(self, request: Request) -> bool:
        """Whether a freeze holds that binds a request."""
        return bool(self.frozen & {"all", f"environment:{request.environment}", f"host:{request.host}"})

    def is_over(self, at: float, now: float, who: str) -> bool:
        """Whether a time has come: by the database's clock, or with a file by ``now``, the one of a process."""
        return at <= self.true() if self.is_served else at <= now and self.is_steady(who)

    def is_early(self, at: float, now: float, who: str) -> bool:
        """Whether a time has not come yet, by the same clock."""
        return self.true() < at if self.is_served else now < at and self.is_steady(who)

    def is_steady(self, who: str) -> bool:
        """Whether nobody has set the clock of a process since it looked at it."""
        return self.clocks[who].is_steady(_STEADY_SECONDS)

    def has_changed(self, service: str, since: int, before: int | None = None) -> bool:
        """Whether a process of a service came or went since a moment, and before another."""
        return any(since <= each and (before is None or each < before) for each in self.changes[service])
