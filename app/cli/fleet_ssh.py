"""The demo's SSH server: on loopback, for one key, it runs real shells as the user who started the demo.

It does what sshd does for Askfirst and no more: commands, and forwarded connections to loopback. No password, no agent,
no file transfer.
"""

import asyncio
import contextlib
import os
import pwd
from collections.abc import Mapping
from pathlib import Path

import asyncssh

_PIECE = 1 << 16
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def user_name() -> str:
    """Return the name of the user who runs this process, or the number of one who has no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


class _Door(asyncssh.SSHServer):
    """One connection: any user name, one key, and forwarding to loopback only."""

    def password_auth_supported(self) -> bool:
        return False

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        return dest_host in _LOOPBACK


async def listen(host_key: asyncssh.SSHKey, authorized: Path, environment: Mapping[str, str]) -> asyncssh.SSHAcceptor:
    """Start the server on a free port of loopback. Sessions get exactly this environment."""

    async def session(process: asyncssh.SSHServerProcess[bytes]) -> None:
        await _run(process, environment)

    return await asyncssh.create_server(
        _Door,
        "127.0.0.1",
        0,
        server_host_keys=[host_key],
        authorized_client_keys=str(authorized),
        process_factory=session,
        encoding=None,
        allow_scp=False,
        gss_host=None,
    )


async def _run(process: asyncssh.SSHServerProcess[bytes], environment: Mapping[str, str]) -> None:
    """Run one command in the user's shell, as sshd does, with its three streams tied to the session's."""
    argv = ["/bin/sh", "-c", process.command] if process.command else ["/bin/sh"]
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        *argv, stdin=pipe, stdout=pipe, stderr=pipe, env=dict(environment), cwd=environment["HOME"]
    )
    if child.stdin is None or child.stdout is None or child.stderr is None:
        raise RuntimeError("a process with three pipes has three pipes")
    feeding = asyncio.create_task(_feed(process.stdin, child.stdin))
    try:
        await asyncio.gather(_bring(child.stdout, process.stdout), _bring(child.stderr, process.stderr))
        status = await child.wait()
    finally:
        feeding.cancel()
    # A shell tells a signal's end the same way.
    process.exit(status if status >= 0 else 128 - status)


async def _feed(source: asyncssh.SSHReader[bytes], target: asyncio.StreamWriter) -> None:
    """Give a command what the client sends, until either of them has had enough."""
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await source.read(_PIECE):
            target.write(data)
            await target.drain()
    target.close()


async def _bring(source: asyncio.StreamReader, target: asyncssh.SSHWriter[bytes]) -> None:
    """Send the client what a command prints. A client that is gone stops nothing: the command goes on, unheard."""
    while data := await source.read(_PIECE):
        with contextlib.suppress(OSError, asyncssh.Error):
            target.write(data)
            await target.drain()
