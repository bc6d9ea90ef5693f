"""Changing the registry with a second editor, the first person, sign-in, and rights."""

import asyncio
import threading
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest
from argon2 import low_level

from app.core.errors import Conflict, Refused
from app.core.policy import Person, Role
from app.core.registry import Registry, with_entry
from app.flow import discover, people, registry
from app.store import services, sessions, tokens
from app.store.verify import verify
from tests.integration.databases import raw
from tests.integration.flow.conftest import PATH, Stage

PASSWORD = "a sentence is fine"
EDITOR = frozenset({Role.EDITOR})


async def _wanted(stage: Stage, path: str) -> Registry:
    current = await services.registry(stage.db)
    service = current.service("pypnm-gui")
    assert service is not None
    return with_entry(current, "service", "pypnm-gui", replace(service, path=path))


async def _path(stage: Stage) -> str | None:
    service = (await services.registry(stage.db)).service("pypnm-gui")
    return service.path if service else None


async def _sole_editor(stage: Stage) -> Person:
    """Leave ada as the only one who edits."""
    admin = await stage.add("root", roles=frozenset({Role.ADMIN}), groups=())
    for name in ("bo", "cy"):
        await people.set_rights(stage.world, admin, stage.who[name].id, [Role.APPROVER], ["lab-team"], is_enabled=True)
    return stage.who["ada"]


async def test_while_there_is_one_editor_a_change_applies_at_once(stage: Stage) -> None:
    ada = await _sole_editor(stage)
    outcome = await registry.change(stage.world, ada, await _wanted(stage, "/srv/gui"))
    assert (outcome.proposal, await _path(stage)) == (None, "/srv/gui")


@pytest.mark.threat("K1")
async def test_from_the_second_editor_on_another_one_has_to_confirm(stage: Stage) -> None:
    ada, bo = stage.who["ada"], stage.who["bo"]
    outcome = await registry.change(stage.world, ada, await _wanted(stage, "/srv/gui"), "moved")
    assert outcome.proposal is not None
    assert await _path(stage) == PATH
    with pytest.raises(Refused) as caught:
        await registry.confirm(stage.world, ada, outcome.proposal.id)
    assert caught.value.code == "own_change"
    await registry.confirm(stage.world, bo, outcome.proposal.id)
    assert await _path(stage) == "/srv/gui"
    assert (await verify(stage.db)).differences == []


async def test_a_second_account_of_the_proposer_is_not_a_second_editor(stage: Stage) -> None:
    twin = await stage.add("ada2", roles=EDITOR, groups=(), human=stage.who["ada"].human)
    outcome = await registry.change(stage.world, stage.who["ada"], await _wanted(stage, "/srv/gui"))
    assert outcome.proposal is not None
    with pytest.raises(Refused):
        await registry.confirm(stage.world, twin, outcome.proposal.id)


async def test_a_proposal_that_the_registry_has_overtaken_is_not_applied(stage: Stage) -> None:
    first = await registry.change(stage.world, stage.who["ada"], await _wanted(stage, "/srv/one"))
    second = await registry.change(stage.world, stage.who["ada"], await _wanted(stage, "/srv/two"))
    assert first.proposal is not None
    assert second.proposal is not None
    await registry.confirm(stage.world, stage.who["bo"], second.proposal.id)
    with pytest.raises(Conflict) as caught:
        await registry.confirm(stage.world, stage.who["bo"], first.proposal.id)
    assert caught.value.code == "registry_moved"
    assert await _path(stage) == "/srv/two"


async def test_a_contradiction_is_refused_and_changes_nothing(stage: Stage) -> None:
    ada = await _sole_editor(stage)
    with pytest.raises(Refused) as caught:
        await registry.change(stage.world, ada, await _wanted(stage, "/srv/../etc"))
    assert caught.value.code == "registry_invalid"
    assert await _path(stage) == PATH


