"""Two approvers, two tabs and fifty workers race for one request on a real host: one decision, one run."""

import asyncio
import contextlib
import re
from pathlib import Path

import httpx
import pytest

from app.core.errors import Conflict
from app.core.lifecycle import Request, State
from app.flow import execute
from app.store import requests
from tests.lab.flow_world import (
    GUI,
    UNIT,
    Scene,
    another_world,
    runs,
    scene,
    spool,
    standing,
    starts,
)
from tests.lab.hosts import Lab, LabHost
from tests.lab.served import PASSWORD, served

WORKERS = 50


@pytest.fixture(scope="module")
def bravo(lab: Lab) -> LabHost:
    return standing(lab)


@pytest.mark.law(6)
@pytest.mark.threat("G1")
async def test_of_fifty_workers_one_runs_it(bravo: LabHost, tmp_path: Path) -> None:
    """Each has connections of its own to the one database, and holds the request as it was before anybody ran it."""
    async with scene(bravo, tmp_path, UNIT) as stage, contextlib.AsyncExitStack() as stack:
        request, count = await stage.approved(UNIT), starts(bravo, UNIT)
        worlds = [
            await stack.enter_async_context(another_world(stage.url, bravo, f"worker-{n}")) for n in range(WORKERS)
        ]
        held = [await requests.load(world.db, request.id) for world in worlds]
        assert {each.state for each in held} == {State.APPROVED}
        race = (execute.execute(world, each) for world, each in zip(worlds, held, strict=True))
        ended = await asyncio.gather(*race, return_exceptions=True)
        won = [each for each in ended if isinstance(each, Request)]
        assert [each.state for each in won] == [State.SETTLING]
        late = [each.code for each in ended if isinstance(each, Conflict)]
        assert late == ["too_late"] * (WORKERS - 1)
        story = await stage.story(request)
        assert (story.count("run_started"), story.count("run_ended")) == (1, 1)
        assert (runs(bravo, request.id), starts(bravo, UNIT)) == (1, count + 1)
        assert (await stage.run(request)).state is State.SUCCEEDED


@pytest.mark.law(6)
async def test_a_warrant_that_was_sent_twenty_times_is_spent_once(bravo: LabHost, tmp_path: Path) -> None:
    """The store's half of the law is left out here: the host alone refuses."""
    async with scene(bravo, tmp_path, GUI) as stage:
        request, count = await stage.approved(GUI), starts(bravo, GUI)
        text = await requests.text(stage.world.db, request.warrant or "")
        assert text is not None
        host = (await stage.registry()).hosts[0]

        async def send() -> list[str]:
            return [type(each).__name__ async for each in stage.world.hosts.restart(host, text)]

        told = await asyncio.gather(*(send() for _ in range(20)))
        assert sum("Started" in each for each in told) == 1
        assert sum(each in (["Refusal"], ["Differs"]) for each in told) == 19
        assert (runs(bravo, request.id), starts(bravo, GUI)) == (1, count + 1)


@pytest.mark.law(5)
@pytest.mark.law(6)
@pytest.mark.threat("C5")
async def test_of_two_approvers_and_their_tabs_one_decides(bravo: LabHost, tmp_path: Path) -> None:
    """Four forms are posted at once to a real server: two tabs each of bo's and cy's."""
    with contextlib.ExitStack() as stack:
        base = await asyncio.to_thread(stack.enter_context, served(bravo, tmp_path, UNIT))
        count = starts(bravo, UNIT)
        ada, bo, cy = [browser_of(base) for _ in range(3)]
        async with ada, bo, cy:
            for client, name in ((ada, "ada"), (bo, "bo"), (cy, "cy")):
                await sign_in(client, name)
            page = await ada.get("/requests/new")
            form = {"csrf": csrf(page), "key": "one-key", "service": UNIT.name, "reason": "The fix.", "ticket": ""}
            # Two tabs of ada's as well: one question.
            asked = await asyncio.gather(*(ada.post("/requests/new", data=form) for _ in range(2)))
            assert {each.status_code for each in asked} == {303}
            address = {each.headers["location"] for each in asked}
            assert len(address) == 1
            path = address.pop()
            tabs = [(client, await waiting(client, path)) for client in (bo, cy) for _ in range(2)]
            posts = (
                client.post(f"{path}/approve", data={"csrf": csrf(tab), "digest": digest(tab)}) for client, tab in tabs
            )
            answers = await asyncio.gather(*posts)
            assert sum(each.status_code == 303 for each in answers) == 1, [each.status_code for each in answers]
            assert all(each.status_code in {200, 303, 409} for each in answers)
        async with another_world(f"sqlite:///{tmp_path}/askfirst.db", bravo, "reader") as world:
            stage = Scene(bravo, world, "")
            request = await stage.until(await requests.load(world.db, path.rpartition("/")[2]))
            assert request.state is State.SUCCEEDED, request.outcome
            assert len(request.approvals) == 1
            story = await stage.story(request)
            assert [story.count(name) for name in ("approved", "run_started", "run_ended")] == [1, 1, 1]
            await stage.log_is_whole()
    assert spool(bravo, request.id)
    assert (runs(bravo, request.id), starts(bravo, UNIT)) == (1, count + 1)


def browser_of(base: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=base, headers={"Origin": base}, trust_env=False, timeout=30)


async def sign_in(client: httpx.AsyncClient, name: str) -> None:
    form = {"email": f"{name}@example.org", "password": PASSWORD, "next": "/"}
    answer = await client.post("/sign-in", data=form)
    assert answer.status_code == 303, answer.text


async def waiting(client: httpx.AsyncClient, path: str) -> httpx.Response:
    """The request's page, once it has a button."""
    async with asyncio.timeout(30):
        while True:
            page = await client.get(path)
            if 'id="approve"' in page.text:
                return page
            await asyncio.sleep(0.1)


def csrf(page: httpx.Response) -> str:
    return _field(page, "csrf")


def digest(page: httpx.Response) -> str:
    return _field(page, "digest")


def _field(page: httpx.Response, name: str) -> str:
    found = re.search(f'name="{name}" value="([^"]+)"', page.text)
    assert found, page.text[:2000]
    return found[1]
