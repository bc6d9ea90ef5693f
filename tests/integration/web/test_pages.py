"""What stands on the pages: who sees what, that the warrant is shown whole, and that text from elsewhere stays text."""

import csv
import html
import io
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from app.core.verdict import Answer, Code
from app.core.warrant import digest_of, read
from app.flow import freeze
from app.flow.ports import World
from app.store import requests
from tests.integration.databases import disarmed, raw
from tests.integration.web.conftest import Clock
from tests.integration.web.seed import PEOPLE, Seed

Make = Callable[..., Any]
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\x1b[2J\u202e \x07 {{7*7}} --password=hunter2"


def words(page: str) -> str:
    """The text of a page as a reader sees it, blanks made single."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL)))


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


async def test_history_shows_and_exports_exactly_what_its_address_says(browser: Make, seed: Seed) -> None:
    blocked = await seed.block(await seed.ask(service="pypnm-api"))
    waiting = await seed.waiting()
    old = await seed.block(await seed.ask(service="tftp", ago=30 * 86_400))
    odo = await browser("odo")
    week = (await odo.get("/history")).text
    assert "2 requests" in words(week)
    assert old.id not in week
    everything = (await odo.get("/history?since=")).text
    assert old.id in everything
    some = (await odo.get("/history?since=&state=blocked&service=pypnm-api")).text
    assert blocked.id in some
    assert waiting.id not in some
    links = re.findall(r'href="(/history/export\.[^"]+)"', some)
    as_csv, as_lines = [await odo.get(html.unescape(link)) for link in links]
    assert as_csv.headers["content-disposition"].startswith("attachment")
    rows = list(csv.DictReader(io.StringIO(as_csv.text)))
    assert [row["id"] for row in rows] == [blocked.id]
    assert [json.loads(line)["id"] for line in as_lines.text.splitlines()] == [blocked.id]
    wrong = await odo.get("/history?since=yesterday")
    assert wrong.status_code == 422
    assert "Write a day as" in wrong.text
    by_word = (await odo.get("/history?since=&q=constellation")).text
    assert waiting.id in by_word


async def test_history_is_paged_by_key(browser: Make, seed: Seed) -> None:
    for _ in range(52):
        await seed.block(await seed.ask(service="tftp"))
    odo = await browser("odo")
    first = (await odo.get("/history")).text
    assert "50+ requests" in words(first)
    older = re.search(r'href="([^"]+)" rel="next"', first)
    assert older
    second = (await odo.get(html.unescape(older[1]))).text
    shown = set(re.findall(r"/requests/(\w{26})", first)) | set(re.findall(r"/requests/(\w{26})", second))
    assert len(shown) == 52
    assert 'rel="next"' not in second


@pytest.mark.parametrize(
    "path",
    [
        *("/history?before=x", "/history?before=-1", "/history?state=none&verdict=x", "/audit?by=%00"),
        *("/history?until=9999-12-31", "/history?since=0001-01-01&until=9999-12-31", "/audit?until=9999-12-31"),
    ],
)
async def test_an_odd_address_is_no_error(browser: Make, seed: Seed, path: str) -> None:
    assert (await (await browser("root")).get(path)).status_code == 200


async def test_the_auditor_verifies_the_log_and_sees_the_first_broken_row(browser: Make, url: str, seed: Seed) -> None:
    await seed.waiting()
    odo = await browser("odo")
    assert "Whole:" in words((await odo.post("/audit/verify")).text)
    disarmed(url, "UPDATE audit SET body = CAST(replace(body, 'requester', 'approver') AS BLOB) WHERE seq = 2")
    assert "Broken at row 2." in words((await odo.post("/audit/verify")).text)


async def test_the_log_of_one_request_is_found_by_its_short_id_and_an_unknown_one_is_told(
    browser: Make, seed: Seed
) -> None:
    waiting = await seed.waiting()
    await seed.block(await seed.ask(service="pypnm-api"))
    odo = await browser("odo")
    assert "2 events" in words((await odo.get(f"/audit?request={waiting.short_id.lower()}")).text)
    lines = (await odo.get(f"/audit/export.jsonl?request={waiting.short_id}")).text.splitlines()
    assert [json.loads(line)["body"]["request"] for line in lines] == [waiting.id] * 2
    for unknown in ("R-0000", "nonsense", "%00"):
        page = await odo.get(f"/audit?request={unknown}")
        assert (page.status_code, "There is no request" in page.text, "0 events" in words(page.text)) == (
            422,
            True,
            True,
        )
        for form in ("jsonl", "csv"):
            assert (await odo.get(f"/audit/export.{form}?request={unknown}")).status_code == 403
    assert (await odo.get("/audit/export.csv?since=yesterday")).status_code == 403


async def test_a_look_at_a_dark_host_is_told_and_kept(browser: Make, world: World, seed: Seed) -> None:
    ada = await browser("ada")
    assert (await ada.post("/services/pypnm-gui/verify")).headers["location"] == "/services/pypnm-gui?said=proved"
    page = words((await ada.get("/services/pypnm-gui")).text)
    assert "UNREACHABLE" in page
    assert "alpha does not answer." in page
    trouble = await ada.post("/hosts/alpha/look")
    assert trouble.status_code == 503
    assert "Look at the host, then try again." in trouble.text


async def test_what_a_page_says_after_a_click_is_picked_and_never_taken_from_the_address(
    browser: Make, seed: Seed
) -> None:
    ada = await browser("ada")
    assert "Saved." in (await ada.get("/settings?said=saved")).text
    assert "Pay here" not in (await ada.get("/settings?said=Pay+here")).text


async def test_a_need_that_is_unsure_is_said(browser: Make, seed: Seed) -> None:
    waiting = await seed.waiting(need=Answer.UNSURE)
    page = words((await (await browser("bo")).get(f"/requests/{waiting.id}")).text)
    assert "The host could not show whether a restart is called for." in page


async def test_the_theme_is_kept_and_there_are_three(browser: Make, seed: Seed) -> None:
    ada = await browser("ada")
    assert "data-theme" not in (await ada.get("/")).text
    for theme in ("dark", "light"):
        await ada.post("/settings/look", {"theme": theme})
        assert f'<html lang="en" data-theme="{theme}">' in (await ada.get("/")).text
    await ada.post("/settings/look", {"theme": 'evil"><script>'})
    assert '<html lang="en">' in (await ada.get("/")).text


async def test_a_freeze_is_on_every_page_and_its_release_needs_a_reason(
    browser: Make, world: World, seed: Seed
) -> None:
    bo, ada = await browser("bo"), await browser("ada")
    assert (await ada.post("/settings/freeze", {"scope": "all", "reason": "x"})).status_code == 403
    empty = await bo.post("/settings/freeze", {"scope": "all", "reason": " "})
    assert empty.status_code == 422
    assert 'id="reason-wrong"' in empty.text
    await bo.post("/settings/freeze", {"scope": "all", "reason": "Power work."})
    assert "Frozen: everything." in words((await ada.get("/services")).text)
    refused = await bo.post("/settings/release", {"scope": "all", "reason": ""})
    assert refused.status_code == 422
    assert (await bo.post("/settings/release", {"scope": "all", "reason": "Done."})).status_code == 303
    assert "Frozen:" not in (await ada.get("/services")).text


async def test_a_token_is_shown_once_and_can_be_ended_by_its_owner_only(
    browser: Make, world: World, seed: Seed
) -> None:
    ada, bo = await browser("ada"), await browser("bo")
    assert (await ada.post("/settings/tokens", {"name": "bot"})).status_code == 422
    made = (await ada.post("/settings/tokens", {"name": "bot", "scope.ask": "yes"})).text
    secret = re.search(r'id="new-token">(af_[\w-]+)<', made)
    assert secret
    assert secret[1] not in (await ada.get("/settings")).text
    revoke = re.search(r'action="(/settings/tokens/\w+/revoke)"', made)
    assert revoke
    assert (await bo.post(revoke[1])).status_code == 403
    assert (await ada.post(revoke[1])).status_code == 303
    assert "Revoked" in (await ada.get("/settings")).text


async def test_a_request_whose_texts_were_deleted_still_has_its_page(
    browser: Make, world: World, url: str, seed: Seed
) -> None:
    waiting = await seed.waiting()
    raw(url, "DELETE FROM texts")
    assert await requests.text(world.db, waiting.reason_text) is None
    page = await (await browser("bo")).get(f"/requests/{waiting.id}")
    assert page.status_code == 200
    assert "The evidence was deleted" in page.text


@pytest.mark.threat("B15")
async def test_the_inbox_holds_no_button_that_decides(browser: Make, seed: Seed) -> None:
    await seed.waiting()
    page = (await (await browser("bo")).get("/")).text
    assert re.findall(r'action="(/requests/[^"]*)"', page) == []
    words = re.findall(r"<(?:input|button)(?![^>]*hidden)[^>]*>([^<]*)", page.split("<main")[1].split("</main")[0])
    assert set(words) <= {"Close"}, "of what the keys do, and of nothing that waits"
