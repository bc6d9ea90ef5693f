"""Keys on the pages: who may add, confirm and remove one, and from when on a yes that it signs counts."""

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from app.core.lifecycle import Request
from app.core.policy import Assurance, Kind, Role
from app.flow import people as flow_of_people
from app.flow.ids import new_id
from app.flow.ports import World
from app.identity.passkeys import Place, options_to_approve
from app.store import credentials, people, requests, sessions
from app.store.verify import verify
from tests.fakes.authenticator import Authenticator
from tests.integration.web.conftest import Browser, Clock, application
from tests.integration.web.keys import enrol
from tests.integration.web.seed import PASSWORD, SIGNED, Seed

LOCAL = "http://localhost:8770"
ED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGvc5ozaLlUtGDjMC+RMTvv4ifkvUI68FLacWSJlUURb"
DAY = 86_400
Make = Callable[..., Any]


@pytest.fixture
async def browser(world: World, seed: Seed) -> AsyncIterator[Make]:
    """Return a maker of browsers at an address that has passkeys, signed in just now."""
    async with AsyncExitStack() as stack:

        async def make(who: str, base: str = LOCAL) -> Browser:
            transport = httpx.ASGITransport(app=application(world, base), raise_app_exceptions=True)
            client = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url=base))
            person, now = seed.accounts[who].person, world.clock.now()
            secret = await sessions.open_session(world.db, person.id, now, event_id=new_id(now))
            assert secret
            client.cookies.set("askfirst", secret)
            return Browser(client)

        yield make


async def add(browser: Browser, key: Authenticator, name: str = "laptop", **client: Any) -> httpx.Response:
    """Add a passkey as the page's script does."""
    options = await browser.post("/settings/passkeys/options")
    assert options.status_code == 200, options.text
    return await browser.post(
        "/settings/passkeys", {"passkey_name": name, "answer": key.make(options.json(), **client)}
    )


async def asked(browser: Browser, request: Request) -> dict[str, Any]:
    """Return what the request's page asks of a passkey."""
    page = (await browser.get(f"/requests/{request.id}")).text
    found = re.search(r'data-options="([^"]+)"', page)
    assert found, page
    options: dict[str, Any] = json.loads(found[1].replace("&#34;", '"').replace("&quot;", '"'))
    return options


async def approve(browser: Browser, request: Request, answer: str) -> httpx.Response:
    """Say yes as the page's script does."""
    return await browser.post(f"/requests/{request.id}/approve", {"digest": request.digest, "assertion": answer})


async def signed(seed: Seed, service: str = SIGNED.name) -> Request:
    """Return a request that waits for a signature."""
    request = await seed.verify(await seed.ask(service=service), assurance=Assurance.PASSKEY)
    await seed.prove(service)
    return request


@pytest.mark.law(7)
@pytest.mark.threat("A8")
async def test_a_key_added_by_whoever_holds_a_session_approves_nothing_until_another_human_and_a_day_have_passed(
    browser: Make, seed: Seed, world: World, clock: Clock
) -> None:
    bo, key = await browser("bo"), Authenticator()
    assert (await add(bo, key)).headers["location"] == "/settings?said=enrolled#passkeys"
    (mine,) = await credentials.of(world.db, seed.accounts["bo"].person.id)
    request = await signed(seed)
    assert "data-options" not in (await bo.get(f"/requests/{request.id}")).text

    async def answer(asked: Request) -> str:
        text = await requests.text(world.db, asked.warrant or "")
        return key.get(json.loads(options_to_approve(Place("localhost", LOCAL), (mine,), text or "")))

    early = await approve(bo, request, await answer(request))
    assert (early.status_code, "not confirmed yet" in early.text) == (403, True)
    assert (await bo.post("/people/keys/confirm", {"key": mine.id, "back": "/settings"})).status_code == 403
    cy = await browser("cy")
    assert "Confirm the key laptop of Bo Approver" in (await cy.get("/settings")).text
    assert (await cy.post("/people/keys/confirm", {"key": mine.id, "back": "/settings"})).status_code == 303
    too_new = await approve(bo, request, await answer(request))
    assert too_new.status_code == 403
    assert (await requests.load(world.db, request.id)).approvals == ()
    clock.time += DAY - 1
    assert not (await credentials.of(world.db, mine.person))[0].may_approve(clock.now())
    clock.time += 1
    bo, later = await browser("bo"), await signed(seed, "pypnm-gui")
    assert (await approve(bo, later, key.get(await asked(bo, later)))).status_code == 303
    (yes,) = (await requests.load(world.db, later.id)).approvals
    assert (yes.level, yes.key) == ("passkey", mine.fingerprint)
    assert (await verify(world.db)).is_whole


