"""Several workers over one store: each step is taken by one, and one that comes late does no harm."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from app.core.errors import Broken, Conflict
from app.core.facts import Facts
from app.core.lifecycle import ENDED, Request, State
from app.core.registry import Registry, difference
from app.core.run import Exited, Progress
from app.core.service import Host, Service
from app.flow import ask, freeze
from app.flow import replica as module
from app.flow.ids import new_id
from app.flow.replica import replica
from app.flow.sweep import Sweep
from app.flow.worker import Worker
from app.store import leases, output, proofs, requests, services
from app.store.verify import verify
from tests.fakes.hosts import FakeHosts
from tests.integration.databases import raw, set_clock
from tests.integration.flow.conftest import Stage

RAN_OUT = "UPDATE leases SET until = 1"


@dataclass(slots=True)
class Held(FakeHosts):
    """Hosts on which a command's last word is withheld until it is let go."""

    began: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    async def restart(self, host: Host, warrant: str, via: Sequence[Host] = (), **more: Any) -> AsyncIterator[Progress]:
        async for each in FakeHosts.restart(self, host, warrant, via, **more):
            if isinstance(each, Exited):
                self.began.set()
                await self.let_go.wait()
            yield each


@dataclass(slots=True)
class Slow(FakeHosts):
    """Hosts that answer a probe once they are let."""

    began: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    async def probe(self, *about: Any, **more: Any) -> Facts:
        self.began.set()
        await self.let_go.wait()
        return await FakeHosts.probe(self, *about, **more)


def holding(stage: Stage, worker: str) -> tuple[Held, Worker]:
    held = Held(stage.clock, stage.hosts.hosts)
    return held, Worker(replace(stage.world, hosts=held, worker=worker))


async def story(stage: Stage, request: Request) -> list[str]:
    return [event.type for event in await requests.events(stage.db, request.id)]


