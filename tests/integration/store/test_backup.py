"""A backup of either database is one file, made beside a running server, and restored into an empty database only."""

import asyncio
import errno
import os
import shutil
from pathlib import Path

import pytest

from app.core.errors import Broken, Refused
from app.store import output, people, sqlite
from app.store.backup import backup, restore
from app.store.engine import Database, lock_for_serving, open_database
from app.store.verify import verify
from tests.integration.databases import Databases, disarmed, file, moved, raw
from tests.integration.limits import no_file_beyond
from tests.integration.store.sample import everything, note

LOG = "SELECT seq, body, prev, hash FROM audit ORDER BY seq"


async def noted(db: Database) -> int:
    """What says in the log that a restore took place, by the number of the event."""
    return await note(db, "restored")


async def silent(db: Database) -> int:
    """What says nothing in the log of what is restored."""
    assert (await verify(db)).is_whole
    return 0


def _url(file: Path) -> str:
    return f"sqlite:///{file}"


async def test_what_is_restored_is_what_there_was_and_its_log_is_whole(db: Database, url: str, tmp_path: Path) -> None:
    await everything(db)
    await output.append(db, "01A", 0, b"\x00\xff said")
    before = raw(url, LOG)
    kept = tmp_path / "kept.backup"
    copied = await backup(url, kept)
    await note(db)
    back = _url(tmp_path / "new" / "askfirst.db")
    assert await restore(kept, back, silent) == (copied, 0)
    assert raw(back, LOG) == before
    restored = await open_database(back)
    report = await verify(restored)
    assert (report.is_whole, report.head) == (True, copied.head)
    assert [each.email for each in await people.everyone(restored)] == ["ada@example.org"]
    await restored.close()


async def test_a_backup_is_of_one_moment_though_the_server_goes_on_writing(
    db: Database, url: str, tmp_path: Path
) -> None:
    with lock_for_serving(url):
        await everything(db)
        is_done = asyncio.Event()

        async def write() -> int:
            written = 0
            while not is_done.is_set():
                written = await note(db)
            return written

        writing = asyncio.create_task(write())
        copied = await backup(url, tmp_path / "kept")
        is_done.set()
        assert await writing > copied.rows["audit"]
    kept = await open_database(_url(tmp_path / "kept"), upgrade=False)
    assert (await verify(kept)).is_whole
    await kept.close()
    assert raw(url, "SELECT hash FROM audit WHERE seq = ?".replace("?", str(copied.rows["audit"]))) == [
        (bytes.fromhex(copied.head),)
    ]


@pytest.mark.threat("L6")
async def test_a_backup_belongs_to_one_user_alone_and_nothing_else_is_left(
    db: Database, url: str, tmp_path: Path
) -> None:
    before = os.umask(0)
    try:
        folder = tmp_path / "backups"
        folder.mkdir()
        folder.chmod(0o755)
        await backup(url, folder / "kept")
        assert [(each.name, each.stat().st_mode & 0o777) for each in folder.iterdir()] == [("kept", 0o600)]
    finally:
        os.umask(before)


