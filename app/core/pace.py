"""How often is too often: a pause after a no, a second approver after repeated restarts, and a cap on questions.

So that nobody, a program in a loop least of all, wears the people out who decide. It reads no clock and no store; what
happened lately is an argument. It says no to nobody's yes: that is ``policy``'s.
"""

from dataclasses import dataclass

from app.core.errors import AskfirstError, Conflict, Refused

PAUSE_SECONDS = 900.0
LOOP_RUNS, LOOP_SECONDS = 3, 1800.0
MOST_ASKED, ASKED_SECONDS = 20, 600.0


@dataclass(frozen=True, slots=True)
class Denial:
    """The last no to a restart of a service. ``by`` is a person's id, ``human`` whose question it ended."""

    request: str
    at: float
    by: str
    human: str


def asking_refusal(human: str, denial: Denial | None, asked: int, *, now: float) -> AskfirstError | None:
    """Say why a human may not ask for this restart now, or None. ``asked`` counts what they asked for lately."""
    if asked >= MOST_ASKED:
        return Refused(
            f"You asked for {asked} restarts in {ASKED_SECONDS / 60:.0f} minutes, each of which somebody has to read.",
            code="too_many",
            next_step="Wait some minutes, and ask for what matters most.",
        )
    if denial is not None and denial.human == human and now - denial.at < PAUSE_SECONDS:
        minutes = int((now - denial.at) // 60)
        return Conflict(
            f"This restart was denied {f'{minutes} min' if minutes else 'a moment'} ago, and you asked for it.",
            code="denied_lately",
            next_step=f"Read why, and talk with who denied it. You can ask again in "
            f"{int((PAUSE_SECONDS - now + denial.at) // 60) + 1} min.",
        )
    return None


def approvers_after(approvers: int, runs: int) -> int:
    """Return how many have to say yes after so many restarts of the service lately: at least two in a loop."""
    return max(approvers, 2) if runs >= LOOP_RUNS else approvers
