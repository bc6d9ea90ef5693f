"""The inbox: what may be approved now, and nothing there that decides."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.web.conftest import Clock
from tests.integration.web.seed import Seed

Make = Callable[..., Any]


async def test_the_inbox_holds_only_what_may_be_approved_now_oldest_first(
    browser: Make, seed: Seed, clock: Clock
) -> None:
    first = await seed.waiting()
    own = await seed.verify(await seed.ask("bo", service="tftp"))
    clock.time += 5
    second = await seed.verify(await seed.ask(service="pypnm-api"))
    page = (await (await browser("bo")).get("/")).text
    assert "<title>(2) Inbox" in page
    waiting = page.split("Your requests")[0]
    assert waiting.index(first.id) < waiting.index(second.id)
    assert own.id not in waiting
    assert own.id in page
    for who in ("ada", "ed", "odo", "root"):
        other = (await (await browser(who)).get("/")).text
        assert "<title>Inbox" in other
        assert second.id not in other.split("Your requests")[0]
    clock.time += 3600
    assert "<title>Inbox" in (await (await browser("cy")).get("/")).text


@pytest.mark.threat("B15")
async def test_the_inbox_holds_no_button_that_decides(browser: Make, seed: Seed) -> None:
    await seed.waiting()
    page = (await (await browser("bo")).get("/")).text
    assert re.findall(r'action="(/requests/[^"]*)"', page) == []
    words = re.findall(r"<(?:input|button)(?![^>]*hidden)[^>]*>([^<]*)", page.split("<main")[1].split("</main")[0])
    assert set(words) <= {"Close"}, "of what the keys do, and of nothing that waits"
