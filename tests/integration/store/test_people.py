"""Accounts: one for each address, the first made once, somebody always admin, and out at once who is disabled."""

import asyncio
from typing import Any

import pytest

from app.core.errors import Conflict, NotFound, Refused
from app.core.policy import Role
from app.store import people, sessions, tokens
from app.store.engine import Database, open_database
from app.store.people import Account
from app.store.verify import verify
from tests.integration.databases import raw
from tests.integration.store.sample import NOW, fresh_id


async def add(db: Database, person_id: str = "ada", **other: Any) -> Account:
    values: dict[str, Any] = {
        "name": person_id.title(),
        "email": f"{person_id}@example.org",
        "roles": [Role.ADMIN, Role.APPROVER],
        "groups": ["lab-team"],
        "password_hash": "hash",
        "by": "setup",
        "at": NOW,
        "event_id": fresh_id(),
    }
    return await people.add(db, person_id=person_id, **{**values, **other})


async def grant(db: Database, person_id: str = "ada", **other: Any) -> Account:
    values: dict[str, Any] = {"roles": [Role.ADMIN], "groups": [], "is_enabled": True, "by": "ada", "at": NOW + 60}
    return await people.set_rights(db, person_id, **{**values, "event_id": fresh_id(), **other})


async def test_an_account_is_found_however_its_address_is_written(db: Database) -> None:
    account = await add(db, email=" Ada@Example.ORG ")
    assert await people.by_email(db, "ADA@example.org") == account == await people.by_id(db, "ada")
    assert (account.email, account.person.human) == ("ada@example.org", "ada")
    assert account.person.roles == {Role.ADMIN, Role.APPROVER}
    assert account.person.groups == {"lab-team": NOW}
    assert await people.by_email(db, "bo@example.org") is None
    assert await people.by_id(db, "bo") is None
    assert await people.names(db) == {"ada": "Ada"}
    with pytest.raises(Conflict) as conflict:
        await add(db, "eve", email="ada@EXAMPLE.org")
    assert conflict.value.code == "email_taken"
    assert (await verify(db)).rows == 1


@pytest.mark.threat("B2")
async def test_accounts_of_one_human_say_so(db: Database) -> None:
    await add(db)
    second = await add(db, "robot", human="ada", roles=[Role.REQUESTER])
    assert second.person.human == "ada"
    assert [each.person.id for each in await people.everyone(db)] == ["ada", "robot"]


@pytest.mark.threat("B10")
async def test_a_group_is_joined_when_it_is_joined_and_kept_groups_keep_their_date(db: Database) -> None:
    await add(db)
    account = await grant(db, groups=["lab-team", "night"])
    assert account.person.groups == {"lab-team": NOW, "night": NOW + 60}
    await grant(db, groups=["night"], at=NOW + 120)
    account = await grant(db, groups=["lab-team", "night"], at=NOW + 180)
    assert account.person.groups == {"lab-team": NOW + 180, "night": NOW + 60}
    assert (await verify(db)).is_whole


async def test_somebody_stays_admin(db: Database) -> None:
    before = await add(db)
    for rights in ({"roles": [Role.APPROVER]}, {"is_enabled": False}):
        with pytest.raises(Refused) as refused:
            await grant(db, **rights)
        assert refused.value.code == "last_admin"
    assert await people.by_id(db, "ada") == before
    await add(db, "bo")
    await grant(db, is_enabled=False)
    with pytest.raises(NotFound):
        await grant(db, "nobody")


@pytest.mark.threat("A13")
async def test_the_first_account_is_made_once_however_many_try(db: Database, url: str) -> None:
    await people.set_bootstrap_secret(db, "old")
    await people.set_bootstrap_secret(db, "secret")
    assert not await people.is_bootstrap_secret(db, "old")
    assert await people.is_bootstrap_secret(db, "secret")
    assert await people.is_empty(db)
    other = await open_database(url)
    answers = await asyncio.gather(
        *(add([db, other][n % 2], f"p{n}", is_first=True) for n in range(10)), return_exceptions=True
    )
    assert sum(isinstance(answer, Account) for answer in answers) == 1
    assert {answer.code for answer in answers if isinstance(answer, Conflict)} == {"is_set_up"}
    assert not await people.is_empty(db)
    assert not await people.is_bootstrap_secret(db, "secret")
    assert raw(url, "SELECT count(*) FROM bootstrap") == [(0,)]
    await other.close()


@pytest.mark.threat("A2")
async def test_who_is_disabled_is_out_at_once_and_stays_out(db: Database) -> None:
    await add(db)
    await add(db, "bo")
    secret = await sessions.open_session(db, "bo", NOW, event_id=fresh_id())
    assert secret
    about = {"token_id": "t", "by": "bo", "at": NOW, "event_id": fresh_id()}
    token = await tokens.create(db, "bo", "ci", ["ask"], **about)  # type: ignore[arg-type]
    await grant(db, "bo", is_enabled=False)
    assert await sessions.person_of(db, secret, NOW) is None
    assert await tokens.owner_of(db, token) is None
    await grant(db, "bo", is_enabled=True)
    assert await sessions.person_of(db, secret, NOW) is None
    assert await tokens.owner_of(db, token) is None
    assert (await verify(db)).is_whole


@pytest.mark.threat("A2")
async def test_neither_session_nor_token_outlives_the_right_to_sign_in(db: Database, url: str) -> None:
    await add(db)
    secret = await sessions.open_session(db, "ada", NOW, event_id=fresh_id())
    assert secret
    token = await tokens.create(db, "ada", "ci", ["ask"], token_id="t", by="ada", at=NOW, event_id=fresh_id())
    raw(url, "UPDATE people SET is_enabled = false")
    assert await sessions.person_of(db, secret, NOW) is None
    assert await tokens.owner_of(db, token) is None


async def test_a_password_s_hash_is_stored_and_never_logged(db: Database, url: str) -> None:
    await add(db)
    await people.set_password_hash(db, "ada", "$argon2id$new", by="ada", at=NOW, event_id="pw")
    assert await people.password_hash_of(db, "ada") == "$argon2id$new"
    assert await people.password_hash_of(db, "nobody") is None
    with pytest.raises(NotFound):
        await people.set_password_hash(db, "nobody", "x", by="ada", at=NOW, event_id="pw2")
    log = b"".join(body for (body,) in raw(url, "SELECT body FROM audit"))
    assert b"password_set" in log
    assert not [word for word in (b"argon2", b"example.org", b'"Ada"') if word in log]
