"""What a sweep does to many hosts and costs us: python -m bench.sweep [HOSTS] [SERVICES ON EACH].

The hosts are little worlds in this process and the clock is made to run, so that an interval takes seconds and SSH is
left out: what is measured is the schedule, the judge, the store and the log. Every host is probed once in an interval
whatever happens, so that the interesting numbers are how evenly, and how much CPU a proof costs besides its connection.
"""

import asyncio
import logging
import resource
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from app.cli.answers import log_from
from app.core.facts import Facts
from app.core.policy import Policy
from app.core.registry import Registry, difference
from app.core.service import Host, Service
from app.flow.ports import Limits, News, World
from app.flow.sweep import Sweep
from app.store import services
from app.store.engine import open_database
from tests.fakes.clock import FakeClock
from tests.fakes.hosts import FakeHosts

EVERY = 900.0
TENTHS = 10


@dataclass(slots=True)
class Counted(FakeHosts):
    """Hosts that note when they were probed."""

    began: list[tuple[str, float]] = field(default_factory=list)

    async def probe(
        self,
        host: Host,
        services: Sequence[Service],
        via: Sequence[Host] = (),
        *,
        whole: bool = False,
        git: bool = False,
    ) -> Facts:
        self.began.append((host.name, self.clock.now()))
        return await FakeHosts.probe(self, host, services, via, whole=whole, git=git)


def fleet(hosts: Counted, count: int, each: int) -> Registry:
    """Make so many hosts with so many services each, and the registry that claims them."""
    claims = []
    for number in range(count):
        made = hosts.add(f"host-{number}")
        for index in range(each):
            made.supervise(f"lab:gui-{index}", port=5050 + index, path=f"/opt/gui-{index}")
            claims.append(made.claim(f"lab:gui-{index}", f"gui-{number}-{index}"))
    policy = Policy(environment="production", groups=("lab-team",))
    return Registry(tuple(made.host for made in hosts.hosts.values()), tuple(claims), (policy,))


async def interval(world: World, clock: FakeClock, sweep: Sweep) -> float:
    """Let one interval go by; return the CPU seconds that it took."""
    before, end = resource.getrusage(resource.RUSAGE_SELF), clock.now() + EVERY
    while clock.now() < end:
        wait = await sweep.tick()
        await sweep.rest()
        clock.advance(wait)
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


async def main(count: int, each: int) -> None:
    """Sweep for two intervals, the first of which is a first start, and tell what was seen."""
    clock = FakeClock()
    hosts = Counted(clock)
    with tempfile.TemporaryDirectory() as folder:
        db = await open_database(f"sqlite:///{Path(folder) / 'data' / 'askfirst.db'}")
        limits = replace(Limits(), sweep_every_seconds=EVERY)
        world = World(db, hosts, clock, News(), limits, "bench")
        wanted = fleet(hosts, count, each)
        changes = difference(Registry(), wanted)
        await services.apply(db, changes, by="bench", at=clock.now(), event_id="r1", base_revision=0)
        sweep = Sweep(world)
        for name in ("a first start", "an interval later"):
            hosts.began.clear()
            start, cpu = clock.now(), await interval(world, clock, sweep)
            per_host = Counter(host for host, _ in hosts.began)
            tenths = Counter(min(TENTHS - 1, int((at - start) / EVERY * TENTHS)) for _, at in hosts.began)
            print(f"{name}: {len(hosts.began)} probes of {count} hosts with {each} services each")
            print(f"  probes a host    {min(per_host.values())} to {max(per_host.values())}")
            print(f"  hosts left out   {count - len(per_host)}")
            print(f"  in each tenth    {' '.join(str(tenths[index]) for index in range(TENTHS))}")
            print(f"  CPU a proof      {cpu / len(hosts.began) / each * 1000:.2f} ms, the little worlds' own included")
        await db.close()


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:3]]
    log_from(logging.ERROR)
    asyncio.run(main(*[*given, *(50, 5)[len(given) :]]))
