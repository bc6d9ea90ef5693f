"""Why a host could not be reached, as a sentence each, with the next step for the person who reads it.

It catches nothing itself. Every foreign exception of this ring becomes one of ours here, with its cause kept, and no
text of the other side goes into a message: a host's words are hostile (law 13). All of them mean that nothing was run.
"""

import errno
import socket
from collections.abc import Sequence

import asyncssh
from asyncssh.constants import OPEN_ADMINISTRATIVELY_PROHIBITED

from app.core.errors import HostKeyChanged, Unreachable
from app.core.service import Host
from app.ssh.keys import fingerprint

_AGAIN = "Try again; if it stays so, ask whoever looks after the host"
_NO_ROUTE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN})


def key_changed(host: Host, pins: Sequence[asyncssh.SSHKey], shown: asyncssh.SSHKey | None) -> HostKeyChanged:
    """The host showed a key that is not pinned. Both fingerprints are in the message."""
    seen = fingerprint(shown) if shown else "a certificate"
    wanted = " or ".join(fingerprint(key) for key in pins)
    return HostKeyChanged(
        f"{where(host)} shows the host key {seen}, and the registry pins {wanted}. Nothing was sent to it.",
        next_step=f"Find out on the host's own console whether its key was replaced. Only then pin the new one for "
        f"{host.name}, which a second editor confirms.",
    )


def of_connecting(host: Host, error: Exception, *, speaks_ssh: bool, jump: Host | None) -> Unreachable:
    """Translate what went wrong before a sign-in was complete."""
    match error:
        case TimeoutError():
            return _unreachable(host, "timeout", "did not answer in time", f"Check that it is up. {_AGAIN}.")
        case socket.gaierror():
            step = f"Check its address in the registry, and name resolution on the server: {host.address}."
            return _unreachable(host, "unknown_address", "has an address that no name server knows", step)
        case asyncssh.PermissionDenied() if "rivial" in str(error):
            step = "Check on the host's own console what answers there. An sshd that lets in without a key is not one."
            return _unreachable(host, "trivial_auth", "let us in without asking for our key", step)
        case asyncssh.PermissionDenied():
            step = f"Put the public key of Askfirst into ~{host.user}/.ssh/authorized_keys on {host.name}."
            return _unreachable(host, "key_not_accepted", f"does not accept our key for the user {host.user}", step)
        case asyncssh.KeyExchangeFailed():
            return weak_peer(host, "offers no key exchange, cipher or key type that is strong enough")
        case asyncssh.ChannelOpenError() if jump is not None:
            return _beyond_jump(host, jump, error)
        case OSError():
            return _of_network(host, error)
        case _ if not speaks_ssh:
            step = f"Check the port in the registry ({host.port}): what answers there does not speak SSH."
            return _unreachable(host, "not_ssh", "did not answer as an SSH server", step)
    return _unreachable(
        host, "connection_lost", "closed the connection during sign-in", f"{_AGAIN} to read sshd's log."
    )


def weak_peer(host: Host, what: str) -> Unreachable:
    """The host's sshd is too old to be trusted on an open network."""
    return _unreachable(host, "weak_peer", what, "Update the host's OpenSSH: at least 9.6, or its distribution's fix.")


def of_session(host: Host, error: Exception) -> Unreachable:
    """Translate what went wrong after the sign-in, before anything was sent to a program on the host."""
    match error:
        case TimeoutError():
            return _unreachable(host, "timeout", "did not start a session in time", f"{_AGAIN}.")
        case asyncssh.ChannelOpenError():
            step = f"Raise MaxSessions in the host's sshd_config, or look at why it refuses the user {host.user}."
            return _unreachable(host, "session_refused", "refused to start a session", step)
    return _unreachable(host, "connection_lost", "closed the connection before anything was sent", f"{_AGAIN}.")


def busy(host: Host) -> Unreachable:
    """Too much is going on with this host at once."""
    return _unreachable(host, "busy", "already has as many sessions of ours as it allows", "Try again in a minute.")


def where(host: Host) -> str:
    """Name a host with its address, for a message."""
    return f"{host.name} ({host.address} port {host.port})"


def _beyond_jump(host: Host, jump: Host, error: asyncssh.ChannelOpenError) -> Unreachable:
    if error.code == OPEN_ADMINISTRATIVELY_PROHIBITED:
        target = f"{host.address}:{host.port}"
        step = f"Allow it in the sshd_config of {jump.name}: AllowTcpForwarding local, PermitOpen {target}."
        return _unreachable(host, "jump_forbids", f"may not be reached through {jump.name}, which forbids it", step)
    step = f"Check the address as {jump.name} sees it, and that the host is up."
    return _unreachable(host, "no_route", f"cannot be reached from {jump.name}", step)


def _of_network(host: Host, error: OSError) -> Unreachable:
    if isinstance(error, ConnectionRefusedError):
        step = f"Check that sshd runs there, and the port in the registry ({host.port})."
        return _unreachable(host, "connection_refused", "is up and refuses the connection", step)
    if error.errno in _NO_ROUTE:
        return _unreachable(
            host, "no_route", "cannot be reached: there is no route to it", f"Check that it is up. {_AGAIN}."
        )
    if error.errno == errno.ETIMEDOUT:
        return _unreachable(host, "timeout", "did not answer in time", f"Check that it is up. {_AGAIN}.")
    return _unreachable(host, "connection_lost", "broke the connection off", f"{_AGAIN}.")


def _unreachable(host: Host, code: str, what: str, next_step: str) -> Unreachable:
    return Unreachable(f"{where(host)} {what}. Nothing was run.", code=code, next_step=next_step)
