"""The whole job in a browser, on the demo's real fleet: real SSH, a real supervisord, a process that really is new.

Each test asks for what it needs, so none rests on another; they share the one fleet.
"""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import sign_in
from tests.integration.demo.conftest import Demo, start

SLOW = 60_000


@dataclass(frozen=True)
class Fleet:
    """A running demo, as a browser reaches it."""

    demo: Demo

    @property
    def base(self) -> str:
        return self.demo.url

    def password(self, who: str) -> str:
        return self.demo.passwords[f"{who}@example.org"]


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    folder = Path(tempfile.mkdtemp(prefix="afb-", dir="/tmp"))  # short: a unix socket has to fit below it
    demo = start(folder)
    yield Fleet(demo)
    demo.process.terminate()
    demo.process.wait(60)
    shutil.rmtree(folder)


@pytest.fixture
def person(chromium: Browser, fleet: Fleet) -> Iterator[Callable[..., Page]]:
    made: list[BrowserContext] = []

    def make(who: str, **options: Any) -> Page:
        context = chromium.new_context(**options)
        made.append(context)
        page = context.new_page()
        if who:
            sign_in(page, fleet, who, fleet.password(who))
        return page

    yield make
    for context in made:
        context.close()


def asked(page: Page, fleet: Fleet, service: str, reason: str) -> str:
    """Ask for a restart on the pages, or find the request that waits already; return its address."""
    page.goto(f"{fleet.base}/services/{service}")
    follow = page.get_by_role("link", name=re.compile("^Follow R-"))
    if follow.count():
        follow.click()
        return page.url
    page.get_by_role("button", name="Request restart").click()
    page.get_by_label("Why", exact=True).fill(reason)
    page.get_by_role("button", name="Request restart").click()
    page.wait_for_url(re.compile(r"/requests/\w{26}$"))
    return page.url


def process_of(page: Page) -> int:
    """Return the pid on the card."""
    found = re.match(r"\d+", page.locator("dt:text-is('Process') + dd").inner_text())
    assert found
    return int(found[0])


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the button of this name has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == name:
            return
    raise AssertionError(f"{name} cannot be reached by Tab")


@pytest.mark.law(11)
def test_an_approver_restarts_a_real_process_by_keyboard(person: Callable[..., Page], fleet: Fleet) -> None:
    address = asked(person("ada"), fleet, "pypnm-gui", "The fix is pulled, the process is older.")
    page = person("bo")
    page.goto(address)
    expect(page.locator(".sub .chip")).to_have_text("Waiting", timeout=SLOW)
    before = process_of(page)
    page.locator("#main").focus()
    tab_to(page, "Approve")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    expect(page.locator(".sub .chip")).to_have_text("Succeeded", timeout=SLOW)
    expect(page.get_by_role("log")).to_contain_text("lab:pypnm-gui: started")
    after = page.locator("dt:text-is('After') + dd").inner_text()
    assert f"process {before} " not in after
    checks = page.locator("#outcome").locator("..").locator(".checks")
    expect(checks).to_contain_text("172.22.147.18")
    assert checks.locator(".differs").count() == 0
    auditor = person("cy")
    auditor.goto(f"{fleet.base}/history?since=&state=succeeded")
    expect(auditor.get_by_role("main")).to_contain_text("pypnm-gui")
    auditor.goto(f"{fleet.base}/audit")
    auditor.get_by_role("button", name="Verify").click()
    expect(auditor.locator("#report")).to_contain_text("Whole:")


def test_a_wrong_claim_is_blocked_and_says_what_to_do(person: Callable[..., Page], fleet: Fleet) -> None:
    page = person("ada")
    asked(page, fleet, "report-gui-path", "The report says that it runs there.")
    expect(page.locator(".sub .chip")).to_have_text("Blocked", timeout=SLOW)
    expect(page.locator("#verdict")).to_contain_text("WRONG_PATH")
    expect(page.locator(".advice")).to_contain_text("What to do next")
    first = page.locator(".proof tbody tr").first
    expect(first).to_have_class("differs")
    expect(first).to_contain_text("/opt/pypnm/PyPNM")
    assert page.get_by_role("button", name="Approve").count() == 0


