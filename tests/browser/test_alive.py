"""Pages that are open while something happens: the output grows, a request comes, somebody else was first."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Page, Route, expect

from app.core import events as happened
from app.flow.ids import salted
from app.flow.ports import Limits, News, World
from app.main import SystemClock
from app.store import output, people, requests
from app.store.engine import open_database
from tests.browser.conftest import Site, run, served
from tests.integration.web.conftest import Dark
from tests.integration.web.seed import Seed

Person = Callable[..., Page]
T = TypeVar("T")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A server of this module's own: its requests change."""
    with served() as one:
        yield one


def happen(site: Site, act: Callable[[Seed], Awaitable[T]]) -> T:
    """Let something happen in the store, as another process would."""

    async def other_process() -> T:
        db = await open_database(site.database)
        hosts: Any = Dark()
        world = World(db=db, hosts=hosts, clock=SystemClock(), news=News(), limits=Limits(), worker="other:1")
        accounts = {account.email.split("@")[0]: account for account in await people.everyone(db)}
        try:
            return await act(Seed(world, accounts))
        finally:
            await db.close()

    return run(other_process)


def test_the_log_never_moves_under_a_reader_who_scrolled_up(person: Person, site: Site) -> None:
    page = person("ada", viewport={"width": 1000, "height": 700})
    page.goto(site.request("running"))
    log = page.get_by_role("log")
    assert log.evaluate("one => one.scrollHeight - one.scrollTop - one.clientHeight < 4")
    log.evaluate("one => { one.scrollTop = 40; }")
    already = len(b"".join(b"%d: stopping worker\n" % n for n in range(1, 61)))

    new = b"".join(b"more %d\n" % n for n in range(50))

    async def print_more(seed: Seed) -> None:
        await output.append(seed.world.db, site.requests["running"], already, new)

    happen(site, print_more)
    more = page.get_by_role("button", name="50 new lines")
    expect(more).to_be_visible(timeout=20_000)
    assert log.evaluate("one => one.scrollTop") == 40
    assert page.locator("#L110").inner_text().split() == ["110", "more", "49"]
    more.click()
    assert log.evaluate("one => one.scrollHeight - one.scrollTop - one.clientHeight < 4")
    expect(more).to_be_hidden()
    page.goto(site.request("running") + "#L7")
    assert page.locator("#L7").evaluate("one => one.matches(':target')")


def test_a_state_that_changes_is_shown_without_a_reload_and_said_once(person: Person, site: Site) -> None:
    page = person("ada")
    page.goto(site.request("waiting"))
    page.evaluate("window.mark = 1")
    page.locator("#warrant summary").click()

    async def approve(seed: Seed) -> None:
        waiting = await _load(seed, site.requests["waiting"])
        await seed.approve(waiting, "cy")

    happen(site, approve)
    expect(page.locator(".sub .chip")).to_have_text("Approved", timeout=20_000)
    expect(page.locator("#announce")).to_contain_text("Approved.")
    expect(page.locator(".story")).to_contain_text("Cy Approver approved (1 of 1)")
    assert page.evaluate("window.mark") == 1
    assert page.locator("#warrant").evaluate("one => one.open")
    expect(page.locator("[aria-current=step]")).to_contain_text("Run, if still the same")


def test_what_an_approver_is_writing_survives_a_change(person: Person, site: Site) -> None:
    page = person("bo")
    page.goto(site.request("one-of-two"))
    reason = page.get_by_label("Reason")
    reason.fill("Not during the field")
    reason.focus()

    async def add_reason(seed: Seed) -> None:
        text = salted("It leaks.")
        request = await _load(seed, site.requests["one-of-two"])
        await seed.then(request, happened.Insisted(**seed.stamp("ada"), reason_text=text.commitment), (text,))

    happen(site, add_reason)
    expect(page.locator(".story")).to_contain_text("gave a stronger reason", timeout=20_000)
    expect(reason).to_have_value("Not during the field")
    expect(reason).to_be_focused()


def test_the_inbox_fills_by_itself(person: Person, site: Site) -> None:
    page = person("cy")
    page.goto(site.base)
    expect(page.locator("main")).not_to_contain_text("gui-past")

    async def ask(seed: Seed) -> None:
        await seed.verify(await seed.ask(service="gui-past", reason="It hangs."))

    before = page.title()
    happen(site, ask)
    expect(page.locator("main")).to_contain_text("gui-past", timeout=20_000)
    assert page.title() != before


