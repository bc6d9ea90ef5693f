"""Errors as HTTP statuses: one table from the tree of errors, read by the pages and the API alike.

It says nothing to anybody: each door has words of its own for a status.
"""

from app.core.errors import (
    AskfirstError,
    Broken,
    Conflict,
    HostKeyChanged,
    IllegalEvent,
    Lost,
    NotFound,
    Refused,
    Unreachable,
)

# Each kind stands before the kind that it is one of.
KINDS: tuple[tuple[type[AskfirstError], int], ...] = (
    (NotFound, 404),
    (Conflict, 409),
    (IllegalEvent, 409),
    (Refused, 403),
    (HostKeyChanged, 502),
    (Unreachable, 503),
    (Lost, 502),  # never 503, which says that it can be sent again: it may have run
    (Broken, 500),
)
# Where the code says more than the kind: who asks has to mend what was sent, sign in, or wait.
CODES = {
    "duplicate_field": 400,
    "sent_twice": 400,
    "token_in_address": 400,
    "unreadable_form": 400,
    "bad_token": 401,
    "no_token": 401,
    "too_slow": 408,
    "ambiguous_id": 409,
    "too_large": 413,
    "missing_field": 422,
    "not_storable": 422,
    "reason_empty": 422,
    "reason_too_long": 422,
    "registry_invalid": 422,
    "ticket_too_long": 422,
    "unknown_field": 422,
    "throttled": 429,
    "too_many": 429,
    "disk_full": 503,
    "store_away": 503,
    "store_busy": 503,
    "store_failed": 503,
    "store_io": 503,
    "store_missing": 503,
    "store_readonly": 503,
}


def status_of(error: AskfirstError) -> int:
    """Return the HTTP status of an error."""
    return CODES.get(error.code) or next(status for kind, status in KINDS if isinstance(error, kind))
