"""From the form to the proof that it came back, through the pages alone, on a little world of a host."""

import html
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest

from app.core.lifecycle import WANTING_WORK
from app.core.registry import difference, with_entry
from app.core.service import JsonCheck
from app.flow.ids import new_id
from app.flow.limits import probes
from app.flow.ports import Limits, News, World
from app.flow.worker import Worker
from app.store import requests, services
from tests.fakes.clock import FakeClock
from tests.fakes.host import FakeHost
from tests.fakes.hosts import FakeHosts
from tests.integration.databases import Databases, is_file, set_clock
from tests.integration.web.conftest import words
from tests.integration.web.seed import Seed

Make = Callable[..., Any]
CHECK = JsonCheck("http://127.0.0.1:5050/api/constellation", "tftp.server", "172.22.147.18")


@pytest.fixture
def hosts() -> FakeHosts:
    made = FakeHosts(FakeClock())
    made.add("alpha").supervise()
    made.clock.advance(600)
    return made


@pytest.fixture
async def world(url: str, databases: Databases, hosts: FakeHosts) -> AsyncIterator[World]:
    db = await databases.open(url)
    if not is_file(url):
        set_clock(url, "NULL")
    yield World(db=db, hosts=hosts, clock=hosts.clock, news=News(), limits=Limits(), worker="test:1")
    await db.close()


@pytest.fixture
async def alpha(world: World, hosts: FakeHosts, seed: Seed) -> FakeHost:
    """The host of the registry, which now is the little world's."""
    there = hosts.hosts["alpha"]
    current = await services.registry(world.db)
    wanted = with_entry(current, "host", "alpha", there.host)
    wanted = with_entry(wanted, "service", "pypnm-gui", replace(there.claim(), checks=(CHECK,)))
    at = world.clock.now()
    await services.apply(
        world.db, difference(current, wanted), by="operator", at=at, event_id=new_id(at), base_revision=current.revision
    )
    return there


def filled_in(page: str) -> dict[str, str]:
    """Return what a form would send as it stands."""
    form = page.split('action="/registry/services/new"')[1].split("</form>", maxsplit=1)[0]
    found = dict(re.findall(r'<input id="[^"]+" name="([^"]+)" [^>]*?value="([^"]*)"', form))
    found |= dict(re.findall(r'<input type="hidden" name="(revision)" value="(\d+)"', form))
    for name, options in re.findall(r'<select id="[^"]+" name="([^"]+)".*?>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', options)
        found[name] = chosen[1] if chosen else ""
    return {"docs": "", **{name: html.unescape(value) for name, value in found.items()}}


async def work(world: World, request_id: str) -> None:
    """Let a worker bring a request on for as long as it wants work."""
    worker = Worker(world)
    for _ in range(20):
        await worker.once()
        if (await requests.load(world.db, request_id)).state not in WANTING_WORK:
            return


async def ask(ada: Any, service: str = "pypnm-gui", reason: str = "The fix is pulled.") -> str:
    sent = await ada.post("/requests/new", {"service": service, "reason": reason, "key": reason})
    return str(sent.headers["location"])


async def test_a_request_goes_all_the_way_through_the_pages(
    browser: Make, world: World, alpha: FakeHost, hosts: FakeHosts
) -> None:
    alpha.pull("/opt/pypnm-gui-lab", '{"tftp": {"server": "172.22.147.18"}}', "TFTP fix")
    hosts.clock.advance(60)
    ada, bo = await browser("ada"), await browser("bo")
    path = await ask(ada)
    assert "Open" in words((await ada.get(path)).text)
    await work(world, path.rpartition("/")[2])
    page = (await bo.get(path)).text
    assert "Waiting" in words(page)
    assert "was checked out" in words(page)
    digest = re.search(r'name="digest" value="(\w{64})"', page)
    assert digest
    assert (await bo.post(f"{path}/approve", {"digest": digest[1]})).status_code == 303
    assert "Approved" in words((await bo.get(path)).text)
    await work(world, path.rpartition("/")[2])
    done = words((await ada.get(path)).text)
    assert "It came back" in done
    assert "tftp.server is 172.22.147.18" in done
    assert alpha.runs() == 1


async def test_a_host_that_changed_before_the_run_is_shown_as_stale(
    browser: Make, world: World, alpha: FakeHost, hosts: FakeHosts
) -> None:
    ada, bo = await browser("ada"), await browser("bo")
    path = await ask(ada)
    await work(world, path.rpartition("/")[2])
    digest = re.search(r'name="digest" value="(\w{64})"', (await bo.get(path)).text)
    assert digest
    await bo.post(f"{path}/approve", {"digest": digest[1]})
    alpha.replace("lab:pypnm-gui")
    await work(world, path.rpartition("/")[2])
    page = words((await ada.get(path)).text)
    assert "It is no longer as it was proved" in page
    assert "Nothing was run" in page
    assert "Ask again" in page
    assert alpha.runs() == 0


