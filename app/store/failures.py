"""What a failure of a database means. Each of the two lists its own, by the beginning of what the database calls it.

It says nothing of a failure that only one of them has.
"""

from collections.abc import Mapping
from typing import NamedTuple

from app.core.errors import AskfirstError, Broken


class Meaning(NamedTuple):
    """What a failure means, and what to do next."""

    kind: type[AskfirstError]
    code: str
    message: str
    next_step: str


def meaning(listed: Mapping[str, Meaning], name: str, said: str) -> AskfirstError:
    """Say what a failure of this name means: the first in the list that it begins with, else what the database said."""
    for beginning, (kind, code, message, next_step) in listed.items():
        if name.startswith(beginning):
            return kind(message, code=code, next_step=next_step)
    return Broken(
        f"The database failed: {said}.",
        code="store_failed",
        next_step="Run `askfirst doctor`.",
        outside="The database failed.",
    )
