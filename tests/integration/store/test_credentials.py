"""Keys of people: each enrolled once in all, confirmed once, in the log; a challenge answered once, in two minutes."""

import asyncio
from dataclasses import replace

import pytest

from app.core.errors import AskfirstError, Conflict, NotFound, Refused
from app.core.policy import Role
from app.store import credentials, people
from app.store.engine import Database, open_database
from app.store.verify import verify
from tests.integration.databases import raw
from tests.integration.store.sample import NOW, key, keys


@pytest.fixture
async def ada(db: Database) -> Database:
    about = {"name": "Ada", "email": "ada@example.org", "password_hash": None, "by": "setup", "at": NOW}
    await people.add(db, person_id="ada", roles=[Role.ADMIN], groups=[], event_id="p1", **about)  # type: ignore[arg-type]
    return db


async def test_a_key_is_what_was_enrolled_and_the_log_says_the_same(ada: Database) -> None:
    await keys(ada)
    sure = {"confirmed_by": "bo", "confirmed_at": NOW + 5, "usable_at": NOW + 65}
    assert await credentials.of(ada, "ada") == [replace(key("k1"), **sure), key("k2")]  # type: ignore[arg-type]
    assert await credentials.of(ada, "bo") == []
    assert await credentials.by_key(ada, key("k2").fingerprint) == key("k2")
    assert await credentials.by_id(ada, "k3") is None
    assert await credentials.everybody(ada) == await credentials.of(ada, "ada")
    assert (await verify(ada)).is_whole


async def test_a_key_belongs_to_one_person_and_is_confirmed_once(ada: Database) -> None:
    await keys(ada)
    with pytest.raises(Conflict) as taken:
        await credentials.enrol(ada, replace(key("k1"), id="other"), by="ada", event_id="again")
    assert taken.value.code == "key_taken"
    with pytest.raises(Conflict) as twice:
        await credentials.confirm(ada, "k1", by="cy", at=NOW, usable_at=NOW, event_id="twice")
    assert twice.value.code == "key_confirmed"
    for act in (
        credentials.confirm(ada, "k3", by="cy", at=NOW, usable_at=NOW, event_id="late"),
        credentials.remove(ada, "k3", by="cy", at=NOW, event_id="gone"),
    ):
        with pytest.raises(NotFound):
            await act
    assert (await verify(ada)).is_whole


async def test_a_key_that_was_removed_may_be_enrolled_anew_and_is_unconfirmed_then(ada: Database) -> None:
    await keys(ada)
    await credentials.remove(ada, "k1", by="ada", at=NOW + 9, event_id="away")
    await credentials.enrol(ada, replace(key("k1"), enrolled_at=NOW + 10), by="ada", event_id="back")
    found = await credentials.by_id(ada, "k1")
    assert found is not None
    assert found.usable_at is None
    assert (await verify(ada)).is_whole


@pytest.mark.threat("A6")
async def test_a_counter_only_goes_on_and_of_two_uses_at_once_one_counts(ada: Database) -> None:
    await keys(ada)
    await credentials.use(ada, "k1", 5, NOW)
    for counter in (5, 4, 0):
        with pytest.raises(Refused) as back:
            await credentials.use(ada, "k1", counter, NOW)
        assert back.value.code == "counter_back"
    both = await asyncio.gather(*(credentials.use(ada, "k1", 6, NOW) for _ in range(2)), return_exceptions=True)
    assert sum(isinstance(each, Refused) for each in both) == 1
    await credentials.use(ada, "k2", 0, NOW)  # a key that does not count, such as one kept in several places
    await credentials.use(ada, "k2", 0, NOW + 1)
    assert (await verify(ada)).is_whole


async def test_a_name_is_not_in_the_log(ada: Database, url: str) -> None:
    await keys(ada)
    await credentials.rename(ada, "k1", "blue key")
    found = await credentials.by_id(ada, "k1")
    assert found is not None
    assert found.name == "blue key"
    assert not any(b"desk" in bytes(body) or b"blue" in bytes(body) for (body,) in raw(url, "SELECT body FROM audit"))


async def _answer(db: Database, text: str = "c", purpose: str = "enrol", by: str | None = "ada", at: float = 1) -> str:
    try:
        await credentials.answered(db, text, purpose=purpose, bound_to=by, now=NOW + at)
    except AskfirstError as error:
        return error.code
    return ""


@pytest.mark.threat("A7")
async def test_a_challenge_is_answered_once_for_its_purpose_by_whom_it_was_made_for_within_two_minutes(
    ada: Database, url: str
) -> None:
    for text in ("c", "old"):
        await credentials.challenge(ada, text, purpose="enrol", bound_to="ada", now=NOW)
    assert await _answer(ada, "never asked") == "challenge"
    assert await _answer(ada, purpose="sign-in") == "challenge"
    assert await _answer(ada, by="bo") == "challenge"
    assert await _answer(ada, "old", at=120) == "challenge"
    assert await _answer(ada, at=119) == ""
    assert await _answer(ada, at=119) == "challenge"
    assert raw(url, "SELECT count(*) FROM challenges WHERE digest = 'old' OR bound_to = 'ada'") == [(0,)]


@pytest.mark.threat("A7")
async def test_of_many_answers_at_once_from_several_replicas_one_counts(ada: Database, url: str) -> None:
    await credentials.challenge(ada, "c", purpose="enrol", bound_to="ada", now=NOW)
    other = await open_database(url)
    answers = await asyncio.gather(*(_answer(db) for db in (ada, other) * 5))
    await other.close()
    assert sorted(answers) == [""] + ["challenge"] * 9


@pytest.mark.threat("H3")
async def test_who_only_asks_fills_nothing(ada: Database, url: str) -> None:
    for number in range(100):
        await credentials.challenge(ada, str(number), purpose="sign-in", bound_to="address:x", now=NOW)
    with pytest.raises(Refused) as many:
        await credentials.challenge(ada, "one more", purpose="sign-in", bound_to="address:x", now=NOW + 1)
    assert many.value.code == "throttled"
    await credentials.challenge(ada, "another's", purpose="sign-in", bound_to="address:y", now=NOW + 1)
    await credentials.challenge(ada, "later", purpose="sign-in", bound_to="address:x", now=NOW + 120)
    assert raw(url, "SELECT count(*) FROM challenges") == [(2,)]
