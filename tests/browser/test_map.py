"""The map of a host in a real browser: on a desk and a phone, in light and dark, without JavaScript, by keyboard."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Page, expect

from tests.browser.conftest import Site, served, sign_in


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A store of its own: what a look around finds changes the states of requests."""
    with served() as one:
        yield one


def look(page: Page, site: Site) -> Page:
    page.goto(f"{site.base}/hosts/alpha")
    page.get_by_role("button", name="Look now").click()
    expect(page.get_by_role("heading", name="What runs there")).to_be_visible()
    return page


def widths(page: Page) -> list[float]:
    """The width of each picture that is shown."""
    found: list[float] = page.evaluate(
        "[...document.querySelectorAll('svg.map')].filter((one) => one.checkVisibility())"
        ".map((one) => one.getBoundingClientRect().width)"
    )
    return found


@pytest.mark.parametrize("has_script", [True, False])
def test_the_map_is_drawn_with_and_without_javascript(
    person: Callable[..., Page], site: Site, has_script: bool
) -> None:
    page = look(person("ed", java_script_enabled=has_script), site)
    picture = page.locator("svg.map.wide")
    expect(picture).to_be_visible()
    for text in ("supervisor", "lab:pypnm-gui", "not registered", ":5050"):
        expect(picture.get_by_text(text, exact=True).first).to_be_visible()
    table = page.locator("#rows table")
    expect(table).to_be_visible()
    expect(table.get_by_role("row").filter(has_text="lab:pypnm-gui")).to_contain_text("VERIFIED")


@pytest.mark.parametrize(("width", "shown"), [(1200, 1), (800, 1), (390, 1), (320, 1)])
def test_one_picture_is_shown_that_fits_the_screen_and_the_page_does_not_scroll_sideways(
    person: Callable[..., Page], site: Site, width: int, shown: int
) -> None:
    page = look(person("ed", viewport={"width": width, "height": 844}), site)
    seen = widths(page)
    assert len(seen) == shown
    assert seen[0] <= width
    assert not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    expect(page.locator("svg.map.narrow")).to_be_visible(visible=width < 760)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_axe_finds_nothing_wrong_with_the_map(chromium: Browser, site: Site, axe: str, scheme: Any, width: int) -> None:
    context = chromium.new_context(bypass_csp=True, color_scheme=scheme, viewport={"width": width, "height": 900})
    page = context.new_page()
    sign_in(page, site, "ed")
    look(page, site)
    page.locator("#own").evaluate("each => { each.open = true; }")
    page.evaluate(axe)
    found = page.evaluate(
        """async () => (await axe.run(document, {runOnly: {type: "tag",
        values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}})).violations"""
    )
    wrong = [
        f"{each['id']}: {node['html'][:200]}: {node['failureSummary']}" for each in found for node in each["nodes"][:3]
    ]
    context.close()
    assert wrong == []


def test_a_click_on_what_nobody_registered_opens_a_filled_form_also_by_keyboard(
    person: Callable[..., Page], site: Site
) -> None:
    page = look(person("ed"), site)
    link = page.locator("svg.map.wide").get_by_role("link", name="plain not registered Register")
    link.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Name", exact=True)).to_have_value("plain")
    expect(page.get_by_label("Host")).to_have_value("alpha")
    expect(page.get_by_label("Ports")).to_have_value("8001")
    expect(page.get_by_text("Nothing is saved yet.")).to_be_visible()
    page.get_by_label("Owner").fill("lab-team")
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(f"{site.base}/changes/*")


@pytest.mark.law(13)
def test_what_a_hostile_process_calls_itself_neither_runs_nor_leaves_its_place(
    person: Callable[..., Page], site: Site
) -> None:
    page = person("ed")
    opened: list[str] = []

    def close(dialog: Dialog) -> None:
        opened.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", close)
    look(page, site)
    assert "\u202e" not in page.content()
    assert opened == []
