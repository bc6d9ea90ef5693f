"""People and the first run: what an admin may, and the one-time link."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from app.core.policy import Policy, Role
from app.core.registry import difference, with_entry
from app.flow.ids import new_id
from app.flow.people import setup_link
from app.flow.ports import Limits, News, World
from app.store import people, services
from tests.integration.databases import Databases
from tests.integration.web.conftest import BASE, Browser, Clock, Dark, application, words
from tests.integration.web.seed import PASSWORD, Seed

Make = Callable[..., Any]


async def test_an_admin_adds_a_person_who_can_sign_in(browser: Make, world: World, seed: Seed) -> None:
    rae = await browser("root")
    form = {
        "name": "Gil",
        "email": "Gil@Example.org",
        "password": PASSWORD,
        "groups": "lab-team, net-team",
        "role.approver": "yes",
    }
    assert (await rae.post("/people", form)).status_code == 303
    gil = await people.by_email(world.db, "gil@example.org")
    assert gil
    assert gil.person.roles == {Role.APPROVER}
    assert set(gil.person.groups) == {"lab-team", "net-team"}
    assert "Bo Approver, Cy Approver, Gil" in (await rae.get("/people")).text
    assert (await (await browser()).sign_in("gil")).status_code == 303


@pytest.mark.law(7)
async def test_who_could_approve_is_told_by_the_rules_that_the_guard_keeps(
    browser: Make, world: World, seed: Seed
) -> None:
    before = await services.registry(world.db)
    stricter = Policy(service="tftp", groups=("net-team",))
    changes = difference(before, with_entry(before, "policy", stricter.name, stricter))
    now = world.clock.now()
    await services.apply(world.db, changes, by="operator", at=now, event_id=new_id(now), base_revision=before.revision)
    rae = await browser("root")
    form = {"name": "Gil", "email": "gil@example.org", "password": PASSWORD, "role.approver": "yes"}
    assert (await rae.post("/people", {**form, "groups": "lab-team, net-team"})).status_code == 303
    form |= {"name": "Hal", "email": "hal@example.org"}
    assert (await rae.post("/people", {**form, "groups": "net-team"})).status_code == 303
    table = words((await rae.get("/people")).text).split("Could approve now")[1].split("Add a person")[0].strip()
    assert table == (
        "production 1 of lab-team Bo Approver, Cy Approver, Gil"
        " production+service:tftp 1 of lab-team and of net-team Gil"
        " Too few nobody approves their own; add one more"
    )


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": "no address"}, "email"),
        ({"email": "ada@example.org"}, "email"),
        ({"role.approver": "no"}, "role.requester"),
        ({"groups": "Lab Team!"}, "groups"),
        ({"password": "short"}, "password"),
    ],
)
async def test_what_does_not_fit_is_said_at_its_field(
    browser: Make, seed: Seed, change: dict[str, str], field: str
) -> None:
    rae = await browser("root")
    form = {"name": "Gil", "email": "gil@example.org", "password": PASSWORD, "groups": "", "role.approver": "yes"}
    answer = await rae.post("/people", {**form, **change})
    assert answer.status_code in {409, 422}
    assert f'id="{field}-wrong"' in answer.text
    assert 'value="Gil"' in answer.text
    assert PASSWORD not in answer.text


async def test_the_last_admin_stays(browser: Make, world: World, seed: Seed) -> None:
    rae = await browser("root")
    own = seed.accounts["root"].person.id
    answer = await rae.post(f"/people/{own}", {"groups": "", "role.auditor": "yes", "is_enabled": "yes"})
    assert answer.status_code == 422
    assert "This is the last admin." in answer.text


@pytest.mark.parametrize("path", ["/people", "/people/{id}", "/people/{id}/password"])
async def test_nobody_else_changes_people(browser: Make, world: World, seed: Seed, path: str) -> None:
    before = await people.everyone(world.db)
    own = seed.accounts["bo"].person.id
    bo = await browser("bo")
    forms = {
        "/people": {"name": "X", "email": "x@example.org", "password": PASSWORD, "groups": "", "role.admin": "yes"},
        "/people/{id}": {"groups": "lab-team", "role.admin": "yes", "is_enabled": "yes"},
        "/people/{id}/password": {"password": PASSWORD + "2"},
    }
    assert (await bo.post(path.replace("{id}", own), forms[path])).status_code == 403
    assert await people.everyone(world.db) == before


@pytest.fixture
async def empty(url: str, databases: Databases, clock: Clock) -> AsyncIterator[World]:
    db = await databases.open(url)
    hosts: Any = Dark()
    yield World(db=db, hosts=hosts, clock=clock, news=News(), limits=Limits(), worker="test:1")
    await db.close()


@pytest.mark.threat("A13")
async def test_the_first_run_makes_one_person_and_its_link_works_once(empty: World) -> None:
    link = await setup_link(empty, BASE)
    assert link
    path = httpx.URL(link).path
    transport = httpx.ASGITransport(app=application(empty))
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
        first = Browser(client)
        assert "Open the set-up link" in (await first.get("/sign-in")).text
        assert (await first.get("/setup/guess")).status_code == 404
        assert (await first.get(path)).status_code == 200
        form = {"name": "Rae", "email": "rae@example.org", "password": "short"}
        headers = {"sec-fetch-site": "same-origin"}
        wrong = await client.post(path, data=form, headers=headers)
        assert wrong.status_code == 422
        assert 'value="Rae"' in wrong.text
        assert (await client.post(path, data={**form, "password": PASSWORD}, headers={})).status_code == 403
        done = await client.post(path, data={**form, "password": PASSWORD}, headers=headers)
        assert done.headers["location"] == "/"
        assert (await client.get("/people")).status_code == 200
        assert (await client.get(path)).status_code == 404
        assert (await client.post(path, data={**form, "password": PASSWORD}, headers=headers)).status_code == 404
        assert await setup_link(empty, BASE) is None


async def test_a_fresh_installation_teaches_on_every_page(empty: World) -> None:
    link = await setup_link(empty, BASE)
    transport = httpx.ASGITransport(app=application(empty))
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
        form = {"name": "Rae", "email": "rae@example.org", "password": PASSWORD}
        await client.post(httpx.URL(link or "").path, data=form, headers={"sec-fetch-site": "same-origin"})
        for path, act in (
            ("/", "Choose a service"),
            ("/services", "Add a host"),
            ("/hosts", "Add a host"),
            ("/history", "Show all"),
            ("/registry", "Add a policy"),
            ("/people", "Add a policy"),
            ("/requests/new", "Services"),
        ):
            page = await client.get(path)
            assert page.status_code == 200, path
            assert f"{act}</a>" in page.text, path