async def test_only_an_editor_changes_the_registry(stage: Stage) -> None:
    odo = await stage.add("odo", roles=frozenset({Role.AUDITOR, Role.ADMIN}), groups=())
    with pytest.raises(Refused) as caught:
        await registry.change(stage.world, odo, await _wanted(stage, "/srv/gui"))
    assert caught.value.code == "not_editor"


async def test_the_first_person_is_made_once(stage: Stage) -> None:
    assert await people.setup_link(stage.world, "http://x") is None
    with pytest.raises(Conflict):
        await people.bootstrap(stage.world, name="Eve", email="eve@example.org", password=PASSWORD)


@pytest.mark.threat("A10")
async def test_a_wrong_password_and_an_unknown_name_are_told_alike_and_throttled(stage: Stage) -> None:
    await people.add_as_operator(
        stage.world, name="Di", email="di@example.org", roles=[Role.REQUESTER], groups=[], password=PASSWORD
    )
    secret = await people.sign_in(stage.world, "Di@Example.org", PASSWORD, "10.0.0.1")
    session = await sessions.person_of(stage.db, secret, stage.clock.now())
    assert session is not None
    assert session.person.name == "Di"
    told = set()
    for email in ("di@example.org", "nobody@example.org"):
        with pytest.raises(Refused) as caught:
            await people.sign_in(stage.world, email, "not it at all", "10.0.0.2")
        told.add((caught.value.code, caught.value.message))
    assert told == {("sign_in_refused", "The name or the password is wrong.")}
    codes = []
    for _ in range(30):
        with pytest.raises(Refused) as caught:
            await people.sign_in(stage.world, "di@example.org", "not it at all", "10.0.0.3")
        codes.append(caught.value.code)
    assert "throttled" in codes


async def test_a_password_change_ends_every_session(stage: Stage) -> None:
    account = await people.add_as_operator(
        stage.world, name="Di", email="di@example.org", roles=[Role.REQUESTER], groups=[], password=PASSWORD
    )
    secret = await people.sign_in(stage.world, "di@example.org", PASSWORD, "10.0.0.1")
    await people.set_password(stage.world, account.person, account.person.id, "another good sentence")
    assert await sessions.person_of(stage.db, secret, stage.clock.now()) is None


