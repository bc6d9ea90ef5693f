"""A backup: one SQLite file that holds all of a database as it was at one moment, of whichever kind the database is.

It is made beside a running server, and is nothing before its log has been verified; a file that is there is never
written over. Restoring goes into an empty database only. What a restore means it does not know: ``recovery`` does.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import URL

from app.core.errors import AskfirstError, Refused
from app.store import copying
from app.store.copying import Copied
from app.store.dialect import find
from app.store.engine import Database, open_database
from app.store.sqlite import secure


async def backup(url: str, file: Path) -> Copied:
    """Copy a database into a new file, which belongs to its user alone.

    Raises Refused ``backup_there`` where there is such a file, ``log_not_whole`` where there is nothing to trust.
    """
    with _beside(file) as made:
        try:
            secure(find(_url(made))[1])
        except Refused as error:
            raise _no_place(file, error.message) from error
        copied = await copying.snapshot(url, _url(made))
        await asyncio.to_thread(_give_name, made, file)
    return copied


async def restore(file: Path, url: str, say_so: Callable[[Database], Awaitable[int]]) -> tuple[Copied, int]:
    """Copy a backup, which is not changed, into a database that holds nothing; and return what ``say_so`` returned.

    ``say_so`` writes into the log that a restore took place: into what is copied, so that the database holds both or
    nothing. Raises Refused ``no_backup`` where there is no such file or it holds no database of ours, and what
    ``copying.copy`` raises.
    """
    # A backup may be of an earlier version, and lie where nothing can be written: what is moved is a copy of it.
    with tempfile.TemporaryDirectory(prefix="askfirst-") as folder:
        there = Path(folder) / "askfirst.db"
        await asyncio.to_thread(_fetch, file, there)
        db = await _opened(file, there)
        try:
            lost = await say_so(db)
        finally:
            await db.close()
        return await copying.copy(_url(there), url), lost


def _fetch(file: Path, there: Path) -> None:
    """Copy a file that is all of its database: a server that runs or was killed has the newest of it beside."""
    for beside in (file.with_name(f"{file.name}{end}") for end in ("-wal", "-journal")):
        if beside.exists() and beside.stat().st_size:
            raise _no_backup(f"The file {file} is not all of a database: {beside} belongs to it.")
    try:
        shutil.copyfile(file, there)
    except FileNotFoundError as error:
        raise _no_backup(f"There is no backup {file}.") from error


async def _opened(file: Path, there: Path) -> Database:
    """Open the copy of a file, which may be of an earlier version, but of something else it may not."""
    try:
        return await open_database(_url(there), make=False)
    except AskfirstError as error:
        if error.code in {"no_database", "store_not_ours"}:
            raise _no_backup(f"The file {file} holds no database of Askfirst.") from error
        raise


def _no_backup(why: str) -> Refused:
    return Refused(why, code="no_backup", next_step="Name the file that a backup made.")


@contextmanager
def _beside(file: Path) -> Iterator[Path]:
    """Give a place on the same disk for what becomes a file, and take away what is left of it."""
    if file.exists():
        raise _is_there(file)
    try:
        folder = tempfile.mkdtemp(prefix=f".{file.name}-", dir=file.absolute().parent)
    except OSError as error:
        raise _no_place(file, f"{error.strerror}.") from error
    try:
        yield Path(folder) / "askfirst.db"
    finally:
        shutil.rmtree(folder)


def _give_name(made: Path, file: Path) -> None:
    """Make the file durable, then let it appear under its name, all of it or nothing."""
    _sync(made)
    try:
        os.link(made, file)
    except FileExistsError as error:
        raise _is_there(file) from error
    except OSError as error:
        raise _no_place(file, f"{error.strerror}.") from error
    _sync(file.absolute().parent)


def _sync(place: Path) -> None:
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _no_place(file: Path, why: str) -> Refused:
    return Refused(
        f"No backup can be written to {file}: {why}",
        code="backup_place",
        next_step="Name a file in a folder that is there, on a local disk, and that you may write in.",
    )


def _is_there(file: Path) -> Refused:
    return Refused(
        f"There is a file {file} already, and no backup is written over.",
        code="backup_there",
        next_step="Name another file.",
    )


def _url(file: Path) -> str:
    return URL.create("sqlite", database=str(file.absolute())).render_as_string()
