"""The judge's typed answers: the verdict with its findings, and the need with its signs.

Values only; how they are reached stands in ``judge`` and ``need``.
"""

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """Every verdict, in the order in which the first that applies becomes the code."""

    HOST_KEY_CHANGED = "HOST_KEY_CHANGED"
    UNREACHABLE = "UNREACHABLE"
    BLIND = "BLIND"
    NO_SUCH_UNIT = "NO_SUCH_UNIT"
    WRONG_MANAGER = "WRONG_MANAGER"
    AMBIGUOUS = "AMBIGUOUS"
    WRONG_USER = "WRONG_USER"
    WRONG_PATH = "WRONG_PATH"
    WRONG_PORT = "WRONG_PORT"
    DOWN = "DOWN"
    UNSAFE = "UNSAFE"
    VERIFIED = "VERIFIED"


# The verdicts of a look that saw nothing of the service. (To ``freshness`` a changed host key is something seen.)
NOT_SEEN = frozenset({Code.HOST_KEY_CHANGED, Code.UNREACHABLE, Code.BLIND})


class Answer(StrEnum):
    """Is a restart called for?"""

    NEEDED = "NEEDED"
    NOT_NEEDED = "NOT_NEEDED"
    UNSURE = "UNSURE"


@dataclass(frozen=True, slots=True)
class Finding:
    """One aspect, claimed beside observed. ``agrees`` is None where it could not be seen, which is never agreement.

    ``code`` is the verdict that this finding alone would give, None where it agrees. ``next_step`` is a sentence for
    the person who has to act on it, empty where nothing is to be done.
    """

    aspect: str
    claimed: str
    observed: str
    agrees: bool | None
    code: Code | None = None
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class Sign:
    """One sign that a restart is called for: its kind, a sentence with the evidence, and when (epoch seconds)."""

    kind: str
    text: str
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Need:
    """The judge's second answer. ``looked_for`` names what was looked at, so that "none found" can be weighed."""

    answer: Answer
    signs: tuple[Sign, ...] = ()
    looked_for: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judge's answer. ``near`` holds like names, offered as a question and never taken.

    ``unit`` is the manager's canonical name (an alias is resolved), ``pids`` the main processes that were proved.
    """

    code: Code
    findings: tuple[Finding, ...]
    next_step: str
    unit: str = ""
    pids: tuple[int, ...] = ()
    near: tuple[str, ...] = ()

    @property
    def is_verified(self) -> bool:
        """Whether the proof is complete, two-way."""
        return self.code is Code.VERIFIED
