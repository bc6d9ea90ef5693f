"""The TCP connection under SSH: name to address to an open socket, with acknowledgements that are not held back.

It knows nothing of SSH. Linux holds an acknowledgement back for up to 40 ms, and an SSH login waits for one of them in
full: measured, 92 ms instead of 49. ``TCP_QUICKACK`` stops that, but the kernel takes it back whenever it likes, so it
is set again after every read. Asyncio's own loop reads by the socket's ``recv``, which is where this hooks in; another
loop that reads the descriptor by itself loses the gain and nothing else.
"""

import asyncio
import socket
from typing import cast

_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)


class QuickSocket(socket.socket):
    """A TCP socket that acknowledges at once. An ordinary one where the system has no such option."""

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Read, then ask again for quick acknowledgements."""
        data = super().recv(bufsize, flags)
        self.acknowledge_at_once()
        return data

    def acknowledge_at_once(self) -> None:
        """Ask for quick acknowledgements until the kernel changes its mind."""
        if _QUICKACK is None:
            return
        try:
            self.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        except OSError:
            pass  # not TCP, or closed meanwhile: the gain is lost, the data is not


async def connect(address: str, port: int) -> socket.socket:
    """Open a TCP connection to a host name or IP address, trying its addresses in turn.

    Raises ``socket.gaierror`` where the name is unknown, else the OSError of the last address tried.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(address, port, type=socket.SOCK_STREAM)
    failure: OSError = socket.gaierror(socket.EAI_NONAME, "the name has no address")
    for family, kind, protocol, _, target in found:
        one = QuickSocket(family, kind, protocol)
        try:
            one.setblocking(False)
            await loop.sock_connect(one, cast("tuple[str, int]", target))
            one.acknowledge_at_once()
        except OSError as error:
            one.close()
            failure = error
        except BaseException:
            one.close()
            raise
        else:
            return one
    raise failure
