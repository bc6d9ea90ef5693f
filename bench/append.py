"""What a durable, chained event costs beside the same database's own durable commit: python -m bench.append.

In one run, in turn, on SQLite and on a PostgreSQL that is started for it: the database's raw commit of one tiny row by
its driver alone; then events through the product's writer, by one caller who waits for each, and by 16 and 64 who wait
side by side. What counts is the ratio. Nothing of it is made faster than in production: each database is as durable as
there, and each event is verified at the end.
"""

import argparse
import asyncio
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from app.core.events import iso
from app.store.engine import Database, open_database
from app.store.log import Tx
from app.store.verify import verify
from bench.verify import goal_line, machine
from tests.integration.cluster import Cluster, programs

CALLERS = (1, 16, 64)
EVENTS = 400
_NUMBERS = count(1)
# On PostgreSQL each event of a batch is three round trips (savepoint, row, release), where SQLite makes none.
_GOALS = {("SQLite", 1): 0.5, ("SQLite", 64): 3.0, ("PostgreSQL", 64): 0.65}


def raw_sqlite(folder: Path) -> Iterator[Callable[[], object]]:
    """Give the raw commit of one tiny row: write-ahead log, and on the disk when it returns."""
    with closing(sqlite3.connect(folder / "raw.db", isolation_level=None)) as connection:
        for each in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "CREATE TABLE raw (n INTEGER PRIMARY KEY)"):
            connection.execute(each)
        yield lambda: connection.execute("INSERT INTO raw DEFAULT VALUES")


def raw_postgres(conninfo: str) -> Iterator[Callable[[], object]]:
    """The same on PostgreSQL, with its default ``synchronous_commit``."""
    with closing(psycopg.connect(conninfo, autocommit=True)) as connection:
        connection.execute("CREATE TABLE raw (n serial PRIMARY KEY)")
        yield lambda: connection.execute("INSERT INTO raw DEFAULT VALUES")


async def append(db: Database) -> None:
    """Write one event as large as a usual one, and return when it is durable."""
    number = next(_NUMBERS)
    body = {
        "type": "noted",
        "id": f"01BENCH{number:019}",
        "at": iso(time.time()),
        "by": "ada",
        "data": {"reason_text": "sha256:" + "0" * 64, "registry": 1, "environment": "production"},
        "service": "pypnm-gui",
        "host": "alpha",
    }

    async def change(tx: Tx) -> int:
        return await tx.record(body)

    await db.write(change)


async def per_second(db: Database, callers: int) -> float:
    """Let so many callers write one event after the other, each waiting for its own."""

    async def caller() -> None:
        for _ in range(max(1, EVENTS // callers)):
            await append(db)

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return callers * max(1, EVENTS // callers) / (time.perf_counter() - began)


async def measure(url: str, raw: Callable[[], object], rounds: int) -> dict[int, list[tuple[float, float]]]:
    """Return by number of callers what the raw commit and the writer did in a second, round by round."""
    found: dict[int, list[tuple[float, float]]] = {callers: [] for callers in CALLERS}
    db = await open_database(url)
    for number in range(rounds + 1):
        for callers in CALLERS:
            began = time.perf_counter()
            for _ in range(EVENTS):
                raw()
            alone = EVENTS / (time.perf_counter() - began)
            chained = await per_second(db, callers)
            if number:  # the first round is for the caches
                found[callers].append((alone, chained))
    report = await verify(db)
    assert report.is_whole, report
    assert report.rows >= rounds * EVENTS
    await db.close()
    return found


def report(name: str, found: dict[int, list[tuple[float, float]]]) -> Iterator[str]:
    """Write the lines of one database."""
    yield f"\n{name:32}{'raw commits/s':>14}{'events/s':>12}{'ratio':>9}"
    for callers, rounds in found.items():
        raw, chained = (statistics.median(each[side] for each in rounds) for side in (0, 1))
        ratio = statistics.median(each[1] / each[0] for each in rounds)
        yield f"{callers:3} callers at once{'':14}{raw:13.0f}{chained:12.0f}{ratio:9.2f}"
        if goal := _GOALS.get((name, callers)):
            yield goal_line(f"{name}, {callers} callers, events ÷ raw commits", ratio, goal, at_least=True)


def main(argv: Sequence[str]) -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="bench.append", description="What a durable, chained event costs.")
    parser.add_argument("--rounds", type=int, default=7, help="at least 5")
    rounds = max(5, parser.parse_args(argv).rounds)
    print(f"{machine()}\nMedians of {rounds} rounds of {EVENTS} each, in turn.")
    with tempfile.TemporaryDirectory(prefix="askfirst-bench-", dir="/var/tmp") as folder:
        for raw in raw_sqlite(Path(folder)):
            found = asyncio.run(measure(f"sqlite:///{folder}/askfirst.db", raw, rounds))
            print("\n".join(report("SQLite", found)))
    with ExitStack() as stack:
        if (bin_folder := programs()) is None:
            print("\nPostgreSQL is not installed, and so not measured: apt install postgresql")
            return 0
        cluster: Any = stack.enter_context(Cluster(bin_folder))
        url = cluster.place()
        cluster.create(url)
        for raw in raw_postgres(cluster.conninfo("postgres")):
            print("\n".join(report("PostgreSQL", asyncio.run(measure(url, raw, rounds)))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
