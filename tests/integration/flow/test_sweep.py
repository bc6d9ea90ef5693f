"""The sweep over little worlds: spread, bounded, resumed after a kill, out of everybody's way."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
import structlog

from app.core.cadence import AGAIN_SECONDS
from app.core.events import RunStarted
from app.core.facts import Facts
from app.core.lifecycle import State
from app.core.policy import Policy
from app.core.registry import Registry, difference
from app.core.service import Host, Service
from app.flow import limits, prove
from app.flow.ids import new_id, stamp
from app.flow.sweep import Sweep
from app.flow.worker import Worker
from app.store import proofs, requests, services, sweeps
from tests.fakes.hosts import FakeHosts
from tests.integration.flow.conftest import Stage

EVERY = 900.0


@dataclass(slots=True)
class Watched(FakeHosts):
    """Hosts that note when each probe begins and how many are under way, and of which some never answer."""

    hanging: dict[str, asyncio.Event] = field(default_factory=dict)
    has_begun: asyncio.Event = field(default_factory=asyncio.Event)
    began: list[tuple[str, float]] = field(default_factory=list)
    now: Counter[str] = field(default_factory=Counter)
    most: Counter[str] = field(default_factory=Counter)
    most_hosts: int = 0

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
        self.has_begun.set()
        self.now[host.name] += 1
        self.most[host.name] = max(self.most[host.name], self.now[host.name])
        self.most_hosts = max(self.most_hosts, sum(1 for count in self.now.values() if count))
        try:
            if host.name in self.hanging:
                await self.hanging[host.name].wait()
            return await FakeHosts.probe(self, host, services, via, whole=whole, git=git)
        finally:
            self.now[host.name] -= 1


async def fleet(stage: Stage, count: int, *, at_once: int = 8) -> Watched:
    """Put so many hosts with a service each into the world and the registry, beside alpha."""
    watched = Watched(stage.clock, dict(stage.hosts.hosts))
    claims = [stage.alpha.claim()]
    for number in range(count):
        made = watched.add(f"host-{number}")
        made.supervise()
        claims.append(made.claim(name=f"gui-{number}"))
    stage.world = replace(
        stage.world,
        hosts=watched,
        limits=replace(stage.world.limits, sweep_every_seconds=EVERY, sweep_hosts_at_once=at_once),
    )
    current = await services.registry(stage.db)
    hosts = tuple(each.host for each in watched.hosts.values())
    wanted = Registry(hosts, tuple(claims), (Policy(environment="production", groups=("lab-team",)),))
    now = stage.clock.now()
    changes = difference(current, wanted)
    await services.apply(stage.db, changes, by="setup", at=now, event_id=new_id(now), base_revision=current.revision)
    return watched


async def sweep_for(stage: Stage, seconds: float, sweep: Sweep | None = None) -> None:
    """Let the clock go on, with a sweep that ticks as its own waits tell it."""
    sweep = sweep or Sweep(stage.world)
    end = stage.clock.now() + seconds
    while stage.clock.now() < end:
        wait = await sweep.tick()
        await sweep.rest()
        stage.clock.advance(wait)


async def test_one_sweep_probes_each_host_once_for_all_its_services(stage: Stage) -> None:
    watched = await fleet(stage, 0)
    stage.alpha.supervise("lab:other", port=5051, path="/opt/other")
    await stage.register(stage.alpha.claim(), stage.alpha.claim("lab:other", "other"))
    await sweep_for(stage, 60)
    assert watched.probes == [("alpha", ("other", "pypnm-gui"))]
    assert {name: each.verdict for name, each in (await proofs.proofs(stage.db)).items()} == {
        "other": "VERIFIED",
        "pypnm-gui": "VERIFIED",
    }


async def test_every_host_is_swept_once_in_each_interval_and_the_sweeps_are_spread_over_it(stage: Stage) -> None:
    watched = await fleet(stage, 49)
    sweep = Sweep(stage.world)
    await sweep_for(stage, EVERY, sweep)
    watched.began.clear()
    await sweep_for(stage, EVERY + 10, sweep)
    counts = Counter(name for name, _ in watched.began)
    assert len(counts) == 50
    assert set(counts.values()) <= {1, 2}  # the interval is cut where it is: two at both of its ends
    start = min(at for _, at in watched.began)
    tenths = Counter(int((at - start) / EVERY * 10) for _, at in watched.began)
    assert all(1 <= tenths[index] <= 12 for index in range(10)), tenths
    assert max(Counter(at for _, at in watched.began).values()) <= 2


async def test_a_first_start_does_not_flood_it_begins_one_host_after_the_other(stage: Stage) -> None:
    watched = await fleet(stage, 49)
    await sweep_for(stage, EVERY / 2 + 30)
    assert {name for name, _ in watched.began} == {"alpha", *(f"host-{number}" for number in range(49))}
    times = [at for _, at in watched.began]
    assert all(later - earlier >= EVERY / 200 for earlier, later in itertools.pairwise(times))


async def test_a_worker_that_was_killed_is_followed_by_one_that_goes_on_where_it_was(stage: Stage) -> None:
    watched = await fleet(stage, 9)
    await sweep_for(stage, 20)  # some were swept, then it is killed in the middle of the next
    done = {name for name, _ in watched.began}
    watched.hanging = {name: asyncio.Event() for name in watched.hosts if name not in done}
    watched.has_begun.clear()
    killed = Sweep(stage.world)
    running = asyncio.create_task(killed.run())
    await watched.has_begun.wait()
    cut_off = next(name for name, count in watched.now.items() if count)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert sum(watched.now.values()) == 0
    watched.hanging.clear()
    watched.began.clear()
    await sweep_for(stage, 60)
    again = [name for name, _ in watched.began]
    assert cut_off in again
    assert len(again) == len(set(again))
    assert not set(again) & done
    assert set(again) | done == set(watched.hosts)


async def test_a_worker_that_was_away_for_hours_sweeps_each_host_once_and_not_all_at_once(stage: Stage) -> None:
    watched = await fleet(stage, 19)
    await sweep_for(stage, EVERY)
    stage.clock.advance(5 * 3600)
    watched.began.clear()
    await sweep_for(stage, EVERY / 2)
    counts = Counter(name for name, _ in watched.began)
    assert (len(counts), set(counts.values())) == (20, {1})
    times = [at for _, at in watched.began]
    assert all(later - earlier >= 4 for earlier, later in itertools.pairwise(times))


async def test_a_clock_that_was_set_back_neither_stops_the_sweep_nor_lets_it_flood(stage: Stage) -> None:
    watched = await fleet(stage, 4)
    sweep = Sweep(stage.world)
    await sweep_for(stage, EVERY, sweep)
    stage.clock.set(-7200)
    watched.began.clear()
    await sweep_for(stage, 120, sweep)
    assert set(Counter(name for name, _ in watched.began).values()) == {1}
    assert len(watched.began) == 5
    known = await proofs.proofs(stage.db)
    assert all(abs(each.at - stage.clock.now()) <= 120 for each in known.values())


async def test_only_so_many_hosts_are_swept_at_a_time(stage: Stage) -> None:
    watched = await fleet(stage, 12, at_once=3)
    watched.hanging = {name: asyncio.Event() for name in watched.hosts}
    sweep = Sweep(stage.world)
    for _ in range(30):
        await sweep.tick()
        stage.clock.advance(5)
        await asyncio.sleep(0.002)
    assert (watched.most_hosts, sum(watched.now.values())) == (3, 3)
    for event in watched.hanging.values():
        event.set()
    await sweep.rest()


async def test_a_host_that_hangs_holds_up_nobody_else(stage: Stage) -> None:
    watched = await fleet(stage, 6, at_once=2)
    watched.hanging["host-3"] = asyncio.Event()
    sweep = Sweep(stage.world)
    for _ in range(200):
        await sweep.tick()
        await asyncio.sleep(0.002)
        stage.clock.advance(2)
    others = {"alpha", *(f"host-{number}" for number in range(6))} - {"host-3"}
    assert set(await sweeps.every(stage.db)) == others
    watched.hanging.pop("host-3").set()
    await sweep.rest()
    assert set(await sweeps.every(stage.db)) == {*others, "host-3"}


async def test_hosts_that_gave_no_answer_take_half_of_the_places_at_most(stage: Stage) -> None:
    watched = await fleet(stage, 11, at_once=4)
    await sweep_for(stage, EVERY / 2)
    dead = {f"host-{number}" for number in range(8)}
    watched.down |= dead
    stage.clock.advance(EVERY)
    await sweep_for(stage, EVERY / 4)
    assert {name for name, each in (await sweeps.every(stage.db)).items() if each.misses} == dead
    stage.clock.advance(EVERY)
    watched.hanging = {name: asyncio.Event() for name in dead}
    sweep = Sweep(stage.world)
    for _ in range(60):
        await sweep.tick()
        await asyncio.sleep(0.002)
        stage.clock.advance(2)
    assert sum(watched.now.values()) == 2
    swept = await sweeps.every(stage.db)
    assert all(swept[name].at > stage.clock.now() - 130 for name in set(watched.hosts) - dead)
    watched.down.clear()
    for event in watched.hanging.values():
        event.set()
    await sweep.rest()


async def test_a_host_that_gave_no_answer_is_looked_at_again_soon_and_only_once(stage: Stage) -> None:
    watched = await fleet(stage, 0)
    watched.down.add("alpha")
    sweep = Sweep(stage.world)
    await sweep_for(stage, 400, sweep)
    times = [at for _, at in watched.began]
    assert len(times) == 2
    assert AGAIN_SECONDS <= times[1] - times[0] <= AGAIN_SECONDS + 10


async def test_a_person_who_looks_comes_first_and_the_sweep_comes_again(stage: Stage) -> None:
    watched = await fleet(stage, 0)
    watched.hanging["alpha"] = asyncio.Event()
    sweep = Sweep(stage.world)
    await sweep.tick()
    while watched.now["alpha"] == 0:  # noqa: ASYNC110 - the host tells of it by nothing else
        await asyncio.sleep(0.01)
    registry = await services.registry(stage.db)
    async with limits.probes.turn("alpha", stage.who["ada"].id):
        watched.hanging.clear()
        await sweep.rest()
        assert watched.now["alpha"] == 0  # it gave way, though its host never answered
        seen = await prove.look(stage.world, registry, registry.services[0])
        await sweep.tick()
        await sweep.rest()
        assert len(watched.began) == 2
    assert seen.verdict.is_verified
    assert await sweeps.every(stage.db) == {}
    await sweep_for(stage, 30, sweep)
    assert len(watched.began) == 3
    assert set(await sweeps.every(stage.db)) == {"alpha"}


@pytest.mark.threat("H6")
async def test_at_most_two_look_at_a_host_at_any_time_with_the_sweep_among_them(stage: Stage) -> None:
    watched = await fleet(stage, 0)
    held = watched.hanging["alpha"] = asyncio.Event()
    sweep = Sweep(stage.world)
    await sweep.tick()
    while watched.now["alpha"] == 0:  # noqa: ASYNC110 - the host tells of it by nothing else
        await asyncio.sleep(0.01)
    registry = await services.registry(stage.db)

    async def click(person: str) -> None:
        async with limits.probes.turn("alpha", person):
            await prove.look(stage.world, registry, registry.services[0])

    clicks = [asyncio.create_task(click(str(number))) for number in range(6)]
    for _ in range(20):
        await sweep.tick()
        stage.clock.advance(5)
        await asyncio.sleep(0.002)
    assert watched.now["alpha"] == 2
    held.set()
    await asyncio.gather(*clicks)
    await sweep.rest()
    assert watched.most["alpha"] == 2


async def test_a_look_that_takes_too_long_is_said_in_a_line_and_left_for_half_an_interval(stage: Stage) -> None:
    watched = await fleet(stage, 0)
    watched.hanging["alpha"] = asyncio.Event()
    # The checks' own time is added to it: none is left.
    stage.world = replace(stage.world, limits=replace(stage.world.limits, probe_timeout_seconds=-40.0))
    sweep = Sweep(stage.world)
    with structlog.testing.capture_logs() as logged:
        await sweep_for(stage, EVERY / 2, sweep)
    assert [(each["log_level"], each.get("again_in"), each.get("exc_info")) for each in logged] == [
        ("warning", EVERY / 2, None)
    ]
    watched.hanging.clear()
    stage.world = replace(stage.world, limits=replace(stage.world.limits, probe_timeout_seconds=20.0))
    sweep._world = stage.world  # noqa: SLF001 - the host answers now
    assert await proofs.proofs(stage.db) == {}
    await sweep_for(stage, 30, sweep)
    assert set(await proofs.proofs(stage.db)) == {"pypnm-gui"}


async def test_a_service_that_is_being_restarted_is_left_to_its_request(stage: Stage) -> None:
    watched = await fleet(stage, 0)
    waiting = await stage.waiting()
    approved = await stage.approve(waiting)
    await requests.append(stage.db, approved, _started(stage, approved.digest))
    watched.began.clear()
    await sweep_for(stage, 60)
    assert watched.began == []
    assert (await requests.load(stage.db, approved.id)).state is State.RUNNING


async def test_a_claim_that_changed_is_swept_soon_and_not_an_interval_later(stage: Stage) -> None:
    watched = await fleet(stage, 0)
    sweep = Sweep(stage.world)
    await sweep_for(stage, 30, sweep)
    await stage.register(replace(stage.alpha.claim(), docs="Ask rbron first."))
    assert await proofs.proofs(stage.db) == {}
    watched.began.clear()
    await sweep_for(stage, 30, sweep)
    assert [name for name, _ in watched.began] == ["alpha"]


async def test_an_interval_of_zero_sweeps_nothing(stage: Stage) -> None:
    watched = await fleet(stage, 2)
    stage.world = replace(stage.world, limits=replace(stage.world.limits, sweep_every_seconds=0.0))
    await Sweep(stage.world).run()
    assert watched.began == []


async def test_a_worker_sweeps_and_stops_its_sweep_with_itself(stage: Stage) -> None:
    watched = await fleet(stage, 0)
    watched.hanging["alpha"] = asyncio.Event()
    running = asyncio.create_task(Worker(stage.world).run())
    await watched.has_begun.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert watched.now["alpha"] == 0
    assert await sweeps.every(stage.db) == {}


def _started(stage: Stage, digest: str) -> RunStarted:
    return RunStarted(**stamp(stage.clock.now()), digest=digest, worker="one")
