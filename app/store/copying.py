"""Moves an installation from one database to another: every row, in one transaction, proved on both ends.

The first is never written to, by nobody meanwhile, and the second stays empty unless all of it arrived. The log's rows
are the same bytes, each taken by the other database's own triggers, and nothing is committed before the copied log
verifies and every other row was read back as it was.
"""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, func, insert, inspect, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlmodel import SQLModel

from app.core.errors import Broken, Refused
from app.store.dialect import explain, find, of
from app.store.engine import lock_for_serving, open_database
from app.store.tables import AUDIT, AUDIT_HEAD, REVISION
from app.store.verify import pages, verify_on

_ROWS = 500
# The database makes these rows itself, with a zero in this column: they are set, not added.
_ALONE = {AUDIT_HEAD: AUDIT_HEAD.c.seq, REVISION: REVISION.c.revision}
_STORED = ("seq", "body", "prev", "hash")


@dataclass(frozen=True, slots=True)
class Copied:
    """What was moved: the number of rows by table, and the log's last hash (hex), the same on both ends."""

    rows: dict[str, int]
    head: str


async def copy(source: str, target: str) -> Copied:
    """Copy every row of a database with a whole log into one that holds nothing, or leave that as it was.

    Raises Refused ``same_database``, ``schema_older``, ``already_serving``, ``not_empty`` or ``log_not_whole``,
    NotFound ``no_database`` for the first, and Broken ``copy_differs`` where what arrived is not what was sent.
    """
    async with _engines(source, target) as (origin, end):
        with lock_for_serving(source, alone=True), lock_for_serving(target, alone=True):
            async with origin.begin() as here, end.begin() as there:
                for each in (here, there):
                    await each.exec_driver_sql(of(each.engine).HEAD)
                return await _copy(here, there)


async def snapshot(source: str, target: str) -> Copied:
    """Copy a database as it is at one moment, also beside a running server, into one that holds nothing.

    Raises what ``copy`` raises, but for ``already_serving``.
    """
    async with _engines(source, target, only_reads=True) as ends, ends[0].begin() as here, ends[1].begin() as there:
        return await _copy(here, there)


@asynccontextmanager
async def _engines(
    source: str, target: str, *, only_reads: bool = False
) -> AsyncIterator[tuple[AsyncEngine, AsyncEngine]]:
    """Give the engines of two databases of this version; what fails on either end is told by what it means."""
    (from_dialect, from_address), (to_dialect, to_address) = find(source), find(target)
    if from_address == to_address:
        raise Refused("Both are the same database.", code="same_database", next_step="Name another one to copy to.")
    await (await open_database(source, make=False, upgrade=False)).close()
    await _prepare(target)
    origin = from_dialect.reader(from_address) if only_reads else from_dialect.writer(from_address)
    end = to_dialect.filler(to_address)
    try:
        yield origin, end
    except (*from_dialect.FAILURES, *to_dialect.FAILURES) as error:
        raise explain(error) from error
    finally:
        await origin.dispose()
        await end.dispose()


async def _copy(here: AsyncConnection, there: AsyncConnection) -> Copied:
    for each in (here, there):  # a long log is read on one end while the other waits
        await of(each.engine).be_patient(each)
    tables = await _tables(there)
    await _refuse_filled(there, tables)
    before = await verify_on(here)
    if not before.is_whole:
        raise Refused(
            "The log of the database to copy is not whole.",
            code="log_not_whole",
            next_step="Run `askfirst audit verify` on it.",
        )
    sent = {table: await _send(here, there, table) for table in tables}
    after = await verify_on(there)
    read = {table: await _sum(there, table) for table in tables}
    if differ := [table.name for table in tables if sent[table] != read[table]]:
        raise _differs(", ".join(differ))
    if after != before:
        raise _differs(after.why or "; ".join(after.differences[:3]) or "the log")
    return Copied({table.name: number for table, (number, _) in sent.items()}, after.head)


async def _tables(connection: AsyncConnection) -> list[Table]:
    """Return our tables, each after those that its rows refer to, and of all the log first."""
    ordered = await connection.run_sync(lambda sync: inspect(sync).get_sorted_table_and_fkc_names())
    ours = SQLModel.metadata.tables
    rest = [ours[name] for name, _ in ordered if name is not None and name in ours and name != AUDIT.name]
    return [AUDIT, *rest]


async def _prepare(target: str) -> None:
    """Make the database to copy to where there is none, and look into one that is there before anything touches it."""
    db = await open_database(target)
    try:
        async with db.read() as connection:
            await _refuse_filled(connection, await _tables(connection))
    finally:
        await db.close()


async def _refuse_filled(connection: AsyncConnection, tables: Sequence[Table]) -> None:
    for table in tables:
        wanted = select(func.count()).select_from(table)
        if table in _ALONE:
            wanted = wanted.where(_ALONE[table] != 0)
        if await connection.scalar(wanted):
            raise Refused(
                f"The database to copy to is not empty: it has {table.name}.",
                code="not_empty",
                next_step="Make an empty database, and name that one; a file is moved away with its -wal and its -shm.",
            )


async def _send(here: AsyncConnection, there: AsyncConnection, table: Table) -> tuple[int, int]:
    """Copy the rows of a table; return how many there are, and a sum over them in no order."""
    number, total = 0, 0
    batch: list[dict[str, Any]] = []
    async for row in pages(here, select(table), *table.primary_key.columns):
        values = row._asdict()
        number, total = number + 1, total + _digest(values)
        batch.append({name: values[name] for name in _STORED} if table is AUDIT else values)
        if len(batch) == _ROWS:
            await there.execute(insert(table), batch)
            batch = []
    if table in _ALONE:
        if batch[0][_ALONE[table].name]:  # an empty log has an empty head on both ends
            await there.execute(update(table).values(batch[0]))
    elif batch:
        await there.execute(insert(table), batch)
    return number, total


async def _sum(connection: AsyncConnection, table: Table) -> tuple[int, int]:
    number, total = 0, 0
    async for row in pages(connection, select(table), *table.primary_key.columns):
        number, total = number + 1, total + _digest(row._asdict())
    return number, total


def _digest(values: dict[str, Any]) -> int:
    return int.from_bytes(hashlib.sha256(repr(sorted(values.items())).encode()).digest())


def _differs(what: str) -> Broken:
    return Broken(
        f"What arrived is not what was sent: {what}. Nothing of it was kept.",
        code="copy_differs",
        next_step="Report this: it is a fault of Askfirst, or of one of the two databases.",
    )
