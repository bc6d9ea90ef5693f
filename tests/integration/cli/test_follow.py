"""Following a request from a terminal while the server, its database or a proxy before it is away for a while."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from app.cli.server import connected
from app.core.errors import AskfirstError, Lost

STREAM = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
STARTED = 'event: happened\ndata: {"type": "run_started"}\nid: 4:0\n\n'
ENDED = 'event: ended\ndata: {"state": "succeeded"}\nid: 6:0\n\n'
STILL_HERE = ": ping\n\n"
ITEMS = [("happened", {"type": "run_started"}), ("ended", {"state": "succeeded"})]


def cut(text: str) -> str:
    """Return an answer that breaks off after a text."""
    return f"{STREAM}{len(text):x}\r\n{text}\r\n"


def whole(text: str) -> str:
    return f"{cut(text)}0\r\n\r\n"


def refused(status: int, code: str = "") -> str:
    """Return an answer with a status: a problem of Askfirst's with a code, else what a proxy says."""
    told = json.dumps({"detail": "Not now.", "code": code, "next": "Try again."}) if code else "<h1>Bad Gateway</h1>"
    return f"HTTP/1.1 {status} x\r\ncontent-length: {len(told)}\r\nconnection: close\r\n\r\n{told}"


@contextlib.asynccontextmanager
async def answering(answer: Callable[[str], str]) -> AsyncIterator[str]:
    """Serve what is answered to the head of each question, one for each connection."""

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(head.decode()).encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(served, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def followed(*answers: str, pauses: int) -> tuple[list[object], list[str], AskfirstError | None]:
    """Follow through one answer after the other, the last one for ever: what was heard, asked and raised."""
    heads: list[str] = []
    heard: list[object] = []

    def answer(head: str) -> str:
        heads.append(head.lower())
        return answers[min(len(heads), len(answers)) - 1]

    async with answering(answer) as url, connected(url, "af_x") as server:
        try:
            async for item in replace(server, pauses=(0.0,) * pauses).follow("R-7F3K"):
                heard += [item]
        except AskfirstError as error:
            return heard, heads, error
    return heard, heads, None


async def test_a_database_and_a_replica_that_restart_are_waited_for() -> None:
    away = (refused(503, "store_away"), refused(502), refused(504))
    heard, heads, error = await followed(cut(STARTED + STILL_HERE), *away, whole(ENDED), pauses=5)
    assert error is None
    assert heard == ITEMS
    assert ["last-event-id: 4:0" in head for head in heads] == [False, True, True, True, True]


async def test_between_two_tries_there_is_a_pause() -> None:
    clock = asyncio.get_running_loop().time
    back_at = clock() + 0.6
    async with (
        answering(lambda _: refused(503, "store_away") if clock() < back_at else whole(STARTED + ENDED)) as url,
        connected(url, "af_x") as server,
    ):
        assert [item async for item in replace(server, pauses=(0.0, *(0.3,) * 5)).follow("R-7F3K")] == ITEMS


async def test_a_line_that_is_cut_again_and_again_while_nothing_happens_is_not_a_lost_server() -> None:
    heard, _, error = await followed(*[cut(STILL_HERE)] * 6, whole(STARTED + ENDED), pauses=2)
    assert error is None
    assert heard == ITEMS


async def test_a_server_that_stays_away_is_lost_after_the_last_try() -> None:
    heard, heads, error = await followed(cut(STARTED), refused(503, "store_away"), pauses=4)
    assert heard == ITEMS[:1]
    assert isinstance(error, Lost)
    assert error.code == "server_lost"
    assert len(heads) == 1 + 3


@pytest.mark.parametrize("status", [401, 404, 429, 500])
async def test_any_other_refusal_is_told_at_once(status: int) -> None:
    _, heads, error = await followed(cut(STARTED), refused(status, "no"), pauses=4)
    assert error is not None
    assert error.code == "no"
    assert len(heads) == 2
