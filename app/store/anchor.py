"""The anchor: a file outside the database that says where the log once ended, so that a log cut short is told from a
whole one.

It holds one line for each anchoring, ``seq hash time``, and is only ever appended to::

    57 9f86d081884c7d65… 2026-01-27T10:15:00.250Z

It does not protect itself: whoever can rewrite both the database and this file can cut both, so it belongs on another
machine, in a folder where this one can append and not rewrite. It does not say why rows are gone; ``recovery`` writes
that into the log, and what was anchored before such an event, from the first row that it says is gone, is forgiven.
"""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.errors import Broken, Refused
from app.core.events import epoch, iso
from app.store.engine import Database
from app.store.log import body_in
from app.store.tables import AUDIT, AUDIT_HEAD

RECOVERED = "log_recovered"
_LINES = 500
_TORN = " torn"
BEGUN = (
    "`askfirst serve` begins it anew, which tells nothing of what was before. Where there was one, stop here and "
    "find it: its disk may not be mounted."
)
_WHAT_NEXT = (
    "Stop here and find out why. Restore a newer backup with `askfirst db restore`; where an older state is meant to "
    "be, say so with `askfirst db recover --reason TEXT`: everybody will see it in the log."
)


@dataclass(frozen=True, slots=True)
class Mark:
    """Where the log ended: the last row's number, its hash (hex), and when that was noted (epoch seconds)."""

    seq: int
    hash: str
    at: float


class Anchor:
    """One anchor file. ``last`` is the mark that was read or written last, None before and where there is none."""

    def __init__(self, path: Path) -> None:
        """Name the file; it is made by the first mark."""
        self.path = path
        self.last: Mark | None = None

    async def check(self, db: Database) -> None:
        """Compare the log with every mark.

        Raises Refused ``log_shorter`` or ``log_rewritten`` where the log does not hold a row that was anchored and no
        recovery tells of it, and ``anchor_unreadable`` where the file cannot be read.
        """
        marks = await asyncio.to_thread(self.marks)
        async with db.read() as connection:
            end = int(await connection.scalar(select(AUDIT_HEAD.c.seq)) or 0)
            wanted = select(AUDIT.c.seq, AUDIT.c.at, AUDIT.c.body).where(AUDIT.c.type == RECOVERED)
            recoveries = [(_gone_from(row), epoch(row.at)) for row in (await connection.execute(wanted)).all()]
            missing = [mark async for mark in _missing(connection, marks)]
        gone = [mark for mark in missing if not any(seq <= mark.seq and mark.at <= at for seq, at in recoveries)]
        if gone:
            raise _differs(max(gone, key=lambda mark: mark.seq), end, self.path)
        self.last = next((mark for mark in reversed(marks) if mark not in missing), None)

    async def mark(self, db: Database, at: float) -> Mark | None:
        """Note durably where the log ends now, where it has grown since the last mark. Returns the new mark.

        Raises Broken ``log_rewritten`` where the row of the last mark is not there any more: of two logs that both go
        on from here only one is anchored.
        """
        async with db.read() as connection:
            head = (await connection.execute(select(AUDIT_HEAD.c.seq, AUDIT_HEAD.c.hash))).one()
            missing = [mark async for mark in _missing(connection, [self.last] if self.last else [])]
        if missing:
            raise Broken(_was_rewritten(missing[0]), code="log_rewritten", next_step=_WHAT_NEXT)
        if head.seq == (self.last.seq if self.last else 0):
            return None
        mark = Mark(head.seq, head.hash.hex(), at)
        await asyncio.to_thread(self._append, mark)
        self.last = mark
        return mark

    async def pending(self, db: Database) -> Mark | None:
        """Return the log's last row, and since when its first row that is not anchored stands there; None if all is."""
        async with db.read() as connection:
            head = (await connection.execute(select(AUDIT_HEAD.c.seq, AUDIT_HEAD.c.hash))).one()
            first = (self.last.seq if self.last else 0) + 1
            since = await connection.scalar(select(AUDIT.c.at).where(AUDIT.c.seq == first))
        return Mark(head.seq, head.hash.hex(), epoch(since)) if since else None

    async def begins_anew(self, db: Database) -> str:
        """Say how much of the log is told from a whole one by nothing, since no row of it is anchored; or nothing."""
        end = None if self.last else await self.pending(db)
        return f"The anchor {self.path} holds none of the log's {end.seq} rows." if end else ""

    def marks(self) -> list[Mark]:
        """Return every mark, in the order in which they were made. Raises Refused ``anchor_unreadable``."""
        try:
            text = self.path.read_text(encoding="ascii", errors="replace")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unreadable(error.strerror or "it fails") from error
        marks = []
        for number, line in enumerate(text.split("\n")[:-1], 1):
            try:
                marks += [] if line.endswith(_TORN) else [_mark_in(line)]
            except ValueError as error:
                raise self._unreadable(f"its line {number} is no `seq hash time`") from error
        return marks

    def _append(self, mark: Mark) -> None:
        """Add one line in one write, and return when it is on the disk. Raises OSError where not all of it fits.

        A line that was cut off (the power went, the disk is full) cannot be taken back where a file is only appended
        to: the next one closes it by a word that says so.
        """
        is_new = not self.path.exists()
        file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(file).st_size
            is_torn = size > 0 and os.pread(file, 1, size - 1) != b"\n"
            line = (f"{_TORN}\n" if is_torn else "").encode() + _line(mark)
            if os.write(file, line) < len(line):  # a second write might come after another server's line
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file)
        finally:
            os.close(file)
        if is_new:
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _unreadable(self, why: str) -> Refused:
        return Refused(
            f"The anchor file {self.path} cannot be read: {why}.",
            code="anchor_unreadable",
            next_step="Let the user that runs Askfirst read and append to it, or name another in ASKFIRST_ANCHOR_FILE.",
        )


