"""Signing in with a passkey: who holds a confirmed one is in, and each wrong answer is refused by its own reason."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import httpx
import pytest

from app.flow.ids import new_id
from app.flow.ports import World
from app.store import credentials, people
from app.store.verify import verify
from tests.fakes.authenticator import PRESENT, Authenticator, b64
from tests.integration.databases import raw
from tests.integration.web.conftest import Clock, application
from tests.integration.web.keys import enrol
from tests.integration.web.seed import Seed

LOCAL = "http://localhost:8770"
SAME = {"sec-fetch-site": "same-origin"}


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=application(world, LOCAL), raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url=LOCAL, headers=SAME) as made:
        yield made


@pytest.fixture
async def key(seed: Seed) -> Authenticator:
    """Bo's passkey."""
    made = Authenticator(counter=3)
    await enrol(seed, "bo", "laptop", key=made)
    return made


async def options(client: httpx.AsyncClient) -> dict[str, Any]:
    """Return what a browser is asked for."""
    told = await client.post("/sign-in/passkey/options")
    assert told.status_code == 200
    found: dict[str, Any] = told.json()
    return found


async def enter(client: httpx.AsyncClient, answer: str, path: str = "/") -> httpx.Response:
    """Send what the authenticator answered."""
    return await client.post("/sign-in/passkey", data={"answer": answer, "next": path})


async def test_a_passkey_signs_in_and_leads_to_where_one_wanted_to_go(
    client: httpx.AsyncClient, key: Authenticator, world: World, seed: Seed, url: str
) -> None:
    asked = await options(client)
    assert (asked["userVerification"], asked.get("allowCredentials")) == ("required", [])
    entered = await enter(client, key.get(asked), "/history")
    assert (entered.status_code, entered.headers["location"]) == (303, "/history")
    assert "HttpOnly" in entered.headers["set-cookie"]
    assert "Bo Approver" in (await client.get("/settings")).text
    (mine,) = await credentials.of(world.db, seed.accounts["bo"].person.id)
    assert (mine.counter, mine.used_at) == (4, world.clock.now())
    (body,) = [bytes(body) for (body,) in raw(url, "SELECT body FROM audit WHERE type = 'signed_in'")]
    assert mine.fingerprint.encode() in body
    assert (await verify(world.db)).is_whole


async def test_no_answer_leads_to_another_site(client: httpx.AsyncClient, key: Authenticator) -> None:
    entered = await enter(client, key.get(await options(client)), "//evil.example/")
    assert entered.headers["location"] == "/"


Wrong = Callable[[Authenticator, dict[str, Any]], str]
WRONG: dict[str, tuple[str, Wrong]] = {
    "a challenge of its own": ("not asked here", lambda key, asked: key.get({"challenge": b64(b"c" * 32)})),
    "another site": ("signed on another site", lambda key, asked: key.get(asked, origin="https://evil.example")),
    "another site's passkey": ("signed for another site", lambda key, asked: replace(key, rp_id="evil").get(asked)),
    "no verification": ("did not verify", lambda key, asked: replace(key, flags=PRESENT).get(asked)),
    "a copy": ("a copy of it", lambda key, asked: replace(key, counter=1).get(asked)),
    "an unknown passkey": ("may have been removed", lambda key, asked: Authenticator().get(asked)),
    "another key": ("does not hold", lambda key, asked: replace(key, key=Authenticator().key).get(asked)),
    "another user": ("another passkey", lambda key, asked: replace(key, user=b64(b"x")).get(asked)),
    "rubbish": ("could not be read", lambda key, asked: "{"),
}


@pytest.mark.threat("A6")
@pytest.mark.parametrize("wrong", list(WRONG))
async def test_each_wrong_answer_is_refused_by_its_own_reason(
    client: httpx.AsyncClient, key: Authenticator, wrong: str
) -> None:
    words, answer = WRONG[wrong]
    refused = await enter(client, answer(key, await options(client)))
    assert (refused.status_code, words in refused.text) == (403, True), refused.text
    assert "set-cookie" not in refused.headers
    assert (await enter(client, key.get(await options(client)))).status_code == 303


