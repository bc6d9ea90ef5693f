"""What pages say of a yes: what it has to be, how this visitor can give it, who gave it; and what a host refuses."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI

from app.core.events import Approved
from app.core.level import RAISE, STOLEN, Level
from app.core.lifecycle import Request
from app.core.policy import Assurance, Kind
from app.core.registry import difference, with_entry
from app.core.verdict import Code, Finding
from app.core.warrant import short_digest
from app.flow.ids import new_id
from app.flow.ports import World
from app.store import proofs, requests, services
from tests.fakes.authenticator import Authenticator
from tests.integration.web.conftest import Browser, application
from tests.integration.web.keys import enrol
from tests.integration.web.seed import SIGNED, Seed, evidence
from tests.integration.web.test_credentials import LOCAL, asked

Make = Callable[..., Any]
APPROVE = ">Approve</button>"
DENY = ">Deny</button>"


@pytest.fixture
def app(world: World) -> FastAPI:
    """The pages at an address that has passkeys."""
    return application(world, LOCAL)


async def waiting(seed: Seed, **terms: object) -> Request:
    """A request whose yes has to be a signature."""
    given = {"assurance": Assurance.PASSKEY, **terms}
    request = await seed.verify(await seed.ask(service=SIGNED.name), **given)  # type: ignore[arg-type]
    await seed.prove(SIGNED.name)
    return request


async def page_of(someone: Browser, request: Request) -> str:
    return (await someone.get(f"/requests/{request.id}")).text


async def test_every_request_says_what_a_yes_is(browser: Make, seed: Seed) -> None:
    ada = await browser("ada")
    by_click, by_key = await seed.waiting(), await waiting(seed)
    assert "yes by click" in (page := await page_of(ada, by_click))
    assert "a signed-in person&#39;s click" in page
    assert "yes by passkey" in (page := await page_of(ada, by_key))
    assert "a signature over this text, by a passkey or a security key" in page
    assert short_digest(by_key.digest) in page


@pytest.mark.parametrize("assurance", [Assurance.PASSKEY, Assurance.SEALED])
async def test_who_has_a_passkey_is_asked_for_it(browser: Make, seed: Seed, assurance: Assurance) -> None:
    mine = await enrol(seed, "bo", "blue")
    request = await waiting(seed, assurance=assurance)
    bo = await browser("bo")
    page = await page_of(bo, request)
    assert APPROVE in page
    assert DENY in page
    assert 'data-passkey="use"' in page
    assert [each["id"] for each in (await asked(bo, request))["allowCredentials"]] == [mine.id]
    assert "Your passkey signs exactly this text." in page
    assert "A passkey needs JavaScript." in page
    assert ("which the host itself checks" in page) is (assurance is Assurance.SEALED)
    assert request.short_id in (await bo.get("/")).text


@pytest.mark.parametrize(
    ("kind", "in_seconds", "plain_keys", "said", "link"),
    [
        (None, 0.0, False, "you have no key yet", "Enrol a passkey in Settings"),
        (Kind.PASSKEY, None, False, "Your key is not confirmed yet", "Look at your keys in Settings"),
        (Kind.PASSKEY, 3600.0, False, "Your key can approve from", "Look at your keys in Settings"),
        (Kind.PLAIN, 0.0, False, "you have no key yet", "Enrol a passkey in Settings"),
    ],
)
async def test_who_cannot_sign_now_is_told_why_and_can_still_deny(  # noqa: PLR0917 - a row
    browser: Make,
    seed: Seed,
    kind: Kind | None,
    in_seconds: float | None,
    plain_keys: bool,
    said: str,
    link: str,
) -> None:
    if kind is not None:
        await enrol(seed, "bo", "blue", kind, usable_in=in_seconds)
    page = await page_of(await browser("bo"), await waiting(seed, plain_keys=plain_keys))
    assert said in page
    assert f'href="/settings#passkeys">{link}</a>' in page
    assert APPROVE not in page
    assert DENY in page


@pytest.mark.parametrize(("kind", "plain_keys"), [(Kind.SECURITY_KEY, False), (Kind.PLAIN, True)])
async def test_who_has_an_ssh_key_is_told_the_command(
    browser: Make,
    seed: Seed,
    kind: Kind,
    plain_keys: bool,
) -> None:
    await enrol(seed, "bo", "blue", kind)
    request = await waiting(seed, plain_keys=plain_keys)
    page = await page_of(await browser("bo"), request)
    assert f"askfirst approve {request.short_id}" in page
    assert APPROVE not in page
    assert DENY in page


async def test_a_passkey_of_another_address_is_told_so(browser: Make, seed: Seed) -> None:
    await enrol(seed, "bo", "blue", key=Authenticator(rp_id="askfirst.example.org"))
    page = await page_of(await browser("bo"), await waiting(seed))
    assert "Your passkey is for another address than this one" in page


async def test_a_click_where_a_signature_is_needed_is_refused_in_words(
    browser: Make,
    seed: Seed,
    world: World,
) -> None:
    request = await waiting(seed)
    answer = await (await browser("bo")).post(f"/requests/{request.id}/approve", {"digest": request.digest})
    assert answer.status_code == 403
    assert "a click is not enough" in answer.text
    assert (await requests.load(world.db, request.id)).approvals == ()


async def test_who_signed_and_with_which_key_stands_on_the_page(browser: Make, seed: Seed, world: World) -> None:
    request, bo = await waiting(seed, approvers=2), seed.accounts["bo"].person
    said = Approved(
        **seed.stamp("bo"),
        human=bo.human,
        digest=request.digest,
        level="passkey",
        signature_text="sha256:x",
        key="SHA256:blue",
    )
    await requests.append(world.db, request, said)
    page = await page_of(await browser("ada"), request)
    assert "<b>Bo Approver</b> said yes by the passkey SHA256:blue" in page
    assert "Bo Approver approved, with the passkey SHA256:blue (1 of 2)" in page


@pytest.mark.parametrize("level", Level)
async def test_a_hosts_page_says_what_a_thief_could_do_there_and_what_raises_it(
    browser: Make,
    world: World,
    level: Level,
    seed: Seed,
) -> None:
    registry = await services.registry(world.db)
    host, now = registry.hosts[0], world.clock.now()
    after = with_entry(registry, "host", host.name, replace(host, level=level, sudo=False))
    told = {"by": "ed", "at": now, "event_id": new_id(now), "base_revision": registry.revision}
    await services.apply(world.db, difference(registry, after), **told)  # type: ignore[arg-type]
    ed = await browser("ed")
    page = (await ed.get(f"/hosts/{host.name}")).text.replace("<code>", "`").replace("</code>", "`")
    assert STOLEN[level].replace("'", "&#39;") in page
    assert RAISE[level].format(host=host.name).replace("'", "&#39;") in page
    assert "another gate" not in page
    for path in ("/hosts", "/registry"):
        assert f'data-label="Level">{level}</td>' in (await ed.get(path)).text


async def test_a_hosts_page_says_where_the_last_look_met_another_level(browser: Make, world: World, seed: Seed) -> None:
    now = world.clock.now()
    strange = Finding("gate", "open", "the host's own files say enforced", None, Code.BLIND, "Set its level.")
    seen = evidence(now, code=Code.BLIND)
    seen = replace(seen, verdict=replace(seen.verdict, code=Code.BLIND, findings=(strange,)))
    await proofs.record_proof(world.db, "pypnm-gui", "BLIND", "UNSURE", now, seen.text())
    page = (await (await browser("ed")).get("/hosts/alpha")).text
    assert "another gate than registered: the host&#39;s own files say enforced" in page
    assert "Set its level." in page
