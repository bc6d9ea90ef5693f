"""Leases: one holder at a time, a fence against the one who comes late, and no clock but the database's own."""

import asyncio

import psycopg
import pytest
from pydantic import ValidationError

from app.core.errors import Conflict
from app.flow import sweep
from app.flow.ports import Limits
from app.settings import Settings
from app.store import leases
from app.store.engine import Database
from app.store.leases import Lease
from app.store.verify import verify
from tests.integration.databases import raw
from tests.integration.store.sample import NOW, note

RAN_OUT = "UPDATE leases SET until = 1"


async def take(db: Database, *subjects: str, worker: str = "one", now: float = NOW) -> list[Lease]:
    return await leases.take(db, subjects, worker, now=now, seconds=20)


def fenced(db: Database, lease: Lease) -> Database:
    return leases.fenced(db, lease, lambda: NOW)


async def comes(url: str, question: str) -> None:
    """Wait until the database answers with a row."""
    async with asyncio.timeout(60):
        while not raw(url, question):  # noqa: ASYNC110 - a row calls nobody
            await asyncio.sleep(0.02)


@pytest.mark.law(6)
async def test_what_one_holds_no_other_gets_until_it_is_given_back(db: Database) -> None:
    (first,) = await take(db, "a")
    assert await take(db, "a", "b", worker="two") == [Lease("b", "two", 1)]
    assert await leases.held(db, NOW) == {"a", "b"}
    await leases.give_back(db, first)
    assert await leases.held(db, NOW) == {"b"}
    assert await take(db, "a", worker="two") == [Lease("a", "two", 2)]


async def test_what_is_over_is_forgotten_unless_somebody_holds_it(db: Database, url: str) -> None:
    (first, _) = await take(db, "a", "b")
    await leases.give_back(db, first)
    await leases.forget(db, ["a", "b"])
    assert raw(url, "SELECT subject FROM leases") == [("b",)]


@pytest.mark.law(6)
@pytest.mark.threat("T7")
async def test_of_fifty_who_take_at_once_each_lease_has_one_holder(db: Database) -> None:
    wanted = [f"r{number}" for number in range(100)]
    got = await asyncio.gather(
        *(leases.take(db, wanted[number % 5 :: 2], f"w{number}", now=NOW, seconds=900) for number in range(50))
    )
    taken = [lease.subject for each in got for lease in each]
    assert sorted(taken) == sorted(wanted)
    assert {lease.fence for each in got for lease in each} == {1}


@pytest.mark.threat("T7")
async def test_a_lease_that_ran_out_goes_to_the_next_with_a_higher_fence(db: Database, url: str) -> None:
    await take(db, "a")
    raw(url, RAN_OUT)
    assert await take(db, "a", worker="two") == [Lease("a", "two", 2)]


@pytest.mark.law(6)
@pytest.mark.threat("T8")
async def test_nothing_is_written_under_a_lease_that_somebody_took_over(db: Database, url: str) -> None:
    (late,) = await take(db, "a")
    await note(fenced(db, late))
    raw(url, RAN_OUT)
    (newer,) = await take(db, "a", worker="two")
    with pytest.raises(Conflict) as refused:
        await note(fenced(db, late))
    assert refused.value.code == "lease_lost"
    await note(fenced(db, newer))
    assert (await verify(db)).rows == 2


@pytest.mark.law(6)
async def test_the_same_worker_that_takes_anew_is_not_the_one_that_was_late(db: Database, url: str) -> None:
    (late,) = await take(db, "a")
    raw(url, RAN_OUT)
    await take(db, "a")
    with pytest.raises(Conflict):
        await note(fenced(db, late))


@pytest.mark.threat("T8")
@pytest.mark.parametrize("next_one", ["one", "two"])
async def test_who_held_it_before_neither_renews_nor_gives_back_what_is_another_lease_now(
    db: Database, url: str, next_one: str
) -> None:
    (late,) = await take(db, "a")
    raw(url, RAN_OUT)
    (newer,) = await take(db, "a", worker=next_one)
    assert await leases.renew(db, [late, newer], now=NOW, seconds=20) == {late}
    await leases.give_back(db, late)
    assert await leases.held(db, NOW) == {"a"}