@pytest.mark.threat("A8")
async def test_a_second_account_of_the_same_human_confirms_nothing(browser: Make, seed: Seed, world: World) -> None:
    bo = seed.accounts["bo"].person
    now = world.clock.now()
    seed.accounts["bo-2"] = await people.add(
        world.db,
        person_id=new_id(now),
        name="Bo, once more",
        email="bo2@example.org",
        roles={Role.ADMIN, Role.APPROVER},
        groups=("lab-team",),
        password_hash=None,
        human=bo.human,
        by="operator",
        at=now,
        event_id=new_id(now),
    )
    made = await enrol(seed, "bo", "laptop", usable_in=None)
    twin = await browser("bo-2")
    assert "Confirm the key laptop" not in (await twin.get("/people")).text
    assert (await twin.post("/people/keys/confirm", {"key": made.id, "back": "/people"})).status_code == 403
    assert await credentials.by_id(world.db, made.id) == made


@pytest.mark.threat("A8")
async def test_an_admin_who_set_somebodys_password_cannot_make_them_a_key_alone(
    browser: Make, seed: Seed, world: World
) -> None:
    root, bo = await browser("root"), seed.accounts["bo"].person
    taken = "another sentence of mine"
    assert (await root.post(f"/people/{bo.id}/password", {"password": taken})).status_code == 303
    thief = await browser("bo")
    new = {"current": taken, "new": "a third sentence, as if it were Bo's"}
    assert (await thief.post("/settings/password", new)).status_code == 303
    made = await enrol(seed, "bo", "the admin's own", usable_in=None)
    assert "to-confirm" not in (await root.get("/people")).text
    refused = await root.post("/people/keys/confirm", {"key": made.id, "back": "/people"})
    assert (refused.status_code, "this key could be yours" in refused.text) == (403, True)
    cy = await browser("cy")
    assert (await cy.post("/people/keys/confirm", {"key": made.id, "back": "/settings"})).status_code == 303


@pytest.mark.law(7)
@pytest.mark.threat("A8")
async def test_who_added_somebody_knew_their_first_password_and_confirms_none_of_their_keys(
    browser: Make, seed: Seed, world: World
) -> None:
    about = {"name": "Vi", "email": "vi@example.org", "roles": {Role.APPROVER}, "groups": ("lab-team",)}
    root = seed.accounts["root"].person
    seed.accounts["vi"] = await flow_of_people.add(world, root, **about, password="a first password")  # type: ignore[arg-type]
    made = await enrol(seed, "vi", "the admin's own", usable_in=None)
    refused = await (await browser("root")).post("/people/keys/confirm", {"key": made.id, "back": "/people"})
    assert (refused.status_code, "You have added Vi" in refused.text) == (403, True)
    confirmed = await (await browser("cy")).post("/people/keys/confirm", {"key": made.id, "back": "/settings"})
    assert confirmed.status_code == 303


