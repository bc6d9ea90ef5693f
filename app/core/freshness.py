"""What a service's last proof is worth now: fresh, stale, wrong or never; and when a look changes what holds of it.

The one place for both rules. It reads no clock and asks no host; times are epoch seconds, by the clock of the machine
that Askfirst runs on. Keeps law 1's half about time: what could not be looked at is never counted as agreement, and
never as its opposite either.

- *fresh*: the last look proved the claim, and is not older than the sweep's interval with its grace.
- *stale*: the claim was proved, yet that is too long ago, or the host could not be looked at since.
- *wrong*: the last look that saw anything gave another verdict.
- *never*: no look has seen anything yet.

A look that sees nothing (``UNSEEN``) tells about a line or a right, not about the service. It becomes what holds with
the second in a row, where the two are at least ``UNSEEN_SECONDS`` apart: a reboot or a lost packet is over by then, and
two impatient clicks count as one.
"""

from dataclasses import dataclass
from enum import StrEnum

from app.core.verdict import Code

UNSEEN = frozenset({Code.UNREACHABLE, Code.BLIND})
UNSEEN_SECONDS = 60.0
# A look takes its facts, then makes its checks, so that an earlier one may be written after a later one. What is dated
# further back than that was made after the clock was set back, and counts.
OVERTAKEN_SECONDS = 120.0


class Freshness(StrEnum):
    """What a last proof is worth, trouble first."""

    WRONG = "wrong"
    STALE = "stale"
    NEVER = "never"
    FRESH = "fresh"


@dataclass(frozen=True, slots=True)
class Seen:
    """What the looks at one service come to.

    ``verdict`` and ``at`` are of the last look; ``proved`` and ``proved_at`` of the last one that saw anything, empty
    where none has. ``unseen`` counts the looks in a row that saw nothing, the first of them at ``unseen_since``.
    """

    verdict: str
    at: float
    proved: str = ""
    proved_at: float = 0.0
    unseen: int = 0
    unseen_since: float = 0.0


@dataclass(frozen=True, slots=True)
class Worth:
    """A freshness with its reason in a sentence, empty where there is nothing to add; ``proved_at`` is 0 for never."""

    freshness: Freshness
    why: str = ""
    proved_at: float = 0.0


def worth(seen: Seen | None, now: float, fresh_seconds: float) -> Worth:
    """Say what a last proof is worth now."""
    if seen is None or not seen.proved:
        why = f"The host could not be looked at: {seen.verdict}." if seen else "The host has not been asked yet."
        return Worth(Freshness.NEVER, why)
    if seen.proved != Code.VERIFIED:
        return Worth(Freshness.WRONG, f"The last proof says {seen.proved}.", seen.proved_at)
    if seen.unseen:
        return Worth(Freshness.STALE, f"The host could not be looked at since: {seen.verdict}.", seen.proved_at)
    if now - seen.proved_at > fresh_seconds:
        return Worth(Freshness.STALE, "The last proof is too old.", seen.proved_at)
    if seen.proved_at - now > OVERTAKEN_SECONDS:
        return Worth(Freshness.STALE, "The last proof is dated after now: a clock was set back.", seen.proved_at)
    return Worth(Freshness.FRESH, "", seen.proved_at)


def after(last: Seen | None, verdict: str, at: float) -> Seen:
    """Return what the looks come to with one more."""
    if verdict not in UNSEEN:
        return Seen(verdict, at, verdict, at)
    before = last or Seen("", 0.0)
    since = before.unseen_since if before.unseen else at
    return Seen(verdict, at, before.proved, before.proved_at, before.unseen + 1, since)


def holds(seen: Seen, held: str) -> str:
    """Return the verdict that holds of a service after a look, given the one that held before (empty: none)."""
    if seen.verdict not in UNSEEN:
        return seen.verdict
    return seen.verdict if abs(seen.at - seen.unseen_since) >= UNSEEN_SECONDS else held


def is_overtaken(at: float, last_at: float) -> bool:
    """Whether a look is older than one that is written already."""
    return 0.0 < last_at - at <= OVERTAKEN_SECONDS
