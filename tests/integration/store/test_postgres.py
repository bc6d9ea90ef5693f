"""What is PostgreSQL's own: who may change the log, many at once, what it can hold."""

import asyncio

import psycopg
import pytest

from app.core.errors import Broken, Refused
from app.store import dialect, history, listing, people, schema, sessions
from app.store.engine import Database, open_database
from app.store.log import Tx, body_for
from app.store.verify import verify
from tests.integration.cluster import Cluster
from tests.integration.databases import disarmed, raw
from tests.integration.store.sample import NOW, everything, note

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
