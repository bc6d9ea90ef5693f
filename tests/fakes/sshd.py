"""An SSH server inside the test's own process: it runs real shells as the current user, and can be cut where wanted.

It stands for a host's sshd, not for the host: what its shells see is this machine. It is no fake in what it runs. A
command outlives its connection, as under sshd without a terminal: only its pipes are closed.
"""

import asyncio
import os
import signal as signals
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Self

import asyncssh

from app.core.service import Host
from tests.fakes.cut import Cut


class Sshd:
    """One server on loopback. ``options`` go to asyncssh's listen as they are."""

    def __init__(
        self,
        client_key: asyncssh.SSHKey,
        name: str = "alpha",
        environment: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        self.name = name
        self.key: asyncssh.SSHKey = asyncssh.generate_private_key("ssh-ed25519")
        self.cut_at: Cut | None = None
        self.answers: Callable[[asyncssh.SSHServerProcess[bytes]], Awaitable[None]] | None = None
        self.forwards: dict[tuple[str, int], tuple[str, int]] | None = None
        self.meet: Callable[[asyncssh.SSHServerConnection], None] = lambda _: None
        self.forbids_forwarding = False
        self.most_sessions = 10
        self.cuts_on_forward = False
        self.sessions = 0
        self.sign_ins: list[str] = []
        self.auth_requests: list[str] = []
        self.commands: list[str] = []
        self.asked_forwards: list[tuple[str, int]] = []
        self._client_key = client_key
        self.environment = environment
        self._options = options
        self._connections: set[asyncssh.SSHServerConnection] = set()
        self._children: list[asyncio.subprocess.Process] = []
        self._acceptor: asyncssh.SSHAcceptor | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, port: int = 0) -> None:
        """Listen, on the same port as before where one is given."""
        options = {"server_host_keys": [self.key], **self._options}
        self._acceptor = await asyncssh.listen(
            "127.0.0.1",
            port,
            server_factory=lambda: _Server(self),
            encoding=None,
            line_editor=False,
            keepalive_interval=0,
            **options,
        )

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._acceptor:
            self._acceptor.close()
            self.cut()
            await self._acceptor.wait_closed()
        for child in self._children:
            try:
                await asyncio.wait_for(child.wait(), 10)
            except TimeoutError:
                child.kill()
                await child.wait()

    @property
    def port(self) -> int:
        assert self._acceptor is not None
        return self._acceptor.get_port()

    @property
    def host(self) -> Host:
        """The registry's entry for this server, with its key pinned."""
        return Host(self.name, "127.0.0.1", "test", host_keys=(public(self.key),), port=self.port, user="askfirst")

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    def cut(self) -> int:
        """Break every connection at once. Returns how many there were."""
        connections = list(self._connections)
        for connection in connections:
            connection.abort()
        return len(connections)

    def may_sign_in(self, key: asyncssh.SSHKey) -> bool:
        return key.public_data == self._client_key.public_data

    def note(self, connection: asyncssh.SSHServerConnection, *, is_open: bool) -> None:
        (self._connections.add if is_open else self._connections.discard)(connection)

    async def run(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """Serve one session: read its whole input, run its command in a real shell, carry what it prints."""
        self.commands.append(process.command or "")
        self.sessions += 1
        try:
            await self._serve(process)
        finally:
            self.sessions -= 1

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        if self.answers:
            await self.answers(process)
            return
        data = await process.stdin.read()
        if self.breaks(Cut.AFTER_INPUT):
            return
        child = await asyncio.create_subprocess_exec(
            *("sh", "-c", process.command or "exit 1"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=1 << 20,
            env=self.environment,
            start_new_session=True,
        )
        self._children.append(child)
        if isinstance(process, _Process):
            process.pid = child.pid
        await self._carry(process, child, data)

    async def _carry(
        self, process: asyncssh.SSHServerProcess[bytes], child: asyncio.subprocess.Process, data: bytes
    ) -> None:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        complaints = asyncio.create_task(_pump(child.stderr, process.stderr))
        try:
            child.stdin.write(data)
            child.stdin.close()
            # Line by line only where a line is waited for: a flood may come without any.
            while data := await (child.stdout.readline() if self.cut_at else child.stdout.read(65536)):
                if data.startswith(b"exit ") and self.breaks(Cut.BEFORE_EXIT):
                    return
                process.stdout.write(data)
                await process.stdout.drain()
                if data.startswith(b"started ") and self.breaks(Cut.AFTER_START):
                    return
            await complaints
            process.exit(await child.wait())
        except (OSError, asyncssh.Error):
            pass  # the client has gone, which does not end what runs
        finally:
            complaints.cancel()
            _let_go(child)

    def breaks(self, point: Cut) -> bool:
        """Break every connection if this is the point to do so."""
        if self.cut_at is not point:
            return False
        self.cut_at = None
        self.cut()
        return True


class _Server(asyncssh.SSHServer):
    def __init__(self, sshd: Sshd) -> None:
        self._sshd = sshd
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._sshd.note(conn, is_open=True)
        self._sshd.meet(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        assert self._connection is not None
        self._sshd.note(self._connection, is_open=False)

    def begin_auth(self, username: str) -> bool:
        self._sshd.auth_requests.append(username)
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return self._sshd.may_sign_in(key)

    def auth_completed(self) -> None:
        assert self._connection is not None
        self._sshd.sign_ins.append(str(self._connection.get_extra_info("username")))

    def session_requested(self) -> Any:
        assert self._connection is not None
        if self._sshd.breaks(Cut.BEFORE_SESSION) or self._sshd.sessions >= self._sshd.most_sessions:
            return False
        process = _Process(self._sshd.run, None, 3, False)
        return self._connection.create_server_channel(None), process

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> Any:
        self._sshd.asked_forwards.append((dest_host, dest_port))
        if self._sshd.cuts_on_forward:
            self._sshd.cut()
            return False
        if self._sshd.forbids_forwarding:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "open failed")
        if self._sshd.forwards is None:
            return True
        target = self._sshd.forwards.get((dest_host, dest_port))
        if target is None or self._connection is None:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "Connection refused")
        return self._connection.forward_connection(*target)


class _Process(asyncssh.SSHServerProcess[bytes]):
    """A session whose program gets the signals that the client sends, with all of its process group, as under sshd."""

    pid: int | None = None

    def signal_received(self, signal: str) -> None:
        if self.pid is not None:
            os.killpg(self.pid, getattr(signals, f"SIG{signal}"))


def public(key: asyncssh.SSHKey) -> str:
    """A public key as the registry holds it."""
    return " ".join(key.export_public_key().decode().split()[:2])


async def _pump(source: asyncio.StreamReader, target: asyncssh.SSHWriter[bytes]) -> None:
    while piece := await source.read(65536):
        target.write(piece)


def _let_go(child: asyncio.subprocess.Process) -> None:
    """Close our ends of the pipes and let the process be."""
    inner: Any = child
    for number in (0, 1, 2):
        # asyncio has no other way to close a pipe that is read from
        pipe = inner._transport.get_pipe_transport(number)  # noqa: SLF001
        if pipe:
            pipe.close()
