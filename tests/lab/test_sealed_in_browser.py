"""A sealed host, from the browser to the host's own ssh-keygen: a yes is a passkey's signature, and the host checks it.

A real `askfirst serve`, a real host whose administrator ran the kit, Chromium with an authenticator of its own. The
approver enrols a passkey, another human confirms it, and only then is the kit made, with that key on it. What the
server believes is one thing; whether anything runs is for the host to say, in its own log.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from app.core.level import Level
from app.core.lifecycle import Request
from app.core.service import HttpCheck
from app.store import requests
from tests.browser.conftest import KEY, run, sign_in
from tests.lab.flow_world import UNIT, Scene, another_world, holder, runs
from tests.lab.hosts import Lab, LabHost
from tests.lab.kitted import Fitted, fit
from tests.lab.served import PASSWORD, served

pytestmark = pytest.mark.browser
SLOW = 60_000
GUI = replace(UNIT, checks=(HttpCheck("http://127.0.0.1:5054/health"),))


@dataclass(frozen=True)
class Site:
    """A served Askfirst, its store, and the host that it asks."""

    base: str
    database: str
    host: LabHost


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("sealed")
    at_once = {"ASKFIRST_NEW_KEY_SECONDS": "0"}
    with (
        lab.lend("sierra", "systemd") as host,
        served(host, folder, GUI, name="localhost", settings=at_once) as base,
    ):
        yield Site(base, f"sqlite:///{folder}/askfirst.db", host)


@pytest.fixture(scope="module")
def person(site: Site, chromium: Browser) -> Callable[[str], Page]:
    """A page of somebody who has signed in, with an authenticator of their own in the browser."""
    pages: dict[str, Page] = {}

    def page(who: str) -> Page:
        if who not in pages:
            context = chromium.new_context()
            pages[who] = context.new_page()
            wire = context.new_cdp_session(pages[who])
            wire.send("WebAuthn.enable")
            wire.send("WebAuthn.addVirtualAuthenticator", {"options": KEY})
            sign_in(pages[who], site, who, PASSWORD)
        return pages[who]

    return page


def enrolled(owner: Page, other: Page, site: Site, name: str) -> None:
    """Enrol a passkey, and have another human confirm it."""
    owner.goto(f"{site.base}/settings")
    owner.get_by_label("Name", exact=True).fill(name)
    owner.get_by_role("button", name="Add a passkey").click()
    owner.wait_for_url("**/settings?said=enrolled*")
    other.goto(f"{site.base}/settings")
    other.get_by_role("button", name=f"Confirm the key {name}").click()
    other.wait_for_url("**/settings?said=confirmed")


def sealed(site: Site) -> None:
    """Make the host's kit as it has to be now, and run it there as its administrator."""

    async def make() -> None:
        async with another_world(site.database, site.host, "administrator") as world:
            await fit(Scene(site.host, world, site.database), GUI, how=Fitted(level=Level.SEALED))

    run(make)


def asked(ada: Page, site: Site) -> str:
    """Ask for a restart, wait until the host has proved it, and return the request's address."""
    ada.goto(f"{site.base}/requests/new?service={GUI.name}")
    ada.get_by_label("Why").fill("The TFTP fix is pulled; the process is older.")
    ada.get_by_role("button", name="Request restart").click()
    expect(ada.get_by_text("0 of 1 said yes")).to_be_visible(timeout=SLOW)
    return ada.url


def read(site: Site, address: str) -> Request:
    """Read a request from the store."""

    async def look() -> Request:
        async with another_world(site.database, site.host, "reader") as world:
            return await requests.load(world.db, address.rpartition("/")[2])

    found: Request = run(look)
    return found


def checked_there(site: Site, address: str) -> str:
    """Have the host's own ssh-keygen check the stored signature of a yes against the warrant, by its own list."""

    async def look() -> tuple[str, str]:
        async with another_world(site.database, site.host, "reader") as world:
            request = await requests.load(world.db, address.rpartition("/")[2])
            wanted = (request.warrant or "", request.approvals[0].signature_text)
            texts = await requests.texts(world.db, wanted)
            return texts[wanted[0]], texts[wanted[1]]

    warrant, signature = run(look)
    (site.host.root / "root/yes.sig").write_text(signature)
    signers = f"-f /etc/askfirst/approvers/{GUI.name} -I bo@example.org -n askfirst-warrant"
    return site.host.run(["sh", "-c", f"ssh-keygen -Y verify {signers} -s /root/yes.sig"], stdin=warrant).out


def said(host: LabHost) -> str:
    """What the host's own log says of what was asked of it."""
    return host.run("journalctl -q -b -o cat -t askfirst").out


@pytest.mark.law(5)
@pytest.mark.law(7)
def test_a_yes_by_passkey_runs_on_a_sealed_host_whose_own_ssh_keygen_took_it(
    site: Site, person: Callable[[str], Any]
) -> None:
    ada, bo, cy = person("ada"), person("bo"), person("cy")
    enrolled(bo, cy, site, "laptop")
    sealed(site)
    before = holder(site.host, GUI.ports[0])
    address = asked(ada, site)
    bo.goto(address)
    approve = bo.get_by_role("button", name="Approve")
    approve.focus()
    bo.keyboard.press("Enter")  # the second of two activations: the link, and this
    expect(bo.get_by_role("heading", name="It came back")).to_be_visible(timeout=SLOW)
    (yes,) = read(site, address).approvals
    assert yes.level == "passkey"
    assert holder(site.host, GUI.ports[0]) != before
    assert runs(site.host, address.rpartition("/")[2]) == 1
    assert f"restart {GUI.name} {address.rpartition('/')[2]}: starts as root" in said(site.host)
    assert 'Good "askfirst-warrant" signature for bo@example.org' in checked_there(site, address)


@pytest.mark.law(5)
def test_a_yes_that_the_server_takes_and_the_host_does_not_know_runs_nothing(
    site: Site, person: Callable[[str], Any]
) -> None:
    ada, bo, cy = person("ada"), person("bo"), person("cy")
    enrolled(cy, bo, site, "phone")  # after the kit was made: the host has not heard of it
    before = holder(site.host, GUI.ports[0])
    address = asked(ada, site)
    cy.goto(address)
    cy.get_by_role("button", name="Approve").click()
    expect(cy.get_by_text("none of this host's approvers").first).to_be_visible(timeout=SLOW)
    assert holder(site.host, GUI.ports[0]) == before
    assert runs(site.host, address.rpartition("/")[2]) == 0
    assert "none of this host's approvers" in said(site.host)
