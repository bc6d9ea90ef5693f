"""Many workers over many approvals: exactly one run each, and how many are claimed in a second.

    python -m bench.claims                          50 workers, 1,000 approvals, SQLite and PostgreSQL
    python -m bench.claims --workers 10 --approvals 100

Real workers over a real store. On PostgreSQL they live in five processes; a file allows one. The hosts are little
worlds, but what counts a run is not: each makes a file of its own in one folder, which only the first one can, and a
second attempt leaves its mark there. Settling is cut short: what is measured is who gets to run what.
"""

import argparse
import asyncio
import logging
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from app.cli.answers import log_from
from app.core.lifecycle import ENDED, Request
from app.core.policy import Attempt, Person, Policy, Role, Via
from app.core.registry import Registry, difference
from app.core.run import SPENT, Exited, Progress, Refusal, Started
from app.core.service import Host
from app.core.warrant import read as read_warrant
from app.flow import ask, decide
from app.flow.ids import new_id
from app.flow.ports import Limits, News, World
from app.flow.worker import Worker
from app.main import SystemClock
from app.store import listing, people, requests, services
from app.store.engine import Database, open_database
from app.store.verify import verify
from tests.fakes.clock import FakeClock
from tests.fakes.hosts import FakeHosts
from tests.integration.cluster import Cluster, programs

_ASKED_BY_ONE = 15
_PROCESSES = 5
_LIMITS = Limits(settle_timeout_seconds=0.0, steps_at_once=8)


@dataclass(slots=True)
class Counting(FakeHosts):
    """Hosts that are reached for nothing but a run, of which they keep a file: the first one makes it."""

    folder: Path = Path()

    async def restart(
        self,
        host: Host,
        warrant: str,
        via: Sequence[Host] = (),
        *,
        signatures: Sequence[str] = (),
        serial: int = 0,
    ) -> AsyncIterator[Progress]:
        name = self.folder / read_warrant(warrant).id
        try:
            name.touch(exist_ok=False)
        except FileExistsError:
            name.with_suffix(f".again-{os.getpid()}").touch()
            yield Refusal(SPENT)
            return
        yield Started()
        yield Exited(0)


def world_of(db: Database, hosts: FakeHosts, worker: str) -> World:
    """Return a worker's world."""
    return World(db, hosts, SystemClock(), News(), _LIMITS, worker)


