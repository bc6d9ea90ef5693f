"""What would do instead of a restart, what the requester only says, and who restarts by hand: on the pages."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from app.core import events as happened
from app.core.lifecycle import Request
from app.core.verdict import Answer
from app.flow.ports import World
from app.store import listing, requests
from tests.integration.web.seed import Seed

Make = Callable[..., Any]


async def only(world: World) -> Request:
    (row,) = (await listing.page(world.db, listing.Filter())).rows
    return await requests.load(world.db, row.id)


async def test_the_gentler_ways_are_offered_first_and_the_restart_last(browser: Make, seed: Seed) -> None:
    await seed.prove("pypnm-gui")
    page = (await (await browser("ada")).get("/requests/new?service=pypnm-gui")).text
    assert re.findall(r'<button name="action" value="([a-z-]+)"', page) == ["daemon-reload", "reload", "restart"]
    assert "It stays the same process" in page
    assert "commit 6ed8c3000000 is on origin/main" in page
    assert 'name="committed"' not in page  # the host tells it: there is nothing to be said


async def test_without_a_proof_there_is_one_button_and_a_tick(browser: Make, world: World) -> None:
    ada = await browser("ada")
    page = (await ada.get("/requests/new?service=pypnm-gui")).text
    assert 'name="action"' not in page
    assert "A tick is logged as your word, not as a proof." in page
    fields = {"service": "pypnm-gui", "reason": "New level.", "key": "k" * 32}
    answer = await ada.post("/requests/new", {**fields, "action": "reload", "committed": "yes"})
    assert answer.status_code == 303
    asked = await only(world)
    assert (asked.action, asked.said) == ("reload", ("committed",))
    shown = (await ada.get(answer.headers["location"])).text
    assert (
        "Ada Engineer asked for a reload of pypnm-gui on alpha, and said that the code is committed and pushed" in shown
    )


@pytest.mark.law(4)
async def test_no_other_action_can_be_posted(browser: Make, world: World) -> None:
    ada = await browser("ada")
    fields = {"service": "pypnm-gui", "reason": "Because.", "key": "k" * 32, "action": "stop"}
    assert (await ada.post("/requests/new", fields)).status_code in {403, 422}
    assert await listing.count(world.db, listing.Filter()) == 0


@pytest.mark.law(5)
async def test_what_a_reload_does_stands_over_the_button(browser: Make, seed: Seed) -> None:
    reload = await seed.verify(await seed.ask(action="reload", said=("committed",)), committed=None)
    page = (await (await browser("bo")).get(f"/requests/{reload.id}")).text
    assert "<h1>Reload <code>pypnm-gui</code>" in page
    assert "Approving runs this reload once, now, if the host still shows the same processes." in page
    assert "no process is ended; port 5050 stays held" in page
    assert "away meanwhile" not in page
    assert "Proof that it runs on" in page
    assert "Ada Engineer says so. The host cannot tell: no git checkout was seen" in page


@pytest.mark.parametrize(("committed", "chip"), [(True, "proved"), (False, "not proved"), (None, "said")])
async def test_the_checklist_tells_proved_from_said(
    browser: Make, seed: Seed, committed: bool | None, chip: str
) -> None:
    waiting = await seed.verify(await seed.ask(said=("committed",)), committed=committed)
    page = (await (await browser("odo")).get(f"/requests/{waiting.id}")).text
    points = re.search(r'<ul class="points".*?</ul>', page, re.DOTALL)
    assert points is not None
    chips = re.findall(r"</svg>([a-z ]+)</span>", points[0])
    assert chips == [chip, "proved", "proved", "not yet"]
    ended = await seed.settle(await seed.end(await seed.run(await seed.approve(waiting))))
    page = (await (await browser("odo")).get(f"/requests/{ended.id}")).text
    assert "2 of 2 are green." in page
    assert "What it changed" in page
    assert "4711 8812345 rbron" in page


async def test_a_blocked_request_has_a_checklist_too(browser: Make, seed: Seed) -> None:
    blocked = await seed.block(await seed.ask())
    page = (await (await browser("ada")).get(f"/requests/{blocked.id}")).text
    assert "The host did not prove it: NO_SUCH_UNIT." in page


async def test_who_restarts_by_hand_is_named_told_what_was_proved_and_until_when(browser: Make, seed: Seed) -> None:
    waiting = await seed.verify(await seed.ask(service="tftp"), by_hand=True)
    approved = await seed.approve(waiting)
    until = seed.world.clock.now() + 3000
    handed = happened.HandedOver(**seed.stamp(), digest=approved.digest, to=approved.requester, until=until)
    request = await seed.then(approved, handed)
    page = (await (await browser("ada")).get(f"/requests/{request.id}")).text
    assert "Ada Engineer restarts it by hand" in page
    assert "process <b>4711</b> of rbron was proved to be it" in page
    assert "Handed over: Ada Engineer restarts it by hand now" in page
    assert "50 min</time> the host is asked in any case" in page
    assert "I have restarted it" in page
    assert "I have restarted it" not in (await (await browser("odo")).get(f"/requests/{request.id}")).text
    late = happened.RunEnded(**seed.stamp(), exit_status=None, how="time ran out", output_text="")
    ended = await seed.then(request, late)
    page = (await (await browser("ada")).get(f"/requests/{ended.id}")).text
    assert "Nobody said in time that it is done; the host is asked what was done" in page


async def test_where_no_sign_is_seen_the_approver_is_warned_and_the_requester_asked(browser: Make, seed: Seed) -> None:
    calm = await seed.waiting(need=Answer.NOT_NEEDED)
    page = (await (await browser("bo")).get(f"/requests/{calm.id}")).text
    assert "The host shows no sign that a restart is called for." in page
    ada = await browser("ada")
    assert "Why restart it all the same?" in (await ada.get(f"/requests/{calm.id}")).text
    assert (await ada.post(f"/requests/{calm.id}/insist", {"reason": "It leaks."})).status_code == 303
    page = (await (await browser("bo")).get(f"/requests/{calm.id}")).text
    assert "Ada Engineer gave a stronger reason; read it before you decide." in page
