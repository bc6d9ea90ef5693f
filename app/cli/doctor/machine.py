"""Checks of this machine: what it runs, what it has room for, and whether the server on it is ready."""

import shutil
import sys

import httpx

from app.cli.doctor.diagnosis import Diagnosis
from app.core.errors import AskfirstError
from app.settings import Settings
from app.store import dialect, sqlite


def versions() -> Diagnosis:
    """Say whether Python and the databases' libraries are new enough."""
    seen = ", ".join((f"Python {sys.version.split()[0]}", *dialect.versions()))
    holds = sys.version_info >= (3, 11) and sqlite.is_new_enough()
    return Diagnosis(holds, seen, "" if holds else "Use Python 3.11 or newer with SQLite 3.37 or newer.")


def ssh_keygen() -> Diagnosis:
    """Say whether a person can compare host keys here."""
    if found := shutil.which("ssh-keygen"):
        return Diagnosis(True, found)
    return Diagnosis(None, "not found", "Install OpenSSH's client to compare host keys on this machine.")


async def server(settings: Settings) -> Diagnosis:
    """Say whether the server answers, and is ready."""
    try:
        async with httpx.AsyncClient(base_url=settings.base_url, timeout=5.0, trust_env=False) as client:
            answer = await client.get("/readyz")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        seen = f"{settings.base_url} does not answer: {type(error).__name__}"
        return Diagnosis(None, seen, "Start it with `askfirst serve`.")
    if answer.status_code == 200:
        return Diagnosis(True, f"{settings.base_url} is ready")
    return Diagnosis(False, f"{settings.base_url} answers {answer.status_code}", "Read the server's log.")


def disk(settings: Settings) -> Diagnosis | None:
    """Say whether there is room where the database lies; nothing where that cannot be seen from here."""
    try:
        free = dialect.room(settings.database_url)
    except AskfirstError:
        return None  # the check of the database says what is wrong with the URL
    if free is None:
        return None
    seen = f"{free / 2**20:.0f} MiB free where the database lies"
    if free < dialect.LEAST_ROOM:
        return Diagnosis(False, seen, "Free space there: nothing can be recorded, so nothing is done.")
    return Diagnosis(True, seen)
