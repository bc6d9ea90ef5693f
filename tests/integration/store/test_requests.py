"""Requests in the store: the events decide, whatever a row says, and of many racing writers one wins."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import inspect

from app.core.commitment import Text
from app.core.errors import Conflict, IllegalEvent, NotFound, Refused
from app.core.events import Insisted
from app.core.lifecycle import State
from app.store import listing, requests
from app.store.engine import Database, open_database
from app.store.verify import verify
from tests.integration.databases import REFUSED, disarmed, raw
from tests.integration.store.sample import (
    NOW,
    REASON,
    approved,
    ask,
    asked,
    blocked,
    cancelled,
    denied,
    fresh_id,
    run_started,
    verified,
    waiting,
)


async def test_what_was_returned_is_what_is_loaded_again(db: Database) -> None:
    request = await ask(db, event=asked(at=NOW + 0.123456))
    assert await requests.load(db, request.id) == request
    for event in (verified(), approved(), run_started()):
        request = await requests.append(db, request, event)
        assert await requests.load(db, request.id) == request
    assert request.state is State.RUNNING
    assert [event.type for event in await requests.events(db, request.id)] == [
        *("asked", "verified", "approved", "run_started")
    ]
    assert (await verify(db)).is_whole


@pytest.mark.law(6)
@pytest.mark.threat("G1")
@pytest.mark.parametrize("what", ["run_started", "approved"])
async def test_of_fifty_writers_of_one_version_one_wins(db: Database, url: str, what: str) -> None:
    request = await waiting(db)
    if what == "run_started":
        request = await requests.append(db, request, approved())
    others = [await open_database(url) for _ in range(4)]
    events: list[Any] = [run_started(f"w{n}") if what == "run_started" else approved(f"p{n}") for n in range(50)]
    answers = await asyncio.gather(
        *(requests.append([db, *others][n % 5], request, event) for n, event in enumerate(events)),
        return_exceptions=True,
    )
    won = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert len(won) == 1
    assert {answer.code for answer in answers if isinstance(answer, Conflict)} == {"too_late"}
    assert await requests.load(db, request.id) == won[0]
    assert (await verify(db)).is_whole
    for each in others:
        await each.close()


@pytest.mark.law(6)
@pytest.mark.threat("G1")
async def test_the_database_itself_holds_one_event_for_each_version(db: Database) -> None:
    await waiting(db)
    async with db.read() as connection:
        indexes = await connection.run_sync(lambda sync: inspect(sync).get_indexes("audit"))
    unique = {each["name"]: each["column_names"] for each in indexes if each["unique"]}
    assert unique == {"audit_event": ["event_id"], "audit_request_version": ["request", "version"]}


@pytest.mark.threat("G4")
async def test_an_event_that_is_there_already_is_success_and_changes_nothing(db: Database) -> None:
    request = await ask(db)
    event = verified()
    first = await requests.append(db, request, event)
    assert await requests.append(db, request, event) == first
    later = await requests.append(db, first, approved())
    assert await requests.append(db, request, event) == later
    assert len(await requests.events(db, request.id)) == 3
    with pytest.raises(Conflict) as conflict:
        await requests.append(db, later, replace(event, digest="d2"))
    assert conflict.value.code == "event_id_used"


async def test_an_id_of_another_request_s_event_is_not_taken_for_this_one_s(db: Database) -> None:
    event = verified()
    await requests.append(db, await ask(db), event)
    other = await ask(db, event=asked("other"))
    with pytest.raises(Conflict):
        await requests.append(db, other, event)
    assert (await requests.load(db, other.id)).state is State.OPEN


async def test_what_the_life_cycle_does_not_know_is_refused_and_leaves_nothing(db: Database) -> None:
    request = await waiting(db)
    with pytest.raises(IllegalEvent):
        await requests.append(db, request, run_started(), [Text(b"0" * 16, "left over")])
    assert await requests.load(db, request.id) == request
    assert await requests.text(db, Text(b"0" * 16, "left over").commitment) is None


async def test_a_caller_s_own_picture_of_a_request_decides_nothing(db: Database) -> None:
    request = await waiting(db)
    dreamt = replace(request, state=State.APPROVED, approvers=0)
    with pytest.raises(IllegalEvent):
        await requests.append(db, dreamt, run_started())


@pytest.mark.threat("B16")
async def test_a_row_that_somebody_set_to_approved_lets_nothing_run(db: Database, url: str) -> None:
    request = await waiting(db)
    raw(url, "UPDATE requests SET state = 'approved', version = 3")
    assert await requests.wanting(db, [State.APPROVED]) == [request.id]
    loaded = await requests.load(db, request.id)
    assert loaded.state is State.WAITING
    with pytest.raises(IllegalEvent):
        await requests.append(db, loaded, run_started())
    differences = (await verify(db)).differences
    assert f"requests {request.id}: state is 'approved', the log says 'waiting'" in differences


@pytest.mark.threat("B17")
async def test_a_yes_copied_to_another_request_lets_nothing_run(db: Database, url: str) -> None:
    request = await waiting(db, "01REQFIRST")
    await requests.append(db, request, approved())
    await waiting(db, "01REQSECOND", asked("other"), digest="d2")
    raw(url, "INSERT INTO decisions SELECT '01REQSECOND', version, person, human, answer, at, seq FROM decisions")
    assert (await requests.load(db, "01REQSECOND")).state is State.WAITING
    assert "decisions 01REQSECOND 3: the log knows no such row" in (await verify(db)).differences


@pytest.mark.threat("B17")
async def test_a_yes_forged_into_the_log_for_another_warrant_does_not_fold(db: Database) -> None:
    await waiting(db, "01REQFIRST")
    other = await waiting(db, "01REQSECOND", asked("other"), digest="d2")
    with pytest.raises(IllegalEvent):
        await requests.append(db, other, approved(digest="d1"))


async def test_one_key_of_one_requester_asks_once(db: Database) -> None:
    first = await requests.create(db, "01A", asked(), [REASON], key="k", key_digest="d")
    assert await requests.create(db, "01B", asked(), [REASON], key="k", key_digest="d") == first
    later = await requests.append(db, first, cancelled())
    assert await requests.create(db, "01C", asked(), [REASON], key="k", key_digest="d") == later
    somebody = asked("other", requester="bo", by="bo")
    assert (await requests.create(db, "01D", somebody, [REASON], key="k", key_digest="e")).id == "01D"


@pytest.mark.threat("I9")
async def test_a_key_that_comes_with_another_question_is_refused(db: Database) -> None:
    await requests.create(db, "01A", asked(), [REASON], key="k", key_digest="d")
    with pytest.raises(Conflict) as conflict:
        await requests.create(db, "01B", asked("other"), [REASON], key="k", key_digest="e")
    assert conflict.value.code == "key_reused"
    with pytest.raises(NotFound):
        await requests.load(db, "01B")


async def test_a_form_posted_twice_at_once_asks_once(db: Database, url: str) -> None:
    other = await open_database(url)
    answers = await asyncio.gather(
        *(
            requests.create([db, other][n % 2], f"01REQ{n}", asked(), [REASON], key="k", key_digest="d")
            for n in range(20)
        )
    )
    assert len({answer.id for answer in answers}) == 1
    await other.close()


async def test_a_service_has_one_open_request_and_the_second_is_told_which(db: Database, url: str) -> None:
    first = await ask(db)
    with pytest.raises(Conflict, match=first.id) as conflict:
        await ask(db)
    assert conflict.value.code == "already_asked"
    assert first.short_id in conflict.value.next_step
    other = await open_database(url)
    await requests.append(db, first, blocked())
    answers = await asyncio.gather(*(ask([db, other][n % 2]) for n in range(20)), return_exceptions=True)
    assert sum(not isinstance(answer, BaseException) for answer in answers) == 1
    await other.close()


async def test_the_database_itself_holds_one_open_request_for_each_service(db: Database, url: str) -> None:
    await ask(db, "01A")
    raw(url, "CREATE TABLE twin AS SELECT * FROM requests", "UPDATE twin SET id = '01B', seq = 99")
    with pytest.raises(REFUSED, match=r"failed: requests\.service|requests_one_open"):
        raw(url, "INSERT INTO requests SELECT * FROM twin")
    raw(url, "UPDATE requests SET is_open = false", "INSERT INTO requests SELECT * FROM twin")


@pytest.mark.threat("B10")
async def test_the_database_itself_holds_one_yes_of_each_human_for_each_request(db: Database, url: str) -> None:
    await requests.append(db, await waiting(db, "01A", approvers=2), approved())
    with pytest.raises(REFUSED, match=r"failed: decisions\.request, decisions\.human|decisions_one_yes"):
        raw(url, "INSERT INTO decisions SELECT request, 9, 'bo-again', human, answer, at, seq FROM decisions")


async def test_a_short_id_names_a_request_only_where_it_is_alone(db: Database) -> None:
    request = await ask(db, "01JF3W6V9Q0Z7E5M2T8X4K7F3K")
    assert await requests.load(db, "R-7F3K") == request
    assert await requests.load(db, "r-7f3k") == request
    await requests.append(db, request, cancelled())
    await ask(db, "01JF3W6V9Q0Z7E5M2T8X4J7F3K")
    with pytest.raises(Refused) as refused:
        await requests.load(db, "R-7F3K")
    assert refused.value.code == "ambiguous_id"
    with pytest.raises(NotFound):
        await requests.load(db, "R-0000")


async def test_workers_find_what_wants_them(db: Database) -> None:
    first = await waiting(db, event=asked("a"))
    second = await waiting(db, event=asked("b", host="beta"), not_after=NOW + 100)
    third = await ask(db, event=asked("c"))
    await requests.append(db, third, cancelled())
    assert await requests.wanting(db, [State.WAITING, State.OPEN]) == [first.id, second.id]
    assert await requests.wanting(db, []) == []
    alive = await requests.alive(db, NOW)
    assert [(each.id, each.state, each.host) for each in alive] == [
        (first.id, State.WAITING, "alpha"),
        (second.id, State.WAITING, "beta"),
    ]
    assert alive[1].not_after == NOW + 100
    assert await requests.inbox(db) == [first, second]
    await requests.append(db, first, denied())
    assert await requests.inbox(db) == [second]


async def test_a_word_of_any_reason_finds_the_request(db: Database) -> None:
    request = await waiting(db)
    stronger = Text(b"1" * 16, "Customers see the Fehler größer; TFTP too")
    event = Insisted(id=fresh_id(), at=NOW + 2, by="ada", reason_text=stronger.commitment)
    await requests.append(db, request, event, [stronger])
    for question, finds in [("tftp", 1), ("GRÖSSER", 1), ("pulled customers", 1), ("pul", 0), ("tftp nowhere", 0)]:
        page = await listing.page(db, listing.Filter(q=question))
        assert len(page.rows) == finds, question


async def test_a_log_with_a_version_missing_loads_nothing(db: Database, url: str) -> None:
    request = await waiting(db)
    request = await requests.append(db, request, approved())
    disarmed(url, "DELETE FROM audit WHERE version = 2")
    with pytest.raises(IllegalEvent):
        await requests.load(db, request.id)
