"""Moving an installation to another database: all of it or nothing, the log whole on both ends."""

import asyncio
from pathlib import Path

import pytest

from app.core.errors import Broken, Refused
from app.store import output, people, requests, tokens
from app.store.copying import copy, snapshot
from app.store.engine import Database, lock_for_serving, open_database
from app.store.verify import verify
from tests.integration.databases import disarmed, raw
from tests.integration.limits import no_file_beyond
from tests.integration.store.sample import NOW, everything, fresh_id, note


@pytest.fixture
def file(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/from/askfirst.db"


async def _filled(url: str) -> str:
    """Fill a database, and return the secret of a token in it."""
    db = await open_database(url)
    await everything(db)
    await asyncio.gather(*(note(db, f"note {number}") for number in range(1200)))  # more than one page of rows
    await output.append(db, "01A", 0, b"\x00\xff said")
    secret = await tokens.create(db, "ada", "last", ["ask"], token_id="t9", event_id=fresh_id(), by="ada", at=NOW)
    await db.close()
    return secret


async def test_all_that_there_is_arrives_and_works_there(file: str, bare: str) -> None:
    secret = await _filled(file)
    before = raw(file, "SELECT seq, body, prev, hash FROM audit ORDER BY seq")
    copied = await copy(file, bare)
    assert raw(bare, "SELECT seq, body, prev, hash FROM audit ORDER BY seq") == before
    assert raw(file, "SELECT seq, body, prev, hash FROM audit ORDER BY seq") == before
    db = await open_database(bare)
    report = await verify(db)
    assert (report.is_whole, report.head, report.rows) == (True, copied.head, copied.rows["audit"])
    owner = await tokens.owner_of(db, secret)
    assert owner is not None
    assert owner[0].id == "ada"
    assert [each.email for each in await people.everyone(db)] == ["ada@example.org"]
    assert (await requests.load(db, "01A")).state == "approved"
    assert await note(db) == report.rows + 1
    await db.close()


async def test_what_was_moved_can_be_moved_back(file: str, bare: str, tmp_path: Path) -> None:
    await _filled(file)
    back = f"sqlite:///{tmp_path}/back/askfirst.db"
    assert await copy(file, bare) == await copy(bare, back)
    assert raw(back, "SELECT * FROM audit ORDER BY seq") == raw(file, "SELECT * FROM audit ORDER BY seq")


async def test_a_database_that_holds_anything_is_not_written_to(file: str, db: Database, url: str) -> None:
    await _filled(file)
    await people.set_bootstrap_secret(db, "first")
    with pytest.raises(Refused) as refused:
        await copy(file, url)
    assert refused.value.code == "not_empty"
    assert raw(url, "SELECT count(*) FROM audit") == [(0,)]


async def test_a_copy_that_ends_in_the_middle_leaves_nothing_and_can_be_made_again(file: str, bare: str) -> None:
    await _filled(file)
    await (await open_database(bare)).close()
    raw(bare, "ALTER TABLE words RENAME TO elsewhere", "CREATE TABLE words (word text PRIMARY KEY)")
    with pytest.raises(Broken, match="The database failed"):
        await copy(file, bare)
    assert raw(bare, "SELECT count(*) FROM audit") == [(0,)]
    raw(bare, "DROP TABLE words", "ALTER TABLE elsewhere RENAME TO words")
    assert (await copy(file, bare)).rows["audit"] > 1200


@pytest.mark.only("sqlite")
@pytest.mark.threat("F4")
async def test_a_copy_that_finds_no_room_at_its_end_leaves_nothing_and_one_that_does_lies_in_one_file(
    file: str, bare: str, tmp_path: Path
) -> None:
    db = await open_database(file)
    await everything(db)
    await db.close()
    whole = tmp_path / "whole" / "askfirst.db"
    copied = await copy(file, f"sqlite:///{whole}")
    assert sorted(each.name for each in whole.parent.iterdir()) == ["askfirst.db", "askfirst.db.lock"]
    with no_file_beyond(whole.stat().st_size - 1), pytest.raises(Broken):
        await copy(file, bare)
    assert raw(bare, "SELECT count(*) FROM audit") == [(0,)]
    assert await copy(file, bare) == copied


@pytest.mark.only("postgresql")
@pytest.mark.parametrize(("table", "column"), [("words", "word"), ("people", "name"), ("requests", "state")])
async def test_a_row_that_arrives_as_another_undoes_the_copy(file: str, bare: str, table: str, column: str) -> None:
    await _filled(file)
    await (await open_database(bare)).close()
    raw(
        bare,
        f"""CREATE FUNCTION eve() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
              NEW.{column} := 'x' || NEW.{column};
              RETURN NEW;
            END $$""",
        f"CREATE TRIGGER eve BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION eve()",
    )
    with pytest.raises(Broken) as broken:
        await copy(file, bare)
    assert (broken.value.code, table in broken.value.message) == ("copy_differs", True)
    assert raw(bare, "SELECT count(*) FROM audit") == [(0,)]


@pytest.mark.only("postgresql")
async def test_an_end_that_stands_idle_while_the_other_is_read_is_not_ended_by_the_server(
    file: str, bare: str, tmp_path: Path
) -> None:
    """The end that waits is asked itself how long it may: no test waits as long as a writer's ten seconds."""
    await _filled(file)
    await (await open_database(bare)).close()
    name = bare.rpartition("@/")[2].partition("?")[0]
    wait = "current_setting('idle_in_transaction_session_timeout')"
    patient = f"BEGIN IF {wait} <> '0' THEN RAISE 'it would be ended after %', {wait}; END IF;"
    raw(
        bare,
        f"CREATE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS $$ {patient} RETURN NEW; END $$",
        f"CREATE FUNCTION patient() RETURNS boolean LANGUAGE plpgsql AS $$ {patient} RETURN true; END $$",
        "CREATE TRIGGER waits BEFORE INSERT ON words FOR EACH ROW EXECUTE FUNCTION waits()",
        f"ALTER DATABASE {name} SET idle_in_transaction_session_timeout = '10s'",
    )
    copied = await copy(file, bare)
    raw(
        bare,
        "ALTER TABLE words RENAME TO elsewhere",
        "CREATE VIEW words AS SELECT * FROM elsewhere WHERE patient()",
    )
    assert await copy(bare, f"sqlite:///{tmp_path}/moved/askfirst.db") == copied
    assert await snapshot(bare, f"sqlite:///{tmp_path}/kept/askfirst.db") == copied


@pytest.mark.threat("F1")
async def test_a_log_that_is_not_whole_is_not_moved(file: str, bare: str) -> None:
    await _filled(file)
    disarmed(file, "DELETE FROM audit WHERE seq = 2")
    with pytest.raises(Refused) as refused:
        await copy(file, bare)
    assert refused.value.code == "log_not_whole"


async def test_nothing_is_moved_while_a_server_runs_or_onto_itself(file: str, bare: str) -> None:
    await _filled(file)
    with lock_for_serving(file), pytest.raises(Refused) as refused:
        await copy(file, bare)
    assert refused.value.code == "already_serving"
    with pytest.raises(Refused) as same:
        await copy(file, file)
    assert same.value.code == "same_database"
    link = Path(file.removeprefix("sqlite:///")).with_name("link.db")
    link.symlink_to("askfirst.db")
    with pytest.raises(Refused) as linked:
        await copy(file, f"sqlite:///{link}")
    assert linked.value.code == "same_database"
