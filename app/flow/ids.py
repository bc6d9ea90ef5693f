"""Identifiers that sort by time, in the form of a ULID: 48 bits of milliseconds and 80 of chance, in Crockford's
letters.

They are made by the caller before anything is written, so that a lost acknowledgement is settled by reading them again.
"""

import secrets
from typing import TypedDict

from app.core.commitment import Text
from app.core.events import SYSTEM

_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_id(now: float) -> str:
    """Return 26 letters, later ones greater."""
    number = (int(now * 1000) << 80) | secrets.randbits(80)
    return "".join(_LETTERS[(number >> shift) & 31] for shift in range(125, -1, -5))


def salted(body: str) -> Text:
    """Return a text with a fresh salt, ready to be kept apart from the log that names it."""
    return Text(secrets.token_bytes(16), body)


class Stamp(TypedDict):
    """What every event carries."""

    id: str
    at: float
    by: str


def stamp(now: float, by: str = SYSTEM) -> Stamp:
    """Return a fresh event id, the time and the actor (Askfirst itself where nobody is named)."""
    return {"id": new_id(now), "at": now, "by": by}