async def prepare(db: Database, count: int) -> None:
    """Have so many restarts asked for, proved and approved, each on a host of its own."""
    hosts = FakeHosts(FakeClock(time.time()))
    claims = []
    for number in range(count):
        made = hosts.add(f"host-{number}")
        made.supervise()
        claims.append(replace(made.claim(name=f"gui-{number}"), settle_seconds=0.0))
    world, now = world_of(db, hosts, "setup"), time.time()
    policies = (Policy(environment="production", groups=("lab-team",)),)
    wanted = Registry(tuple(each.host for each in hosts.hosts.values()), tuple(claims), policies)
    changes = difference(Registry(), wanted)
    await services.apply(db, changes, by="setup", at=now, event_id=new_id(now), base_revision=0)
    askers = [await _person(db, f"asker-{number}") for number in range(count // _ASKED_BY_ONE + 1)]
    bo = await _person(db, "bo")

    async def one(number: int) -> None:
        asked = await ask.ask(world, askers[number // _ASKED_BY_ONE], f"gui-{number}", "The fix is pulled.")
        proved = await ask.prove(world, asked)
        await decide.approve(world, Attempt(bo, Via.SESSION, time.time(), proved.digest), proved.id)

    for begin in range(0, count, 20):
        await asyncio.gather(*(one(number) for number in range(begin, min(begin + 20, count))))


async def _person(db: Database, name: str) -> Person:
    now = time.time()
    roles, groups = frozenset({Role.REQUESTER, Role.APPROVER}), ("lab-team",)
    about = {"name": name, "email": f"{name}@example.org", "password_hash": None, "by": "setup", "at": now}
    account = await people.add(db, person_id=new_id(now), event_id=new_id(now), roles=roles, groups=groups, **about)  # type: ignore[arg-type]
    return account.person


async def work(db: Database, folder: Path, names: Sequence[str]) -> None:
    """Let so many workers of this process go on until nothing is alive any more."""
    hosts = Counting(FakeClock(time.time()), folder=folder)
    running = [asyncio.create_task(Worker(world_of(db, hosts, name)).run()) for name in names]
    while await requests.alive(db, time.time()):  # noqa: ASYNC110 - they tell it of no end
        await asyncio.sleep(0.2)
    for each in running:
        each.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def compete(url: str, folder: Path, workers: int) -> None:
    """Let the workers go at it: in this process, or in several where the database allows that."""
    db = await open_database(url)
    if not db.dialect.IS_SHARED:
        await work(db, folder, [f"w{number}" for number in range(workers)])
        await db.close()
        return
    await db.close()
    share = workers // _PROCESSES
    command = [sys.executable, "-m", "bench.claims", "--work", url, "--folder", str(folder), "--workers", str(share)]
    running = [await asyncio.create_subprocess_exec(*command) for _ in range(_PROCESSES)]
    assert {await each.wait() for each in running} == {0}


async def measure(url: str, workers: int, approvals: int) -> bool:
    """Prepare, compete, and print what came of it. Returns whether each ran exactly once."""
    with tempfile.TemporaryDirectory() as spool:
        db = await open_database(url)
        await prepare(db, approvals)
        await compete(url, Path(spool), workers)
        made = _files(Path(spool))
        begun = [each.stat().st_mtime for each in made]
        again = [each for each in made if ".again" in each.name]
        every = [row.id async for row in listing.stream(db, listing.Filter())]
        stories = [[each.type for each in await requests.events(db, request_id)] for request_id in every]
        starts = [story.count("run_started") for story in stories]
        loaded: list[Request] = [await requests.load(db, request_id) for request_id in every]
        is_whole = (await verify(db)).is_whole
        await db.close()
    print(
        f"{url.split(':', 1)[0]:20} {workers} workers, {len(every)} approvals: {len(made) - len(again)} runs on the"
        f" hosts, {len(again)} second attempts, {sum(starts)} starts in the log (most of one: {max(starts)}),"
        f" {sum(each.state in ENDED for each in loaded)} ended, log {'whole' if is_whole else 'NOT WHOLE'};"
        f" {approvals / (max(begun) - min(begun)):.0f} a second from the first to the last"
    )
    return is_whole and not again and len(made) == approvals and set(starts) == {1}


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def both(workers: int, approvals: int) -> bool:
    """Measure on a file, and on a server made for it."""
    with tempfile.TemporaryDirectory() as folder:
        is_right = await measure(f"sqlite:///{folder}/askfirst.db", workers, approvals)
    bin_folder = programs()
    if bin_folder is None:
        raise SystemExit("needs a PostgreSQL server: apt install postgresql")
    with Cluster(bin_folder) as cluster:
        url = cluster.place()
        cluster.create(url)
        return await measure(url, workers, approvals) and is_right


async def _work_only(url: str, folder: str, workers: int) -> bool:
    db = await open_database(url)
    await work(db, Path(folder), [f"{os.getpid()}-{number}" for number in range(workers)])
    await db.close()
    return True


def main(argv: Sequence[str]) -> int:
    """Measure, or be one of the processes that are measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=50)
    parser.add_argument("--approvals", type=int, default=1000)
    parser.add_argument("--work", default="", help=argparse.SUPPRESS)
    parser.add_argument("--folder", default="", help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    log_from(logging.ERROR)
    if given.work:
        return 0 if asyncio.run(_work_only(given.work, given.folder, given.workers)) else 1
    return 0 if asyncio.run(both(given.workers, given.approvals)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
