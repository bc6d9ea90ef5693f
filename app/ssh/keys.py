"""Keys: ours, read from its file once; the hosts', as the registry pins them; and how a fingerprint is written.

It opens no connection. Nothing here looks at ``~/.ssh`` or at an agent: the settings name one private key, the registry
holds the public ones.
"""

import os
import stat
import tempfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import asyncssh

from app.core.errors import Refused, Unreachable
from app.core.service import Host

# Signatures that we make and accept; SHA-1 (ssh-rsa, ssh-dss) is not among them.
SIGNATURES = (
    *("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    *("rsa-sha2-512", "rsa-sha2-256"),
)


class ClientKey:
    """The private key that Askfirst signs in to hosts with."""

    def __init__(self, path: Path) -> None:
        """Take the file's path; it is read at the first use."""
        self.path = path

    @cached_property
    def pair(self) -> asyncssh.SSHKey:
        """The key. Raises Unreachable where there is no usable one: then no host can be reached."""
        try:
            return asyncssh.read_private_key(self.path)
        except FileNotFoundError as error:
            raise self._unusable(f"There is no SSH key at {self.path}.") from error
        except OSError as error:
            raise self._unusable(f"The SSH key at {self.path} cannot be read: {error.strerror}.") from error
        except asyncssh.KeyImportError as error:
            if "assphrase" in str(error):
                raise self._unusable(
                    f"The SSH key at {self.path} has a passphrase, which no server can type."
                ) from error
            raise self._unusable(f"The file {self.path} holds no SSH private key: {error}.") from error

    async def shown(self, host: Host, source: str | None) -> asyncssh.SSHKeyPair:
        """Return the key, the same for every host and from every address. Raises Unreachable as ``pair`` does."""
        return asyncssh.load_keypairs(self.pair)[0]

    def _unusable(self, message: str) -> Unreachable:
        return Unreachable(
            message,
            code="no_client_key",
            next_step="Set ASKFIRST_SSH_KEY to the path of a private key without passphrase, and try again.",
        )


def ensure_key(path: Path) -> None:
    """Make a private key (Ed25519, mode 0600) with its ``.pub`` beside it, unless there is a file of that name.

    Several processes may do so at once: one makes it, and none sees half a file. Raises Refused for a key that others
    can read: whoever has it signs in to every host.
    """
    if path.exists():
        refuse_open(path)
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = asyncssh.generate_private_key("ssh-ed25519", comment="askfirst")
    descriptor, name = tempfile.mkstemp(dir=path.parent)  # made with mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(key.export_private_key())
            file.flush()
            os.fsync(file.fileno())
        os.link(name, path)
    except FileExistsError:
        return
    finally:
        Path(name).unlink()
    path.with_name(f"{path.name}.pub").write_bytes(key.export_public_key())


def refuse_open(path: Path) -> None:
    """Raise Refused for a key that others can read, and for what is no key: its mode is nothing to change."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) or (mode & 0o077 and b"PRIVATE KEY-----" not in path.read_bytes()):
        raise Refused(
            f"{path} is no file that holds a private key.",
            code="no_client_key",
            next_step="Name the path of a private key, or of a file that is not there yet: then one is made.",
        )
    if mode & 0o077:
        raise Refused(
            f"Others than its owner can read the private key {path}.",
            code="key_private",
            next_step=f"chmod 600 {path}; if somebody may have read it, make a new one for the hosts.",
        )


def pinned(host: Host) -> tuple[asyncssh.SSHKey, ...]:
    """Return the host's pinned keys. Raises Unreachable where there are none, or one that is no key."""
    if not host.host_keys:
        raise Unreachable(
            f"{host.name} has no pinned host key, so nobody can tell whether it is {host.name} that answers.",
            code="no_pinned_key",
            next_step=f"Run `askfirst host scan {host.name}`, compare the fingerprint on the host, and pin the key.",
        )
    try:
        return tuple(asyncssh.import_public_key(text) for text in host.host_keys)
    except asyncssh.KeyImportError as error:
        raise Unreachable(
            f"A pinned host key of {host.name} is not a public key.",
            code="bad_pinned_key",
            next_step=f"Run `askfirst host scan {host.name}` and pin a key as it prints it: 'ssh-ed25519 AAAA…'.",
        ) from error


def is_pinned(host: Host, print_of_key: str) -> bool:
    """Whether the key of this fingerprint is one of the host's pinned keys. Of a host without keys none is."""
    try:
        return print_of_key in map(fingerprint, pinned(host))
    except Unreachable:
        return False


def fingerprint(key: asyncssh.SSHKey) -> str:
    """Return ``SHA256:…``, as ``ssh-keygen -lf`` prints it."""
    return key.get_fingerprint("sha256")


def wanted_algorithms(pins: Sequence[asyncssh.SSHKey]) -> list[str]:
    """Return the host key algorithms to ask for: the pinned types first, so that a host that has one shows it.

    The others follow, so that a host which has lost its pinned key is seen to show another one, rather than merely to
    have nothing in common with us. Whatever is shown must still be a pinned key.
    """
    ours = {name.decode() for key in pins for name in key.sig_algorithms}
    return sorted(SIGNATURES, key=lambda name: name not in ours)