@pytest.mark.threat("A7")
async def test_an_answer_counts_once_and_for_two_minutes(
    client: httpx.AsyncClient, key: Authenticator, clock: Clock
) -> None:
    answer = key.get(await options(client))
    assert (await enter(client, answer)).status_code == 303
    assert "not asked here" in (await enter(client, answer)).text
    late = await options(client)
    clock.time += 120
    assert "not just now" in (await enter(client, key.get(late))).text


@pytest.mark.threat("A8")
async def test_an_unconfirmed_key_and_a_disabled_person_stay_out(
    client: httpx.AsyncClient, key: Authenticator, world: World, seed: Seed
) -> None:
    cys = Authenticator()
    await enrol(seed, "cy", "laptop", usable_in=None, key=cys)
    assert "not confirmed yet" in (await enter(client, cys.get(await options(client)))).text
    at = world.clock.now()
    out = {"roles": (), "groups": (), "is_enabled": False, "by": "operator", "at": at, "event_id": new_id(at)}
    await people.set_rights(world.db, seed.accounts["bo"].person.id, **out)  # type: ignore[arg-type]
    assert "may have been removed" in (await enter(client, key.get(await options(client)))).text


@dataclass(frozen=True)
class Overtaken(World):
    """A world where something happens between the look at an answer and the session that it opens."""

    meanwhile: Callable[[], Awaitable[object]]

    async def time(self) -> float:
        await self.meanwhile()
        return await World.time(self)


@pytest.mark.threat("A2")
@pytest.mark.parametrize("what", ["removed", "disabled"])
async def test_a_key_or_a_person_that_goes_while_it_is_looked_at_is_not_let_in(
    client: httpx.AsyncClient, key: Authenticator, world: World, url: str, what: str
) -> None:
    mine, at = await credentials.by_id(world.db, b64(key.id)), world.clock.now()
    assert mine is not None

    async def meanwhile() -> None:
        if what == "removed":
            await credentials.remove(world.db, mine.id, by=mine.person, at=at, event_id=new_id(at))
        else:
            out = {"roles": (), "groups": (), "is_enabled": False, "by": "operator", "at": at, "event_id": new_id(at)}
            await people.set_rights(world.db, mine.person, **out)  # type: ignore[arg-type]

    answer = key.get(await options(client))
    parts = {each.name: getattr(world, each.name) for each in fields(world)}
    transport = httpx.ASGITransport(app=application(Overtaken(**parts, meanwhile=meanwhile), LOCAL))
    async with httpx.AsyncClient(transport=transport, base_url=LOCAL, headers=SAME) as overtaken:
        refused = await enter(overtaken, answer)
    assert (refused.status_code, "may have been removed" in refused.text) == (403, True)
    assert raw(url, "SELECT count(*) FROM sessions") == [(0,)]


@pytest.mark.threat("A10")
async def test_who_guesses_is_slowed_down(client: httpx.AsyncClient, key: Authenticator, seed: Seed) -> None:
    for _ in range(5):
        refused = await enter(client, Authenticator().get(await options(client)))
        assert refused.status_code == 403
    assert (await enter(client, Authenticator().get(await options(client)))).status_code == 429


@pytest.mark.threat("B11")
async def test_another_site_can_neither_ask_nor_answer(client: httpx.AsyncClient, key: Authenticator) -> None:
    asked = await options(client)
    other = {"sec-fetch-site": "cross-site"}
    assert (await client.post("/sign-in/passkey/options", headers=other)).status_code == 403
    told = await client.post("/sign-in/passkey", data={"answer": key.get(asked)}, headers=other)
    assert (told.status_code, "set-cookie" in told.headers) == (403, False)
