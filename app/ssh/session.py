"""One program on a host, talked to over its standard input and output. It knows no gate and keeps no connection."""

import asyncio
from collections import deque
from collections.abc import Callable

import asyncssh

_ERROR_BYTES = 4096
_BUFFERED_BYTES = 1 << 20


class Talk(asyncssh.SSHClientSession[bytes]):
    """What asyncssh calls as things happen on the channel, and what the gate's caller reads from at its own pace.

    ``complaint`` is the first 4 KiB of standard error. ``status`` is the exit status, None until it came (and for good
    where the connection was lost or the program was killed). ``was_cut`` tells that the connection itself was lost,
    ``has_spoken`` that something came on standard output. ``buffered_bytes`` have come and were not read yet.
    """

    def __init__(self) -> None:
        self.status: int | None = None
        self.complaint = b""
        self.was_cut = False
        self.has_spoken = False
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._pieces: deque[bytes] = deque()
        self.buffered_bytes = 0
        self._has_ended = False
        self._news = asyncio.Event()
        self._on_closed: Callable[[], None] = lambda: None

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self._channel = chan

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if datatype == asyncssh.EXTENDED_DATA_STDERR:
            self.complaint += data[: _ERROR_BYTES - len(self.complaint)]
            return
        self.has_spoken = True
        self._pieces.append(data)
        self.buffered_bytes += len(data)
        if self.buffered_bytes > _BUFFERED_BYTES and self._channel:
            self._channel.pause_reading()
        self._news.set()

    def eof_received(self) -> bool:
        return True  # keep our half open: the exit status is still to come

    def exit_status_received(self, status: int) -> None:
        self.status = status

    def connection_lost(self, exc: Exception | None) -> None:
        self._has_ended = True
        self.was_cut = exc is not None
        self._news.set()
        self._on_closed()

    def call_when_closed(self, call: Callable[[], None]) -> None:
        """Have this called once the channel has closed, at once where it has."""
        if self._has_ended:
            call()
        else:
            self._on_closed = call

    async def read(self) -> bytes:
        """Return what came next, or nothing once the channel has closed, for whatever reason."""
        while not self._pieces:
            if self._has_ended:
                return b""
            self._news.clear()
            await self._news.wait()
        piece = self._pieces.popleft()
        self.buffered_bytes -= len(piece)
        if self.buffered_bytes <= _BUFFERED_BYTES and self._channel and not self._has_ended:
            self._channel.resume_reading()
        return piece

    def send(self, data: bytes) -> None:
        """Send the whole standard input. Raises OSError where the channel has closed; then nothing was sent."""
        if self._channel is None or self._has_ended or self._channel.is_closing():
            raise BrokenPipeError("the channel has closed")
        self._channel.write(data)
        self._channel.write_eof()

    def leave(self) -> None:
        """Close our end. What runs on the host goes on."""
        if self._channel is not None and not self._has_ended:
            self._channel.close()


async def start(connection: asyncssh.SSHClientConnection, command: str) -> Talk:
    """Start a program on the host. Raises asyncssh's or the system's own errors; then it was given no input."""
    talk = Talk()
    await connection.create_session(lambda: talk, command, encoding=None)
    return talk