@pytest.mark.only("postgresql")
@pytest.mark.law(6)
@pytest.mark.threat("T8")
async def test_a_lease_that_ran_out_while_a_write_waited_for_the_log_is_lost(db: Database, url: str) -> None:
    """What counts is the time at which it is written, not the one at which its transaction began."""
    (lease,) = await leases.take(db, ["a"], "one", now=NOW, seconds=1)
    with psycopg.connect(url.replace("+psycopg", "")) as other:
        other.execute("SELECT seq FROM audit_head FOR UPDATE")
        waiting = asyncio.create_task(note(fenced(db, lease)))
        await comes(url, "SELECT 1 FROM pg_locks WHERE NOT granted")
        await comes(url, "SELECT 1 FROM leases WHERE until <= EXTRACT(EPOCH FROM clock_timestamp())")
    with pytest.raises(Conflict) as refused:
        await waiting
    assert refused.value.code == "lease_lost"


async def test_a_lease_that_ran_out_is_lost_though_nobody_took_it(db: Database, url: str) -> None:
    first, second = await take(db, "a", "b")
    assert await leases.renew(db, [first, second], now=NOW, seconds=20) == set()
    raw(url, RAN_OUT + " WHERE subject = 'a'")
    assert await leases.renew(db, [first, second], now=NOW, seconds=20) == {first}
    with pytest.raises(Conflict):
        await note(fenced(db, first))
    await note(fenced(db, second))


async def test_a_clock_that_was_set_back_leaves_nothing_held_for_hours(db: Database, url: str) -> None:
    await take(db, "a")
    raw(url, "UPDATE leases SET until = until + 3600")
    assert await leases.held(db, NOW) == set()
    assert await take(db, "a", worker="two") == [Lease("a", "two", 2)]


@pytest.mark.threat("T7")
@pytest.mark.parametrize(("own", "another"), [(600.0, 2.0), (20.0, 600.0)])
async def test_a_lease_is_honoured_by_whoever_is_set_to_another_length(
    db: Database, own: float, another: float
) -> None:
    (first,) = await leases.take(db, ["a"], "one", now=NOW, seconds=own)
    assert await leases.take(db, ["a"], "two", now=NOW + 1, seconds=another) == []
    assert await leases.held(db, NOW + 1) == {"a"}
    await note(fenced(db, first))


def test_no_setting_makes_a_lease_longer_than_any_is_honoured_for() -> None:
    most = {"lease_seconds": 600, "probe_timeout_seconds": 600}
    set_to = Settings(**most)  # type: ignore[arg-type]  # by name
    limits = Limits(lease_seconds=set_to.lease_seconds, probe_timeout_seconds=set_to.probe_timeout_seconds)
    assert max(limits.lease_seconds, sweep.lease_seconds(limits)) <= leases.LONGEST_SECONDS
    for name in most:
        with pytest.raises(ValidationError):
            Settings(**{name: 601})  # type: ignore[arg-type]  # by name


@pytest.mark.only("postgresql")
@pytest.mark.threat("T7")
@pytest.mark.parametrize("skew", [-3600.0, 3600.0])
async def test_a_replica_whose_clock_is_wrong_takes_nothing_from_another(db: Database, skew: float) -> None:
    (first,) = await take(db, "a")
    assert await take(db, "a", worker="two", now=NOW + skew) == []
    assert await leases.held(db, NOW + skew) == {"a"}
    await note(leases.fenced(db, first, lambda: NOW + skew))


@pytest.mark.only("sqlite")
async def test_a_file_has_no_clock_but_its_askers(db: Database) -> None:
    await take(db, "a")
    assert await take(db, "a", worker="two", now=NOW + 19) == []
    assert await take(db, "a", worker="two", now=NOW + 20) == [Lease("a", "two", 2)]


@pytest.mark.only("sqlite")
async def test_the_one_process_of_a_file_takes_over_at_once_what_the_one_before_held(db: Database) -> None:
    await take(db, "a")
    await leases.clear(db)
    assert await take(db, "a", worker="two") == [Lease("a", "two", 2)]
