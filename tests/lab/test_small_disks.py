"""A backup on disks that are too small for it, or nearly so: it is whole or it is not there."""

import asyncio
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from app.core.errors import AskfirstError
from app.store.backup import backup
from app.store.engine import Database, open_database
from app.store.log import Tx, body_for
from tests.integration.store.sample import NOW, everything

NOTES = 2000


@contextmanager
def disk_of(place: Path, kilobytes: int) -> Iterator[Path]:
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


async def _long(db: Database, event_id: str) -> int:
    async def change(tx: Tx) -> int:
        return await tx.record(body_for("noted", {"x": "y" * 3000}, event_id=event_id, at=NOW, by="ada"))

    return await db.write(change)


@pytest.mark.threat("F4")
async def test_a_backup_is_whole_or_not_there_however_little_room_there_is(tmp_path: Path) -> None:
    """From a disk on which nothing fits to one that has room for it twice."""
    url = f"sqlite:///{tmp_path}/askfirst.db"
    db = await open_database(url)
    await everything(db)
    await asyncio.gather(*(_long(db, f"n{number}") for number in range(NOTES)))
    await db.close()
    copied = await backup(url, tmp_path / "kept")
    whole = (tmp_path / "kept").stat().st_size >> 10
    told = {}
    for part in (1, 25, 50, 75, 95, 100, 105, 125, 150, 175, 200, 300):
        with disk_of(tmp_path / str(part), whole * part // 100) as disk:
            try:
                assert await backup(url, disk / "kept") == copied
                with closing(sqlite3.connect(f"file:{disk}/kept?mode=ro", uri=True)) as kept:
                    assert kept.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                    assert kept.execute("SELECT count(*) FROM audit").fetchall() == [(copied.rows["audit"],)]
                told[part] = "whole"
            except AskfirstError as error:
                assert list(disk.iterdir()) == []
                told[part] = error.code
    assert set(told.values()) == {"disk_full", "whole"}, told
    assert {part for part, each in told.items() if each == "whole"} >= {125, 150, 175, 200, 300}
