"""What holds for every page: who sees it, that text from elsewhere stays text, also out of its address."""

from collections.abc import Callable
from typing import Any

import pytest

from app.flow import freeze
from app.flow.ports import World
from tests.integration.web.seed import PEOPLE, Seed

Make = Callable[..., Any]
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\x1b[2J\u202e \x07 {{7*7}} --password=hunter2"


@pytest.mark.parametrize("who", list(PEOPLE))
@pytest.mark.parametrize(
    ("path", "roles"),
    [
        ("/audit", {"auditor", "admin"}),
        ("/audit/export.jsonl", {"auditor", "admin"}),
        ("/audit/export.csv", {"auditor", "admin"}),
        ("/people", {"admin"}),
        ("/registry/services/new", {"editor"}),
        ("/registry/services/pypnm-gui", {"editor"}),
        ("/registry/hosts/alpha/keys", {"editor"}),
        ("/history", set()),
        ("/services/pypnm-gui", set()),
        ("/hosts/alpha", set()),
    ],
)
async def test_who_sees_what(browser: Make, seed: Seed, who: str, path: str, roles: set[str]) -> None:
    someone = await browser(who)
    may = not roles or bool({str(role) for role in PEOPLE[who][1]} & roles)
    assert (await someone.get(path)).status_code == (200 if may else 403)
    menu = (await someone.get("/")).text
    if path in {"/audit", "/people"}:
        assert (f'href="{path}"' in menu) is may


@pytest.mark.law(13)
@pytest.mark.threat("E1")
@pytest.mark.threat("I4")
async def test_text_from_elsewhere_stays_text(browser: Make, world: World, seed: Seed) -> None:
    waiting = await seed.waiting(reason=HOSTILE)
    running = await seed.run(
        await seed.approve(await seed.verify(await seed.ask(service="tftp"))), HOSTILE.encode() + b"\n"
    )
    await freeze.freeze(world, seed.accounts["root"].person, "host:beta", HOSTILE)
    bo, odo = await browser("bo"), await browser("odo")
    paths = ["/", f"/requests/{waiting.id}", f"/requests/{running.id}", "/history?q=%3Cscript%3E&since=", "/settings"]
    for path in (*paths, f"/services?q={HOSTILE[:40]}", "/requests/new?service=%22%3E%3Cscript%3E", "/sign-in"):
        page = (await bo.get(path)).text
        assert "<script>alert" not in page, path
        assert "onerror=alert" not in page.replace("&lt;img src=x onerror=alert", ""), path
        assert "\x1b" not in page, path
        assert "\u202e" not in page, path
    assert "‹ESC›" in (await bo.get(f"/requests/{waiting.id}")).text
    output = (await bo.get(f"/requests/{running.id}/output")).text
    assert "\x1b" not in output
    assert "hunter2" not in output
    assert "<script>alert" not in (await odo.get("/audit")).text


@pytest.mark.parametrize(
    "path",
    [
        *("/history?before=x", "/history?before=-1", "/history?state=none&verdict=x", "/audit?by=%00"),
        *("/history?until=9999-12-31", "/history?since=0001-01-01&until=9999-12-31", "/audit?until=9999-12-31"),
    ],
)
async def test_an_odd_address_is_no_error(browser: Make, seed: Seed, path: str) -> None:
    assert (await (await browser("root")).get(path)).status_code == 200


async def test_what_a_page_says_after_a_click_is_picked_and_never_taken_from_the_address(
    browser: Make, seed: Seed
) -> None:
    ada = await browser("ada")
    assert "Saved." in (await ada.get("/settings?said=saved")).text
    assert "Pay here" not in (await ada.get("/settings?said=Pay+here")).text
