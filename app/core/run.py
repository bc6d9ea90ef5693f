"""What a gate and a check answer, as values: the progress of a run, the spool's word about a warrant, a check's result.

Nothing is decided here; ``flow`` turns these into events. Output is the host's, and hostile (law 13).
"""

from dataclasses import dataclass
from enum import StrEnum

OUTPUT_BYTES = 1 << 20
"""What is kept of a run's output. A run may print more: it is read on, and dropped, so that the end is seen."""


@dataclass(frozen=True, slots=True)
class Started:
    """The gate has spent the warrant and started the command."""


@dataclass(frozen=True, slots=True)
class Output:
    """A piece of what the command printed, with its offset in bytes from the start of the output."""

    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Exited:
    """The command ended."""

    status: int


@dataclass(frozen=True, slots=True)
class Differs:
    """The identity lines of this moment, which are not the warrant's. Nothing was spent, nothing run."""

    identity: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """The gate refused before it spent the warrant: why. Nothing was run now.

    ``SPENT`` says that the warrant was spent before: whether it ran then is for the spool to say.
    """

    why: str


SPENT = "spent"


Progress = Started | Output | Exited | Differs | Refusal


class SpoolState(StrEnum):
    """What the gate's spool says about one warrant."""

    BURNED = "burned"
    RUNNING = "running"
    EXITED = "exited"
    INTERRUPTED = "interrupted"
    UNSPENT = "unspent"


@dataclass(frozen=True, slots=True)
class Spool:
    """The gate's record of one warrant. BURNED: it has not run and never can. INTERRUPTED: started, never ended."""

    state: SpoolState
    exit_status: int | None = None
    output: bytes = b""


@dataclass(frozen=True, slots=True)
class Checked:
    """What one check saw: whether it holds, and a sentence with the value seen (host text, hostile)."""

    label: str
    is_green: bool
    seen: str
