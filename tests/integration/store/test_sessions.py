"""Sessions, the throttle of sign-ins, tokens and passwords: what a thief of the database or of a cookie gets."""

import asyncio
import hashlib

import pytest

from app.core.digest import sha256_hex
from app.core.errors import NotFound
from app.identity.passwords import hash_password, verify_password
from app.store import sessions, tokens
from app.store.engine import Database, open_database
from app.store.secret import new_secret
from app.store.sessions import IDLE_SECONDS, LONGEST_SECONDS
from app.store.verify import verify
from tests.integration.databases import file, raw
from tests.integration.store.sample import NOW, fresh_id
from tests.integration.store.test_people import add


async def _open(db: Database, now: float = NOW) -> str:
    secret = await sessions.open_session(db, "ada", now, event_id=fresh_id())
    assert secret
    return secret


@pytest.mark.threat("A2")
async def test_a_session_is_opened_by_what_still_holds_and_nothing_else(db: Database, url: str) -> None:
    await add(db, password_hash="one")
    await add(db, "bo", password_hash="two")
    proofs: list[dict[str, str]] = [{"password_hash": "two"}, {"key": "SHA256:removed"}]
    for proof in proofs:
        assert await sessions.open_session(db, "ada", NOW, event_id=fresh_id(), **proof) is None
    assert await sessions.open_session(db, "nobody", NOW, event_id=fresh_id()) is None
    assert await sessions.open_session(db, "ada", NOW, event_id=fresh_id(), password_hash="one")
    raw(url, "UPDATE people SET is_enabled = false WHERE id = 'ada'")
    assert await sessions.open_session(db, "ada", NOW, event_id=fresh_id(), password_hash="one") is None
    assert raw(url, "SELECT count(*) FROM sessions") == [(1,)]
    assert (await verify(db)).rows == 3


@pytest.mark.threat("A1")
async def test_each_sign_in_is_a_new_session(db: Database) -> None:
    await add(db)
    first, second = await _open(db), await _open(db)
    assert first != second
    (one, two) = (await sessions.person_of(db, first, NOW), await sessions.person_of(db, second, NOW))
    assert one is not None
    assert two is not None
    assert (one.person.id, one.signed_in_at, one.csrf == two.csrf) == ("ada", NOW, False)
    for wrong in ("", "x", first[:-1], first + "x", "\ud800"):
        assert await sessions.person_of(db, wrong, NOW) is None


@pytest.mark.threat("A2")
async def test_an_ended_session_is_dead_in_every_process_at_once(db: Database, url: str) -> None:
    await add(db)
    other = await open_database(url)
    first, second, third = await _open(db), await _open(db), await _open(db)
    await sessions.close(db, first)
    assert await sessions.person_of(other, first, NOW) is None
    assert await sessions.person_of(other, second, NOW) is not None
    await sessions.close_all(db, "ada")
    assert [await sessions.person_of(other, each, NOW) for each in (second, third)] == [None, None]
    await other.close()


async def test_a_session_ends_when_it_is_not_used_and_after_a_week_whatever_happens(db: Database) -> None:
    await add(db)
    idle, used = await _open(db), await _open(db)
    now = NOW
    while now < NOW + LONGEST_SECONDS + IDLE_SECONDS / 4:
        now += IDLE_SECONDS / 2
        assert (await sessions.person_of(db, used, now) is not None) == (now < NOW + LONGEST_SECONDS)
    assert await sessions.person_of(db, idle, NOW + IDLE_SECONDS - 1) is not None
    idle = await _open(db)
    assert await sessions.person_of(db, idle, NOW + IDLE_SECONDS) is None


@pytest.mark.threat("A3")
async def test_stepping_up_renews_the_proof_of_who_it_is_and_nothing_else(db: Database) -> None:
    await add(db)
    secret, other = await _open(db), await _open(db)
    await sessions.step_up(db, secret, NOW + 400)
    stepped, left = await sessions.person_of(db, secret, NOW + 401), await sessions.person_of(db, other, NOW + 401)
    assert stepped is not None
    assert left is not None
    assert (stepped.signed_in_at, left.signed_in_at) == (NOW + 400, NOW)


@pytest.mark.threat("A10")
async def test_guesses_are_counted_before_they_are_made(db: Database, url: str) -> None:
    other = await open_database(url)
    keys = ("person:ada", "address:10.0.0.9")
    waits = await asyncio.gather(*(sessions.attempt([db, other][n % 2], keys, NOW) for n in range(40)))
    assert sum(wait == 0 for wait in waits) == 5
    await other.close()


