"""The one tree of errors, split by what the person who meets one does next.

    AskfirstError
    ├── Refused       a rule said no: choose otherwise
    │   ├── NotFound      no such service, host, request or person
    │   ├── Conflict      somebody else was first; read again
    │   └── IllegalEvent  the life cycle has no such step from here
    ├── Unreachable   nothing ran: try later
    │   └── HostKeyChanged
    ├── Lost          it may have run: never repeat, find out
    └── Broken        an invariant fell: stop everything

It holds no HTTP status and no exit code: the doors map the tree. Verdicts are values, never exceptions. Adapters
turn foreign exceptions into these at their edge and keep the cause.
"""


class AskfirstError(Exception):
    """A failure with a stable ``code``, a sentence that says what happened, and one that says what to do next.

    ``outside`` is the sentence for whoever may not know of this installation's own places and names: pages and API say
    it. It is the ``message`` where nothing else was given.
    """

    code = "error"

    def __init__(self, message: str, *, next_step: str, code: str | None = None, outside: str = "") -> None:
        if type(self) is AskfirstError:
            raise TypeError("AskfirstError is a base: raise one of its kinds")
        super().__init__(message)
        self.message = message
        self.outside = outside or message
        self.next_step = next_step
        if code is not None:
            self.code = code


class Refused(AskfirstError):
    """A rule said no; nothing was changed."""

    code = "refused"


class NotFound(Refused):
    """The named thing does not exist."""

    code = "not_found"


class Conflict(Refused):
    """Another writer was first; what was asked no longer fits."""

    code = "conflict"


class IllegalEvent(Refused):
    """The life cycle has no row for this event in this state; nothing was changed."""

    code = "illegal_event"


class Unreachable(AskfirstError):
    """The host gave no usable answer, and nothing was run on it."""

    code = "unreachable"


class HostKeyChanged(Unreachable):
    """The host showed a key that is not the pinned one; nothing was sent to it."""

    code = "host_key_changed"


class Lost(AskfirstError):
    """The line was lost after a command may have been started. Never repeat: burn or read."""

    code = "lost"


class Broken(AskfirstError):
    """An invariant of Askfirst itself does not hold; nothing more may run until a person has looked."""

    code = "broken"
