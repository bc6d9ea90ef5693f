"""Checks of what nobody else may read: the data directory, the SSH key and the other secrets."""

import os
import stat
from pathlib import Path

from app.cli.doctor.diagnosis import Diagnosis
from app.cli.start import refuse_open_secrets
from app.core.errors import AskfirstError
from app.settings import Settings
from app.ssh.keys import ClientKey, fingerprint, refuse_open


def data_dir(settings: Settings) -> Diagnosis:
    """Say whether the data directory is ours, and nobody else's."""
    folder = settings.data_dir
    if not folder.is_dir():
        return Diagnosis(None, f"{folder} is not there yet", "`askfirst serve` makes it.")
    held = folder.stat()
    mode = stat.S_IMODE(held.st_mode)
    if mode & 0o077:
        return Diagnosis(False, f"{folder} is open to others ({mode:04o})", f"chmod 700 {folder}")
    if held.st_uid != os.geteuid():
        return Diagnosis(False, f"{folder} belongs to uid {held.st_uid}", "Run as that user.")
    return Diagnosis(True, f"{folder} ({mode:04o})")


def ssh_key(settings: Settings) -> Diagnosis:
    """Say whether the key for hosts can be read, by us alone."""
    path = settings.ssh_key or Path()
    if not path.exists():
        return Diagnosis(None, f"{path} is not there yet", "`askfirst serve` makes it.")
    try:
        refuse_open(path)
        return Diagnosis(True, f"{path} {fingerprint(ClientKey(path).pair)}")
    except AskfirstError as error:
        return Diagnosis(False, error.message, error.next_step)


def others(settings: Settings) -> Diagnosis:
    """Say whether a server would start with the other secrets as they are."""
    try:
        refuse_open_secrets(settings)
    except AskfirstError as error:
        return Diagnosis(False, error.message, error.next_step)
    return Diagnosis(True, "none that is a default, or open to others")


def certificates(settings: Settings) -> Diagnosis | None:
    """Say whether what certifies our sign-ins could be asked at all; nothing where the settings name none."""
    files = (settings.signer_socket, settings.vault_token_file, settings.vault_secret_id_file, settings.vault_ca_file)
    named = [file for file in files if file]
    if absent := [str(file) for file in named if not os.access(file, os.R_OK)]:
        next_step = "Start `askfirst signer`, or let Vault's files be where the settings say."
        return Diagnosis(False, f"not there, or not ours to read: {', '.join(absent)}", next_step)
    return Diagnosis(True, ", ".join(map(str, named))) if named else None