@pytest.mark.threat("A10")
async def test_each_failure_doubles_the_wait_until_a_right_guess_or_a_day(db: Database) -> None:
    now, waits = NOW, []
    for _ in range(20):
        while (wait := await sessions.attempt(db, ["a"], now)) > 0:
            waits.append(wait)
            now += wait
    assert waits[:5] == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert max(waits) == waits[-1] == 900.0
    assert await sessions.attempt(db, ["b"], now) == 0.0
    assert await sessions.attempt(db, ["a", "b"], now) > 0
    await sessions.forget_failures(db, ["a", "b"])
    assert await sessions.attempt(db, ["a", "b"], now) == 0.0
    for _ in range(5):
        await sessions.attempt(db, ["c"], now)
    assert await sessions.attempt(db, ["c"], now + 86_401) == 0.0


async def test_a_clock_set_back_locks_nobody_out_for_long(db: Database) -> None:
    for _ in range(6):
        await sessions.attempt(db, ["a"], NOW)
    assert 0 < await sessions.attempt(db, ["a"], NOW - 86_400) <= 2.0


@pytest.mark.only("sqlite")
@pytest.mark.threat("L1")
async def test_a_stolen_database_holds_no_secret(db: Database, url: str) -> None:
    await add(db, password_hash=hash_password("correct horse battery"))
    session = await _open(db)
    token = await tokens.create(db, "ada", "ci", ["ask"], token_id="t1", by="ada", at=NOW, event_id=fresh_id())
    await sessions.attempt(db, ["person:ada@example.org"], NOW)
    raw(url, "PRAGMA wal_checkpoint(TRUNCATE)")
    everything = file(url).read_bytes()
    for secret in (session, token, token.removeprefix("af_"), "correct horse", "person:ada"):
        assert secret.encode() not in everything
    assert hashlib.sha256(session.encode()).hexdigest().encode() in everything
    assert b"$argon2id$" in everything


@pytest.mark.law(8)
async def test_a_token_is_its_owner_scoped_to_asking_and_reading(db: Database) -> None:
    await add(db)
    made = {"token_id": "t1", "by": "ada", "at": NOW}
    token = await tokens.create(db, "ada", "ci", ["read", "ask"], event_id="e1", **made)  # type: ignore[arg-type]
    assert token.startswith("af_")
    found = await tokens.owner_of(db, token)
    assert found is not None
    assert (found[0].id, sorted(found[1])) == ("ada", ["ask", "read"])
    for wrong in ("", "af_", token + "x", token.upper()):
        assert await tokens.owner_of(db, wrong) is None
    (listed,) = await tokens.of_person(db, "ada")
    assert (listed.id, listed.name, listed.revoked_at) == ("t1", "ci", None)


async def test_a_revoked_token_is_dead_and_stays_on_the_list(db: Database) -> None:
    await add(db)
    token = await tokens.create(db, "ada", "ci", ["ask"], token_id="t1", by="ada", at=NOW, event_id="e1")
    for event_id in ("e2", "e3"):
        await tokens.revoke(db, "t1", by="ada", at=NOW + 5, event_id=event_id)
    assert await tokens.owner_of(db, token) is None
    assert [each.revoked_at for each in await tokens.of_person(db, "ada")] == [NOW + 5]
    assert (await verify(db)).rows == 3
    with pytest.raises(NotFound):
        await tokens.revoke(db, "t9", by="ada", at=NOW, event_id="e4")


def test_a_password_is_hashed_with_its_own_salt_and_verified() -> None:
    first, second = hash_password("correct horse"), hash_password("correct horse")
    assert first != second
    assert first.startswith("$argon2id$")
    assert verify_password(first, "correct horse")
    assert not verify_password(first, "correct horsf")
    assert not verify_password("no hash at all", "correct horse")


@pytest.mark.threat("A10")
def test_an_unknown_name_costs_the_same_work_and_is_no(monkeypatch: pytest.MonkeyPatch) -> None:
    work: list[str] = []
    from argon2 import low_level  # noqa: PLC0415

    real = low_level.verify_secret

    def counted(hashed: bytes, *rest: object) -> bool:
        work.append(hashed.decode().rsplit("$", 2)[0])
        return real(hashed, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("argon2._password_hasher.verify_secret", counted)
    assert not verify_password(None, "anything")
    assert not verify_password(hash_password("x"), "anything")
    assert len(work) == 2
    assert work[0] == work[1]  # the same algorithm and cost


def test_a_secret_is_256_bits_of_chance() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert {len(secret) for secret in secrets} == {43}
    assert sha256_hex("x") == hashlib.sha256(b"x").hexdigest()