def _line(mark: Mark) -> bytes:
    return f"{mark.seq} {mark.hash} {iso(mark.at)}\n".encode("ascii")


def _mark_in(line: str) -> Mark:
    seq, hashed, at = line.split()
    if len(bytes.fromhex(hashed)) != 32:
        raise ValueError("a hash has 32 bytes")
    return Mark(int(seq), hashed.lower(), epoch(at))


async def missing(db: Database, marks: Sequence[Mark]) -> list[Mark]:
    """Return the marks whose row the log does not hold, whatever was forgiven."""
    async with db.read() as connection:
        return [mark async for mark in _missing(connection, marks)]


async def _missing(connection: AsyncConnection, marks: Sequence[Mark]) -> AsyncIterator[Mark]:
    """Yield the marks whose row the log does not hold."""
    for some in _some(marks):
        wanted = select(AUDIT.c.seq, AUDIT.c.hash).where(AUDIT.c.seq.in_([mark.seq for mark in some]))
        held = {row.seq: row.hash.hex() for row in (await connection.execute(wanted)).all()}
        for mark in some:
            if held.get(mark.seq) != mark.hash:
                yield mark


def _gone_from(row: Any) -> int:
    """Return the number from which on a recovery forgives: its own, or that of an earlier row that it tells of."""
    seq = int(row.seq)
    return min(seq, int(body_in(row.body)["data"].get("gone_from", seq)))


def _some(marks: Sequence[Mark]) -> Iterator[Sequence[Mark]]:
    return (marks[start : start + _LINES] for start in range(0, len(marks), _LINES))


def _differs(mark: Mark, end: int, path: Path) -> Refused:
    if mark.seq > end:
        message = f"The log ends at row {end}; its anchor {path} holds row {mark.seq} of {iso(mark.at)}: "
        message += f"{mark.seq - end} events are gone."
        return Refused(message, code="log_shorter", next_step=_WHAT_NEXT)
    return Refused(f"{_was_rewritten(mark)} The anchor is {path}.", code="log_rewritten", next_step=_WHAT_NEXT)


def _was_rewritten(mark: Mark) -> str:
    return f"Row {mark.seq} of the log is not the one that was anchored at {iso(mark.at)}: another log stands there."
