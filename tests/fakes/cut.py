"""Where a line can be made to break, in both the fake host and the real server."""

from enum import StrEnum


class Cut(StrEnum):
    """A point in one talk with the gate."""

    BEFORE_SESSION = "when a session is asked for, before anything starts"
    AFTER_INPUT = "when the whole input has come, and nobody has been given it"
    AFTER_START = "when the gate has said that the command is started"
    BEFORE_EXIT = "when the gate says how the command ended, which is not passed on"
