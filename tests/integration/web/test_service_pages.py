"""The pages of services and hosts: what a proof is worth, ninety days of it, and a look now."""

import re
from collections.abc import Callable
from typing import Any

from app.core.verdict import Code
from app.flow.ports import World
from tests.integration.web.conftest import Clock, words
from tests.integration.web.seed import Seed

Make = Callable[..., Any]


async def test_services_can_be_searched_and_say_what_their_proof_is_worth(
    browser: Make, seed: Seed, clock: Clock
) -> None:
    await seed.prove("pypnm-gui")
    await seed.prove("pypnm-api", Code.NO_SUCH_UNIT)
    ada = await browser("ada")
    page = words((await ada.get("/services")).text)
    assert "Fresh" in page
    assert "Wrong The last proof says NO_SUCH_UNIT." in page
    assert "Never proved" in page
    found = (await ada.get("/services?q=SUPER+lab-team")).text
    assert "/services/pypnm-gui" in found
    assert "/services/pypnm-api" not in found
    assert "No service fits" in (await ada.get("/services?q=nothing-like-it")).text
    clock.time += 86_401
    ada = await browser("ada")
    assert "Stale" in words((await ada.get("/services")).text)


async def test_the_ninety_days_are_a_picture_and_the_same_as_a_table(browser: Make, seed: Seed) -> None:
    for is_success in (True, True, False):
        run = await seed.run(await seed.approve(await seed.waiting()))
        await seed.settle(await seed.end(run), is_success=is_success)
    page = (await (await browser("ada")).get("/services/pypnm-gui")).text
    assert page.count("2 restarted, 1 failed") == 2  # the link's name and its title
    row = re.search(r"The same as a table.*?<tbody>(.*?)</tbody>", page, re.DOTALL)
    assert row
    assert words(row[1]).split()[1:] == ["2", "1", "0"]


async def test_a_look_at_a_dark_host_is_told_and_kept(browser: Make, world: World, seed: Seed) -> None:
    ada = await browser("ada")
    assert (await ada.post("/services/pypnm-gui/verify")).headers["location"] == "/services/pypnm-gui?said=proved"
    page = words((await ada.get("/services/pypnm-gui")).text)
    assert "UNREACHABLE" in page
    assert "alpha does not answer." in page
    trouble = await ada.post("/hosts/alpha/look")
    assert trouble.status_code == 503
    assert "Look at the host, then try again." in trouble.text
