"""The TCP connection acknowledges at once, and says why it could not be opened."""

import asyncio
import socket

import pytest

from app.ssh import wire

QUICKACK = getattr(socket, "TCP_QUICKACK", None)


class Reader(asyncio.Protocol):
    """Answers each message with one byte, which is what makes Linux hold acknowledgements back."""

    def __init__(self) -> None:
        self.got = asyncio.Queue[bytes]()
        self.was_quick: list[int] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert QUICKACK is not None
        opened = self._transport.get_extra_info("socket")
        self.was_quick.append(opened.getsockopt(socket.IPPROTO_TCP, QUICKACK))
        self._transport.write(b".")
        self.got.put_nowait(data)


async def talked(opened: socket.socket, accepted: socket.socket) -> list[int]:
    """Exchange some messages; return whether the client's side was set to acknowledge at once after each read."""
    loop = asyncio.get_running_loop()
    transport, reader = await loop.create_connection(Reader, sock=opened)
    for _ in range(20):
        await loop.sock_sendall(accepted, b"hello")
        await reader.got.get()
        await loop.sock_recv(accepted, 10)
    transport.close()
    await asyncio.sleep(0)
    return reader.was_quick


@pytest.mark.skipif(QUICKACK is None, reason="needs TCP_QUICKACK, which Linux has")
@pytest.mark.parametrize("kind", [socket.socket, wire.QuickSocket])
async def test_acknowledgements_stay_quick_through_a_conversation(kind: type[socket.socket]) -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        opened = kind(socket.AF_INET, socket.SOCK_STREAM)
        opened.setblocking(False)
        await loop.sock_connect(opened, server.getsockname())
        accepted, _ = await loop.sock_accept(server)
        with accepted:
            was_quick = await talked(opened, accepted)
    assert len(was_quick) == 20
    assert all(was_quick) == (kind is wire.QuickSocket)


async def test_where_the_system_has_no_quick_acknowledgements_the_data_still_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wire, "_QUICKACK", None)
    one, other = socket.socketpair()
    with one, wire.QuickSocket(other.family, other.type, other.proto, other.detach()) as quick:
        one.sendall(b"hello")
        assert quick.recv(10) == b"hello"


async def test_a_socket_that_knows_no_such_option_is_read_all_the_same() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, wire.QuickSocket(other.family, other.type, other.proto, other.detach()) as quick:
        one.sendall(b"hello")
        assert quick.recv(10) == b"hello"


async def test_the_next_address_of_a_name_is_tried_where_one_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        async def resolve(*_: object, **__: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{n}", port)) for n in (2, 3, 1)]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        opened = await wire.connect("alpha.example", port)
        assert opened.getpeername() == ("127.0.0.1", port)
        opened.close()


async def test_an_unknown_name_and_a_refusal_are_told_apart() -> None:
    with pytest.raises(socket.gaierror):
        await wire.connect("no-such-host.invalid", 22)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        await wire.connect("127.0.0.1", port)