@pytest.mark.threat("A3")
@pytest.mark.threat("A8")
async def test_keys_change_only_after_a_fresh_proof_of_who_it_is(
    browser: Make, seed: Seed, world: World, clock: Clock
) -> None:
    mine = await enrol(seed, "bo", "laptop")
    theirs = await enrol(seed, "cy", "laptop", usable_in=None)
    bo = await browser("bo")
    clock.time += 301
    told = await bo.post("/settings/passkeys/options")
    assert (told.status_code, told.json()["code"]) == (403, "step_up_required")
    assert (await bo.get("/settings")).text.count('id="key-password"') == 1
    for path, form in {
        "/settings/keys": {"ssh_name": "desk", "public_key": ED},
        "/settings/keys/remove": {"key": mine.id},
        "/people/keys/confirm": {"key": theirs.id, "back": "/settings"},
    }.items():
        assert (await bo.post(path, form)).status_code == 403, path
    wrong = await bo.post("/settings/keys/again", {"key-password": "no", "back": "/settings"})
    assert (wrong.status_code, "The password is wrong." in wrong.text) == (403, True)
    assert {each.id: each for each in await credentials.everybody(world.db)} == {mine.id: mine, theirs.id: theirs}
    again = await bo.post("/settings/keys/again", {"key-password": PASSWORD, "back": "//evil.example/"})
    assert again.headers["location"] == "/?said=again"
    assert (await bo.post("/settings/keys", {"ssh_name": "desk", "public_key": ED})).status_code == 303
    assert (await bo.post("/settings/keys/remove", {"key": mine.id})).status_code == 303
    left = {(each.person, each.name) for each in await credentials.everybody(world.db)}
    assert left == {(theirs.person, "laptop"), (mine.person, "desk")}


@pytest.mark.threat("A7")
async def test_an_answer_for_one_warrant_is_no_yes_to_another_and_counts_once(
    browser: Make, seed: Seed, world: World
) -> None:
    key = Authenticator()
    await enrol(seed, "bo", "laptop", key=key)
    bo = await browser("bo")
    one, other = await signed(seed, "pypnm-gui"), await signed(seed)
    answer = key.get(await asked(bo, one))
    wrong = await approve(bo, other, answer)
    assert (wrong.status_code, "another question" in wrong.text) == (403, True)
    assert (await requests.load(world.db, other.id)).approvals == ()
    older = await bo.post(f"/requests/{one.id}/approve", {"digest": other.digest, "assertion": answer})
    assert older.status_code == 409
    assert (await approve(bo, one, answer)).status_code == 403  # its counter was seen already
    assert (await approve(bo, one, key.get(await asked(bo, one)))).status_code == 303
    assert len((await requests.load(world.db, one.id)).approvals) == 1


@pytest.mark.threat("A6")
async def test_another_persons_passkey_is_no_yes_of_mine(browser: Make, seed: Seed, world: World) -> None:
    bos, cys = Authenticator(), Authenticator()
    await enrol(seed, "bo", "laptop", key=bos)
    await enrol(seed, "cy", "laptop", key=cys)
    bo, request = await browser("bo"), await signed(seed)
    wrong = await approve(bo, request, cys.get(await asked(bo, request)))
    assert (wrong.status_code, "not one of yours" in wrong.text) == (403, True)
    assert (await requests.load(world.db, request.id)).approvals == ()


async def test_without_the_scripts_answer_a_yes_is_refused_and_the_page_says_how(
    browser: Make, seed: Seed, world: World
) -> None:
    await enrol(seed, "bo", "laptop")
    bo, request = await browser("bo"), await signed(seed)
    page = await bo.post(f"/requests/{request.id}/approve", {"digest": request.digest, "assertion": ""})
    assert page.status_code == 403
    assert "A passkey needs JavaScript" in page.text
    assert (await requests.load(world.db, request.id)).state == "waiting"


