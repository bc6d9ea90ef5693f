"""How long it takes to verify a log of 100,000 rows beside reading them and hashing them: python -m bench.audit [ROWS].

In one run, in turn: SHA-256 over the rows' bytes in memory, which nothing that verifies can beat; reading all rows by
the driver alone; and the product's `verify`, which reads, hashes, compares what is shown with what is proved, and
builds every request, registry entry and person anew. Then the same once as a backup, whose log is verified on both
ends. What counts are the ratios, and that the memory does not grow with the log.
"""

import asyncio
import hashlib
import resource
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

from app.store.backup import backup
from app.store.engine import Database, open_database
from app.store.verify import verify
from bench.history import fill
from bench.verify import machine

ROWS = 100_000
ROUNDS = 5
_EVENTS_PER_REQUEST = 2.3  # as `bench.history` makes them


def digests(bodies: list[bytes]) -> int:
    """Hash every row's bytes, as the chain does."""
    return sum(hashlib.sha256(b"\x02" + bytes(32) + body).digest()[0] for body in bodies)


def read(file: Path) -> list[bytes]:
    """Read all rows with all their columns by the driver alone, and return their bytes."""
    with closing(sqlite3.connect(file)) as connection:
        return [row[1] for row in connection.execute("SELECT * FROM audit ORDER BY seq")]


async def timed(run: Callable[[], Awaitable[object]]) -> float:
    """Return how many seconds it takes."""
    began = time.perf_counter()
    await run()
    return time.perf_counter() - began


def peak() -> int:
    """Return the most memory that this process ever had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


async def verified(db: Database) -> int:
    """Verify the whole log, and return its rows."""
    report = await verify(db)
    assert report.is_whole, report
    return report.rows


async def made(folder: Path, rows: int) -> Path:
    """Make a database with a log of about so many rows."""
    file = folder / f"{rows}.db"
    await (await open_database(f"sqlite:///{file}")).close()
    fill(file, int(rows / _EVENTS_PER_REQUEST))
    return file


async def grown(folder: Path, rows: int) -> tuple[int, int]:
    """Return the peak memory after verifying a log of a tenth of the rows, and of all: first of all, in that order."""
    peaks = []
    for some in (rows // 10, rows):
        db = await open_database(f"sqlite:///{await made(folder, some)}")
        await verified(db)
        await db.close()
        peaks.append(peak())
    return peaks[0], peaks[1]


async def main(rows: int) -> None:
    """Make the log, verify it, and print the table."""
    print(machine())
    with tempfile.TemporaryDirectory(prefix="askfirst-bench-", dir="/var/tmp") as name:
        folder = Path(name)
        small, large = await grown(folder, rows)
        file = folder / f"{rows}.db"
        db = await open_database(f"sqlite:///{file}")
        bodies = await asyncio.to_thread(read, file)
        times: dict[str, list[float]] = {"hash in memory": [], "read by the driver": [], "verify": []}
        for _ in range(ROUNDS):
            times["hash in memory"].append(await timed(lambda: asyncio.to_thread(digests, bodies)))
            times["read by the driver"].append(await timed(lambda: asyncio.to_thread(read, file)))
            times["verify"].append(await timed(lambda: verified(db)))
        copied = await timed(lambda: backup(f"sqlite:///{file}", folder / "kept"))
        await db.close()
    count = len(bodies)
    print(f"{count:,} rows, medians of {ROUNDS} rounds in turn\n\n{'':24}{'seconds':>9}{'rows/s':>12}{'× verify':>10}")
    whole = statistics.median(times["verify"])
    for what, took in {**times, "backup": [copied]}.items():
        seconds = statistics.median(took)
        print(f"{what:24}{seconds:9.2f}{count / seconds:12,.0f}{seconds / whole:10.3f}")
    print(f"\npeak memory: {small} MiB after a tenth of the rows, {large} MiB after all of them")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS))
