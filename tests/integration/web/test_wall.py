"""The wall: headers everywhere, who may post from where, how much, and errors without a traceback."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from sqlalchemy import func, select
from sqlmodel import SQLModel

from app.api import problems
from app.core.errors import Broken
from app.flow.ports import World
from app.settings import Settings
from app.store import people
from app.store.tables import AUDIT
from app.web import security
from app.web.setup import install
from tests.integration.web.conftest import BASE, Browser
from tests.integration.web.seed import Seed

Make = Callable[..., Any]
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


def routes(app: FastAPI, method: str) -> list[str]:
    """Every path of a method, with plausible names in it."""
    names = {"name": "pypnm-gui", "kinds": "services", "request_id": "R-0000", "secret": "none"}
    found = [route.path for route in _all(app) if method in (route.methods or set())]
    return [re.sub(r"{(\w+)}", lambda m: names.get(m[1], "none"), path) for path in found]


def _all(app: FastAPI) -> list[APIRoute]:
    found: list[APIRoute] = []

    def walk(routes: Any) -> None:
        for route in routes:
            if isinstance(route, APIRoute):
                found.append(route)
            elif hasattr(route, "original_router"):
                walk(route.original_router.routes)
            elif hasattr(route, "routes"):
                walk(route.routes)

    walk(app.routes)
    return found


async def test_every_route_was_found(app: FastAPI, seed: Seed) -> None:
    assert {"/", "/services", "/requests/R-0000", "/audit", "/setup/none"} <= set(routes(app, "GET"))
    assert {"/requests/R-0000/approve", "/settings/freeze", "/sign-in"} <= set(routes(app, "POST"))


async def test_every_answer_carries_the_same_wall(app: FastAPI, browser: Make, seed: Seed) -> None:
    nobody, ed = await browser(), await browser("ed")
    paths = [*routes(app, "GET"), "/static/ask.css", "/static/none", "/nothing/here"]
    for who in (nobody, ed):
        for path in paths:
            if path.endswith("/live"):
                continue
            answer = await who.get(path)
            assert answer.headers["content-security-policy"] == POLICY, path
            assert answer.headers["x-content-type-options"] == "nosniff", path
            assert answer.headers["referrer-policy"] == "same-origin", path
            assert answer.headers["cross-origin-opener-policy"] == "same-origin", path
            assert answer.headers["cross-origin-resource-policy"] == "same-origin", path
            assert answer.headers["cache-control"] == "no-store", path
            assert answer.status_code < 500, path


async def test_a_static_file_named_by_its_content_may_be_kept_for_ever(browser: Make, seed: Seed) -> None:
    nobody = await browser()
    address = re.search(r'href="(/static/ask\.css\?v=\w+)"', (await nobody.get("/sign-in")).text)
    assert address
    answer = await nobody.get(address[1])
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-security-policy"] == POLICY


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, 303),
        ({"origin": "http://127.0.0.1:8770"}, 303),
        ({}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "none"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1:8770"}, 403),
        ({"referer": "http://127.0.0.1:8770/settings"}, 403),
    ],
)
@pytest.mark.threat("B11")
async def test_only_our_own_pages_may_post(browser: Make, seed: Seed, headers: dict[str, str], status: int) -> None:
    ada = await browser("ada")
    fields = {"csrf": await ada.csrf(), "theme": "dark"}
    answer = await ada.client.post("/settings/look", data=fields, headers=headers)
    assert answer.status_code == status
    if status == 403:
        assert "nothing was done" in answer.text


@pytest.mark.parametrize("token", ["", "0" * 64, None])
@pytest.mark.threat("B11")
async def test_a_form_without_the_sessions_own_token_is_refused(browser: Make, seed: Seed, token: str | None) -> None:
    ada, bo = await browser("ada"), await browser("bo")
    stolen = await bo.csrf() if token is None else token
    headers = {"sec-fetch-site": "same-origin"}
    answer = await ada.client.post("/settings/look", data={"csrf": stolen, "theme": "dark"}, headers=headers)
    assert answer.status_code == 403
    assert "another session" in answer.text


@pytest.mark.threat("B11")
async def test_every_post_needs_a_token_or_is_for_visitors(
    app: FastAPI, browser: Make, world: World, seed: Seed
) -> None:
    for_visitors = {"/sign-in", "/sign-in/passkey", "/sign-in/passkey/options", "/setup/none"}
    before = await contents(world)
    for who in ("root", "ed", "bo"):
        someone = await browser(who)
        before = await contents(world)
        for path in set(routes(app, "POST")) - for_visitors:
            answer = await someone.client.post(path, data={}, headers={"sec-fetch-site": "same-origin"})
            assert answer.status_code in {403, 404}, (path, answer.status_code)
    assert await contents(world) == before


@pytest.mark.threat("B11")
async def test_reading_changes_nothing(app: FastAPI, browser: Make, world: World, seed: Seed) -> None:
    waiting = await seed.waiting()
    for who in ("", "ada", "bo", "ed", "odo", "root"):
        someone = await browser(who)
        before = await contents(world)
        for path in (*routes(app, "GET"), f"/requests/{waiting.id}", f"/requests/{waiting.id}/output"):
            if not path.endswith("/live"):
                await someone.get(path)
                await someone.client.head(path)
        assert await contents(world) == before


async def contents(world: World) -> dict[str, Any]:
    """How many rows each table holds, and where the log ends."""
    async with world.db.read() as connection:
        counts = {
            name: await connection.scalar(select(func.count()).select_from(table))
            for name, table in SQLModel.metadata.tables.items()
        }
        counts["head"] = await connection.scalar(select(func.max(AUDIT.c.seq)))
    return counts


@pytest.mark.threat("H8")
async def test_a_field_sent_twice_is_refused(browser: Make, seed: Seed) -> None:
    ada = await browser("ada")
    body = f"csrf={await ada.csrf()}&theme=dark&theme=light"
    headers = {"sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded"}
    answer = await ada.client.post("/settings/look", content=body, headers=headers)
    assert answer.status_code == 400
    assert "twice" in answer.text


@pytest.mark.parametrize("field", ["state", "verdict", "approver_id", "expires_at", "csrf2", "_method"])
@pytest.mark.threat("B5")
async def test_a_field_that_no_page_has_is_refused(browser: Make, world: World, seed: Seed, field: str) -> None:
    waiting = await seed.waiting()
    bo = await browser("bo")
    before = await contents(world)
    answer = await bo.post(f"/requests/{waiting.id}/approve", {"digest": waiting.digest, field: "approved"})
    assert answer.status_code == 422
    assert await contents(world) == before


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x", "text/plain"])
async def test_a_body_that_is_no_form_is_refused(browser: Make, seed: Seed, kind: str) -> None:
    ada = await browser("ada")
    headers = {"sec-fetch-site": "same-origin", "content-type": kind}
    assert (await ada.client.post("/settings/look", content='{"theme":"dark"}', headers=headers)).status_code == 400


@pytest.mark.parametrize("body", [b"csrf=%ff%fe", b"\xff\xfe=1", b"a;b", b"=&&=" * 400])
async def test_a_form_of_broken_bytes_is_refused(browser: Make, seed: Seed, body: bytes) -> None:
    ada = await browser("ada")
    headers = {"sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded"}
    assert (await ada.client.post("/settings/look", content=body, headers=headers)).status_code in {400, 403}


@pytest.mark.parametrize("has_length", [True, False])
@pytest.mark.threat("H3")
async def test_a_large_body_is_not_read(browser: Make, seed: Seed, has_length: bool) -> None:
    ada = await browser("ada")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 1024

    headers = {"sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded"}
    body = b"x" * 100 * 1024 if has_length else pieces()
    answer = await ada.client.post("/settings/look", content=body, headers=headers)
    assert answer.status_code == 413
    assert "64 KiB" in answer.text


@pytest.mark.threat("H3")
async def test_a_body_that_never_ends_is_given_up(app: FastAPI, seed: Seed) -> None:
    async def silent() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def tell(scope: Any, error: Any) -> Any:
        async def respond(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 408, "headers": [], "code": error.code})

        return respond

    wall = security.Wall(app, "http://127.0.0.1:8770", tell, body_seconds=0.01)
    scope = {"type": "http", "method": "POST", "path": "/sign-in", "headers": [(b"sec-fetch-site", b"same-origin")]}
    await wall(scope, silent, send)
    assert sent[0]["code"] == "too_slow"


async def posted(app: FastAPI, session: Browser, path: str, pieces: list[dict[str, Any]], length: int) -> list[Any]:
    """Post a form whose body arrives in these messages, as a server hands them on, and return what was answered."""
    headers = {"content-type": "application/x-www-form-urlencoded", "content-length": str(length)}
    headers |= {"sec-fetch-site": "same-origin", "cookie": f"askfirst={session.client.cookies['askfirst']}"}
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "http_version": "1.1"}
    scope |= {"scheme": "http", "server": ("127.0.0.1", 8770), "client": ("127.0.0.1", 1), "root_path": ""}
    scope |= {"headers": [(name.encode(), value.encode()) for name, value in headers.items()]}
    told: list[Any] = []

    async def receive() -> Any:
        return pieces.pop(0) if pieces else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        told.append(message)

    await app(scope, receive, send)
    return told


@pytest.mark.threat("H3")
@pytest.mark.parametrize("is_told_as_ended", [False, True])
async def test_a_form_that_is_cut_off_is_not_carried_out_as_if_it_were_whole(
    app: FastAPI, browser: Make, world: World, seed: Seed, is_told_as_ended: bool
) -> None:
    root, bo = await browser("root"), seed.accounts["bo"].person
    begun = f"csrf={await root.csrf()}&role.approver=yes&groups=lab-team".encode()
    whole = begun + b"&is_enabled=yes"
    before = await contents(world)
    piece = {"type": "http.request", "body": begun, "more_body": not is_told_as_ended}
    told = await posted(app, root, f"/people/{bo.id}", [piece], len(whole))
    assert await contents(world) == before
    account = await people.by_id(world.db, bo.id)
    assert account is not None
    assert account.person == bo
    assert [message["status"] for message in told if "status" in message] == ([400] if is_told_as_ended else [])
    pieces: list[dict[str, Any]] = [{**piece, "more_body": True}, {"type": "http.request", "body": whole[len(begun) :]}]
    assert (await posted(app, root, f"/people/{bo.id}", pieces, len(whole)))[0]["status"] == 303


@pytest.mark.threat("L6")
@pytest.mark.parametrize("error", [RuntimeError("SECRET in a traceback"), Broken("It broke.", next_step="Stop.")])
async def test_what_nobody_foresaw_is_a_page_without_a_traceback(
    app: FastAPI, browser: Make, seed: Seed, error: Exception
) -> None:
    @app.get("/fails")
    async def fails() -> None:
        raise error

    ada = await browser("ada")
    answer = await ada.get("/fails")
    assert answer.status_code == 500
    assert answer.headers["content-security-policy"] == POLICY
    assert "SECRET" not in answer.text
    assert "Traceback" not in answer.text
    assert "Go to the inbox" in answer.text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nothing", 404),
        ("/services/nothing", 404),
        ("/hosts/nothing", 404),
        ("/requests/R-ZZZZ", 404),
        ("/people", 403),
    ],
)
async def test_an_error_says_what_to_do_next(browser: Make, seed: Seed, path: str, status: int) -> None:
    ada = await browser("ada")
    answer = await ada.get(path)
    assert answer.status_code == status
    assert 'role="alert"' in answer.text
    assert "Go to the inbox" in answer.text
    assert "Services" in answer.text  # the menu is there too


async def test_an_error_of_the_api_is_told_in_the_apis_own_way(world: World, seed: Seed) -> None:
    app = FastAPI(openapi_url=None)
    app.state.world = world
    problems.install(app)
    install(app, Settings(base_url=BASE, data_dir=Path("/nonexistent")))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=BASE) as client:
        missing = await client.post("/api/v1/none", json={})
        large = await client.post("/api/v1/none", content=b"x" * 70_000)
        page = await client.get("/none")
    assert missing.status_code == 404
    assert large.status_code == 413
    assert {answer.headers["content-type"] for answer in (missing, large)} == {"application/problem+json"}
    assert page.headers["content-type"].startswith("text/html")
