"""What has to hold of the secrets before a server starts. Keeps none of them, and opens no connection.

The SSH key and the database's own files are looked at where they are opened; here is what nobody else looks at: the
settings' file, PostgreSQL's passwords, what Vault knows us by, and who may write where all of it lies.
"""

import os
import stat
from pathlib import Path

from app.core.errors import Refused
from app.settings import Settings
from app.store.dialect import find

# What examples, images and tired people use. Whoever guesses one of these holds every approval.
_DEFAULTS = frozenset(
    {"", "admin", "askfirst", "change-me", "changeme", "default", "example", "password", "postgres", "root", "secret"}
)


def refuse_open_secrets(settings: Settings) -> None:
    """Raise Refused, with what to do, for a secret that is a default or that others on this machine can read."""
    _, url = find(settings.database_url)
    password = None if url.password is None else str(url.password)
    if password is not None and (password.casefold() in _DEFAULTS or password == url.username):
        raise Refused(
            "The database's password in ASKFIRST_DATABASE_URL is one that anybody would try.",
            code="default_secret",
            next_step="Give the role a new one (\\password in psql), and keep it in the file that PGPASSFILE names.",
        )
    if password is not None and (file := os.environ.get("ASKFIRST_FILE")):
        _refuse_readable(Path(file), "The settings file, which holds the database's password,")
    if url.get_backend_name() == "postgresql" and (file := os.environ.get("PGPASSFILE")):
        _refuse_readable(Path(file), "The file of passwords for PostgreSQL")
    if settings.vault_token_file:
        _refuse_readable(settings.vault_token_file, "The file that holds Vault's token")
    if settings.vault_secret_id_file:
        _refuse_readable(settings.vault_secret_id_file, "The file that holds Vault's secret id")
    _refuse_writable(settings.data_dir)


def _refuse_readable(file: Path, what: str) -> None:
    if file.exists() and stat.S_IMODE(file.stat().st_mode) & 0o077:
        raise Refused(
            f"{what} can be read by others: {file}.",
            code="open_secret",
            next_step=f"chmod 600 {file}, and change what it holds if somebody may have read it.",
        )


def _refuse_writable(folder: Path) -> None:
    if folder.exists() and stat.S_IMODE(folder.stat().st_mode) & 0o022:
        raise Refused(
            f"Others may write in the data directory {folder}, and could put another SSH key there.",
            code="open_secret",
            next_step=f"chmod 700 {folder}, and look whose the files in it are.",
        )
