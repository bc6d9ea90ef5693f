"""Why a host could not be reached, as a sentence each, with the next step for the person who reads it.

It catches nothing itself. Every foreign exception of this ring becomes one of ours here, with its cause kept, and what
the other side said goes into a message only where ``display`` has made it visible (law 13). All but ``lost`` mean that
nothing was run.
"""

import errno
import re
import socket
import time
from collections.abc import Sequence

import asyncssh
from asyncssh.constants import OPEN_ADMINISTRATIVELY_PROHIBITED
from cryptography.hazmat.primitives.serialization import SSHCertificate

from app.core.display import visible
from app.core.errors import HostKeyChanged, Lost, Unreachable
from app.core.level import Level
from app.core.service import Host
from app.ssh.keys import fingerprint

# What a door says on standard error when it starts nothing.
_DOOR = re.compile(rb"^askfirst: refused: ([ -~]+)$", re.MULTILINE)
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


def certificate_refused(host: Host, shown: SSHCertificate) -> Unreachable:
    """The host's sshd took no certificate. It does not say why: each reason is told with what to compare."""
    since, until = (_utc(each) for each in (shown.valid_after, shown.valid_before))
    sources = shown.critical_options.get(b"source-address", b"any address").decode("ascii", "replace")
    principal = b",".join(shown.valid_principals).decode("ascii", "replace")
    step = (
        f"Compare on {host.name}: `date -u` (the certificate was good from {since} to {until}, so a clock that differs"
        f" by more than a minute refuses it); that /etc/askfirst/principals has {principal} and /etc/askfirst/ca.pub is"
        f" the signer's key; and that we come from {sources}, as sshd's log shows it."
    )
    return _unreachable(host, "certificate_not_accepted", f"does not accept our certificate for {principal}", step)


def clock_differs(host: Host, seconds: float) -> Unreachable:
    """The host's clock is not ours: certificates are good for minutes."""
    which = "ahead of" if seconds > 0 else "behind"
    what = f"has a clock {abs(seconds):.0f} s {which} this server's, and is reached by certificates that last minutes"
    return _unreachable(host, "clock_differs", what, f"Set the clocks of {host.name} and of this server (NTP).")


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


def of_starting(host: Host, status: int, complaint: bytes) -> Unreachable | None:
    """Tell what kept the gate from being started, by its own words; None where it was nothing that is known here.

    Only for a session that printed nothing on standard output: then not even the gate's first line was reached.
    """
    found = _DOOR.search(complaint)
    why = found[1].decode("ascii", "replace") if found else ""
    is_without_sudo = b"sudo" in complaint if status == 127 else status == 1 and complaint.startswith(b"sudo:")
    if host.level is Level.OPEN:
        if why:
            step = (
                f"Set the level of {host.name} to enforced (or sealed) in the registry: its door runs no other program."
            )
            return _unreachable(host, "has_kit", "has the kit, and the registry says that it is open", step)
        return _without_sudo(host, status) if host.sudo and is_without_sudo else None
    if why:
        step = f"Look at the log of {host.name} (`journalctl -t askfirst`), and renew the kit where it is not in order."
        return _unreachable(host, "refused_by_host", f"refuses by itself: {visible(why, 200)}", step)
    if is_without_sudo:
        return _unreachable(host, "kit_incomplete", "has no sudo rule for the gate", _renew(host))
    if status in {126, 127}:
        step = f"Install it (`askfirst host kit {host.name}` prints it), or set the host's level to open."
        what = (
            f"has no kit for {host.user}, and the registry says that it is {host.level}: the kit is not installed there"
        )
        return _unreachable(host, "no_kit", what, step)
    return None


def _without_sudo(host: Host, status: int) -> Unreachable:
    what = "has no sudo" if status == 127 else f"does not let {host.user} use sudo for the gate"
    line = f"{host.user} ALL=(root) NOPASSWD: /usr/bin/sh -s"
    step = f"Put this line into /etc/sudoers.d/askfirst on {host.name}, or set sudo: false: {line}"
    return _unreachable(host, "sudo_missing", what, step)


def _renew(host: Host) -> str:
    return f"Renew the kit: `askfirst host kit {host.name}` prints it."


def late(host: Host, seconds: float) -> Unreachable:
    """No whole answer came in time."""
    step = (
        f"Try again; if it stays so, look for what hangs on {host.name} (a full disk, a manager that does not answer)."
    )
    return _unreachable(host, "timeout", f"gave no whole answer in {seconds:g} seconds", step)


def spool_unusable(host: Host, why: str) -> Unreachable:
    """The gate's own word that it cannot read or write its spool (a full disk, say)."""
    step = f"Make room or set the rights on {host.name}; Askfirst asks again by itself."
    return _unreachable(host, "spool_unusable", f"cannot use the gate's spool: {visible(why, 200)}", step)


def lost(host: Host, error: Exception) -> Lost:
    """The line was lost, or the answer makes no sense, after a warrant was sent: it may have run."""
    match error:
        case TimeoutError():
            code, what = "run_timeout", "has not said in time how the command ended"
        case Unreachable(code="garbled") | ValueError() | KeyError():
            code, what = "garbled", "answered something that the gate does not say"
        case _:
            code, what = "line_lost", "was lost in the middle of the run"
    step = "Do not restart it by hand: Askfirst finds out from the host itself whether it ran."
    return Lost(f"{where(host)} {what}. It may have run.", code=code, next_step=step)


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


def _utc(epoch: int) -> str:
    return time.strftime("%H:%M:%S UTC", time.gmtime(epoch))


def _unreachable(host: Host, code: str, what: str, next_step: str) -> Unreachable:
    return Unreachable(f"{where(host)} {what}. Nothing was run.", code=code, next_step=next_step)
