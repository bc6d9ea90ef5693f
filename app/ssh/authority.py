"""The key that hosts trust, and what it has signed. It decides nothing about approvals and listens to nobody.

It signs nothing but certificates for the two principals, five minutes long at most, and one ``restart-…`` for each
serial: that a serial was signed is on disk before the certificate leaves, so a second one is never made, not after a
crash either. What was signed lies in ``KEY.signed``, a line ``SERIAL PRINCIPAL TIME FINGERPRINT`` each.
"""

import errno
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncssh

from app.core.errors import Refused
from app.core.events import iso
from app.ssh.certificates import AFTER_SECONDS, BEFORE_SECONDS, LOOK, PRINCIPAL, Wish, is_address
from app.ssh.keys import ClientKey, ensure_key, fingerprint

_MOST_SOURCES = 8


class Authority:
    """The key, and the serials that it has signed. One at a time for one key: it holds a lock until it is closed."""

    def __init__(self, key_path: Path, *, now: Callable[[], float] = time.time) -> None:
        """Take the private key's path, made new where there is none. Raises Refused where others may have read it."""
        ensure_key(key_path)
        if key_path.stat().st_uid != os.geteuid():
            raise Refused(
                f"The signing key {key_path} belongs to another user.",
                code="key_foreign",
                next_step="Run the signer as the owner of its key, and the server as another user.",
            )
        self._key = ClientKey(key_path).pair
        self._now = now
        path = key_path.with_name(f"{key_path.name}.signed")
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise Refused(
                f"Another signer uses {key_path}.", code="signer_runs", next_step="One signer is enough; end the other."
            ) from error
        self._signed = _read(path)

    @property
    def public_line(self) -> str:
        """The line that hosts trust, for `askfirst host kit`."""
        return " ".join(self._key.export_public_key("openssh").decode("ascii").split()[:2])

    def __enter__(self) -> Self:
        """Use it until the end of the block."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Give the lock back."""
        os.close(self._file)

    def sign(self, wish: Wish, seconds: int = AFTER_SECONDS) -> str:
        """Return a certificate. Raises Refused for a wish that it does not fulfil."""
        key = _public(wish.key)
        if not PRINCIPAL.fullmatch(wish.principal):
            raise refused("the principal is neither look nor restart-SERVICE")
        if not 1 <= seconds <= AFTER_SECONDS:
            raise refused(f"a certificate is good for {AFTER_SECONDS} seconds at most")
        if len(wish.sources) > _MOST_SOURCES or not all(map(is_address, wish.sources)):
            raise refused("a source is not an IP address or network, or there are too many")
        if (wish.serial == 0) is not (wish.principal == LOOK) or not 0 <= wish.serial < 2**63:
            raise refused("look has the serial 0, a restart the number of its start in the audit log")
        if wish.serial in self._signed:
            raise refused(f"the serial {wish.serial} was signed before: a run gets one certificate")
        now = self._now()
        if wish.serial:
            self._note(f"{wish.serial} {wish.principal} {iso(now)} {fingerprint(key)}\n")
            self._signed.add(wish.serial)
        made = self._key.generate_user_certificate(
            key,
            f"askfirst {wish.serial} {wish.principal}",
            serial=wish.serial,
            principals=[wish.principal],
            valid_after=int(now) - BEFORE_SECONDS,
            valid_before=int(now) + seconds,
            source_address=wish.sources or None,
            permit_x11_forwarding=False,
            permit_agent_forwarding=False,
            permit_port_forwarding=wish.principal == LOOK,
            permit_pty=False,
            permit_user_rc=False,
        )
        return made.export_certificate("openssh").decode("ascii").strip()

    def _note(self, line: str) -> None:
        """Add a line, and return when all of it is on the disk; one that was cut short before it is ended first."""
        size = os.fstat(self._file).st_size
        is_torn = size > 0 and os.pread(self._file, 1, size - 1) != b"\n"
        noted = (f"\n{line}" if is_torn else line).encode("ascii")
        if os.write(self._file, noted) < len(noted):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(self._file)


def _read(path: Path) -> set[int]:
    """Read what was signed. A line that a crash or a full disk cut short counts as signed."""
    words = (line.split(" ", 1)[0] for line in path.read_text(encoding="ascii").splitlines())
    return {int(word) for word in words if word.isdecimal()}


def _public(text: str) -> asyncssh.SSHKey:
    if not text.startswith("ssh-ed25519 "):
        raise refused("only Ed25519 keys are signed")
    try:
        return asyncssh.import_public_key(text)
    except asyncssh.KeyImportError as error:
        raise refused("the key is no public key") from error


def refused(why: str) -> Refused:
    """Return the refusal of a wish."""
    return Refused(why, code="not_signed", next_step="Nothing was signed.")
