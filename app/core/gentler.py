"""What would do instead of a restart: the gentler ways that a manager has now, with a sentence each.

None is offered where a sign of need calls for a new process. It decides nothing: whoever asks may take the restart all
the same, and an approver decides on what was asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.core.manager import Action
from app.core.verdict import Sign

# What may be asked for. That a restart is a start where nothing runs, is for the proof to say.
ASKABLE = (Action.DAEMON_RELOAD, Action.RELOAD, Action.RESTART)
# Signs that only a new process or a new container takes away.
_NEW_PROCESS = frozenset({"down", "replaced", "image"})
_WORDS: Mapping[Action, str] = {
    Action.DAEMON_RELOAD: (
        "The manager reads its changed files anew, those of all that it manages. No process is touched; what has"
        " changed holds from the next start on."
    ),
    Action.RELOAD: (
        "The running process is told to read its settings anew. It stays the same process; whether new code is taken in"
        " by that is up to the program."
    ),
}


@dataclass(frozen=True, slots=True)
class Offer:
    """One gentler way: what is asked for, the command that would be run, and what it does, in a sentence."""

    action: Action
    argv: tuple[str, ...]
    words: str


def offers(commands: Mapping[str, tuple[str, ...]], signs: Sequence[Sign]) -> tuple[Offer, ...]:
    """Return the gentler ways that would do, the gentlest first.

    ``commands`` is what the manager would be told for each action.
    """
    if any(sign.kind in _NEW_PROCESS for sign in signs):
        return ()
    return tuple(Offer(action, commands[action], words) for action, words in _WORDS.items() if action in commands)