async def test_no_file_is_written_over(db: Database, url: str, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a letter")
    with pytest.raises(Refused) as refused:
        await backup(url, tmp_path / "kept")
    assert refused.value.code == "backup_there"
    assert (tmp_path / "kept").read_text() == "a letter"
    with pytest.raises(Refused) as nowhere:
        await backup(url, tmp_path / "none" / "kept")
    assert nowhere.value.code == "backup_place"


@pytest.mark.threat("F4")
async def test_a_backup_that_finds_no_room_at_its_end_is_no_backup(db: Database, url: str, tmp_path: Path) -> None:
    """The last page does not fit, though a WAL of what was added to the empty file would."""
    await everything(db)
    folder = tmp_path / "backups"
    folder.mkdir()
    copied = await backup(url, folder / "whole")
    with no_file_beyond((folder / "whole").stat().st_size - 1), pytest.raises(Broken) as broken:
        await backup(url, folder / "cut")
    assert broken.value.code == "store_io"
    assert [each.name for each in folder.iterdir()] == ["whole"]
    assert await backup(url, folder / "cut") == copied


@pytest.mark.threat("F1")
async def test_a_log_that_is_not_whole_makes_no_backup_and_is_not_restored(
    db: Database, url: str, tmp_path: Path
) -> None:
    for _ in range(3):
        await note(db)
    await backup(url, tmp_path / "kept")
    disarmed(url, "DELETE FROM audit WHERE seq = 2")
    with pytest.raises(Refused) as refused:
        await backup(url, tmp_path / "bad")
    assert refused.value.code == "log_not_whole"
    assert sorted(each.name for each in tmp_path.iterdir() if "kept" in each.name or "bad" in each.name) == ["kept"]
    forged = Path(shutil.copy(tmp_path / "kept", tmp_path / "forged"))
    disarmed(_url(forged), "UPDATE audit SET body = FORGED_BODY WHERE seq = 2")
    with pytest.raises(Refused) as unwhole:
        await restore(forged, _url(tmp_path / "new" / "askfirst.db"), noted)
    assert unwhole.value.code == "log_not_whole"


async def test_nothing_is_restored_over_a_database_that_holds_anything(db: Database, url: str, tmp_path: Path) -> None:
    await note(db)
    await backup(url, tmp_path / "kept")
    with pytest.raises(Refused) as refused:
        await restore(tmp_path / "kept", url, noted)
    assert refused.value.code == "not_empty"
    with pytest.raises(Refused) as missing:
        await restore(tmp_path / "none", url, noted)
    assert missing.value.code == "no_backup"


async def test_what_is_no_backup_is_refused_and_nothing_is_made(tmp_path: Path) -> None:
    empty, letter, foreign = (tmp_path / name for name in ("empty", "letter", "foreign"))
    empty.touch()
    letter.write_text("a letter to my aunt " * 100)
    raw(_url(foreign), "CREATE TABLE songs (name text)")
    back = tmp_path / "new" / "askfirst.db"
    for each in (empty, letter, foreign):
        with pytest.raises(Refused) as refused:
            await restore(each, _url(back), noted)
        assert (refused.value.code, str(each) in refused.value.message) == ("no_backup", True)
    assert not back.parent.exists()


@pytest.mark.only("sqlite")
async def test_the_file_of_a_database_in_use_is_no_backup_without_what_lies_beside_it(
    db: Database, url: str, tmp_path: Path
) -> None:
    await note(db)
    back = tmp_path / "new" / "askfirst.db"
    with pytest.raises(Refused) as refused:
        await restore(file(url), _url(back), noted)
    assert (refused.value.code, f"{file(url)}-wal" in refused.value.message) == ("no_backup", True)
    assert not back.parent.exists()


async def test_a_backup_of_an_earlier_version_is_brought_to_this_one_and_stays_as_it_is(
    db: Database, url: str, tmp_path: Path
) -> None:
    await note(db)
    kept = tmp_path / "kept"
    await backup(url, kept)
    await moved(_url(kept), "0003")
    kept.chmod(0o400)
    before = kept.read_bytes()
    back = _url(tmp_path / "new" / "askfirst.db")
    assert (await restore(kept, back, noted))[1] == 2
    assert kept.read_bytes() == before
    assert raw(back, "SELECT count(*) FROM audit") == [(2,)]


async def test_what_a_restore_means_arrives_with_what_is_restored_or_nothing_does(
    db: Database, url: str, databases: Databases, tmp_path: Path
) -> None:
    await note(db)
    await backup(url, tmp_path / "kept")
    back = databases.place()
    databases.create(back)
    await (await open_database(back)).close()
    raw(back, "ALTER TABLE words RENAME TO elsewhere", "CREATE TABLE words (word text PRIMARY KEY, odd text NOT NULL)")
    raw(back, "INSERT INTO words VALUES ('a', 'b')")
    with pytest.raises(Refused):
        await restore(tmp_path / "kept", back, noted)
    assert raw(back, "SELECT count(*) FROM audit") == [(0,)]
    raw(back, "DROP TABLE words", "ALTER TABLE elsewhere RENAME TO words")
    copied, seq = await restore(tmp_path / "kept", back, noted)
    assert (copied.rows["audit"], seq) == (2, 2)
    assert raw(back, "SELECT event_id FROM audit WHERE seq = 2") == [("restored",)]
    databases.drop(back)


@pytest.mark.threat("G8")
async def test_a_place_on_a_network_file_system_is_no_place_for_a_backup(
    db: Database, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await note(db)
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:9 / {tmp_path}/far rw - nfs4 server:/x rw\n")
    (tmp_path / "far").mkdir()
    monkeypatch.setattr(sqlite.secure, "__defaults__", (mounts,))
    with pytest.raises(Refused) as refused:
        await backup(url, tmp_path / "far" / "kept")
    assert (refused.value.code, "nfs4" in refused.value.message) == ("backup_place", True)
    assert f"{tmp_path}/far/kept" in refused.value.message
    assert "local disk" in refused.value.next_step
    assert list((tmp_path / "far").iterdir()) == []


async def test_a_place_that_takes_no_hard_link_is_no_place_for_a_backup(
    db: Database, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a file system of another kind answers the system call, such as a stick's."""

    def no_link(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    await note(db)
    folder = tmp_path / "stick"
    folder.mkdir()
    monkeypatch.setattr(os, "link", no_link)
    with pytest.raises(Refused) as refused:
        await backup(url, folder / "kept")
    assert (refused.value.code, list(folder.iterdir())) == ("backup_place", [])
    assert f"{folder}/kept: Operation not permitted." in refused.value.message