async def several(stage: Stage, count: int) -> list[Request]:
    """Approve a restart on each of so many hosts more."""
    claims: list[Service] = []
    for number in range(count):
        made = stage.hosts.add(f"host-{number}")
        made.supervise()
        claims.append(made.claim(name=f"gui-{number}"))
    stage.clock.advance(600)
    current = await services.registry(stage.db)
    wanted = Registry(
        tuple(each.host for each in stage.hosts.hosts.values()), (*current.services, *claims), current.policies
    )
    now = stage.clock.now()
    changes = difference(current, wanted)
    await services.apply(stage.db, changes, by="setup", at=now, event_id=new_id(now), base_revision=current.revision)
    for number in range(count // 15 + 1):
        await stage.add(f"asker-{number}")
    asked = [
        await ask.ask(stage.world, stage.who[f"asker-{number // 15}"], each.name, "The fix is pulled.")
        for number, each in enumerate(claims)
    ]
    proved = [await ask.prove(stage.world, each) for each in asked]
    return [await stage.approve(each) for each in proved]


@pytest.mark.law(6)
@pytest.mark.threat("G1")
async def test_many_workers_over_many_approvals_make_exactly_one_run_each(stage: Stage) -> None:
    approved = await several(stage, 12)
    workers = [Worker(replace(stage.world, worker=f"w{number}")) for number in range(6)]
    async with asyncio.timeout(240):
        while True:
            await asyncio.gather(*(each.once() for each in workers))
            now = [await requests.load(stage.db, each.id) for each in approved]
            if all(each.state in ENDED for each in now):
                break
            stage.clock.advance(6)
    assert Counter(each.state for each in now) == {State.SUCCEEDED: 12}
    assert {name: host.runs() for name, host in stage.hosts.hosts.items() if name != "alpha"} == {
        f"host-{number}": 1 for number in range(12)
    }
    assert {tuple(await story(stage, each)).count("run_started") for each in approved} == {1}
    assert (await verify(stage.db)).is_whole


@pytest.mark.law(6)
@pytest.mark.law(12)
@pytest.mark.threat("T13")
async def test_a_worker_that_stood_still_in_mid_run_finds_that_another_has_ended_it(stage: Stage) -> None:
    approved = await stage.approve(await stage.waiting())
    held, first = holding(stage, "first")
    step = asyncio.create_task(first.once())
    await held.began.wait()
    second = Worker(replace(stage.world, worker="second"))
    assert (await stage.work(approved, second)).state is State.RUNNING  # the first one holds it
    raw(stage.url, RAN_OUT)
    after = await stage.work(approved, second)
    assert (after.state, stage.alpha.runs()) == (State.SUCCEEDED, 1)
    before = await story(stage, approved)
    assert before[3:] == ["run_started", "run_lost", "run_ended", "settled"]
    held.let_go.set()
    await step
    assert await story(stage, approved) == before
    assert (await verify(stage.db)).is_whole


@pytest.mark.law(6)
@pytest.mark.threat("T8")
async def test_a_worker_that_stood_still_before_its_claim_starts_nothing(stage: Stage) -> None:
    approved = await stage.approve(await stage.waiting())
    (lease,) = await leases.take(stage.db, [approved.id], "first", now=stage.clock.now(), seconds=900)
    late = replace(stage.world, worker="first", db=leases.fenced(stage.db, lease, stage.clock.now))
    raw(stage.url, RAN_OUT)
    with pytest.raises(Conflict):
        await Worker(late)._step(late, approved)  # noqa: SLF001 - the step alone, under a lease that is lost
    with pytest.raises(Conflict):
        await output.append(late.db, approved.id, 0, b"late")
    assert (stage.alpha.runs(), (await story(stage, approved))[3:]) == (0, [])


@pytest.mark.law(12)
@pytest.mark.threat("T13")
async def test_what_a_worker_learns_after_its_lease_ran_out_is_not_written_but_read_from_the_host(stage: Stage) -> None:
    approved = await stage.approve(await stage.waiting())
    held, first = holding(stage, "first")
    step = asyncio.create_task(first.once())
    await held.began.wait()
    raw(stage.url, RAN_OUT)
    held.let_go.set()
    await step
    assert (await story(stage, approved))[3:] == ["run_started"]
    after = await stage.work(approved, Worker(replace(stage.world, worker="second")))
    assert (after.state, stage.alpha.runs()) == (State.SUCCEEDED, 1)
    assert (await story(stage, approved))[3:] == ["run_started", "run_lost", "run_ended", "settled"]


@pytest.mark.law(12)
async def test_a_step_whose_lease_is_lost_is_ended_and_the_run_is_read(stage: Stage) -> None:
    approved = await stage.approve(await stage.waiting())
    held, worker = holding(stage, "first")
    step = asyncio.create_task(worker.once())
    await held.began.wait()
    await worker.renew()
    assert not step.done()
    raw(stage.url, RAN_OUT)
    await worker.renew()
    await asyncio.gather(step, return_exceptions=True)
    held.let_go.set()
    after = await stage.work(approved, worker)
    assert (after.state, stage.alpha.runs()) == (State.SUCCEEDED, 1)
    assert "run_lost" in await story(stage, approved)


@pytest.mark.only("postgresql")
@pytest.mark.threat("T7")
async def test_a_run_that_lasts_longer_than_a_lease_is_followed_to_its_end(stage: Stage) -> None:
    """By the server's own clock, which nobody sets."""
    set_clock(stage.url, "pg_catalog.clock_timestamp()")
    stage.world = replace(stage.world, limits=replace(stage.world.limits, lease_seconds=5.0))
    approved = await stage.approve(await stage.waiting())
    held, worker = holding(stage, "first")
    running = asyncio.create_task(worker.run())
    await held.began.wait()
    (first,) = raw(stage.url, "SELECT until FROM leases WHERE until > 0")
    later = ("SELECT 1 FROM leases WHERE until = 0 OR until > ?", (first[0] + 5,))
    while not raw(stage.url, later):  # noqa: ASYNC110 - a row calls nobody
        await asyncio.sleep(0.05)
    held.let_go.set()
    worker.stop()
    await running
    assert (await story(stage, approved))[3:] == ["run_started", "run_ended", "settled"]


@pytest.mark.threat("T20")
async def test_a_worker_told_to_stop_ends_its_steps_and_begins_none(stage: Stage) -> None:
    approved = await stage.approve(await stage.waiting())
    held, worker = holding(stage, "first")
    running = asyncio.create_task(worker.run())
    await held.began.wait()
    worker.stop()
    (other,) = await several(stage, 1)
    assert not running.done()
    held.let_go.set()
    await running
    assert (await requests.load(stage.db, approved.id)).state is State.SUCCEEDED
    assert (await requests.load(stage.db, other.id)).state is State.APPROVED
    assert await leases.held(stage.db, stage.clock.now()) == set()


@pytest.mark.threat("T20")
async def test_a_worker_told_to_stop_does_not_begin_the_run_of_what_was_approved_meanwhile(stage: Stage) -> None:
    waiting = await stage.waiting()
    slow = Slow(stage.clock, stage.hosts.hosts)
    worker = Worker(replace(stage.world, hosts=slow, worker="first"))
    await worker.once()
    stage.clock.advance(31)
    running = asyncio.create_task(worker.run())
    await slow.began.wait()
    worker.stop()
    await stage.approve(waiting)
    slow.let_go.set()
    await running
    approved = await requests.load(stage.db, waiting.id)
    assert (approved.state, stage.alpha.runs()) == (State.APPROVED, 0)
    after = await stage.work(approved, Worker(replace(stage.world, worker="second")))
    assert (after.state, stage.alpha.runs()) == (State.SUCCEEDED, 1)


@pytest.mark.threat("T20")
async def test_a_replica_told_to_end_waits_for_the_step_under_way(stage: Stage) -> None:
    approved = await stage.approve(await stage.waiting())
    held, _ = holding(stage, "first")
    world = replace(stage.world, hosts=held, worker="first")

    async def live() -> None:
        async with replica(world, stage.url, works=True):
            await held.began.wait()

    living = asyncio.create_task(live())
    await held.began.wait()
    asyncio.get_running_loop().call_later(0.3, held.let_go.set)
    await living
    assert (await story(stage, approved))[3:6] == ["run_started", "run_ended", "settled"]


@pytest.mark.only("sqlite")
async def test_the_one_process_of_a_file_takes_up_at_its_start_what_the_one_before_held(stage: Stage) -> None:
    approved = await stage.approve(await stage.waiting())
    assert await leases.take(stage.db, [approved.id], "gone", now=stage.clock.now(), seconds=900)
    async with replica(stage.world, stage.url, works=True), asyncio.timeout(60):
        while (await requests.load(stage.db, approved.id)).state is not State.SUCCEEDED:  # noqa: ASYNC110 - a row calls nobody
            await asyncio.sleep(0.05)


async def test_after_a_gap_in_what_is_heard_all_look_again_and_hearing_goes_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[list[str]] = [[], ["", "R-1"]]

    async def heard(_: str) -> AsyncIterator[str]:
        for topic in told.pop(0):
            yield topic
        if told:
            raise Broken("The line is lost.", code="store_away", next_step="Wait.")

    monkeypatch.setattr(module, "heard", heard)
    with stage.world.news.listen("elsewhere") as other, stage.world.news.listen("R-1") as mine:
        async with replica(stage.world, stage.url, works=False), asyncio.timeout(60):
            await other(3600)
            await mine(3600)
    assert told == []


@pytest.mark.threat("T20")
async def test_what_a_worker_was_cut_off_from_is_the_next_ones_at_once(stage: Stage) -> None:
    approved = await stage.approve(await stage.waiting())
    held, worker = holding(stage, "first")
    running = asyncio.create_task(worker.run())
    await held.began.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    after = await stage.work(approved, Worker(replace(stage.world, worker="second")))
    assert (after.state, stage.alpha.runs()) == (State.SUCCEEDED, 1)


async def test_a_host_is_swept_by_one_worker_in_each_turn(stage: Stage) -> None:
    stage.world = replace(stage.world, limits=replace(stage.world.limits, sweep_every_seconds=900.0))
    sweeps = [Sweep(replace(stage.world, worker=f"w{number}")) for number in range(4)]
    stage.hosts.probes.clear()
    for _ in range(2):
        await asyncio.gather(*(each.tick() for each in sweeps))
        await asyncio.gather(*(each.rest() for each in sweeps))
    assert len(stage.hosts.probes) == 1


@pytest.mark.threat("T8")
async def test_a_sweep_that_comes_late_writes_nothing(stage: Stage) -> None:
    stage.world = replace(stage.world, limits=replace(stage.world.limits, sweep_every_seconds=900.0))
    slow = Slow(stage.clock, stage.hosts.hosts)
    sweep = Sweep(replace(stage.world, hosts=slow))
    before = await proofs.proofs(stage.db)
    await sweep.tick()
    await slow.began.wait()
    raw(stage.url, RAN_OUT)
    slow.let_go.set()
    await sweep.rest()
    assert await proofs.proofs(stage.db) == before


async def test_a_connection_is_let_go_by_every_worker_once_its_request_has_ended_elsewhere(stage: Stage) -> None:
    waiting = await stage.waiting()
    one = Worker(stage.world)
    await one.adopt()
    assert stage.hosts.kept == {"alpha"}
    elsewhere = FakeHosts(stage.clock, stage.hosts.hosts)
    other = Worker(replace(stage.world, hosts=elsewhere, worker="two"))
    assert (await stage.work(await stage.approve(waiting), other)).state is State.SUCCEEDED
    assert stage.hosts.kept == {"alpha"}
    await one.once()
    assert stage.hosts.kept == set()


async def test_a_connection_is_let_go_though_its_host_was_taken_out_of_the_registry(stage: Stage) -> None:
    waiting = await stage.waiting()
    worker = Worker(stage.world)
    await worker.adopt()
    current, now = await services.registry(stage.db), stage.clock.now()
    changes = difference(current, Registry((), (), current.policies))
    await services.apply(stage.db, changes, by="setup", at=now, event_id=new_id(now), base_revision=current.revision)
    await worker.once()
    stage.clock.advance(31)
    await worker.once()
    assert (await requests.load(stage.db, waiting.id)).state is State.STALE
    assert stage.hosts.kept == set()


@pytest.mark.law(5)
async def test_a_freeze_set_at_one_replica_holds_at_every_other(stage: Stage) -> None:
    approved = await stage.approve(await stage.waiting())
    await freeze.freeze(replace(stage.world, worker="two"), stage.who["cy"], "all", "An incident.")
    assert (await stage.work(approved)).state is State.APPROVED
    assert raw(stage.url, "SELECT subject FROM leases WHERE until > 0") == []
