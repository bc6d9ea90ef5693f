"""Opening the database: whose it is, who may read it, and which versions go together."""

import os
from pathlib import Path

import pytest

from app.core.errors import Broken, NotFound, Refused
from app.store import dialect, sqlite
from app.store.engine import Database, lock_for_serving, open_database
from app.store.log import Tx
from tests.integration.databases import file, moved, raw
from tests.integration.store.sample import note


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def _files(url: str) -> list[Path]:
    return sorted(file(url).parent.iterdir())


@pytest.mark.threat("L6")
@pytest.mark.only("sqlite")
async def test_all_that_it_makes_belongs_to_one_user_alone(bare: str) -> None:
    before = os.umask(0)
    try:
        db = await open_database(bare)
        await note(db)
        files = _files(bare)
        assert [each.name for each in files] == ["askfirst.db", "askfirst.db-shm", "askfirst.db-wal"]
        assert {_mode(each) for each in files} == {0o600}
        assert _mode(files[0].parent) == 0o700
        await db.close()
    finally:
        os.umask(before)


@pytest.mark.only("sqlite")
@pytest.mark.threat("L6")
async def test_a_database_that_others_can_read_is_made_private_before_anything_is_written(bare: str) -> None:
    await (await open_database(bare)).close()
    file(bare).chmod(0o644)
    db = await open_database(bare)
    assert _mode(file(bare)) == 0o600
    await db.close()


async def test_a_folder_in_which_anybody_may_write_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(Refused) as refused:
        await open_database(f"sqlite:///{folder}/a.db")
    assert refused.value.code == "store_private"
    assert refused.value.next_step == f"chmod o-w {folder}"


@pytest.mark.threat("G7")
async def test_a_schema_newer_than_the_code_is_refused_with_a_sentence(bare: str) -> None:
    await (await open_database(bare)).close()
    raw(bare, "UPDATE alembic_version SET version_num = '9999'")
    for upgrade in (True, False):
        with pytest.raises(Refused, match="newer version of Askfirst") as refused:
            await open_database(bare, upgrade=upgrade)
        assert refused.value.code == "schema_newer"


@pytest.mark.threat("G7")
async def test_a_schema_older_than_the_code_is_refused_where_no_upgrade_was_asked_for(bare: str) -> None:
    await (await open_database(bare)).close()
    await moved(bare, "0003")
    for make in (True, False):
        with pytest.raises(Refused) as refused:
            await open_database(bare, make=make, upgrade=False)
        assert (refused.value.code, "askfirst db upgrade" in refused.value.next_step) == ("schema_older", True)
    assert raw(bare, "SELECT version_num FROM alembic_version") == [("0003",)]


async def test_a_database_that_is_not_there_or_holds_nothing_is_made_only_where_that_is_meant(bare: str) -> None:
    with pytest.raises(NotFound) as absent:
        await open_database(bare, make=False)
    assert (absent.value.code, "ASKFIRST_DATABASE_URL" in absent.value.next_step) == ("no_database", True)
    await (await open_database(bare, upgrade=False)).close()
    await (await open_database(bare, make=False, upgrade=False)).close()


@pytest.mark.only("sqlite")
async def test_where_no_database_may_be_made_no_file_is(bare: str) -> None:
    with pytest.raises(NotFound, match="no database of Askfirst at sqlite"):
        await open_database(bare, make=False)
    assert not file(bare).parent.exists()
    file(bare).parent.mkdir(mode=0o700)
    file(bare).touch()
    with pytest.raises(NotFound):
        await open_database(bare, make=False)
    assert file(bare).stat().st_size == 0, "an empty file holds nothing either"


@pytest.mark.only("sqlite")
async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(bare: str) -> None:
    file(bare).parent.mkdir()
    file(bare).write_bytes(b"a letter to my aunt " * 100)
    with pytest.raises(Broken) as broken:
        await open_database(bare)
    assert broken.value.code == "store_not_ours"
    assert file(bare).read_bytes() == b"a letter to my aunt " * 100


@pytest.mark.parametrize(
    "address",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x",
        "nonsense",
        "mysql://x/y",
        "postgresql://x",
        "postgresql+psycopg2://x/y",
        "postgresql+asyncpg://x/y",
    ],
)
async def test_an_address_that_names_no_database_of_ours_is_refused(address: str) -> None:
    with pytest.raises(Refused) as refused:
        await open_database(address)
    assert refused.value.code == "database_url"


@pytest.mark.only("sqlite")
@pytest.mark.threat("G8")
async def test_a_second_server_on_the_same_file_is_refused_while_the_first_lives(bare: str) -> None:
    with lock_for_serving(bare):
        with pytest.raises(Refused, match="Another server") as refused, lock_for_serving(bare):
            pass
        assert refused.value.code == "already_serving"
    with lock_for_serving(bare):
        pass


