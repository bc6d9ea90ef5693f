"""Single keys move and open, decide nothing, stay out of fields, and can be switched off."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site

Person = Callable[..., Page]


def marked(page: Page) -> str:
    """Return what the link that has the focus leads to."""
    return str(page.evaluate("document.activeElement.getAttribute('href')"))


def test_keys_walk_a_list_and_open_what_is_marked(person: Person, site: Site) -> None:
    page = person("bo")
    page.goto(f"{site.base}/services")
    rows = [each.get_attribute("href") for each in page.locator("main th[scope=row] a").all()]
    assert len(rows) > 2
    for key, row in (("j", 0), ("j", 1), ("k", 0), ("k", 0), ("j", 1)):
        page.keyboard.press(key)
        assert marked(page) == rows[row]
    page.keyboard.press("o")
    page.wait_for_url(f"{site.base}{rows[1]}")


@pytest.mark.parametrize(("key", "path"), [("i", "/"), ("s", "/services"), ("h", "/hosts"), ("y", "/history")])
def test_g_and_a_letter_go_somewhere(person: Person, site: Site, key: str, path: str) -> None:
    page = person("bo")
    page.goto(f"{site.base}/settings")
    page.keyboard.press(key)
    page.keyboard.press("g")
    page.keyboard.press(key)
    page.wait_for_url(f"{site.base}{path}")


def test_a_question_mark_lists_them_and_no_key_decides(person: Person, site: Site) -> None:
    page = person("bo")
    page.goto(site.request("waiting"))
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    expect(dialog).to_be_visible()
    expect(dialog).to_contain_text("No key approves")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Keys").click()
    expect(dialog).to_be_visible()
    page.get_by_role("button", name="Close").click()
    for key in "abcdefhijklmnopqrstuvwxyz0123456789":
        page.keyboard.press(key)
    expect(page.locator(".sub .chip")).to_have_text("Waiting")


def test_keys_stay_out_of_a_field(person: Person, site: Site) -> None:
    page = person("bo")
    page.goto(site.request("waiting"))
    field = page.locator("textarea").first
    field.click()
    page.keyboard.type("gi? jo")
    expect(field).to_have_value("gi? jo")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert page.url == site.request("waiting")


def test_they_can_be_switched_off_and_on_again(person: Person, site: Site) -> None:
    page = person("bo")
    page.goto(f"{site.base}/settings")
    box = page.get_by_label("single keys move")
    for is_on in (False, True):
        box.set_checked(is_on)
        page.locator("form[action='/settings/look']").get_by_role("button", name="Save").click()
        expect(page.get_by_role("button", name="Keys")).to_have_count(1 if is_on else 0)
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_have_count(1 if is_on else 0)
        if is_on:
            page.keyboard.press("Escape")
