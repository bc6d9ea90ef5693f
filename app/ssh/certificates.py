"""Signing in by a certificate instead of a key: one for each connection, good for minutes, for one thing only.

It holds no signing key: a ``Signer`` does, in another process (``signer``) or in Vault (``vault``). The key that is
certified is made in memory for one connection and never written anywhere. What a signer hands back is read before it is
shown to a host: another key, another principal or a longer time than was asked for is not shown.

- principal: ``look`` (probe, burn, result and checks), or ``restart-SERVICE`` (only that restart). Never two: sshd
  takes the first line of its principals file that any of them is in.
- time: from a minute before until five minutes after its signing, by the signer's clock.
- source address: the one that this server uses towards the host, or those that the settings name. Over a jump host,
  whose address there is not known here, none unless the settings name some.
- serial: the number in the audit log of the run's start; 0 for ``look``.
"""

import base64
import ipaddress
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import asyncssh
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)

from app.core.errors import Unreachable
from app.core.service import Host

LOOK = "look"
PRINCIPAL = re.compile(r"look|restart-[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
BEFORE_SECONDS = 60
AFTER_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Wish:
    """What a signer is asked for. ``key`` is a public key as ``ssh-ed25519 AAAA…``."""

    key: str
    principal: str
    serial: int
    sources: tuple[str, ...]


class Signer(Protocol):
    """Whoever holds the key that hosts trust."""

    chooses_serial: bool

    async def sign(self, wish: Wish) -> str:
        """Return a certificate, as ``ssh-ed25519-cert-v01@openssh.com AAAA…``. Raises Unreachable where it will not."""


def restart_of(service: str) -> str:
    """Return the principal for the restart of one service."""
    return f"restart-{service}"


class Certificates:
    """Makes what is shown to hosts that ask for certificates."""

    def __init__(self, signer: Signer, sources: Sequence[str] = (), *, now: Callable[[], float] = time.time) -> None:
        """Take who signs, and the source addresses to name; none: the one that each connection comes from."""
        self._signer = signer
        self._sources = tuple(sources)
        self._now = now

    async def pair(self, principal: str, serial: int, source: str | None) -> asyncssh.SSHKeyPair:
        """Make a key and have it certified. Raises Unreachable where the signer will not, or signs something else."""
        key = asyncssh.generate_private_key("ssh-ed25519")
        wish = Wish(_line(key), principal, serial, self._sources or ((source,) if source else ()))
        text = await self._signer.sign(wish)
        if why := _unlike(text, wish, self._now(), chooses_serial=self._signer.chooses_serial):
            raise Unreachable(
                f"The signer's certificate {why}; it was shown to nobody. Nothing was run.",
                code="wrong_certificate",
                next_step="Compare the clocks of this server and its signer; with Vault, look at the role.",
            )
        (pair, *_) = asyncssh.load_keypairs(key)
        pair.set_certificate(asyncssh.import_certificate(text))
        return pair


@dataclass(frozen=True, slots=True)
class Certified:
    """What one connection shows: a certificate for one principal, signed when the host has proved who it is."""

    certificates: Certificates | None
    principal: str = LOOK
    serial: int = 0

    async def shown(self, host: Host, source: str | None) -> asyncssh.SSHKeyPair:
        """Return the key with its certificate. Raises Unreachable where there is no signer, or it will not."""
        if self.certificates is None:
            raise Unreachable(
                f"{host.name} is reached by certificates, and this server knows no signer. Nothing was run.",
                code="no_signer",
                next_step="Set ASKFIRST_SIGNER_SOCKET or ASKFIRST_VAULT_ADDR, or the host's certificates: false.",
            )
        return await self.certificates.pair(self.principal, self.serial, source)


def read(text: str) -> SSHCertificate | None:
    """Read a certificate, None where it is none."""
    try:
        found = load_ssh_public_identity(text.encode("ascii"))
    except ValueError:
        return None
    return found if isinstance(found, SSHCertificate) else None


def certificate_of(pair: asyncssh.SSHKeyPair) -> SSHCertificate | None:
    """Return the certificate that a pair shows, None for a bare key."""
    return read(f"{pair.get_algorithm()} {base64.b64encode(pair.public_data).decode('ascii')}")


def is_address(text: str) -> bool:
    """Whether it is an IP address or network, as a certificate names sources."""
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _unlike(text: str, wish: Wish, now: float, *, chooses_serial: bool) -> str:
    """Say in what a certificate is not the one that was asked for; nothing where it is."""
    found = read(text)
    if found is None:
        return "is no certificate"
    key = found.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")
    named = found.critical_options.get(b"source-address", b"").decode("ascii", "replace")
    differs = {
        "is not for people who sign in": found.type is not SSHCertificateType.USER,
        "is for another key": key != wish.key,
        "is not for the one principal that was asked for": found.valid_principals != [wish.principal.encode()],
        "has another serial": not chooses_serial and found.serial != wish.serial,
        "is good for too long": found.valid_before - now > AFTER_SECONDS + BEFORE_SECONDS,
        "is out of date": not found.valid_after <= now < found.valid_before,
        "names other source addresses": _networks(filter(None, named.split(","))) != _networks(wish.sources),
        "forces a command of its own": b"force-command" in found.critical_options,
    }
    return next((why for why, is_so in differs.items() if is_so), "")


def _networks(texts: Iterable[str]) -> set[str]:
    """Write addresses and networks in one way: a single address is a network of one."""
    return {str(ipaddress.ip_network(text)) if is_address(text) else text for text in texts}


def _line(key: asyncssh.SSHKey) -> str:
    return " ".join(key.export_public_key("openssh").decode("ascii").split()[:2])