@pytest.mark.only("sqlite")
@pytest.mark.threat("G8")
async def test_the_first_server_is_named_by_its_process(bare: str) -> None:
    with lock_for_serving(bare), pytest.raises(Refused, match=f"as process {os.getpid()}"), lock_for_serving(bare):
        pass


@pytest.mark.only("sqlite")
@pytest.mark.threat("G8")
async def test_a_second_server_by_another_name_of_the_file_is_refused(
    bare: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = await open_database(bare)
    await note(db)
    await db.close()
    (tmp_path / "link.db").symlink_to(file(bare))
    (tmp_path / "folder").symlink_to(file(bare).parent)
    monkeypatch.chdir(file(bare).parent)
    others = (f"sqlite:///{tmp_path}/link.db", f"sqlite:///{tmp_path}/folder/askfirst.db", "sqlite:///askfirst.db")
    for other in others:
        with lock_for_serving(bare), pytest.raises(Refused) as refused, lock_for_serving(other):
            pass
        assert refused.value.code == "already_serving", other
        assert dialect.shown(other) == f"sqlite+aiosqlite:///{file(bare).resolve()}"
        again = await open_database(other)
        await note(again)
        await again.close()
    assert raw(bare, "SELECT count(*) FROM audit") == [(4,)]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder", "link.db"]


@pytest.mark.threat("G8")
@pytest.mark.parametrize(("line", "kind"), [("nfs4 server:/x rw", "nfs4"), ("ext4 /dev/sdb1 rw", "ext4")])
def test_the_file_system_of_a_folder_is_the_innermost_mount_that_holds_it(tmp_path: Path, line: str, kind: str) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:9 / {tmp_path} rw - {line}\n")
    assert sqlite.filesystem(tmp_path / "data", mounts) == kind
    assert sqlite.filesystem(Path("/nowhere"), mounts) == "ext4"


@pytest.mark.threat("G8")
@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_a_database_on_a_network_file_system_is_refused_before_anything_is_written(tmp_path: Path, kind: str) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:9 / {tmp_path}/far rw - {kind} server:/x rw\n")
    _, address = dialect.find(f"sqlite:///{tmp_path}/far/data/askfirst.db")
    with pytest.raises(Refused) as refused:
        sqlite.secure(address, mounts)
    assert (refused.value.code, kind in refused.value.message) == ("store_network", True)
    assert "local disk" in refused.value.next_step
    assert not (tmp_path / "far").exists()


@pytest.mark.threat("L6")
@pytest.mark.parametrize(
    ("address", "mode"),
    [
        ("postgresql://db.example.org/askfirst", "verify-full"),
        ("postgresql://db.example.org/askfirst?sslmode=require", "require"),
        ("postgresql:///askfirst?host=db.example.org", "verify-full"),
        ("postgresql:///askfirst?host=/run/postgresql", None),
        ("postgresql://localhost/askfirst", None),
        ("postgresql:///askfirst", None),
    ],
)
def test_a_server_over_the_network_must_prove_who_it_is(address: str, mode: str | None) -> None:
    _, found = dialect.find(address)
    assert (found.query.get("sslmode"), found.drivername) == (mode, "postgresql+psycopg")


@pytest.mark.threat("A10")
def test_a_password_in_the_address_is_never_shown() -> None:
    assert "guess" not in dialect.shown("postgresql://askfirst_app:guess@db.example.org/askfirst")


@pytest.mark.threat("A10")
def test_a_password_in_the_query_of_an_address_is_refused_and_not_shown() -> None:
    with pytest.raises(Refused) as refused:
        dialect.shown("postgresql://askfirst_app@db.example.org/askfirst?password=guess")
    assert (refused.value.code, "guess" in str(refused.value)) == ("database_url", False)
    assert "PGPASSFILE" in refused.value.message


@pytest.mark.threat("B16")
@pytest.mark.parametrize("sql", ["DELETE FROM requests", "UPDATE requests SET state = 'approved'", "DROP TABLE audit"])
async def test_the_reading_side_cannot_write(db: Database, sql: str) -> None:
    with pytest.raises(Broken) as broken:
        async with db.read() as connection:
            await connection.exec_driver_sql(sql)
    assert broken.value.code == "store_readonly"


@pytest.mark.only("sqlite")
@pytest.mark.law(10)
async def test_what_a_file_acknowledges_is_on_the_disk(db: Database) -> None:
    async def asked(tx: Tx) -> list[int]:
        return [value for (value,) in await tx.run("PRAGMA synchronous")]

    assert await db.write(asked) == [2], "FULL: each commit waits for the disk"