def test_a_page_goes_on_after_its_stream_was_refused(person: Person, site: Site) -> None:
    page = person("cy")
    expect(page.locator("main")).not_to_contain_text("gui-denied")
    refused: list[int] = []

    async def ask(seed: Seed) -> None:
        await seed.verify(await seed.ask(service="gui-denied", reason="It hangs."))

    def away_once(route: Route) -> None:
        if refused:
            route.continue_()
            return
        happen(site, ask)  # now: what a stream that begins later does not tell of
        refused.append(503)
        route.fulfill(status=503, content_type="text/html", body="<title>Not now</title>")

    page.route("**/live", away_once)
    page.goto(site.base)
    expect(page.locator("main")).to_contain_text("gui-denied", timeout=20_000)
    assert refused == [503]


def test_a_page_misses_nothing_while_its_stream_was_cut(person: Person, site: Site) -> None:
    page = person("cy")
    expect(page.locator("main")).not_to_contain_text("gui-expired")
    asked: list[str] = []

    async def ask(seed: Seed) -> None:
        await seed.verify(await seed.ask(service="gui-expired", reason="It hangs."))

    def cut_once(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) == 1:
            route.fulfill(content_type="text/event-stream", body="retry: 100\n\n: still here\n\n")
            return
        if len(asked) == 2:
            happen(site, ask)
        route.continue_()

    page.route("**/live", cut_once)
    page.goto(site.base)
    expect(page.locator("main")).to_contain_text("gui-expired", timeout=20_000)


def test_the_last_change_is_shown_though_the_page_was_refused_once(person: Person, site: Site) -> None:
    page = person("bo")
    address = site.request("signed")
    page.goto(address)
    refused: list[int] = []

    def away_once(route: Route) -> None:
        if refused or "x-renew" not in route.request.headers:
            route.continue_()
            return
        refused.append(502)
        route.fulfill(status=502, content_type="text/html", body="<title>Bad Gateway</title>")

    page.route(address, away_once)

    async def deny(seed: Seed) -> None:
        text = salted("Not today.")
        asked = await _load(seed, site.requests["signed"])
        await seed.then(asked, happened.Denied(**seed.stamp("cy"), reason_text=text.commitment), (text,))

    happen(site, deny)
    expect(page.locator(".sub .chip")).to_have_text("Denied", timeout=20_000)
    assert refused == [502]


def test_a_countdown_goes_by_the_servers_clock(person: Person, site: Site) -> None:
    page = person("bo")
    page.add_init_script("const real = Date.now; Date.now = () => real() + 7200e3;")
    page.goto(site.request("not-needed"))
    left = page.locator("time[data-left]").first
    before = left.inner_text()
    assert before.endswith("s")
    assert before != "0 s"
    expect(left).not_to_have_text(before)


def test_two_tabs_and_a_double_click_are_one_decision(person: Person, site: Site) -> None:
    page = person("bo")
    page.goto(site.request("not-needed"))
    other = page.context.new_page()
    other.goto(site.request("not-needed"))
    page.get_by_label("Reason").fill("No sign that it is needed.")
    page.get_by_role("button", name="Deny", exact=True).dblclick()
    expect(page.locator(".sub .chip")).to_have_text("Denied")
    expect(other.locator(".sub .chip")).to_have_text("Denied", timeout=20_000)
    page.go_back()
    expect(page.locator(".sub .chip")).to_have_text("Denied")
    expect(page.get_by_role("button", name="Approve", exact=True)).to_have_count(0)


def test_an_open_page_of_somebody_signed_out_stops_asking(person: Person, site: Site) -> None:
    page = person("ada")
    page.goto(site.request("open"))
    other = page.context.new_page()
    other.goto(f"{site.base}/sign-out")
    other.get_by_role("main").get_by_role("button", name="Sign out").click()
    page.reload()
    expect(page).to_have_url(f"{site.base}/sign-in?next=/requests/{site.requests['open']}")


async def _load(seed: Seed, request_id: str) -> Any:
    return await requests.load(seed.world.db, request_id)
