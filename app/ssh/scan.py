"""Fetching a host's keys so that a person can compare and pin them.

It trusts nothing and pins nothing: what it returns is only what answered at that address, and is worth what the person
compares it with. It ends each connection before any sign-in, so our key is never shown. The path that runs things does
not come here: there, a host without a pinned key is not reached.
"""

import asyncio
from dataclasses import dataclass

import asyncssh
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from app.core.service import Host
from app.ssh import failures, wire
from app.ssh.connect import CONNECT_SECONDS, KEX
from app.ssh.keys import SIGNATURES, fingerprint


@dataclass(frozen=True, slots=True)
class ScannedKey:
    """A key that a host showed: ``ssh-ed25519 AAAA…``, its fingerprint, and the words that ``ssh-keygen -lf`` has."""

    text: str
    fingerprint: str
    bits: int
    kind: str

    @property
    def line(self) -> str:
        """The line that ``ssh-keygen -lf /etc/ssh/ssh_host_…_key.pub`` prints on the host, but for the comment."""
        return f"{self.bits} {self.fingerprint} ({self.kind})"


async def scan(host: Host) -> tuple[ScannedKey, ...]:
    """Fetch a host's keys of all types that we would accept, directly. Raises Unreachable where it shows none.

    A connection for each key: each asks for the types not seen yet, until the host has no more to show.
    """
    found: list[ScannedKey] = []
    wanted = list(SIGNATURES)
    while wanted:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                key = await _fetch(host, wanted)
        except TimeoutError as error:
            raise failures.of_connecting(host, error, speaks_ssh=False, jump=None) from error
        except (OSError, asyncssh.Error, ValueError) as error:
            if found:
                break  # with no type in common the host hangs up, in one way or another
            is_ssh = isinstance(error, asyncssh.KeyExchangeFailed)
            raise failures.of_connecting(host, error, speaks_ssh=is_ssh, jump=None) from error
        found.append(_described(key))
        wanted = [name for name in wanted if name.encode() not in key.sig_algorithms]
    return tuple(found)


async def _fetch(host: Host, algorithms: list[str]) -> asyncssh.SSHKey:
    open_socket = await wire.connect(host.address, host.port)
    try:
        key = await asyncssh.get_server_host_key(
            host.address,
            host.port,
            tunnel=None,
            sock=open_socket,
            proxy_command=None,
            config=None,
            client_version="Askfirst",
            kex_algs=KEX,
            server_host_key_algs=algorithms,
        )
        if key is None:
            raise asyncssh.KeyExchangeFailed("no host key was shown")
        return key
    finally:
        open_socket.close()


def _described(key: asyncssh.SSHKey) -> ScannedKey:
    text = " ".join(key.export_public_key("openssh").decode("ascii").split()[:2])
    match load_ssh_public_key(text.encode("ascii")):
        case RSAPublicKey(key_size=bits):
            kind = "RSA"
        case EllipticCurvePublicKey(key_size=bits):
            kind = "ECDSA"
        case _:
            bits, kind = 256, "ED25519"
    return ScannedKey(text, fingerprint(key), bits, kind)
