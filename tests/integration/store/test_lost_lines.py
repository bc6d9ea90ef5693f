"""Lines to PostgreSQL that are cut, a server that goes away, a writer that stops in the middle."""

import asyncio
import signal
from collections.abc import AsyncIterator

import psycopg
import pytest

from app.core.errors import Broken
from app.store import dialect, people, sessions
from app.store.engine import Database, open_database
from app.store.log import Tx, body_for
from app.store.verify import verify
from tests.integration.cluster import Cluster
from tests.integration.databases import Databases, raw
from tests.integration.store.line import Cut, Line, line_to
from tests.integration.store.sample import NOW, note

pytestmark = pytest.mark.only("postgresql")


@pytest.fixture
async def far(url: str, databases: Databases, cluster: Cluster) -> AsyncIterator[tuple[Database, Line]]:
    """A database behind a line that can be cut."""
    await (await databases.open(url)).close()
    async with line_to(cluster.folder) as (line, near):
        db = await open_database(url.replace(str(cluster.folder), str(near)))
        yield db, line
        await db.close()


@pytest.mark.law(10)
@pytest.mark.threat("G4")
async def test_a_commit_whose_answer_was_lost_is_found_and_counts(far: tuple[Database, Line], url: str) -> None:
    db, line = far
    await note(db)
    line.cut_at = Cut.AFTER
    assert sorted(await asyncio.gather(*(note(db, f"n{number}") for number in range(5)))) == [2, 3, 4, 5, 6]
    assert line.cut.is_set()
    assert raw(url, "SELECT count(*) FROM audit") == [(6,)]
    assert (await verify(db)).is_whole


@pytest.mark.law(10)
@pytest.mark.threat("G4")
async def test_a_commit_that_never_arrived_is_told_as_such_and_leaves_nothing(
    far: tuple[Database, Line], url: str
) -> None:
    db, line = far
    await note(db)
    line.cut_at = Cut.BEFORE
    answers = await asyncio.gather(*(note(db, f"n{number}") for number in range(5)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {Broken}
    assert {answer.code for answer in answers if isinstance(answer, Broken)} == {"store_away"}
    assert raw(url, "SELECT count(*) FROM audit") == [(1,)]
    assert await note(db, "n0") == 2
    assert (await verify(db)).is_whole


@pytest.mark.law(10)
@pytest.mark.threat("G6")
async def test_a_commit_that_the_server_no_longer_waited_for_is_settled_as_a_lost_line(
    far: tuple[Database, Line],
) -> None:
    db, line = far

    async def change(tx: Tx) -> int:
        await tx.run("SET LOCAL idle_in_transaction_session_timeout = '2s'")
        return await tx.record(body_for("noted", {}, event_id="n1", at=NOW, by="ada"))

    line.cut_at = Cut.HELD
    with pytest.raises(Broken) as broken:
        await db.write(change)
    assert "idle-in-transaction" in broken.value.message
    assert broken.value.code == "store_away"
    assert await note(db, "n1") == 1
    assert (await verify(db)).is_whole


@pytest.mark.threat("G4")
async def test_a_lost_answer_is_not_taken_for_a_yes_because_another_came_first(
    far: tuple[Database, Line], url: str
) -> None:
    db, line = far
    other = await open_database(url)
    await note(db)
    line.cut_at = Cut.BEFORE
    mine = asyncio.create_task(note(db, "mine"))
    await line.cut.wait()
    theirs = await note(other, "theirs")  # takes the number that mine would have had
    with pytest.raises(Broken):
        await mine
    assert (theirs, raw(url, "SELECT event_id FROM audit WHERE seq = 2")) == (2, [("theirs",)])
    await other.close()


async def test_a_session_that_the_server_ends_in_the_middle_undoes_the_change_and_the_next_one_works(
    db: Database, url: str
) -> None:
    async def change(tx: Tx) -> int:
        seq = await tx.record(body_for("noted", {}, event_id="n1", at=NOW, by="ada"))
        raw(
            url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid()",
        )
        await tx.run("SELECT 1")
        return seq

    with pytest.raises(Broken) as broken:
        await db.write(change)
    assert broken.value.code == "store_away"
    assert await note(db, "n1") == 1


async def test_a_line_that_the_server_closed_while_nobody_used_it_is_nobody_s_failure(db: Database, url: str) -> None:
    await note(db)
    assert await people.everyone(db) == []
    ended = raw(
        url,
        "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid() AND state = 'idle'",
    )
    assert len(ended) >= 2, "the reader's line and the writer's"
    assert await people.everyone(db) == []
    assert await note(db) == 2


async def test_a_server_that_goes_away_is_told_and_used_again_when_it_is_back(db: Database, cluster: Cluster) -> None:
    await note(db)
    cluster.stop(signal.SIGQUIT)
    try:
        for ask in (note(db), sessions.person_of(db, "secret", NOW), people.everyone(db)):
            with pytest.raises(Broken) as broken:
                await ask
            assert broken.value.code == "store_away"
            assert "Look whether PostgreSQL runs" in broken.value.next_step
    finally:
        cluster.start()
    assert await note(db) == 2
    assert (await verify(db)).is_whole


@pytest.mark.threat("G6")
async def test_a_writer_that_was_stopped_in_the_middle_holds_up_nobody_for_ever(db: Database, url: str) -> None:
    """What a process does that was stopped, or whose machine froze: it keeps the lock and says nothing."""
    with psycopg.connect(url.replace("+psycopg", "")) as frozen:
        frozen.execute("SET idle_in_transaction_session_timeout = '500ms'")
        frozen.commit()
        frozen.execute(dialect.of(db.engine).HEAD)
        assert await note(db) == 1
        with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
            frozen.execute("SELECT 1")
    settings = await db.write(_settings)
    assert settings == ["10s", "10s", "on"]


async def _settings(tx: Tx) -> list[str]:
    names = ("idle_in_transaction_session_timeout", "lock_timeout", "synchronous_commit")
    return [next(iter(await tx.run("SELECT current_setting(?)", (name,))))[0] for name in names]
