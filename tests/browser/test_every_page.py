"""What must hold for each page and state in a real browser: no script runs, nothing leaves, everybody can use it."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Page, Request

from app.store import requests
from app.store.engine import open_database
from tests.browser.conftest import Site, run, sign_in
from tests.browser.states import HOSTILE

Person = Callable[..., Page]
STATES = [
    *("waiting", "blocked", "open", "not-needed", "one-of-two", "approved", "running", "settling", "unknown"),
    *("succeeded", "failed", "denied", "expired", "cancelled", "stale", "not-run", "by-hand", "hostile"),
    *("signed", "given-up", "restored"),
]
SMALL = """() => [...document.querySelectorAll(
  "button, .button, input:not([type=hidden], [type=checkbox], [type=radio]), select, textarea, summary, nav a, .tick")]
  .filter((one) => one.checkVisibility()).map((one) => [one, one.getBoundingClientRect()])
  .filter(([one, box]) => box.height < 43.5 || box.width < 43.5)
  .map(([one, box]) => `${location.pathname}: ${one.outerHTML.slice(0, 80)} ${box.width}x${box.height}`)"""
PATHS = {
    "bo": [
        "/",
        "/services",
        "/services/gui-past",
        "/services/pypnm-api",
        "/hosts",
        "/hosts/alpha",
        "/hosts/alpha/docs",
        "/history?since=",
        "/settings",
    ],
    "ed": [
        *("/registry", "/registry/services/pypnm-gui", "/registry/hosts/alpha", "/registry/policies/production"),
        *("/registry/hosts/alpha/keys", "/requests/new?service=pypnm-api"),
    ],
    "root": ["/audit", "/people", "/nothing-here", "/sign-out"],
}


def addresses(site: Site, who: str) -> list[str]:
    """Every page that somebody looks at, the requests in every state among them."""
    own = [site.base + path for path in PATHS[who]]
    return own + ([site.request(state) for state in STATES] if who == "bo" else [])


@pytest.mark.threat("E1")
@pytest.mark.threat("E2")
@pytest.mark.law(13)
def test_no_hostile_text_runs_or_is_drawn(person: Person, site: Site) -> None:
    page = person("bo")
    opened: list[str] = []
    troubles: list[str] = []

    def close(dialog: Dialog) -> None:
        opened.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", close)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda line: troubles.append(line.text) if line.type == "error" else None)
    for address in (*addresses(site, "bo"), site.base + "/history?since=&q=%3Cscript%3Ealert(9)%3C/script%3E"):
        page.goto(address)
        for link in page.locator("main a").all():
            assert (link.get_attribute("href") or "").startswith(("/", "#"))
    page.goto(site.request("hostile"))
    seen = page.locator("main").inner_text()
    for word in ("‹ESC›]8;;javascript:alert(6)‹BEL›", "‹U+202E›", "‹U+200B›", "‹U+009B›"):
        assert word in seen
    assert HOSTILE.splitlines()[0][:30] in seen
    page.mouse.move(300, 300)
    assert opened == []
    assert troubles == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("who", list(PATHS))
def test_axe_finds_nothing_wrong(chromium: Browser, site: Site, axe: str, who: str, scheme: Any) -> None:
    context = chromium.new_context(bypass_csp=True, color_scheme=scheme, viewport={"width": 1200, "height": 900})
    page = context.new_page()
    sign_in(page, site, who)
    wrong: list[str] = []
    for address in addresses(site, who):
        page.goto(address)
        for details in page.locator("details:not(.menu)").all()[:6]:
            details.evaluate("each => { each.open = true; }")
        page.evaluate(axe)
        found = page.evaluate(
            """async () => (await axe.run(document, {runOnly: {type: "tag",
            values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}})).violations"""
        )
        for each in found:
            wrong += [
                f"{address}: {each['id']}: {node['html'][:200]}: {node['failureSummary']}" for node in each["nodes"][:3]
            ]
    context.close()
    assert wrong == []


@pytest.mark.parametrize("width", [320, 390])
@pytest.mark.parametrize("who", list(PATHS))
def test_nothing_scrolls_sideways_and_everything_can_be_tapped(
    person: Person, site: Site, who: str, width: int
) -> None:
    page = person(who, viewport={"width": width, "height": 844}, has_touch=True, is_mobile=True)
    wide: list[str] = []
    small: list[str] = []
    for address in addresses(site, who):
        page.goto(address)
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            wide.append(address)
        small += page.evaluate(SMALL)
    assert wide == []
    assert small == []


def test_a_page_asks_nobody_else_and_is_small(person: Person, site: Site) -> None:
    page = person("bo")
    asked: list[str] = []
    sizes: dict[str, int] = {}

    def note(request: Request) -> None:
        asked.append(request.url)

    page.on("request", note)
    for address in addresses(site, "bo"):
        answer = page.goto(address)
        assert answer
        sizes[address] = len(answer.body())
    assert [url for url in asked if not url.startswith(site.base)] == []
    assert {address: size for address, size in sizes.items() if size > 80_000} == {}


def test_an_approver_sees_six_facts_on_the_first_screen_of_a_phone(person: Person, site: Site) -> None:
    page = person("bo", viewport={"width": 390, "height": 844})
    page.goto(site.request("waiting"))
    card = page.locator("#exactly").locator("..")
    for fact in (
        "supervisorctl restart lab:pypnm-gui",
        "alpha, key",
        "root",
        "4711 of rbron, up",
        "supervisor, lab:pypnm-gui",
    ):
        box = card.get_by_text(fact, exact=False).first.bounding_box()
        assert box, fact
        assert box["y"] + box["height"] <= 844, fact
    why = card.locator("dt", has_text="Why").bounding_box()
    assert why
    assert why["y"] + why["height"] <= 844


def test_approve_and_deny_are_alike_and_apart(person: Person, site: Site) -> None:
    for width in (320, 390, 1200):
        page = person("bo", viewport={"width": width, "height": 844})
        page.goto(site.request("waiting"))
        yes = page.get_by_role("button", name="Approve", exact=True).bounding_box()
        no = page.get_by_role("button", name="Deny", exact=True).bounding_box()
        assert yes
        assert no
        assert abs(yes["width"] - no["width"]) < 1
        assert abs(yes["height"] - no["height"]) < 1
        assert yes["height"] >= 44
        assert yes["x"] - (no["x"] + no["width"]) >= 16
        page.context.close()


def test_nothing_moves_while_a_page_settles(person: Person, site: Site) -> None:
    page = person("bo", viewport={"width": 390, "height": 844})
    page.add_init_script(
        "window.shift = 0; new PerformanceObserver((list) => { for (const one of list.getEntries()) "
        "window.shift += one.value; }).observe({type: 'layout-shift', buffered: true});"
    )
    for state in ("waiting", "running", "succeeded", "blocked"):
        page.goto(site.request(state))
        page.wait_for_timeout(1500)
        assert page.evaluate("window.shift") < 0.02, state


@pytest.mark.threat("C3")
def test_what_is_shown_of_the_warrant_is_what_is_stored(person: Person, site: Site) -> None:
    page = person("bo")
    page.goto(site.request("waiting"))
    page.locator("#warrant summary").click()
    shown = page.locator("#warrant-text").inner_text()

    async def stored() -> str:
        db = await open_database(site.database)
        try:
            request = await requests.load(db, site.requests["waiting"])
            return await requests.text(db, request.warrant or "") or ""
        finally:
            await db.close()

    assert shown.strip() == run(stored).strip()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_a_chosen_theme_holds_against_the_systems(person: Person, site: Site, theme: str) -> None:
    page = person("ada", color_scheme="light" if theme == "dark" else "dark")
    page.goto(f"{site.base}/settings")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_label(theme, exact=True).check()
    page.get_by_role("button", name="Save").click()
    page.wait_for_url("**/settings?said=saved")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
