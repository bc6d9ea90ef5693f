"""Checks go through the SSH connection and nowhere else."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import asyncssh
import pytest

from app.core.run import Checked
from app.core.service import Check, HttpCheck, JsonCheck, TcpCheck
from app.ssh import http
from app.ssh.connect import dial
from app.ssh.keys import ClientKey
from tests.fakes.sshd import Sshd


@dataclass
class Web:
    """A small web server, which notes what it was asked."""

    answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    asked: list[str] = field(default_factory=list)
    port: int = 0
    hangs: bool = False
    is_endless: bool = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
            if self.hangs:
                await reader.read()
            writer.write(self.answer)
            await writer.drain()
            while self.is_endless:
                writer.write(b"[" * 65536)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # who asked has read enough, or only wanted to connect
        writer.close()


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    """On the host: reached at port 8000 there, and at a port of its own from here."""
    made = Web()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


@pytest.fixture
async def host(sshd: Sshd, web: Web, client_key: ClientKey) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """A host with a network of its own, in which there is nothing but the web server on port 8000."""
    sshd.forwards = {
        ("127.0.0.1", 8000): ("127.0.0.1", web.port),
        ("localhost", 8000): ("127.0.0.1", web.port),
        ("intranet.example", 8000): ("127.0.0.1", web.port),
        ("::1", 8000): ("127.0.0.1", web.port),
    }
    connection = await dial(sshd.host, client_key)
    yield connection
    connection.close()
    await connection.wait_closed()


def json(text: str, status: str = "200 OK", *headers: str) -> bytes:
    body = text.encode()
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", "")
    return "\r\n".join(lines).encode() + body


TFTP = JsonCheck("http://127.0.0.1:8000/api", "tftp.server", "172.22.147.18")
HEALTH = HttpCheck("http://127.0.0.1:8000/health")


async def test_a_port_that_accepts_is_green_and_one_that_does_not_is_red(host: asyncssh.SSHClientConnection) -> None:
    assert (await http.run(host, TcpCheck(8000))).is_green
    closed = await http.run(host, TcpCheck(8001))
    assert not closed.is_green
    assert "accepts" in closed.seen


async def test_an_http_status_is_compared(host: asyncssh.SSHClientConnection, web: Web) -> None:
    assert (await http.run(host, HEALTH)).is_green
    web.answer = json("", "503 Service Unavailable")
    assert await http.run(host, HEALTH) == Checked(HEALTH.label, False, "status 503, expected 200")
    assert (await http.run(host, HttpCheck("http://127.0.0.1:8000/health", 503))).is_green


async def test_a_json_field_is_compared(host: asyncssh.SSHClientConnection, web: Web) -> None:
    web.answer = json('{"tftp": {"server": "10.0.0.1"}}')
    assert not (await http.run(host, TFTP)).is_green
    web.answer = json('{"tftp": {"server": "172.22.147.18"}}')
    assert (await http.run(host, TFTP)).is_green


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "intranet.example", "[::1]"])
async def test_the_host_header_is_the_urls_own(host: asyncssh.SSHClientConnection, web: Web, name: str) -> None:
    assert (await http.run(host, HttpCheck(f"http://{name}:8000/health?deep=1"))).is_green
    assert web.asked[0].startswith("GET /health?deep=1 HTTP/1.1\r\n")
    assert f"host: {name}:8000\r\n" in web.asked[0].lower()


async def test_an_answer_in_chunks_is_read(host: asyncssh.SSHClientConnection, web: Web) -> None:
    body = b'{"tftp": {"server": "172.22.147.18"}}'
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    web.answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
    assert (await http.run(host, TFTP)).is_green


async def test_nothing_is_ever_fetched_from_the_servers_own_network(
    host: asyncssh.SSHClientConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as here:
        here.setblocking(False)
        port = here.getsockname()[1]
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        checks: tuple[Check, ...] = (
            TcpCheck(port),
            HttpCheck(f"http://127.0.0.1:{port}/"),
            HttpCheck(f"http://localhost:{port}/"),
            JsonCheck(f"http://127.0.0.1:{port}/", "a", "b"),
            HEALTH,
        )
        seen = [(await http.run(host, check)).is_green for check in checks]
        with pytest.raises(BlockingIOError):
            here.accept()
    assert seen == [False, False, False, False, True]


async def test_a_redirect_is_not_followed(host: asyncssh.SSHClientConnection, web: Web) -> None:
    with socket.create_server(("127.0.0.1", 0)) as here:
        here.setblocking(False)
        web.answer = json("", "302 Found", f"Location: http://127.0.0.1:{here.getsockname()[1]}/")
        assert (await http.run(host, HEALTH)).seen == "status 302, expected 200"
        with pytest.raises(BlockingIOError):
            here.accept()
    assert len(web.asked) == 1


async def test_an_endless_answer_is_read_no_further_than_its_cap(host: asyncssh.SSHClientConnection, web: Web) -> None:
    web.answer, web.is_endless = b"HTTP/1.1 200 OK\r\n\r\n", True
    checked = await http.run(host, TFTP)
    assert not checked.is_green
    assert "longer than 1 MiB" in checked.seen
    assert (await http.run(host, HEALTH)).is_green  # its status is all that is asked for


async def test_a_compressed_answer_is_not_unpacked(host: asyncssh.SSHClientConnection, web: Web) -> None:
    packed = gzip.compress(b'{"tftp": {"server": "172.22.147.18"}}')
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
    web.answer = head.encode() + packed
    checked = await http.run(host, TFTP)
    assert not checked.is_green
    assert "not JSON" in checked.seen


@pytest.mark.parametrize(
    "answer",
    [b"SSH-2.0-OpenSSH\r\n", b"", b"HTTP/1.1 999999 What\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000],
    ids=["another protocol", "nothing", "no status", "endless header"],
)
async def test_what_is_not_http_is_red_with_a_reason(
    host: asyncssh.SSHClientConnection, web: Web, answer: bytes
) -> None:
    web.answer = answer
    checked = await http.run(host, HEALTH)
    assert not checked.is_green
    assert checked.seen.startswith("no answer: ")


async def test_an_answer_that_breaks_off_is_red(host: asyncssh.SSHClientConnection, web: Web) -> None:
    web.answer = b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"tftp"'
    assert not (await http.run(host, TFTP)).is_green


async def test_a_service_that_hangs_is_red_in_the_end(
    host: asyncssh.SSHClientConnection, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "CHECK_SECONDS", 0.2)
    web.hangs = True
    assert "0.2 seconds" in (await http.run(host, HEALTH)).seen


async def test_an_sshd_that_forbids_forwarding_is_named(sshd: Sshd, host: asyncssh.SSHClientConnection) -> None:
    sshd.forbids_forwarding = True
    assert "AllowTcpForwarding" in (await http.run(host, TcpCheck(8000))).seen


@pytest.mark.parametrize("url", ["https://127.0.0.1:8000/", "http://127.0.0.1:99999/", "http://[::1/"])
async def test_a_url_that_no_registry_would_take_is_red(host: asyncssh.SSHClientConnection, url: str) -> None:
    assert not (await http.run(host, HttpCheck(url))).is_green


async def test_the_channel_is_closed_after_each_check(host: asyncssh.SSHClientConnection, web: Web) -> None:
    for _ in range(30):
        assert (await http.run(host, HEALTH)).is_green
        assert (await http.run(host, TcpCheck(8000))).is_green
    await asyncio.sleep(0.2)
    assert not host._channels  # noqa: SLF001 - nothing else counts them
