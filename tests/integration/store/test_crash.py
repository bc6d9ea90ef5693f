"""A writer that is killed in the middle: what it was told is durable is there, and the chain is whole."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from app.store.engine import open_database
from app.store.verify import verify
from tests.integration.databases import raw
from tests.integration.store.sample import note

ROOT = Path(__file__).parents[3]
ROUNDS = 3
WRITERS = 2


async def _writer(url: str, name: str) -> asyncio.subprocess.Process:
    script = "tests.integration.store.writer"
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", script, url, name, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )


@pytest.mark.law(10)
@pytest.mark.threat("F5")
async def test_no_acknowledged_row_is_lost_when_writers_are_killed(bare: str) -> None:
    url = bare
    await (await open_database(url)).close()
    acknowledged: set[str] = set()
    for turn in range(ROUNDS):
        writers = [await _writer(url, f"{turn}-{number}") for number in range(WRITERS)]
        for writer in writers:
            assert writer.stdout is not None
            for _ in range(20 + 7 * turn):
                acknowledged.add((await writer.stdout.readline()).decode().strip())
            writer.send_signal(signal.SIGKILL)
        for writer in writers:
            assert writer.stdout is not None
            rest = (await writer.stdout.read()).decode()
            # A line cut by the kill is no acknowledgement that anybody has read.
            acknowledged |= {line.strip() for line in rest.splitlines(keepends=True) if line.endswith("\n")}
            assert await writer.wait() == -signal.SIGKILL
    written = {event_id for (event_id,) in raw(url, "SELECT event_id FROM audit")}
    assert acknowledged <= written
    assert len(acknowledged) >= ROUNDS * WRITERS * 20
    db = await open_database(url)
    report = await verify(db)
    assert (report.rows, report.is_whole) == (len(written), True)
    assert await note(db) == len(written) + 1
    await db.close()
