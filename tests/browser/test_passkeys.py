"""Passkeys in a real browser, with an authenticator that Chromium makes: enrol, confirm, sign in, approve, refuse."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, CDPSession, Page, expect

from app.store import requests
from app.store.engine import open_database
from app.store.verify import verify
from tests.browser.conftest import KEY, Site, run, served, sign_in


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A site of this file's own, on which a confirmed key may approve at once."""
    with served(ASKFIRST_NEW_KEY_SECONDS="0") as one:
        yield one


@dataclass
class Desk:
    """Somebody's browser with an authenticator in it."""

    page: Page
    wire: CDPSession
    authenticator: str

    def verify_user(self, *, can: bool) -> None:
        """Let the authenticator know its user from now on, or not."""
        self.wire.send("WebAuthn.setUserVerified", {"authenticatorId": self.authenticator, "isUserVerified": can})

    def keys(self) -> list[dict[str, Any]]:
        """What the authenticator holds."""
        found: list[dict[str, Any]] = self.wire.send(
            "WebAuthn.getCredentials", {"authenticatorId": self.authenticator}
        )["credentials"]
        return found

    def set_counter(self, counter: int) -> None:
        """Let the key count on from here, as a copy of it would."""
        (key,) = self.keys()
        self.wire.send("WebAuthn.clearCredentials", {"authenticatorId": self.authenticator})
        key["signCount"] = counter
        self.wire.send("WebAuthn.addCredential", {"authenticatorId": self.authenticator, "credential": key})


@pytest.fixture
def desk(chromium: Browser) -> Iterator[Callable[..., Desk]]:
    """Return a maker of browsers with an authenticator, signed in as somebody or as nobody."""
    made: list[BrowserContext] = []

    def make(site: Site, who: str = "") -> Desk:
        context = chromium.new_context()
        made.append(context)
        page = context.new_page()
        wire = context.new_cdp_session(page)
        wire.send("WebAuthn.enable")
        name = wire.send("WebAuthn.addVirtualAuthenticator", {"options": KEY})["authenticatorId"]
        if who:
            sign_in(page, site, who)
        return Desk(page, wire, name)

    yield make
    for context in made:
        context.close()


def enrol(desk: Desk, site: Site, name: str) -> None:
    """Add a passkey on the page Settings, by keyboard alone."""
    page = desk.page
    page.goto(f"{site.base}/settings")
    page.get_by_label("Name", exact=True).focus()
    page.keyboard.type(name)
    page.keyboard.press("Enter")
    page.wait_for_url("**/settings?said=enrolled*")
    expect(row(page, name).get_by_text("Waits for confirmation")).to_be_visible()


def row(page: Page, name: str) -> Any:
    """Return the row of a key."""
    return page.locator("#passkeys tbody tr").filter(has=page.get_by_text(name, exact=True).first)


def confirm(admin: Page, site: Site, name: str, owner: str) -> None:
    """Confirm somebody's key on the page People."""
    admin.goto(f"{site.base}/people")
    admin.get_by_role("button", name=f"Confirm the key {name} of {owner}").click()
    admin.wait_for_url("**/people?said=confirmed")


def of(site: Site, what: Callable[[Any], Any]) -> Any:
    """Read something in the site's database."""

    async def look() -> Any:
        db = await open_database(site.database)
        try:
            return await what(db)
        finally:
            await db.close()

    return run(look)


@pytest.mark.law(5)
@pytest.mark.threat("A8")
def test_enrolled_by_one_confirmed_by_another_then_it_signs_in_and_approves(
    site: Site, desk: Callable[..., Desk], person: Callable[..., Page]
) -> None:
    bo = desk(site, "bo")
    enrol(bo, site, "notebook")
    address = site.request("signed")
    sign_out(bo.page)
    with_passkey(bo.page, site)
    expect(refusal(bo.page)).to_contain_text("not confirmed yet")

    confirm(person("root"), site, "notebook", "Bo Approver")

    with_passkey(bo.page, site, address)
    bo.page.wait_for_url(address)
    bo.verify_user(can=False)
    approve = bo.page.get_by_role("button", name="Approve")
    approve.click()
    expect(bo.page.get_by_role("alert").filter(has_text="could not verify that it is you")).to_be_visible()
    assert of(site, lambda db: requests.load(db, site.requests["signed"])).state == "waiting"
    bo.verify_user(can=True)
    approve.focus()
    bo.page.keyboard.press("Enter")
    expect(approve).to_have_count(0)
    expect(bo.page.locator(".sub .chip", has_text="Approved")).to_be_visible()
    request = of(site, lambda db: requests.load(db, site.requests["signed"]))
    (yes,) = request.approvals
    assert (request.state, yes.level) == ("approved", "passkey")
    assert yes.key.startswith("SHA256:")
    assert of(site, verify).is_whole


