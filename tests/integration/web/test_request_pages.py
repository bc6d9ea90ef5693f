"""The page of a request and the form that asks: the warrant whole, what blocks it, its output, what was typed."""

import html
import re
from collections.abc import Callable
from typing import Any

import pytest

from app.core.verdict import Answer
from app.core.warrant import digest_of, read
from app.flow.ports import World
from app.store import requests
from tests.integration.databases import raw
from tests.integration.web.conftest import words
from tests.integration.web.seed import Seed

Make = Callable[..., Any]


@pytest.mark.law(5)
@pytest.mark.threat("C3")
async def test_every_line_of_the_warrant_is_on_the_page_and_is_what_the_digest_covers(
    browser: Make, world: World, seed: Seed
) -> None:
    waiting = await seed.waiting(reason="Ünïcode, <b>markup</b> & 100 %: it hangs.")
    page = (await (await browser("bo")).get(f"/requests/{waiting.id}")).text
    shown = re.search(r'<pre class="exact" id="warrant-text">(.*?)</pre>', page, re.DOTALL)
    assert shown
    text = html.unescape(shown[1])
    assert digest_of(text) == waiting.digest
    warrant = read(text)
    seen = words(page)
    card = words(page.split('id="exactly"')[1].split("</aside>")[0])
    for leaf in (
        warrant.host,
        warrant.host_key,
        warrant.unit,
        " ".join(warrant.argv),
        warrant.argv_user,
        warrant.action,
    ):
        assert leaf in card
    assert warrant.reason in card
    assert warrant.requester in card
    assert warrant.policy in card
    for line in warrant.identity:
        assert line in seen
    assert f'value="{waiting.digest}"' in page


async def test_a_blocked_request_explains_itself_and_offers_no_like_name_to_click(browser: Make, seed: Seed) -> None:
    blocked = await seed.block(await seed.ask(service="pypnm-api"))
    page = (await (await browser("ada")).get(f"/requests/{blocked.id}")).text
    seen = words(page)
    assert "There is no such name on the host" in seen
    assert "Nothing was run, and nobody was asked to approve anything." in seen
    assert "What to do next Nothing of that name is known to systemd on alpha." in seen
    assert "gui-5054.service" in seen
    assert not re.search(r'(href|action|value)="[^"]*gui-5054', page)
    assert page.index("is run by Docker") < page.index("8000 on 0.0.0.0, held by 2210")  # what differs comes first
    assert ">Approve</button>" not in page


async def test_the_output_has_an_address_for_each_line_and_a_plain_form(browser: Make, seed: Seed) -> None:
    running = await seed.run(await seed.approve(await seed.waiting()), b"one\ntwo\nthr")
    ada = await browser("ada")
    page = (await ada.get(f"/requests/{running.id}")).text
    assert '<li id="L2"><a class="at" href="#L2">2</a><span>two</span></li>' in page
    assert "thr" not in page.split('role="log"')[1].split("</ol>")[0]  # the line is not whole yet
    assert (await ada.get(f"/requests/{running.id}/output")).text == "one\ntwo\n"
    done = await seed.end(running, printed="one\ntwo\nthree")
    assert (await ada.get(f"/requests/{done.id}/output")).text == "one\ntwo\nthree\n"


async def test_a_page_that_waits_reloads_itself_without_javascript_but_not_under_a_writer(
    browser: Make, seed: Seed
) -> None:
    waiting = await seed.waiting()
    refresh = '<noscript><meta http-equiv="refresh"'
    assert refresh in (await (await browser("odo")).get(f"/requests/{waiting.id}")).text
    assert refresh not in (await (await browser("bo")).get(f"/requests/{waiting.id}")).text
    blocked = await seed.block(await seed.ask(service="pypnm-api"))
    assert refresh not in (await (await browser("odo")).get(f"/requests/{blocked.id}")).text
    ada = await browser("ada")
    calm = await seed.waiting(service="tftp", need=Answer.NOT_NEEDED)
    assert refresh not in (await ada.get(f"/requests/{calm.id}")).text  # there is a field for a stronger reason
    await seed.approve(calm)
    assert refresh in (await ada.get(f"/requests/{calm.id}")).text


async def test_asking_keeps_what_was_typed_and_says_what_does_not_fit(browser: Make, seed: Seed) -> None:
    ada = await browser("ada")
    form = {"service": "pypnm-gu", "reason": "", "key": "k1", "ticket": "LAB-1"}
    empty = await ada.post("/requests/new", form)
    assert empty.status_code == 422
    assert 'value="pypnm-gu"' in empty.text
    assert 'value="LAB-1"' in empty.text
    assert 'aria-describedby="reason-hint reason-wrong"' in empty.text
    assert "autofocus" in empty.text.split('id="summary"')[0][-200:] or "autofocus" in empty.text
    near = await ada.post("/requests/new", {**form, "reason": "It hangs."})
    assert near.status_code == 422
    assert "Did you mean pypnm-gui" in near.text
    assert ">It hangs.</textarea>" in near.text.replace("\n", "")
    long = await ada.post("/requests/new", {**form, "service": "pypnm-gui", "reason": "x" * 4097})
    assert long.status_code == 422
    assert "x" * 4097 in long.text


async def test_the_same_form_sent_twice_is_one_request(browser: Make, seed: Seed) -> None:
    ada = await browser("ada")
    form = {"service": "pypnm-gui", "reason": "It hangs.", "key": "k2"}
    first, second = await ada.post("/requests/new", form), await ada.post("/requests/new", form)
    assert first.status_code == second.status_code == 303
    assert first.headers["location"] == second.headers["location"]
    other = await ada.post("/requests/new", {**form, "key": "k3"})
    assert other.status_code == 409
    assert "Follow R-" in other.text


async def test_a_short_id_leads_to_the_request(browser: Make, seed: Seed) -> None:
    waiting = await seed.waiting()
    sent = await (await browser("ada")).get(f"/requests/{waiting.short_id.lower()}")
    assert sent.status_code == 303
    assert sent.headers["location"] == f"/requests/{waiting.id}"


async def test_a_need_that_is_unsure_is_said(browser: Make, seed: Seed) -> None:
    waiting = await seed.waiting(need=Answer.UNSURE)
    page = words((await (await browser("bo")).get(f"/requests/{waiting.id}")).text)
    assert "The host could not show whether a restart is called for." in page


async def test_a_request_whose_texts_were_deleted_still_has_its_page(
    browser: Make, world: World, url: str, seed: Seed
) -> None:
    waiting = await seed.waiting()
    raw(url, "DELETE FROM texts")
    assert await requests.text(world.db, waiting.reason_text) is None
    page = await (await browser("bo")).get(f"/requests/{waiting.id}")
    assert page.status_code == 200
    assert "The evidence was deleted" in page.text
