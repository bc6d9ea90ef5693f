"""What changed, on the inbox: seen by one click, with no JavaScript, on a phone's screen."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.conftest import Site

Person = Callable[..., Page]


def test_a_notice_is_seen_by_one_click_without_javascript_on_a_phone(person: Person, site: Site) -> None:
    page = person("ed", viewport={"width": 390, "height": 844}, java_script_enabled=False)
    page.goto(site.base + "/")
    told = page.get_by_role("region", name="What changed")
    expect(told.get_by_role("row", name="gui-calm")).to_contain_text("changed 3 times")
    told.get_by_role("button", name="Seen gui-calm").click()
    expect(page.get_by_text("Marked as seen.")).to_be_visible()
    expect(told.get_by_text("gui-calm")).to_have_count(0)
    expect(told.get_by_role("button", name="Seen pypnm-api")).to_be_visible()


def test_trouble_is_first_and_filters_are_links_that_can_be_sent(person: Person, site: Site) -> None:
    page = person("ed")
    page.goto(site.base + "/services")
    rows = page.get_by_role("table").get_by_role("row")
    expect(rows.nth(1)).to_contain_text("Wrong")
    page.get_by_role("navigation", name="By freshness").get_by_role("link", name="Stale").click()
    page.wait_for_url(site.base + "/services?freshness=stale")
    expect(rows).to_have_count(2)
    expect(rows.nth(1)).to_contain_text("The host could not be looked at since: UNREACHABLE.")
