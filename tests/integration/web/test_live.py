"""Live pages: what a stream says, where it goes on, and when it ends."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI

from app.flow.ports import World
from app.store import output, sessions
from app.web.routes import live
from tests.integration.web.seed import Seed

Make = Callable[..., Any]


class Stream:
    """A browser's open stream: its events, one at a time."""

    def __init__(self, app: FastAPI, path: str, cookie: str, last: str = "") -> None:
        self.status = 0
        self.chunks: asyncio.Queue[bytes] = asyncio.Queue()
        self._gone = asyncio.Event()
        address, _, query = path.partition("?")
        headers = [(b"cookie", f"askfirst={cookie}".encode()), (b"last-event-id", last.encode())]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": address,
            "raw_path": address.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8770),
        }
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.chunks.put_nowait(message.get("body", b""))

    async def event(self) -> tuple[str, Any, str]:
        """Return the next event: its kind, its data and its mark. Comments that keep the line open are passed over."""
        async with asyncio.timeout(20):
            while True:
                lines = (await self.chunks.get()).decode().splitlines()
                fields = dict(line.split(": ", 1) for line in lines if ": " in line and not line.startswith(":"))
                if "event" in fields:
                    return fields["event"], json.loads(fields["data"]), fields.get("id", "")

    async def leave(self) -> None:
        self._gone.set()
        await asyncio.wait_for(self.task, 20)


async def cookie_of(browser: Make, who: str) -> str:
    return str((await browser(who)).client.cookies["askfirst"])


async def test_new_lines_and_changes_are_told_and_the_end_ends_the_stream(
    app: FastAPI, browser: Make, world: World, seed: Seed
) -> None:
    running = await seed.run(await seed.approve(await seed.waiting()), b"one\ntw")
    path = f"/requests/{running.id}/live?version={running.version}&line=1"
    stream = Stream(app, path, await cookie_of(browser, "ada"))
    assert await stream.event() == ("lines", {"first": 1, "lines": ["one"]}, f"{running.version}:2")
    await output.append(world.db, running.id, 6, b"o\n\x1b[2J<b>\n")
    world.news.tell(running.id)
    assert (await stream.event())[1] == {"first": 2, "lines": ["two", "‹ESC›[2J<b>"]}
    ended = await seed.end(running)
    world.news.tell(running.id)
    assert (await stream.event())[:2] == ("changed", "settling")
    await seed.settle(ended)
    world.news.tell(running.id)
    assert (await stream.event())[:2] == ("changed", "succeeded")
    assert (await stream.event())[0] == "ended"
    await asyncio.wait_for(stream.task, 20)


async def test_a_stream_goes_on_where_the_last_one_was_cut(app: FastAPI, browser: Make, seed: Seed) -> None:
    running = await seed.run(await seed.approve(await seed.waiting()), b"one\ntwo\nthree\n")
    cookie = await cookie_of(browser, "ada")
    stream = Stream(app, f"/requests/{running.id}/live?version=1&line=1", cookie, f"{running.version}:3")
    assert (await stream.event())[:2] == ("lines", {"first": 3, "lines": ["three"]})
    await stream.leave()


async def test_a_private_key_that_is_printed_in_pieces_is_never_shown(
    app: FastAPI, browser: Make, world: World, seed: Seed
) -> None:
    first = b"ok\n-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n"
    running = await seed.run(await seed.approve(await seed.waiting()), first)
    stream = Stream(app, f"/requests/{running.id}/live?version={running.version}", await cookie_of(browser, "ada"))
    assert (await stream.event())[1]["lines"] == ["ok"]
    await output.append(world.db, running.id, len(first), b"IBAAKCAQ\n-----END RSA PRIVATE KEY-----\nafter\n")
    world.news.tell(running.id)
    told = " ".join((await stream.event())[1]["lines"])
    assert "after" in told
    assert "MIIEow" not in told
    assert "IBAAKCAQ" not in told
    await stream.leave()


async def test_the_inbox_is_told_of_what_comes_and_goes(app: FastAPI, browser: Make, world: World, seed: Seed) -> None:
    stream = Stream(app, "/live", await cookie_of(browser, "bo"))
    await stream.chunks.get()
    await seed.waiting()
    world.news.tell("work")
    assert (await stream.event())[0] == "changed"
    await stream.leave()


@pytest.mark.threat("A11")
async def test_a_stream_needs_a_session_and_ends_with_it(
    app: FastAPI, browser: Make, world: World, seed: Seed, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = await seed.waiting()
    nobody = Stream(app, f"/requests/{waiting.id}/live", "guess")
    await nobody.task
    assert nobody.status == 303
    monkeypatch.setattr(live, "_CHECK_SECONDS", 0.0)
    cookie = await cookie_of(browser, "ada")
    stream = Stream(app, f"/requests/{waiting.id}/live?version={waiting.version}", cookie)
    await stream.chunks.get()
    await sessions.close_all(world.db, seed.accounts["ada"].person.id)
    world.news.tell(waiting.id)
    await asyncio.wait_for(stream.task, 20)
    assert stream.status == 200


@pytest.mark.threat("H6")
async def test_one_person_cannot_open_streams_without_end(app: FastAPI, browser: Make, seed: Seed) -> None:
    waiting = await seed.waiting()
    ada, bo = await browser("ada"), await browser("bo")
    cookie = str(ada.client.cookies["askfirst"])
    path = f"/requests/{waiting.id}/live?version={waiting.version}"
    streams = [Stream(app, path, cookie) for _ in range(12)]
    for stream in streams:
        await stream.chunks.get()
    refused = Stream(app, path, cookie)
    await refused.chunks.get()
    assert refused.status == 429
    assert (await bo.get(f"/requests/{waiting.id}")).status_code == 200
    for stream in streams:
        await stream.leave()
    again = Stream(app, path, cookie)
    await again.chunks.get()
    assert again.status == 200
    await again.leave()


async def test_a_stream_of_nothing_is_not_found(browser: Make, seed: Seed) -> None:
    assert (await (await browser("ada")).get("/requests/R-ZZZZ/live")).status_code == 404
