"""Three replicas on a real PostgreSQL and a real host, killed in mid-step; and a disk that is full at the wrong moment.

What is true is what the host itself says: its spool, and how often its manager started each service. How many replicas
are killed is told by ASKFIRST_KILLS; ``bench/kills.py`` does the same many times over.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from app.core.lifecycle import Request, State
from app.flow import people
from app.store.verify import verify
from tests.integration.cluster import Cluster, programs
from tests.lab.flow_world import scene
from tests.lab.hosts import Lab, LabHost
from tests.lab.replicas import MAKE_SERVICES, SERVICES, Replica, fleet, in_spool, starts

KILLS = int(os.environ.get("ASKFIRST_KILLS", "4"))
SEED = int(os.environ.get("ASKFIRST_SEED", "7"))


@pytest.fixture(scope="module")
def host(lab: Lab) -> Iterator[LabHost]:
    with lab.lend("mike", "systemd") as made:
        made.run(MAKE_SERVICES)
        yield made


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    bin_folder = programs()
    if bin_folder is None:
        pytest.skip("needs a PostgreSQL server: apt install postgresql")
    with Cluster(bin_folder) as started:
        yield started


@pytest.mark.law(6)
@pytest.mark.law(12)
@pytest.mark.threat("T11")
async def test_whoever_is_killed_each_request_ends_as_the_hosts_own_spool_says(
    host: LabHost, cluster: Cluster, tmp_path: Path
) -> None:
    done = 0
    async with fleet(host, tmp_path, cluster, SEED) as three:
        while done < KILLS:
            await three.round(2, database=done == 0)
            done += 2
        assert await three.wrong() == []
    assert sum(count for what, count in three.harms.items() if what.startswith("kill")) == done


@pytest.mark.law(12)
@pytest.mark.threat("T20")
async def test_one_that_is_told_to_end_hands_over_and_every_other_shows_what_the_run_printed(
    host: LabHost, cluster: Cluster, tmp_path: Path
) -> None:
    """Two are asked what happens to a request; the third, which may be the one that runs it, is told to end."""
    async with fleet(host, tmp_path, cluster, SEED, lease_seconds=60) as three:
        token = await people.create_token(three.stage.world, three.stage.who["bo"], "reader", ["read"])
        made = await three.ask_all()
        for each in made:
            await three.approve(each)
        first, *others = three.replicas
        heard = [asyncio.create_task(follow(each, token, made[0])) for each in others]
        first.signal(signal.SIGTERM)
        ended = [await three.ended(each) for each in made]
        assert {each.state for each in ended} == {State.SUCCEEDED}
        assert await three.wrong() == []
        for told in await asyncio.gather(*heard):
            assert "event: ended" in told
            assert '"run_started"' in told
        assert first.process is not None
        assert await asyncio.to_thread(first.process.wait, 60) in {0, -signal.SIGTERM}
        assert first.said("Application shutdown complete") == 1


async def follow(replica: Replica, token: str, request: Request) -> str:
    """What a replica's event stream tells of a request until it has ended."""
    address = f"http://127.0.0.1:{replica.port}/api/v1/requests/{request.id}/events"
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        return (await client.get(address, headers={"Authorization": f"Bearer {token}"})).text


@pytest.mark.law(10)
@pytest.mark.threat("F4")
async def test_on_a_full_disk_nothing_starts_and_what_runs_is_read_once_there_is_room(
    host: LabHost, tmp_path: Path
) -> None:
    """A file's disk is full before the claim, then in mid-run."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], check=True)
    try:
        async with scene(host, disk, *SERVICES) as stage:
            before = len(starts(host, SERVICES[0]))
            first = await stage.approved(SERVICES[0])
            fill(disk)
            async with stage.working():
                await it_is_said()
                assert (await stage.load(first)).state is State.APPROVED
                assert in_spool(host, first.id) == "never spent"
                (disk / "full").unlink()
                await stage.until(first, State.RUNNING, State.UNKNOWN, State.SETTLING)
                fill(disk)
                await it_is_said()
                (disk / "full").unlink()
                after = await stage.until(first)
            assert (after.state, in_spool(host, first.id)) == (State.SUCCEEDED, "ran 1×, status 0")
            assert len(starts(host, SERVICES[0])) == before + 1
            assert (await verify(stage.world.db)).is_whole
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


async def it_is_said() -> None:
    """Wait until the worker says that its disk is full."""
    with capture_logs() as logs:
        async with asyncio.timeout(60):
            while not any(each.get("code") == "disk_full" for each in logs):  # noqa: ASYNC110 - a log calls nobody
                await asyncio.sleep(0.05)


def fill(disk: Path) -> None:
    """Leave no room on a disk."""
    with contextlib.suppress(OSError), (disk / "full").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 12))