def test_everything_works_without_javascript(person: Callable[..., Page], fleet: Fleet) -> None:
    engineer = person("ada", java_script_enabled=False, viewport={"width": 390, "height": 844})
    address = asked(engineer, fleet, "pypnm-gui", "Once more, without scripts.")
    expect(engineer.locator(".sub .chip")).to_have_text("Waiting", timeout=SLOW)  # the page reloads itself
    approver = person("bo", java_script_enabled=False, viewport={"width": 390, "height": 844})
    approver.goto(address)
    approver.get_by_role("button", name="Deny", exact=True).click()
    expect(approver.locator("#reason-wrong")).to_contain_text("The reason is empty.")
    assert approver.locator(".sub .chip").inner_text() == "Waiting"
    approver.get_by_role("button", name="Approve", exact=True).click()
    expect(approver.locator(".sub .chip")).to_have_text("Succeeded", timeout=SLOW)
    expect(approver.get_by_role("log")).to_contain_text("lab:pypnm-gui: started")
    reload = engineer.get_by_role("link", name="Reload")
    if reload.count():  # where a stronger reason may be written, the page waits for its writer
        reload.click()
    expect(engineer.locator(".sub .chip")).to_have_text("Succeeded", timeout=SLOW)


def test_a_link_leads_a_signed_out_approver_to_the_card_and_back_again(
    person: Callable[..., Page], fleet: Fleet
) -> None:
    engineer = person("ada")
    address = asked(engineer, fleet, "pypnm-gui", "For the way back.")
    page = person("")
    page.goto(address)
    page.get_by_label("E-mail").fill("bo@example.org")
    page.get_by_label("Password").fill(fleet.password("bo"))
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(address)
    expect(page.locator(".sub .chip")).to_have_text("Waiting", timeout=SLOW)
    engineer.goto(address)
    engineer.get_by_role("button", name="Cancel request").click()
    expect(page.locator(".sub .chip")).to_have_text("Cancelled", timeout=SLOW)
    assert page.get_by_role("button", name="Approve").count() == 0


def test_a_freeze_stops_a_restart_and_its_release_lets_it_on(person: Callable[..., Page], fleet: Fleet) -> None:
    address = asked(person("ada"), fleet, "pypnm-gui", "For the freeze.")
    page = person("bo")
    page.goto(f"{fleet.base}/settings")
    page.get_by_label("Why", exact=True).fill("Power work.")
    page.get_by_role("button", name="Freeze", exact=True).click()
    page.goto(address)
    expect(page.locator("#why-not")).to_contain_text("frozen")
    assert page.get_by_role("button", name="Approve").count() == 0
    page.goto(f"{fleet.base}/settings")
    page.get_by_label("Why it may go on").fill("Done.")
    page.get_by_role("button", name="Release").click()
    page.goto(address)
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.locator(".sub .chip")).to_have_text("Succeeded", timeout=SLOW)


def test_a_host_is_looked_at_and_drawn(person: Callable[..., Page], fleet: Fleet) -> None:
    page = person("ada")
    page.goto(f"{fleet.base}/hosts/alpha")
    page.get_by_role("button", name="Look now").click()
    drawn = page.locator("svg.map.wide")
    expect(drawn).to_be_visible(timeout=SLOW)
    expect(drawn).to_contain_text("supervisor")
    expect(drawn).to_contain_text("lab:pypnm-gui")
    table = page.locator("#rows")
    table.evaluate("one => { one.open = true; }")  # it is folded where a busy machine shows much
    expect(table).to_contain_text("no manager")
    expect(table.get_by_role("link", name="pypnm-gui", exact=True)).to_be_visible()
