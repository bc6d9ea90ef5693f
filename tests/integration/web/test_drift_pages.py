"""How fresh a proof is, and what changed, as people and machines read it."""

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.core.verdict import Code
from app.flow.ports import World
from app.store import notices
from app.web.health import router
from tests.integration.web.conftest import Browser, Clock
from tests.integration.web.seed import Seed

Make = Callable[..., Any]


def words(page: str) -> str:
    """Return a page's own words, without markup and its rows' labels."""
    return " ".join(re.sub(r"<[^>]+>", " ", page.split("<main")[1]).split())


async def flapped(seed: Seed, service: str = "pypnm-gui") -> None:
    """Let a service be proved, go down, come back, and go down again."""
    for ago, code in ((900, Code.VERIFIED), (600, Code.DOWN), (300, Code.VERIFIED), (100, Code.DOWN)):
        await seed.prove(service, code, ago)


async def test_trouble_comes_first_and_each_kind_can_be_asked_for(browser: Make, seed: Seed) -> None:
    await seed.prove("pypnm-gui")
    await seed.prove("pypnm-api", Code.WRONG_MANAGER)
    bo = await browser("bo")
    page = (await bo.get("/services")).text
    listed = re.findall(r'scope="row"><a href="/services/([\w-]+)"', page)
    assert listed[0] == "pypnm-api"
    assert listed[-1] == "pypnm-gui"
    wrong = (await bo.get("/services?freshness=wrong")).text
    assert re.findall(r'scope="row"><a href="/services/([\w-]+)"', wrong) == ["pypnm-api"]
    assert 'href="/services?freshness=wrong" aria-current="true"' in wrong
    assert "All" in words(wrong)
    none = words((await bo.get("/services?freshness=stale")).text)
    assert "No service is so just now." in none
    both = (await bo.get("/services?freshness=wrong&q=tftp")).text
    assert re.findall(r'scope="row"><a href="/services/([\w-]+)"', both) == []
    assert (await bo.get("/services?freshness=%3Cb%3E")).status_code == 200


async def test_a_service_whose_host_gave_no_answer_is_stale_with_the_time_of_its_proof(
    browser: Make, seed: Seed, world: World
) -> None:
    await seed.prove("pypnm-gui", ago=900)
    await seed.prove("pypnm-gui", Code.UNREACHABLE, ago=100)
    page = words((await (await browser("bo")).get("/services/pypnm-gui")).text)
    assert "Stale The host could not be looked at since: UNREACHABLE. last proved 15 min ago" in page
    assert "VERIFIED holds since" in page


async def test_what_changed_stands_in_the_inbox_of_those_whom_it_concerns_until_they_have_seen_it(
    browser: Make, seed: Seed, world: World
) -> None:
    await flapped(seed)
    await seed.prove("pypnm-api", Code.NO_SUCH_UNIT)
    bo, root = await browser("bo"), await browser("root")
    inbox = (await bo.get("/")).text
    page = words(inbox)
    assert "What changed 2" in page
    assert "pypnm-gui on alpha changed 3 times VERIFIED DOWN" in page
    assert "pypnm-api on alpha Not known NO_SUCH_UNIT" in page
    assert page.index("pypnm-api on alpha Not known") < page.index("pypnm-gui on alpha changed")
    assert "Nothing changed." in words((await root.get("/")).text)
    assert (await _seen(bo, inbox, "pypnm-gui")).status_code == 303
    after = words((await bo.get("/")).text)
    assert ("What changed 1" in after, "changed 3 times" in after) == (True, False)
    await bo.post("/notices/seen", {"up_to": "999999"})
    assert "Nothing changed." in words((await bo.get("/")).text)
    assert len(await notices.of(world.db, seed.accounts["ed"].person.id)) == 2


async def test_seeing_takes_away_only_what_was_shown_and_only_one_s_own(
    browser: Make, seed: Seed, world: World
) -> None:
    await flapped(seed)
    bo = await browser("bo")
    inbox = (await bo.get("/")).text
    await seed.prove("pypnm-gui", ago=0)
    await _seen(bo, inbox, "pypnm-gui")
    assert "changed 4 times VERIFIED VERIFIED" in words((await bo.get("/")).text)
    for wrong in ("", "-1", "x", "9" * 40):
        await bo.post("/notices/seen", {"up_to": wrong})
    assert len(await notices.of(world.db, seed.accounts["bo"].person.id)) == 1


async def test_a_notice_without_the_session_s_token_is_not_taken_away(browser: Make, seed: Seed, world: World) -> None:
    await flapped(seed)
    bo = await browser("bo")
    headers = {"sec-fetch-site": "same-origin"}
    answer = await bo.client.post("/notices/seen", data={"csrf": "0", "up_to": "99"}, headers=headers)
    assert answer.status_code >= 400
    assert len(await notices.of(world.db, seed.accounts["bo"].person.id)) == 1


@pytest.mark.parametrize(("later", "counts"), [(0, (1, 0, 1)), (86_500, (1, 1, 0))])
async def test_the_numbers_tell_how_many_are_how_fresh_and_how_old_the_oldest_proof_is(
    app: FastAPI, browser: Make, seed: Seed, clock: Clock, *, later: int, counts: tuple[int, int, int]
) -> None:
    app.include_router(router)
    await seed.prove("pypnm-gui", ago=200)
    await seed.prove("pypnm-api", Code.DOWN, ago=100)
    clock.time += later
    text = (await (await browser()).get("/metrics")).text
    for kind, count in zip(("wrong", "stale", "fresh"), counts, strict=True):
        assert f'askfirst_services{{freshness="{kind}"}} {count}' in text
    assert f"askfirst_oldest_proof_seconds {200 + later}" in text


async def _seen(bo: Browser, inbox: str, service: str) -> httpx.Response:
    marks = re.findall(r'name="service" value="([\w-]+)"><input type="hidden" name="up_to" value="(\d+)"', inbox)
    return await bo.post("/notices/seen", {"service": service, "up_to": dict(marks)[service]})
