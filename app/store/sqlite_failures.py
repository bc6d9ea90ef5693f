"""What SQLite's failures mean, by the names that it gives them."""

import sqlite3
from collections.abc import Mapping

from sqlalchemy.exc import DBAPIError, IntegrityError

from app.core.errors import AskfirstError, Broken, Refused
from app.store.failures import Meaning, meaning

FAILURES: tuple[type[Exception], ...] = (DBAPIError, sqlite3.Error)
CONSTRAINTS: tuple[type[Exception], ...] = (IntegrityError, sqlite3.IntegrityError)

_MEANINGS: Mapping[str, Meaning] = {
    "SQLITE_FULL": Meaning(
        Broken,
        "disk_full",
        "The disk is full: nothing was recorded, so nothing was done.",
        "Free space on the disk that is written to, then repeat what you did.",
    ),
    "SQLITE_BUSY": Meaning(
        Refused,
        "store_busy",
        "Another process holds the database: nothing was recorded.",
        "Try again. If it stays so, look for a command that hangs.",
    ),
    "SQLITE_INTERRUPT": Meaning(
        Refused,
        "too_slow",
        "The search took too long and was stopped.",
        "Narrow it: name a service, a host or a shorter time.",
    ),
    "SQLITE_READONLY": Meaning(
        Broken,
        "store_readonly",
        "The database cannot be written: nothing was recorded.",
        "Let the user that runs Askfirst write the database's file and its folder.",
    ),
    "SQLITE_CANTOPEN": Meaning(
        Broken,
        "store_missing",
        "The database cannot be opened.",
        "Check ASKFIRST_DATABASE_URL, and that the user that runs Askfirst may write there.",
    ),
    "SQLITE_IOERR": Meaning(
        Broken,
        "store_io",
        "The disk that holds the database failed.",
        "Look at the machine's own log, then run `askfirst audit verify`.",
    ),
    "SQLITE_CORRUPT": Meaning(
        Broken,
        "store_corrupt",
        "The database's file is damaged.",
        "Stop Askfirst and restore the file from a backup.",
    ),
    "SQLITE_NOTADB": Meaning(
        Broken,
        "store_not_ours",
        "The file is not a database of Askfirst.",
        "Check ASKFIRST_DATABASE_URL.",
    ),
}


def explain(error: Exception) -> AskfirstError:
    """Say what a failure of the database means, and what to do next."""
    cause = getattr(error, "orig", error)
    name = getattr(cause, "sqlite_errorname", None) or ""
    return meaning(_MEANINGS, name, str(cause))


def is_duplicate(error: Exception) -> bool:
    """Whether a row was refused because a unique value is taken, by an index or by the audit log's own trigger."""
    text = str(getattr(error, "orig", error))
    return "UNIQUE" in text or "holds this already" in text


def is_refusal(error: Exception) -> bool:
    """Whether a change was refused by a trigger of the log."""
    return getattr(getattr(error, "orig", error), "sqlite_errorname", "") == "SQLITE_CONSTRAINT_TRIGGER"


def is_lost(error: Exception) -> bool:
    """Say no: there is no connection that could be lost, and what fails is not done."""
    return False