async def test_a_claim_that_the_host_refutes_is_blocked_with_what_runs_there(
    browser: Make, world: World, alpha: FakeHost
) -> None:
    ada = await browser("ada")
    await ada.post("/services/pypnm-api/verify")
    listed = words((await ada.get("/services?q=pypnm-api")).text)
    assert "Wrong" in listed or "Unseen" in listed
    path = await ask(ada, "pypnm-api", "The report says so.")
    await work(world, path.rpartition("/")[2])
    assert "Nothing was run, and nobody was asked to approve anything." in words((await ada.get(path)).text)


async def test_verify_now_proves_a_claim_and_look_now_draws_the_host(
    browser: Make, world: World, alpha: FakeHost
) -> None:
    alpha.by_hand(8099)
    ada = await browser("ada")
    await ada.post("/services/pypnm-gui/verify")
    page = words((await ada.get("/services/pypnm-gui")).text)
    assert "The host proves the claim" in page
    assert "Fresh" in page
    drawn = (await ada.post("/hosts/alpha/look")).text
    for name in ("wide", "narrow"):
        picture = drawn.split(f'<svg class="map {name}"')[1].split("</svg>\n")[0]
        assert ">lab:pypnm-gui</text>" in picture
        assert '<a href="/services/pypnm-gui">' in picture
        assert ">not registered</text>" in picture
    table = words(drawn.split('id="rows"')[1].split("</table>")[0])
    assert re.search(r":8099 not registered", table)
    assert re.search(r":5050 pypnm-gui VERIFIED", table)
    assert "Register" not in table, "ada edits nothing"
    own = words(drawn.split('id="own"')[1].split("</table>")[0])
    assert "supervisord" in own, "what only keeps others is told apart, and told"


async def test_one_click_fills_the_form_of_a_claim_and_its_editor_saves_it(
    browser: Make, world: World, alpha: FakeHost
) -> None:
    alpha.by_hand(8099)
    ed = await browser("ed")
    drawn = (await ed.post("/hosts/alpha/look")).text
    link = html.unescape(re.findall(r'<a class="register" href="([^"]+)"', drawn)[0])
    form = await ed.get(link)
    assert "Nothing is saved yet" in form.text
    filled = filled_in(form.text)
    assert {key: filled[key] for key in ("host", "manager", "user", "path", "ports")} == {
        "host": "alpha",
        "manager": "manual",
        "user": "rbron",
        "path": "/opt/pypnm-gui-lab",
        "ports": "8099",
    }
    assert (await services.registry(world.db)).service(filled["name"]) is None
    refused = await ed.post("/registry/services/new", {**filled, "owner": ""})
    assert refused.status_code == 422, "who answers for it is for a person to say"
    saved = await ed.post("/registry/services/new", {**filled, "owner": "lab-team"})
    assert saved.status_code == 303
    assert saved.headers["location"].startswith("/changes/"), "a second editor confirms it"
    assert (await (await browser("ada")).get(link)).status_code == 403


async def test_a_changed_host_key_is_said_and_nothing_else(
    browser: Make, world: World, alpha: FakeHost, hosts: FakeHosts
) -> None:
    hosts.key_changed.add("alpha")
    ada = await browser("ada")
    await ada.post("/services/pypnm-gui/verify")
    assert "The host showed another key" in words((await ada.get("/services/pypnm-gui")).text)
    assert (await ada.post("/hosts/alpha/look")).status_code == 502


@pytest.mark.threat("H6")
async def test_one_person_cannot_make_a_host_probe_without_end(
    browser: Make, world: World, alpha: FakeHost, seed: Seed
) -> None:
    ada, bo = await browser("ada"), await browser("bo")
    her_id = seed.accounts["ada"].person.id
    async with AsyncExitStack() as stack:
        for number in range(6):
            await stack.enter_async_context(probes.turn(f"host-{number}", her_id))
        assert (await ada.post("/services/pypnm-gui/verify")).status_code == 429
        assert (await ada.post("/hosts/alpha/look")).status_code == 429
        assert (await bo.post("/services/pypnm-gui/verify")).status_code == 303
    assert (await ada.post("/services/pypnm-gui/verify")).status_code == 303