def hold(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Hold up each check of a password from now on: return what tells that one began, and what lets it go on."""
    begun, go = threading.Event(), threading.Event()
    real = low_level.verify_secret

    def held(*args: Any) -> bool:
        begun.set()
        go.wait()
        return real(*args)

    monkeypatch.setattr("argon2._password_hasher.verify_secret", held)
    return begun, go


async def while_held(
    monkeypatch: pytest.MonkeyPatch, check: Coroutine[Any, Any, Any], meanwhile: Coroutine[Any, Any, Any]
) -> str:
    """Do something while a password is looked at, and return the code by which that one was refused then."""
    begun, go = hold(monkeypatch)
    checking = asyncio.create_task(check)
    await asyncio.to_thread(begun.wait)
    try:
        await meanwhile
    finally:
        go.set()
    with pytest.raises(Refused) as caught:
        await checking
    return caught.value.code


@pytest.mark.threat("A2")
@pytest.mark.parametrize("what", ["another password", "disabled"])
async def test_what_was_right_when_it_was_looked_at_lets_nobody_in_who_is_out_by_then(
    stage: Stage, url: str, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    admin = await stage.add("root", roles=frozenset({Role.ADMIN}), groups=())
    her = await people.add_as_operator(
        stage.world, name="Di", email="di@example.org", roles=[Role.REQUESTER], groups=[], password=PASSWORD
    )
    world, her_id = stage.world, her.person.id
    meanwhile = {
        "another password": people.set_password(world, admin, her_id, "another good sentence"),
        "disabled": people.set_rights(world, admin, her_id, [Role.REQUESTER], [], is_enabled=False),
    }
    signing_in = people.sign_in(world, "di@example.org", PASSWORD, "10.0.0.1")
    assert await while_held(monkeypatch, signing_in, meanwhile.pop(what)) == "sign_in_refused"
    assert raw(url, "SELECT count(*) FROM sessions") == [(0,)]
    for each in meanwhile.values():
        each.close()


@pytest.mark.threat("A3")
async def test_the_old_password_proves_nobody_again_once_another_is_set(
    stage: Stage, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    her = await people.add_as_operator(
        stage.world, name="Di", email="di@example.org", roles=[Role.REQUESTER], groups=[], password=PASSWORD
    )
    world, who = stage.world, her.person
    secret = await people.sign_in(world, "di@example.org", PASSWORD, "10.0.0.1")
    proving = people.prove_again(world, secret, who, PASSWORD)
    setting = people.set_password(world, who, who.id, "another good sentence")
    assert await while_held(monkeypatch, proving, setting) == "password_wrong"
    assert raw(url, "SELECT count(*) FROM sessions") == [(0,)]


@pytest.mark.law(8)
@pytest.mark.parametrize("scopes", [[], ["approve"], ["ask", "approve"], ["Ask"]])
async def test_a_token_asks_or_reads_and_there_is_no_scope_besides(stage: Stage, scopes: list[str]) -> None:
    ada = stage.who["ada"]
    with pytest.raises(Refused) as caught:
        await people.create_token(stage.world, ada, "ci", scopes)
    assert caught.value.code == "bad_token_scope"
    assert await tokens.of_person(stage.db, ada.id) == []


async def test_the_last_admin_cannot_be_locked_out(stage: Stage) -> None:
    admin = await stage.add("root", roles=frozenset({Role.ADMIN}), groups=())
    with pytest.raises(Refused) as caught:
        await people.set_rights(stage.world, admin, admin.id, [Role.ADMIN], [], is_enabled=False)
    assert caught.value.code == "last_admin"


@pytest.mark.parametrize(
    ("email", "password", "code"),
    [("no address", PASSWORD, "bad_email"), ("x@example.org", "short", "password_short")],
)
async def test_bad_people_are_refused_with_what_to_do(stage: Stage, email: str, password: str, code: str) -> None:
    with pytest.raises(Refused) as caught:
        await people.add_as_operator(
            stage.world, name="X", email=email, roles=[Role.REQUESTER], groups=[], password=password
        )
    assert caught.value.code == code


async def test_discovery_names_the_owner_of_every_port(stage: Stage) -> None:
    stage.alpha.by_hand(5051)
    found = await discover.discover(stage.world, "alpha")
    seen = {port.port: (each.manager, [one.service for one in each.claims]) for each, port in found.listening}
    assert seen == {5050: ("supervisor", ["pypnm-gui"]), 5051: ("none", [])}


@pytest.mark.threat("A2")
async def test_whoever_is_out_sets_no_password_of_their_own_after_an_admin_did(stage: Stage) -> None:
    admin = await stage.add("root", roles=frozenset({Role.ADMIN}), groups=())
    her = await people.add_as_operator(
        stage.world, name="Di", email="di@example.org", roles=[Role.REQUESTER], groups=[], password=PASSWORD
    )
    world, who = stage.world, her.person
    secret = await people.sign_in(world, "di@example.org", PASSWORD, "10.0.0.1")
    await people.prove_again(world, secret, who, PASSWORD)
    await people.set_password(world, admin, who.id, "another good sentence")
    with pytest.raises(Refused) as refused:
        await people.set_password(world, who, who.id, "a third good sentence", secret)
    assert refused.value.code == "session_over"
    secret = await people.sign_in(world, "di@example.org", "another good sentence", "10.0.0.1")
    await people.set_password(world, who, who.id, "a third good sentence", secret)
    assert await people.sign_in(world, "di@example.org", "a third good sentence", "10.0.0.1")
