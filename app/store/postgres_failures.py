"""What PostgreSQL's failures mean, by the states that it gives them, and which of them are a lost connection."""

import re
from collections.abc import Mapping

import psycopg
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.core.errors import AskfirstError, Broken, Refused
from app.store.failures import Meaning, meaning

FAILURES: tuple[type[Exception], ...] = (DBAPIError, psycopg.Error)
CONSTRAINTS: tuple[type[Exception], ...] = (IntegrityError, psycopg.IntegrityError)

# The server shut down, crashed, starts up, or ended our session because it was idle.
_ENDED = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03"})
# A sign-in that the server refused. While a connection is made the library hands on its words, and no state.
_STRANGER = frozenset({"28000", "28P01"})
_UNKNOWN = re.compile(
    r"authentication failed|pg_hba\.conf|no password supplied|role \".*\" (does not exist|is not permitted to log in)"
)
_BUSY = Meaning(
    Refused,
    "store_busy",
    "Another process holds the database: nothing was recorded.",
    "Try again. If it stays so, look for a session that hangs in pg_stat_activity.",
)
_MEANINGS: Mapping[str, Meaning] = {
    "53100": Meaning(
        Broken,
        "disk_full",
        "The disk is full: nothing was recorded, so nothing was done.",
        "Free space on the disk that holds the database, then repeat what you did.",
    ),
    "53": Meaning(
        Broken,
        "store_away",
        "The database has no connection or memory left for us: nothing was recorded.",
        "Raise max_connections, or stop what uses them, then repeat what you did.",
    ),
    "55P03": _BUSY,
    "40": _BUSY,
    "57014": Meaning(
        Refused,
        "too_slow",
        "The search took too long and was stopped.",
        "Narrow it: name a service, a host or a shorter time.",
    ),
    "25006": Meaning(
        Broken,
        "store_readonly",
        "The database cannot be written: nothing was recorded.",
        "Name the primary server in ASKFIRST_DATABASE_URL, not a standby.",
    ),
    "42501": Meaning(
        Broken,
        "store_rights",
        "The database's role may not do this: nothing was recorded.",
        "Change the tables as the migrator: `askfirst db upgrade`. `askfirst db roles` says which role may do what.",
    ),
    "58": Meaning(
        Broken,
        "store_io",
        "The disk that holds the database failed.",
        "Look at the server's own log, then run `askfirst audit verify`.",
    ),
    "XX": Meaning(
        Broken,
        "store_corrupt",
        "The database's files are damaged.",
        "Stop Askfirst and restore the database from a backup.",
    ),
}


def explain(error: Exception) -> AskfirstError:
    """Say what a failure of the database means, and what to do next."""
    cause = getattr(error, "orig", error)
    state, said = getattr(cause, "sqlstate", None) or "", _said(error)
    if state in _STRANGER or (not state and is_lost(error) and _UNKNOWN.search(said)):
        return Broken(
            f"The database does not let us sign in: {said}.",
            code="store_away",
            next_step="Look whether ASKFIRST_DATABASE_URL names the right role, the file that PGPASSFILE names holds "
            "its password, and the server's pg_hba.conf lets it in from here. Askfirst goes on by itself once it does.",
            outside="The database does not let us sign in.",
        )
    if is_lost(error):
        return Broken(
            f"The database does not answer: {said}.",
            code="store_away",
            next_step="Look whether PostgreSQL runs, and whether ASKFIRST_DATABASE_URL names it. Askfirst goes on by "
            "itself once it answers; then look what stands there before you repeat anything.",
            outside="The database does not answer.",
        )
    if isinstance(cause, psycopg.DataError):
        return Refused(
            "The database holds no text with a NUL character and no number as large as that.",
            code="not_storable",
            next_step="Ask for something else.",
        )
    return meaning(_MEANINGS, state, said)


def is_duplicate(error: Exception) -> bool:
    """Whether a row was refused because a unique value is taken."""
    return getattr(getattr(error, "orig", error), "sqlstate", None) == "23505"


def is_refusal(error: Exception) -> bool:
    """Whether a change was refused by a trigger of the log (its state is our own), or by the role's rights."""
    return getattr(getattr(error, "orig", error), "sqlstate", None) in {"23AF1", "42501"}


def is_lost(error: Exception) -> bool:
    """Whether the connection was lost, or never made: what was sent last may be done, or not."""
    cause = getattr(error, "orig", error)
    if isinstance(cause, psycopg.InterfaceError):
        return True
    state = getattr(cause, "sqlstate", None)
    if state is None:
        return isinstance(cause, psycopg.OperationalError)
    return state.startswith("08") or state in _ENDED


def _said(error: Exception) -> str:
    """Return what the server said, or the first line of what the library says of a server that it did not reach."""
    cause = getattr(error, "orig", error)
    diag = getattr(cause, "diag", None)
    words = (getattr(diag, "message_primary", None) or str(cause)).strip()
    first = words.partition("FATAL:")[2] or words
    lines = first.strip().splitlines()
    return lines[0].rstrip(".") if lines else type(cause).__name__