def sign_out(page: Page) -> None:
    page.get_by_role("button", name="Sign out").first.click()
    page.wait_for_url("**/sign-in")


def with_passkey(page: Page, site: Site, address: str = "") -> None:
    """Sign in with whatever passkey there is, and go on to where one wanted to go."""
    page.goto(address or f"{site.base}/sign-in")
    page.get_by_role("button", name="Use a passkey").click()


def refusal(page: Page) -> Any:
    """Return what the page that one signs in on says is wrong."""
    return page.locator("#passkey-wrong")


@pytest.mark.threat("A6")
def test_a_copy_of_a_key_is_refused_and_a_removed_key_is_not_known(
    site: Site, desk: Callable[..., Desk], person: Callable[..., Page]
) -> None:
    ed = desk(site, "ed")
    enrol(ed, site, "tablet")
    confirm(person("root"), site, "tablet", "Ed Editor")
    sign_out(ed.page)
    with_passkey(ed.page, site)
    ed.page.wait_for_url(f"{site.base}/")
    sign_out(ed.page)
    ed.set_counter(0)
    with_passkey(ed.page, site)
    expect(refusal(ed.page)).to_contain_text("a copy of it may be in use")
    ed.set_counter(50)
    with_passkey(ed.page, site, f"{site.base}/settings")
    ed.page.wait_for_url(f"{site.base}/settings")
    ed.page.get_by_role("button", name="Remove tablet").click()
    expect(ed.page.get_by_text("The key was removed.")).to_be_visible()
    sign_out(ed.page)
    with_passkey(ed.page, site)
    expect(refusal(ed.page)).to_contain_text("may have been removed")


@pytest.mark.threat("A8")
def test_an_older_passkey_of_the_same_person_confirms_a_new_one(
    site: Site, desk: Callable[..., Desk], person: Callable[..., Page]
) -> None:
    fay = desk(site, "fay")
    enrol(fay, site, "first")
    expect(fay.page.get_by_role("button", name="older passkey")).to_have_count(0)
    confirm(person("root"), site, "first", "Fay Editor")
    other = fay.wire.send("WebAuthn.addVirtualAuthenticator", {"options": {**KEY, "transport": "usb"}})
    fay.verify_user(can=True)
    fay.wire.send("WebAuthn.setAutomaticPresenceSimulation", {"authenticatorId": fay.authenticator, "enabled": False})
    enrol(fay, site, "second")
    assert len(fay.keys()) == 1
    fay.wire.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": other["authenticatorId"]})
    fay.wire.send("WebAuthn.setAutomaticPresenceSimulation", {"authenticatorId": fay.authenticator, "enabled": True})
    fay.page.get_by_role("button", name="Confirm with an older passkey: second").click()
    fay.page.wait_for_url("**/settings?said=confirmed*")
    expect(row(fay.page, "second").get_by_text("May approve")).to_be_visible()
    expect(row(fay.page, "second").get_by_text("confirmed by Fay Editor")).to_be_visible()


def test_without_javascript_a_page_says_what_needs_it_and_offers_the_rest(
    site: Site, person: Callable[..., Page]
) -> None:
    root = person("root", java_script_enabled=False)
    root.goto(f"{site.base}/settings")
    expect(root.locator("#passkeys noscript p")).to_be_visible()
    expect(root.get_by_role("button", name="Add a passkey")).to_be_hidden()
    expect(root.get_by_role("button", name="Add an SSH key")).to_be_visible()


@pytest.mark.threat("A6")
def test_a_key_that_does_not_know_its_user_neither_signs_in_nor_is_taken(site: Site, desk: Callable[..., Desk]) -> None:
    cy = desk(site, "cy")
    cy.verify_user(can=False)
    cy.page.goto(f"{site.base}/settings")
    cy.page.get_by_label("Name", exact=True).fill("no finger")
    cy.page.get_by_role("button", name="Add a passkey").click()
    expect(cy.page.get_by_role("alert").filter(has_text="could not verify that it is you")).to_be_visible()
    assert cy.keys() == []
    cy.verify_user(can=True)
    cy.page.get_by_role("button", name="Add a passkey").click()  # and the same page goes on
    cy.page.wait_for_url("**/settings?said=enrolled*")
