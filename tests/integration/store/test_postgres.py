"""What is PostgreSQL's own: who may change the log, lines that are cut, a server that goes away, many at once."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from functools import partial

import psycopg
import pytest

from app.core.errors import Broken, Refused
from app.store import dialect, freezes, history, listing, output, people, schema, sessions
from app.store.engine import Database, heard, lock_for_serving, open_database
from app.store.log import Tx, body_for
from app.store.verify import verify
from tests.integration.cluster import Cluster
from tests.integration.databases import Databases, disarmed, raw
from tests.integration.store.line import Cut, Line, line_to
from tests.integration.store.sample import NOW, everything, note, waiting

pytestmark = pytest.mark.only("postgresql")


@pytest.mark.threat("F3")
@pytest.mark.parametrize("table", ["audit", "audit_head"])
@pytest.mark.parametrize("role", ["origin", "replica"])
@pytest.mark.parametrize(
    "verb", ["UPDATE {} SET seq = seq + 1", "DELETE FROM {}", "TRUNCATE {}", "TRUNCATE {} CASCADE"]
)
async def test_not_even_an_administrator_changes_the_log_while_its_triggers_stand(
    db: Database, url: str, verb: str, role: str, table: str
) -> None:
    await note(db)
    with pytest.raises(psycopg.IntegrityError, match=r"append-only|not the last row"):
        raw(url, f"SET session_replication_role = {role}", verb.format(table))
    assert (await verify(db)).is_whole


@pytest.mark.threat("F2")
async def test_no_upsert_changes_a_row_of_the_log(db: Database, url: str) -> None:
    await note(db)
    raw(url, "DROP TRIGGER audit_is_only_appended ON audit")
    again = "INSERT INTO audit (seq, body, prev, hash) SELECT seq, body, prev, hash FROM audit"
    with pytest.raises(psycopg.IntegrityError, match="append-only"):
        raw(url, f"{again} ON CONFLICT (seq) DO UPDATE SET body = excluded.body")


@pytest.mark.threat("F2")
async def test_a_table_of_the_same_name_in_another_schema_deceives_no_trigger(db: Database, url: str) -> None:
    await note(db)
    forged = "INSERT INTO public.audit (seq, body, prev, hash) SELECT 2, body, hash, hash FROM public.audit"
    twin = "CREATE TEMP TABLE audit AS SELECT 1 AS seq, decode(repeat('00', 32), 'hex') AS hash WHERE false"
    with pytest.raises(psycopg.IntegrityError, match="not the next row"):
        raw(url, twin, forged.replace("SELECT 2, body, hash", "SELECT 1, body, decode(repeat('00', 32), 'hex')"))


@pytest.fixture
async def migrated(ruled: Cluster) -> Cluster:
    """The server with the roles, and all tables made by the migrator."""
    await (await open_database(ruled.url("ruled", "askfirst_migrator"))).close()
    return ruled


@pytest.mark.threat("F3")
async def test_the_app_s_role_adds_to_the_log_and_changes_neither_it_nor_any_table_s_shape(migrated: Cluster) -> None:
    url = migrated.url("ruled", "askfirst_app")
    db = await open_database(url)
    await everything(db)
    assert (await verify(db)).is_whole
    for forbidden in (
        "UPDATE audit SET body = body",
        "DELETE FROM audit",
        "TRUNCATE audit",
        "DELETE FROM audit_head",
        "UPDATE late SET at = 0",
        "UPDATE texts SET body = body",
        "TRUNCATE requests",
        "ALTER TABLE audit DISABLE TRIGGER ALL",
        "DROP TABLE audit",
        "ALTER TABLE requests ADD COLUMN x integer",
        "CREATE TABLE mine (x integer)",
        "CREATE TEMP TABLE audit (x integer)",
        "SET session_replication_role = replica",
        "SET ROLE askfirst_owner",
        "UPDATE alembic_version SET version_num = '0'",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            raw(url, forbidden)
    async with db.read() as connection:
        assert await db.dialect.weakness(connection) == ""
    await db.close()


@pytest.mark.threat("F3")
async def test_the_auditor_s_role_verifies_the_log_and_reads_no_secret(migrated: Cluster) -> None:
    writing = await open_database(migrated.url("ruled", "askfirst_app"))
    await everything(writing)
    await writing.close()
    url = migrated.url("ruled", "askfirst_auditor")
    db = await open_database(url)
    assert (await verify(db)).is_whole
    with pytest.raises(Broken) as broken:
        await note(db)
    assert broken.value.code == "store_rights"
    await db.close()
    hidden = ("password_hash FROM people", "digest FROM tokens", "* FROM sessions", "* FROM bootstrap")
    for secret in (*hidden, "* FROM challenges"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            raw(url, f"SELECT {secret}")


async def test_only_the_migrator_can_bring_the_tables_up(migrated: Cluster) -> None:
    migrator = migrated.url("ruled", "askfirst_migrator")
    found, address = dialect.find(migrator)
    engine = found.writer(address)
    async with engine.begin() as connection:
        await connection.run_sync(schema.move, "0001")
    await engine.dispose()
    with pytest.raises(Broken) as broken:
        await open_database(migrated.url("ruled", "askfirst_app"))
    assert (broken.value.code, "askfirst db upgrade" in broken.value.next_step) == ("store_rights", True)
    await (await open_database(migrator)).close()
    db = await open_database(migrated.url("ruled", "askfirst_app"))
    await everything(db)
    await db.close()


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


@pytest.mark.threat("G6")
async def test_many_writers_of_all_kinds_meet_without_a_deadlock(db: Database, url: str) -> None:
    others = [db, *[await open_database(url) for _ in range(3)]]

    async def one(number: int) -> None:
        here = others[number % 4]
        if number % 3 == 0:
            await sessions.attempt(here, [f"a{number % 5}", f"b{number % 7}"], NOW)
        elif number % 3 == 1:
            await note(here)
        else:
            await people.set_bootstrap_secret(here, str(number))

    await asyncio.gather(*(one(number) for number in range(400)))
    assert (await verify(db)).is_whole
    for each in others[1:]:
        await each.close()


async def test_servers_are_as_many_as_you_like_but_none_while_somebody_is_alone_there(bare: str) -> None:
    alone = partial(lock_for_serving, bare, alone=True)
    with lock_for_serving(bare), lock_for_serving(bare), pytest.raises(Refused) as refused, alone():
        pass
    assert refused.value.code == "already_serving"
    with alone(), pytest.raises(Refused) as moved, lock_for_serving(bare):
        pass
    assert moved.value.code == "already_serving"


async def test_a_line_does_not_come_up_while_somebody_is_alone_and_holds_a_place_afterwards(bare: str) -> None:
    await (await open_database(bare)).close()
    alone = partial(lock_for_serving, bare, alone=True)
    with alone():
        with pytest.raises(Broken) as lost:
            await anext(heard(bare))
        assert lost.value.code == "store_away"
    async with contextlib.aclosing(heard(bare)) as hears:
        assert await anext(hears) == ""
        with pytest.raises(Refused) as refused, alone():
            pass
        assert refused.value.code == "already_serving"
    with alone():
        pass


Write = Callable[[Database], Awaitable[object]]


async def told(bare: str, hears: AsyncGenerator[str, None], write: Write) -> list[str]:
    """What one process hears of what another one writes."""
    assert await anext(hears) == ""  # from here on nothing is missed
    other = await open_database(bare)
    await write(other)
    await other.write(lambda tx: _said(tx, "end"))
    await other.close()
    topics = []
    while (topic := await anext(hears)) != "end":
        topics.append(topic)
    return sorted(topics)


async def _said(tx: Tx, topic: str) -> None:
    tx.topics.add(topic)


async def test_what_one_replica_writes_the_others_hear_once_it_is_durable(bare: str) -> None:
    await (await open_database(bare)).close()
    async with contextlib.aclosing(heard(bare)) as hears:
        request = []

        async def write(db: Database) -> None:
            request.append((await waiting(db)).id)
            await output.append(db, request[0], 0, b"a line")
            await freezes.freeze(db, "all", by="ada", at=NOW, event_id="f1", reason="Why.")

        topics = await told(bare, hears, write)
    assert set(topics) == {"work", request[0]}
    assert topics.count(request[0]) >= 3  # asked, verified, printed


async def test_what_was_undone_is_not_told(bare: str) -> None:
    await (await open_database(bare)).close()

    async def write(db: Database) -> None:
        async def change(tx: Tx) -> None:
            await tx.record(body_for("noted", {}, event_id="n1", at=NOW, by="ada", host="alpha"))
            raise Refused("No.", code="no", next_step="Nothing.")

        with pytest.raises(Refused):
            await db.write(change)

    async with contextlib.aclosing(heard(bare)) as hears:
        assert await told(bare, hears, write) == []


async def test_who_hears_is_told_that_the_server_went_away(bare: str, cluster: Cluster) -> None:
    await (await open_database(bare)).close()
    async with contextlib.aclosing(heard(bare)) as hears:
        assert await anext(hears) == ""
        cluster.run("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
        with pytest.raises(Broken) as lost:
            await anext(hears)
    assert lost.value.code == "store_away"


async def test_replicas_that_start_together_migrate_once(bare: str) -> None:
    opened = await asyncio.gather(*(open_database(bare) for _ in range(4)))
    for each in opened:
        await each.close()


@pytest.mark.parametrize("text", ["a\0b", "\0\0", "\\u0000", "\\\0", "\\\\\0\0x", "\ud7ff\uffff", "'\"%s?:x"])
async def test_an_event_may_hold_any_text_that_json_can(db: Database, text: str) -> None:
    async def change(tx: Tx) -> int:
        data = {"said": text, text: [text]}
        return await tx.record(body_for("noted", data, event_id="n1", at=NOW, by="ada", host="alpha"))

    assert await db.write(change) == 1
    report = await verify(db)
    assert (report.is_whole, report.why) == (True, "")
    (entry,) = (await history.page(db, history.Filter(host="alpha"))).rows
    assert entry.data["said"] == text


async def test_a_search_that_takes_too_long_is_stopped_and_one_for_nul_is_refused(db: Database) -> None:
    with pytest.raises(Refused) as slow:
        async with db.read(seconds=0.2) as connection:
            await connection.exec_driver_sql("SELECT pg_sleep(20)")
    assert slow.value.code == "too_slow"
    with pytest.raises(Refused) as odd:
        await listing.page(db, listing.Filter(service="a\0b"))
    assert odd.value.code == "not_storable"


async def test_a_database_in_another_encoding_is_refused_with_a_sentence(cluster: Cluster) -> None:
    how = "TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"
    cluster.run("postgres", f"CREATE DATABASE latin {how}")
    try:
        with pytest.raises(Broken, match="encoding is not UTF8"):
            await open_database(cluster.url("latin"))
    finally:
        cluster.drop(cluster.url("latin"))


async def test_a_trigger_that_was_taken_away_is_missed(db: Database, url: str) -> None:
    await note(db)
    disarmed(url, "DELETE FROM audit")
    assert not (await verify(db)).is_whole