@pytest.mark.threat("A7")
async def test_a_challenge_of_one_session_or_purpose_enrols_nothing_in_another(
    browser: Make, seed: Seed, world: World, clock: Clock
) -> None:
    bo, cy, key = await browser("bo"), await browser("cy"), Authenticator()
    options = (await cy.post("/settings/passkeys/options")).json()
    entering = (await bo.client.post("/sign-in/passkey/options", headers={"sec-fetch-site": "same-origin"})).json()
    late = (await bo.post("/settings/passkeys/options")).json()
    clock.time += 120
    fresh = (await bo.post("/settings/passkeys/options")).json()
    good = key.make(fresh)
    for asked_ in (options, {**fresh, "challenge": entering["challenge"]}, late):
        refused = await bo.post("/settings/passkeys", {"passkey_name": "x", "answer": key.make(asked_)})
        assert (refused.status_code, "was not asked here" in refused.text) == (422, True)
    assert (await bo.post("/settings/passkeys", {"passkey_name": "x", "answer": good})).status_code == 303
    replayed = await bo.post("/settings/passkeys", {"passkey_name": "y", "answer": good})
    assert replayed.status_code == 422
    assert len(await credentials.everybody(world.db)) == 1


async def test_a_key_is_removed_by_its_owner_or_an_admin_and_by_nobody_else(
    browser: Make, seed: Seed, world: World
) -> None:
    one, other = [await enrol(seed, "bo", name) for name in ("one", "other")]
    cy, root = await browser("cy"), await browser("root")
    back = f"/people/{one.person}"
    assert (await cy.post("/people/keys/remove", {"key": one.id, "back": back})).status_code == 403
    assert (await cy.post("/settings/keys/rename", {"key": one.id, "key_name": "mine"})).status_code == 422
    assert other.fingerprint in (await root.get(back)).text
    assert (await root.post("/people/keys/remove", {"key": one.id, "back": back})).status_code == 303
    bo = await browser("bo")
    assert (await bo.post("/settings/keys/rename", {"key": other.id, "key_name": "mine"})).status_code == 303
    assert [each.name for each in await credentials.everybody(world.db)] == ["mine"]
    assert (await bo.post("/settings/keys/remove", {"key": other.id})).status_code == 303
    assert (await verify(world.db)).is_whole


async def test_an_ssh_key_is_pasted_and_what_is_none_is_explained_beside_the_field(
    browser: Make, seed: Seed, world: World
) -> None:
    bo = await browser("bo")
    for pasted in ("", "hello", "ssh-rsa AAAA", "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY="):
        page = await bo.post("/settings/keys", {"ssh_name": "desk", "public_key": pasted})
        assert (page.status_code, 'id="public_key-wrong"' in page.text) == (422, True)
    nameless = await bo.post("/settings/keys", {"ssh_name": " ", "public_key": ED})
    assert 'id="ssh_name-wrong"' in nameless.text
    assert (await bo.post("/settings/keys", {"ssh_name": "desk", "public_key": ED + " bo@desk"})).status_code == 303
    twice = await (await browser("cy")).post("/settings/keys", {"ssh_name": "stolen", "public_key": ED})
    assert "enrolled already" in twice.text
    (made,) = await credentials.everybody(world.db)
    assert (made.kind, made.public_key, made.usable_at) == (Kind.PLAIN, ED, None)


async def test_the_only_human_is_told_that_a_key_waits_for_a_second(browser: Make, seed: Seed, world: World) -> None:
    await enrol(seed, "root", "laptop", usable_in=None)
    for who in ("bo", "cy"):
        at, person = world.clock.now(), seed.accounts[who].person.id
        less: dict[str, Any] = {"roles": [Role.REQUESTER], "groups": (), "is_enabled": True}
        await people.set_rights(world.db, person, **less, by="operator", at=at, event_id=new_id(at))
    page = (await (await browser("root")).get("/settings")).text
    assert "waits until there is another human" in page


async def test_where_browsers_have_no_passkeys_the_page_says_what_to_set(browser: Make) -> None:
    plain = await browser("bo", "http://10.0.0.5:8770")
    page = (await plain.get("/settings")).text
    assert "only over https, or at http://localhost" in page
    assert "http://10.0.0.5:8770" in page
    told = await plain.post("/settings/passkeys/options")
    assert (told.status_code, told.json()["code"]) == (403, "no_passkeys")
