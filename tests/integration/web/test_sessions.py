"""Signing in and out: the cookie, the way back, the throttle, and who is out at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.core.policy import Role
from app.flow import people as flow
from app.flow.ports import World
from tests.integration.databases import file, is_file, raw
from tests.integration.limits import no_file_beyond
from tests.integration.web.conftest import Browser, Clock, application
from tests.integration.web.seed import PASSWORD, Seed

Make = Callable[..., Any]


@pytest.mark.threat("J1")
async def test_a_signed_out_reader_comes_back_to_the_page_that_was_wanted(browser: Make, seed: Seed) -> None:
    nobody = await browser()
    sent = await nobody.get("/history?service=pypnm-gui&since=")
    assert sent.status_code == 303
    asked = httpx.URL(sent.headers["location"])
    assert asked.path == "/sign-in"
    page = await nobody.get(sent.headers["location"])
    assert "/history?service=pypnm-gui&amp;since=" in page.text
    back = await nobody.sign_in("ada", next=asked.params["next"])
    assert back.headers["location"] == "/history?service=pypnm-gui&since="


@pytest.mark.parametrize(
    "path", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/\r\nx: y", "evil"]
)
async def test_nobody_is_led_away_after_signing_in(browser: Make, seed: Seed, path: str) -> None:
    nobody = await browser()
    assert (await nobody.sign_in("ada", next=path)).headers["location"] == "/"


@pytest.mark.threat("A1")
async def test_signing_in_makes_a_new_session_and_ends_the_old_one(browser: Make, seed: Seed) -> None:
    ada = await browser("ada")
    before = ada.client.cookies["askfirst"]
    await ada.sign_in("ada")
    after = ada.client.cookies["askfirst"]
    assert before != after
    stale = await browser()
    stale.client.cookies.set("askfirst", before, domain="127.0.0.1")
    assert (await stale.get("/")).status_code == 303


@pytest.mark.threat("A1")
async def test_a_session_id_that_the_browser_brought_along_is_not_taken(browser: Make, seed: Seed) -> None:
    nobody = await browser()
    nobody.client.cookies.set("askfirst", "chosen-by-somebody-else", domain="127.0.0.1")
    answer = await nobody.sign_in("ada")
    assert "chosen-by-somebody-else" not in answer.headers["set-cookie"]


async def test_on_loopback_the_cookie_is_httponly_and_lax(browser: Make, seed: Seed) -> None:
    nobody = await browser()
    cookie = (await nobody.sign_in("ada")).headers["set-cookie"].lower()
    assert cookie.startswith("askfirst=")
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "path=/" in cookie
    assert "domain" not in cookie


async def test_over_tls_the_cookie_is_bound_to_the_host_and_secure(world: World, seed: Seed) -> None:
    base = "https://askfirst.example.org"
    transport = httpx.ASGITransport(app=application(world, base))
    async with httpx.AsyncClient(transport=transport, base_url=base) as client:
        answer = await Browser(client).sign_in("ada")
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-askfirst=")
        assert "Secure" in cookie
        assert "Domain" not in cookie
        assert answer.headers["strict-transport-security"].startswith("max-age=")
        assert (await client.get("/")).status_code == 200


@pytest.mark.threat("A2")
async def test_a_cookie_is_dead_after_signing_out(browser: Make, seed: Seed) -> None:
    ada = await browser("ada")
    secret = ada.client.cookies["askfirst"]
    assert (await ada.post("/sign-out")).status_code == 303
    thief = await browser()
    thief.client.cookies.set("askfirst", secret, domain="127.0.0.1")
    assert (await thief.get("/")).status_code == 303


@pytest.mark.threat("A2")
async def test_a_disabled_person_is_out_at_the_next_request(browser: Make, world: World, seed: Seed) -> None:
    ada = await browser("ada")
    rae, her_id = seed.accounts["root"].person, seed.accounts["ada"].person.id
    await flow.set_rights(world, rae, her_id, [Role.REQUESTER], [], is_enabled=False)
    assert (await ada.get("/")).status_code == 303


@pytest.mark.threat("A2")
async def test_a_lost_role_is_lost_at_the_next_request(browser: Make, world: World, seed: Seed) -> None:
    odo = await browser("odo")
    assert (await odo.get("/audit")).status_code == 200
    await flow.set_rights(
        world, seed.accounts["root"].person, seed.accounts["odo"].person.id, [Role.REQUESTER], [], is_enabled=True
    )
    assert (await odo.get("/audit")).status_code == 403


@pytest.mark.threat("A10")
async def test_guessing_is_slowed_and_a_wrong_name_reads_like_a_wrong_password(browser: Make, seed: Seed) -> None:
    nobody = await browser()
    wrong = await nobody.sign_in("ada", "not the password")
    unknown = await nobody.sign_in("nobody", "not the password")
    assert wrong.status_code == unknown.status_code == 403
    sentence = "The name or the password is wrong."
    assert sentence in wrong.text
    assert sentence in unknown.text
    answers = [await nobody.sign_in("ada", "guess") for _ in range(6)]
    assert answers[-1].status_code == 429
    assert "Try again in" in answers[-1].text
    assert (await nobody.sign_in("ada", PASSWORD)).status_code == 429


async def test_a_refused_sign_in_keeps_the_address_and_never_the_password(browser: Make, seed: Seed) -> None:
    nobody = await browser()
    page = (await nobody.sign_in("ada", "hunter2hunter2", next="/history")).text
    assert 'value="ada@example.org"' in page
    assert 'value="/history"' in page
    assert "hunter2hunter2" not in page


@pytest.mark.threat("A12")
async def test_headers_of_a_proxy_that_nobody_trusts_change_nothing(browser: Make, seed: Seed) -> None:
    nobody = await browser()
    spoof = {
        "host": "evil.example",
        "x-forwarded-for": "1.2.3.4",
        "x-forwarded-host": "evil.example",
        "x-remote-user": "ada",
    }
    answer = await nobody.get("/services", headers=spoof)
    assert answer.headers["location"] == "/sign-in?next=/services"
    assert "evil.example" not in (await nobody.get("/sign-in", headers=spoof)).text
    answers = [
        await nobody.client.post(
            "/sign-in",
            data={"email": "bo@example.org", "password": "guess"},
            headers={"sec-fetch-site": "same-origin", "x-forwarded-for": f"9.9.9.{number}"},
        )
        for number in range(6)
    ]
    assert answers[-1].status_code == 429


async def test_a_session_ends_after_twelve_idle_hours(browser: Make, seed: Seed, clock: Clock) -> None:
    ada = await browser("ada")
    clock.time += 11.9 * 3600
    assert (await ada.get("/")).status_code == 200
    clock.time += 12.1 * 3600
    assert (await ada.get("/")).status_code == 303


@contextmanager
def nothing_is_written(url: str) -> Iterator[None]:
    """Let the database answer and take nothing more: a disk that is full, a server that only reads."""
    if is_file(url):
        with no_file_beyond(Path(f"{file(url)}-wal").stat().st_size):
            yield
        return
    order = "format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database())"
    raw(
        url,
        f"DO $$ BEGIN EXECUTE {order}; END $$",
        "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid()",
    )
    yield


@pytest.mark.threat("F4")
async def test_who_is_signed_in_sees_the_pages_though_nothing_can_be_written(
    browser: Make, seed: Seed, clock: Clock, url: str
) -> None:
    ada = await browser("ada")
    clock.time += 400
    with nothing_is_written(url):
        assert [(await ada.get(path)).status_code for path in ("/", "/history", "/services")] == [200, 200, 200]
        assert (await ada.post("/sign-out")).status_code == 503
    assert raw(url, "SELECT seen_at FROM sessions") == [(clock.time - 400,)]


async def test_a_link_to_sign_out_ends_nothing(browser: Make, seed: Seed) -> None:
    ada = await browser("ada")
    assert "Sign out?" in (await ada.get("/sign-out")).text
    assert (await ada.get("/")).status_code == 200


async def test_a_new_password_ends_the_other_sessions_and_keeps_this_one(browser: Make, seed: Seed) -> None:
    here, there = await browser("ada"), await browser("ada")
    wrong = await here.post("/settings/password", {"current": "wrong", "new": "another good sentence"})
    assert wrong.status_code == 422
    assert "The password is wrong." in wrong.text
    short = await here.post("/settings/password", {"current": PASSWORD, "new": "short"})
    assert "at least 12" in short.text
    done = await here.post("/settings/password", {"current": PASSWORD, "new": "another good sentence"})
    assert done.status_code == 303
    assert (await here.get("/")).status_code == 200
    assert (await there.get("/")).status_code == 303


async def test_signing_out_everywhere_ends_every_session(browser: Make, seed: Seed) -> None:
    here, there = await browser("ada"), await browser("ada")
    await here.post("/settings/sessions")
    assert (await here.get("/")).status_code == 303
    assert (await there.get("/")).status_code == 303
