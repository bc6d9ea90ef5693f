"""The incident as it should have gone, in a browser: an engineer asks, an approver clicks, the auditor finds it.

A real `askfirst serve`, a real browser for each person, a real host. Each service tells the whole story.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect

from app.core.service import Service
from tests.browser.conftest import sign_in
from tests.lab.flow_world import (
    API,
    GUI,
    PLAIN,
    TMUX,
    UNIT,
    claim,
    container,
    holder,
    make_old,
    runs,
    standing,
)
from tests.lab.hosts import Lab, LabHost
from tests.lab.served import PASSWORD, served
from tests.lab.truth import CODE, NEW_TFTP

pytestmark = pytest.mark.browser
SLOW = 60_000
# The unit that does not exist, in a folder that does not exist, run by nobody as root: on a port that nothing claims.
REPORTED = claim("reported", "systemd", "pypnm-gui-backend.service", 5053, user="root", path="/opt/pypnm/PyPNM")
Mark = tuple[int, int] | tuple[str, str]


@dataclass(frozen=True)
class Site:
    """A served Askfirst, and the host that it asks."""

    base: str
    host: LabHost


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    host = standing(lab)
    with served(host, tmp_path_factory.mktemp("served"), GUI, UNIT, PLAIN, API, TMUX, REPORTED) as base:
        yield Site(base, host)


@pytest.fixture(scope="module")
def person(site: Site, chromium: Browser) -> Callable[[str], Page]:
    """A page of somebody who has signed in, each in a browser context of their own."""
    pages: dict[str, Page] = {}

    def page(who: str) -> Page:
        if who not in pages:
            pages[who] = chromium.new_context().new_page()
            sign_in(pages[who], site, who, PASSWORD)
        return pages[who]

    return page


def asked(ada: Page, site: Site, service: Service) -> str:
    """Ask for a restart on the service's page, wait until the host has proved it, and return the request's address."""
    ada.goto(f"{site.base}/services/{service.name}")
    ada.get_by_role("button", name="Request restart").click()
    ada.get_by_label("Why").fill("The TFTP fix is pulled; the process is older.")
    ada.get_by_role("button", name="Request restart").click()
    expect(ada.get_by_text("0 of 1 said yes")).to_be_visible(timeout=SLOW)
    return ada.url


def approved(bo: Page, address: str) -> None:
    """Open the request from the inbox, and click."""
    bo.goto(address.partition("/requests/")[0])
    bo.locator(f'a[href="/requests/{address.rpartition("/")[2]}"]').first.click()
    approve = bo.get_by_role("button", name="Approve")
    approve.click()
    expect(approve).to_have_count(0)
    bo.evaluate("window.sameDocument = 1")


def found_in_history(eve: Page, site: Site, service: Service, address: str) -> None:
    eve.goto(f"{site.base}/history?service={service.name}&state=succeeded")
    eve.locator(f'a[href="/requests/{address.rpartition("/")[2]}"]').click()
    expect(eve.get_by_role("heading", name="It came back")).to_be_visible()
    story = eve.locator("ol.story")
    for who in ("Ada", "Bo"):
        expect(story.get_by_text(who).first).to_be_visible()
    expect(eve.get_by_role("button", name="Approve")).to_have_count(0)


def mark(host: LabHost, service: Service) -> Mark:
    """What tells one incarnation from the next, on the host itself."""
    if service.manager in {"docker", "compose"}:
        return container(host, service)
    return holder(host, service.ports[0])


@pytest.mark.parametrize(
    ("service", "printed"),
    [(GUI, "lab:pypnm-gui: started"), (UNIT, ""), (PLAIN, "plain"), (API, "Container pypnm-api")],
    ids=lambda value: value.manager if isinstance(value, Service) else "",
)
def test_asked_proved_approved_restarted_checked_and_found(
    site: Site, person: Callable[[str], Page], service: Service, printed: str
) -> None:
    is_native = service in {GUI, UNIT}
    commit = make_old(site.host, service) if is_native else ""
    before = mark(site.host, service)
    address = asked(person("ada"), site, service)
    if is_native:
        need = person("ada").get_by_text(f"Commit {commit[:12]}")
        expect(need.first).to_be_visible()
    assert mark(site.host, service) == before
    bo = person("bo")
    approved(bo, address)
    log = bo.get_by_role("log")
    if printed:
        expect(log).to_contain_text(printed, timeout=SLOW)
    expect(bo.get_by_role("heading", name="It came back")).to_be_visible(timeout=SLOW)
    assert bo.evaluate("window.sameDocument") == 1  # all of it came to the open page
    if is_native:
        outcome = bo.get_by_role("region", name="It came back")
        expect(outcome.get_by_text(f"tftp.server is {NEW_TFTP}").first).to_be_visible()
    assert mark(site.host, service) != before
    assert runs(site.host, address.rpartition("/")[2]) == 1
    found_in_history(person("eve"), site, service, address)


def test_a_manual_service_goes_its_own_way(site: Site, person: Callable[[str], Page]) -> None:
    host, (pid, start) = site.host, holder(site.host, TMUX.ports[0])
    ada = person("ada")
    address = asked(ada, site, TMUX)
    approved(person("bo"), address)
    done = ada.get_by_role("button", name="I have restarted it")
    expect(done).to_be_visible(timeout=SLOW)
    assert holder(host, TMUX.ports[0]) == (pid, start)
    command = f"cd {CODE} && /usr/bin/gunicorn -w 2 app:app --chdir {CODE} -b 127.0.0.1:{TMUX.ports[0]}"
    by_hand = f"kill {pid}; while kill -0 {pid}; do sleep 0.1; done; tmux new-session -d -s gui '{command}'"
    host.run(["su", "-", "rbron", "-s", "/bin/sh", "-c", by_hand])
    done.click()
    expect(ada.get_by_role("heading", name="It came back")).to_be_visible(timeout=SLOW)
    assert holder(host, TMUX.ports[0]) != (pid, start)
    assert runs(host, address.rpartition("/")[2]) == 0
    found_in_history(person("eve"), site, TMUX, address)


def test_the_reports_own_request_ends_blocked_and_says_what_to_do(site: Site, person: Callable[[str], Page]) -> None:
    ada = person("ada")
    ada.goto(f"{site.base}/requests/new?service={REPORTED.name}")
    ada.get_by_label("Why").fill("Restart the backend, whatever runs it.")
    ada.get_by_role("button", name="Request restart").click()
    verdict = ada.get_by_role("region", name="NO_SUCH_UNIT")
    expect(verdict).to_be_visible(timeout=SLOW)
    expect(verdict.get_by_text("What to do next")).to_be_visible()
    expect(verdict.get_by_text("Nothing was run").first).to_be_visible()
    bo = person("bo")
    bo.goto(ada.url)
    expect(bo.get_by_role("button", name="Approve")).to_have_count(0)
