"""What all shapes have in common: they are frozen, refuse fields that they do not know, and write times in UTC."""

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """A shape of JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def moment(at: float) -> datetime:
    """Return epoch seconds of our own as UTC."""
    return datetime.fromtimestamp(round(at, 3), UTC)


def told(at: float | None) -> datetime | None:
    """Return epoch seconds that a host told as UTC, None where it told none: neither infinity nor NaN is a time."""
    try:
        return None if at is None else moment(at)
    except (ValueError, OverflowError, OSError):
        return None
