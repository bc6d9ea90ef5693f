"""Checks, made from the host's own point of view: each goes through a channel of the SSH connection to it.

It decides nothing (``core.checks`` judges) and never connects to anything by itself: names are resolved by the host,
the connection is opened by the host's sshd, no proxy of the server's environment is used and no redirect is followed.
So no URL of the registry can reach the server's own network.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import NoReturn

import asyncssh
import httpcore
import httpx
from asyncssh.constants import OPEN_ADMINISTRATIVELY_PROHIBITED

from app.core.checks import BODY_BYTES, judge_http, judge_json, judge_tcp, no_answer
from app.core.run import Checked
from app.core.service import Check, HttpCheck, JsonCheck, TcpCheck

CHECK_SECONDS = 5.0


async def run(connection: asyncssh.SSHClientConnection, check: Check) -> Checked:
    """Make one check. What does not answer is red, with the reason; nothing is raised for it."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await _run(connection, check)
    except TimeoutError:
        return no_answer(check, f"nothing came in {CHECK_SECONDS:g} seconds")
    except asyncssh.ChannelOpenError as error:
        if error.code == OPEN_ADMINISTRATIVELY_PROHIBITED:
            return no_answer(check, "the host's sshd forbids it (AllowTcpForwarding, PermitOpen)")
        return no_answer(check, "nothing accepts connections there")
    except (httpx.InvalidURL, httpx.HTTPError, httpcore.ProtocolError):
        return no_answer(check, "it does not speak HTTP")
    except (httpcore.NetworkError, OSError, asyncssh.Error):
        return no_answer(check, "the connection was broken off")


async def _run(connection: asyncssh.SSHClientConnection, check: Check) -> Checked:
    match check:
        case TcpCheck(port, address):
            _, writer = await connection.open_connection(address, port, encoding=None)
            writer.close()
            return judge_tcp(check)
        case HttpCheck(url):
            status, _ = await _get(connection, url, 0)
            return judge_http(check, status)
        case JsonCheck(url):
            return judge_json(check, *await _get(connection, url, BODY_BYTES + 1))


async def _get(connection: asyncssh.SSHClientConnection, url: str, limit: int) -> tuple[int, bytes]:
    """GET a URL from the host. Returns the status and the first ``limit`` bytes of the body as they were sent."""
    headers = {"Accept": "application/json, */*", "Accept-Encoding": "identity", "User-Agent": "askfirst"}
    transport = ChannelTransport(connection)
    async with (
        httpx.AsyncClient(transport=transport, trust_env=False, follow_redirects=False, headers=headers) as client,
        client.stream("GET", url) as answer,
    ):
        body = b""
        async for piece in answer.aiter_raw():
            body += piece[: limit - len(body)]
            if len(body) >= limit:
                break
        return answer.status_code, body


class ChannelTransport(httpx.AsyncBaseTransport):
    """Sends each of httpx's requests through a channel of its own. Plain HTTP: the channel is encrypted already."""

    def __init__(self, connection: asyncssh.SSHClientConnection) -> None:
        """Take the SSH connection whose host sends the requests on."""
        self._connection = connection

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request. Raises asyncssh's and httpcore's own errors."""
        if request.url.scheme != "http":
            raise httpx.UnsupportedProtocol("a check's URL begins with http://")
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port or 80,
            target=request.url.raw_path,
        )
        stream = _Stream(*await self._connection.open_connection(request.url.host, url.origin.port, encoding=None))
        wire = httpcore.AsyncHTTP11Connection(url.origin, stream)
        try:
            answer = await wire.handle_async_request(
                httpcore.Request(request.method, url, headers=request.headers.raw, content=request.stream)
            )
        except BaseException:
            await wire.aclose()
            raise
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(wire, answer))


class _Body(httpx.AsyncByteStream):
    """The body of an answer, with the connection that it comes over."""

    def __init__(self, wire: httpcore.AsyncHTTP11Connection, answer: httpcore.Response) -> None:
        self._wire = wire
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._answer.aiter_stream():
            yield piece

    async def aclose(self) -> None:
        await self._wire.aclose()


class _Stream(httpcore.AsyncNetworkStream):
    """A channel as httpcore wants to read and write it. Time is kept by the caller, over the whole check."""

    def __init__(self, reader: asyncssh.SSHReader[bytes], writer: asyncssh.SSHWriter[bytes]) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's own
        return await self._reader.read(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore's own
        self._writer.write(buffer)
        await self._writer.drain()

    async def aclose(self) -> None:
        self._writer.close()

    async def start_tls(self, *_: object, **__: object) -> NoReturn:
        raise httpcore.UnsupportedProtocol("a check's URL begins with http://")
