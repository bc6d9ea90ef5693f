"""One sign-in to one host: its key checked against the registry's, ours shown, nothing of the server's own SSH set-up.

It keeps no connection and starts nothing on a host. There is no trust on first use: a host without a pinned key is not
reached at all. No configuration file, no agent, no known_hosts, no password, no forwarding; a channel that the host
asks for is refused.

- Key exchange: ML-KEM with X25519 where the host has it, X25519, NIST P-256. The group-exchange kinds are left out: one
  costs half a second of CPU on the event loop.
- Ciphers: AES-GCM, then AES-CTR with a MAC over SHA-2. No CBC, no SHA-1, and none of the modes that Terrapin cuts
  (CVE-2023-48795); a host that does not offer strict key exchange is refused all the same, before our key is shown.
"""

import asyncio
import os
import socket
from typing import Protocol

import asyncssh
from cryptography.hazmat.primitives.serialization import SSHCertificate

from app.core.errors import Unreachable
from app.core.service import Host
from app.ssh import certificates, failures, keys, trips, wire

CONNECT_SECONDS = 10.0
KEEPALIVE_SECONDS = 15.0
KEX = ("mlkem768x25519-sha256", "curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256")
_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes256-ctr", "aes128-ctr")
_MACS = ("hmac-sha2-256", "hmac-sha2-512")


class Shown(Protocol):
    """What we sign in with: the server's key, or a certificate for this one connection."""

    async def shown(self, host: Host, source: str | None) -> asyncssh.SSHKeyPair:
        """Return what to show to a host that has proved who it is; ``source`` is the address that we come from."""


async def dial(
    host: Host,
    key: Shown,
    *,
    jump: tuple[Host, asyncssh.SSHClientConnection] | None = None,
) -> asyncssh.SSHClientConnection:
    """Connect and sign in, over a jump host's connection where there is one.

    Raises HostKeyChanged for a key that is not pinned, Unreachable for all else.
    """
    pins = keys.pinned(host)
    client = _Client(host, key, is_direct=jump is None)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            return await _connect(host, client, pins, jump[1] if jump else None)
    except asyncssh.HostKeyNotVerifiable as error:
        raise failures.key_changed(host, pins, client.shown) from error
    except (OSError, asyncssh.Error, ValueError, asyncio.IncompleteReadError) as error:
        if client.refusal:
            raise client.refusal from error
        if isinstance(error, asyncssh.PermissionDenied) and client.certificate:
            raise failures.certificate_refused(host, client.certificate) from error
        via = jump[0] if jump else None
        raise failures.of_connecting(host, error, speaks_ssh=client.speaks_ssh, jump=via) from error


class _Client(asyncssh.SSHClient):
    """Our side of one sign-in. What it is not asked for it does not grant: asyncssh refuses every channel by itself."""

    def __init__(self, host: Host, key: Shown, *, is_direct: bool) -> None:
        self.shown: asyncssh.SSHKey | None = None
        self.refusal: Unreachable | None = None
        self.certificate: SSHCertificate | None = None
        self._host = host
        self._keys_left = [key]
        self._is_direct = is_direct
        self._connection: asyncssh.SSHClientConnection | None = None

    @property
    def speaks_ssh(self) -> bool:
        """Whether the other side has said that it is an SSH server."""
        return self._connection is not None and self._connection.get_extra_info("server_version") is not None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self._connection = conn
        trips.trim(conn)

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Asked only about a key that is not pinned: remember it for the message, and refuse."""
        self.shown = key
        return False

    async def public_key_auth_requested(self) -> asyncssh.SSHKeyPair | None:
        """Show our key, once, and to nobody who would not keep the handshake whole."""
        if getattr(self._connection, "_strict_kex", None) is False:
            self.refusal = failures.weak_peer(self._host, "does not offer strict key exchange (CVE-2023-48795)")
        if self.refusal or not self._keys_left:
            return None
        try:
            pair = await self._keys_left.pop().shown(self._host, self._source())
        except Unreachable as refusal:
            self.refusal = refusal
            return None
        self.certificate = certificates.certificate_of(pair)
        return pair

    def _source(self) -> str | None:
        name = self._connection.get_extra_info("sockname") if self._connection and self._is_direct else None
        return str(name[0]).partition("%")[0] if name else None  # an address of one link only names the link too


async def _connect(
    host: Host,
    client: _Client,
    pins: tuple[asyncssh.SSHKey, ...],
    tunnel: asyncssh.SSHClientConnection | None,
) -> asyncssh.SSHClientConnection:
    # asyncssh asks who we are here, though nothing of ours uses it, and fails for a container's user without a name.
    os.environ.setdefault("LOGNAME", "askfirst")
    options = _options(host, client, pins)
    if tunnel:
        return await asyncssh.connect(host.address, host.port, tunnel=tunnel, config=None, options=options)
    open_socket: socket.socket = await wire.connect(host.address, host.port)
    try:
        return await asyncssh.connect(host.address, host.port, sock=open_socket, config=None, options=options)
    except BaseException:
        open_socket.close()
        raise


def _options(host: Host, client: _Client, pins: tuple[asyncssh.SSHKey, ...]) -> asyncssh.SSHClientConnectionOptions:
    return asyncssh.SSHClientConnectionOptions(
        config=None,
        client_factory=lambda: client,
        client_version="Askfirst",
        username=host.user,
        # The host: pinned keys and nothing else. Empty lists, where None would mean "check nothing".
        known_hosts=(list(pins), [], []),
        server_host_key_algs=keys.wanted_algorithms(pins),
        x509_trusted_certs=None,
        x509_trusted_cert_paths=[],
        # Us: one key, shown by the client object; None keeps asyncssh from looking for others, and from any agent.
        client_keys=None,
        agent_path=None,
        agent_forwarding=False,
        preferred_auth=["publickey"],
        disable_trivial_auth=True,
        host_based_auth=False,
        kbdint_auth=False,
        password_auth=False,
        gss_host=None,
        gss_auth=False,
        gss_kex=False,
        # The line.
        tunnel=None,
        proxy_command=None,
        canonicalize_hostname=False,
        kex_algs=KEX,
        encryption_algs=_CIPHERS,
        mac_algs=_MACS,
        signature_algs=keys.SIGNATURES,
        compression_algs=["none"],
        connect_timeout=None,
        login_timeout=CONNECT_SECONDS,
        keepalive_interval=KEEPALIVE_SECONDS,
        keepalive_count_max=3,
        # Sessions.
        x11_forwarding=False,
        request_pty=False,
        encoding=None,
    )
