"""One warrant, one run, whatever breaks: stale, frozen, cut, killed, raced."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from sqlalchemy import select

from app.core.errors import NotFound, Refused
from app.core.events import RunStarted
from app.core.level import Level
from app.core.lifecycle import Request, State
from app.core.policy import Role
from app.core.run import SPENT, Exited, Progress, Refusal
from app.core.service import Host
from app.flow import execute, freeze
from app.flow.ids import new_id
from app.flow.ports import World
from app.flow.worker import Worker
from app.store import freezes, leases, requests
from app.store.tables import AUDIT
from app.store.verify import verify
from tests.fakes.cut import Cut
from tests.fakes.hosts import FakeHosts
from tests.integration.databases import disarmed
from tests.integration.flow.conftest import Stage

UNIT = "lab:pypnm-gui"


@pytest.mark.law(5)
@pytest.mark.threat("C4")
@pytest.mark.parametrize("change", ["restarted", "same pid", "rebooted", "edited"])
async def test_a_host_that_changed_after_the_yes_runs_nothing(stage: Stage, change: str) -> None:
    approved = await stage.approve(await stage.waiting())
    match change:
        case "restarted":
            stage.alpha.replace(UNIT)
        case "same pid":
            stage.alpha.replace(UNIT, with_same_pid=True)
        case "rebooted":
            stage.alpha.reboot()
        case "edited":
            stage.alpha.edit_config()
    after = await stage.work(approved)
    assert after.state is State.STALE
    assert stage.alpha.spool == {}


@pytest.mark.law(5)
async def test_a_host_that_changes_while_it_waits_voids_the_warrant_at_the_next_look(stage: Stage) -> None:
    waiting = await stage.waiting()
    worker = Worker(stage.world)
    await worker.once()
    stage.alpha.replace(UNIT)
    stage.clock.advance(31)
    assert (await stage.work(waiting, worker)).state is State.STALE


async def test_a_host_that_does_not_answer_while_it_waits_voids_nothing(stage: Stage) -> None:
    waiting = await stage.waiting()
    worker = Worker(stage.world)
    await worker.once()
    stage.hosts.down.add("alpha")
    stage.clock.advance(31)
    assert (await stage.work(waiting, worker)).state is State.WAITING


@pytest.mark.parametrize("scope", ["all", "environment:production", "host:alpha"])
async def test_a_freeze_holds_what_is_approved_and_a_release_lets_it_go(stage: Stage, scope: str) -> None:
    approved = await stage.approve(await stage.waiting())
    await freeze.freeze(stage.world, stage.who["cy"], scope, "An incident.")
    held = await stage.work(approved)
    assert (held.state, stage.alpha.runs()) == (State.APPROVED, 0)
    await freeze.release(stage.world, stage.who["cy"], scope, "It is over.")
    stage.clock.advance(2)
    assert (await stage.work(held)).state is State.SUCCEEDED


async def test_a_freeze_of_another_host_holds_nothing(stage: Stage) -> None:
    approved = await stage.approve(await stage.waiting())
    now = stage.clock.now()
    await freezes.freeze(stage.db, "host:beta", by="cy", at=now, reason="An incident.", event_id=new_id(now))
    assert (await stage.work(approved)).state is State.SUCCEEDED


@pytest.mark.law(12)
@pytest.mark.parametrize(
    ("cut", "state", "runs"),
    [
        (Cut.BEFORE_SESSION, State.NOT_RUN, 0),
        (Cut.AFTER_INPUT, State.NOT_RUN, 0),
        (Cut.AFTER_START, State.SUCCEEDED, 1),
        (Cut.BEFORE_EXIT, State.SUCCEEDED, 1),
    ],
)
async def test_a_cut_line_is_settled_by_burn_or_read(stage: Stage, cut: Cut, state: State, runs: int) -> None:
    approved = await stage.approve(await stage.waiting())
    stage.hosts.cut_at["alpha"] = cut
    worker = Worker(stage.world)
    after = approved
    for _ in range(5):
        after = await stage.work(approved, worker)
        stage.clock.advance(3)
    assert (after.state, stage.alpha.runs()) == (state, runs), after.outcome
    kinds = [event.type for event in await requests.events(stage.db, approved.id)]
    assert kinds.count("run_started") == 1
    assert (await verify(stage.db)).differences == []
    if cut is not Cut.BEFORE_SESSION:  # what was sent may come later
        assert stage.alpha.spend(await requests.text(stage.db, approved.warrant or "") or "") == Refusal(SPENT)


@pytest.mark.law(5)
@pytest.mark.threat("B16")
async def test_a_text_that_was_changed_in_the_store_is_not_run(stage: Stage) -> None:
    approved = await stage.approve(await stage.waiting())
    text = (await requests.text(stage.db, approved.warrant or "") or "").replace("restart\n", "restarX\n", 1)
    disarmed(stage.url, ("UPDATE texts SET body = ? WHERE commitment = ?", (text.encode(), approved.warrant)))
    after = await stage.work(approved)
    assert (after.state, stage.alpha.spool) == (State.APPROVED, {})


@dataclass(slots=True)
class Halting(FakeHosts):
    """Hosts whose answer stops short of how the command ended: it is over, or nothing more ever comes."""

    hangs: bool = False

    async def restart(self, host: Host, warrant: str, via: Sequence[Host] = (), **more: Any) -> AsyncIterator[Progress]:
        async for each in FakeHosts.restart(self, host, warrant, via, **more):
            if isinstance(each, Exited):
                if self.hangs:
                    await asyncio.Event().wait()
                return
            yield each


@pytest.mark.law(12)
@pytest.mark.parametrize("hangs", [False, True], ids=["it is over", "nothing more comes"])
async def test_an_answer_without_the_commands_end_leaves_it_unknown_until_the_host_is_asked(
    stage: Stage, hangs: bool
) -> None:
    approved = await stage.approve(await stage.waiting())
    halting = Halting(stage.clock, stage.hosts.hosts, hangs=hangs)
    limits = replace(stage.world.limits, run_timeout_seconds=0.2)
    lost = await execute.execute(replace(stage.world, hosts=halting, limits=limits), approved)
    assert (lost.state, stage.alpha.runs()) == (State.UNKNOWN, 1)
    assert ((await stage.work(lost)).state, stage.alpha.runs()) == (State.SUCCEEDED, 1)


@pytest.mark.law(5)
@pytest.mark.parametrize(("change", "state"), [("frozen", State.APPROVED), ("edited", State.STALE)])
async def test_what_comes_between_the_last_look_and_the_claim_is_heeded_before_anything_is_sent(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, change: str, state: State
) -> None:
    approved = await stage.approve(await stage.waiting())
    claim = execute._claim  # noqa: SLF001 - the moment that nothing else can hit

    async def changed_meanwhile(world: World, request: Request) -> Request | None:
        if change == "frozen":
            await freeze.freeze(stage.world, stage.who["cy"], "all", "An incident.")
        else:
            await stage.register(replace(stage.alpha.claim(), path="/opt/elsewhere"))
        return await claim(world, request)

    monkeypatch.setattr(execute, "_claim", changed_meanwhile)
    after = await execute.execute(stage.world, approved)
    assert (after.state, stage.alpha.spool, stage.hosts.sent) == (state, {}, [])


@pytest.mark.law(12)
async def test_a_lost_run_on_a_host_that_stays_away_stays_unknown_and_is_never_repeated(stage: Stage) -> None:
    approved = await stage.approve(await stage.waiting())
    stage.hosts.cut_at["alpha"] = Cut.AFTER_START
    worker = Worker(stage.world)
    await worker.once()
    stage.hosts.down.add("alpha")
    for _ in range(5):
        stage.clock.advance(5)
        await worker.once()
    assert (await requests.load(stage.db, approved.id)).state is State.UNKNOWN
    stage.hosts.down.clear()
    stage.clock.advance(5)
    assert (await stage.work(approved, worker)).state is State.SUCCEEDED
    assert stage.alpha.runs() == 1


@pytest.mark.law(6)
@pytest.mark.law(10)
async def test_a_worker_that_died_after_the_claim_is_settled_by_the_next_one(stage: Stage) -> None:
    approved = await stage.approve(await stage.waiting())
    claim = RunStarted(id="dead-claim", at=stage.clock.now(), by="askfirst", digest=approved.digest, worker="dead")
    await requests.append(stage.db, approved, claim)
    following = Worker(replace(stage.world, worker="two"))
    await following.adopt()
    after = await stage.work(approved, following)
    assert (after.state, stage.alpha.runs()) == (State.NOT_RUN, 0)


@pytest.mark.law(6)
async def test_a_run_that_another_living_worker_follows_is_left_alone(stage: Stage) -> None:
    approved = await stage.approve(await stage.waiting())
    other = Worker(replace(stage.world, worker="two"))
    assert await leases.take(stage.db, [approved.id], "one", now=stage.clock.now(), seconds=900)
    claim = RunStarted(id="live-claim", at=stage.clock.now(), by="askfirst", digest=approved.digest, worker="one")
    await requests.append(stage.db, approved, claim)
    assert (await stage.work(approved, other)).state is State.RUNNING


@pytest.mark.law(6)
@pytest.mark.threat("G1")
async def test_fifty_workers_that_race_for_one_yes_make_one_run(stage: Stage) -> None:
    approved = await stage.approve(await stage.waiting())
    worlds = [replace(stage.world, worker=f"w{number}") for number in range(50)]
    results = await asyncio.gather(*(execute.execute(each, approved) for each in worlds), return_exceptions=True)
    assert sum(not isinstance(each, BaseException) for each in results) == 1
    assert stage.alpha.runs() == 1
    kinds = [event.type for event in await requests.events(stage.db, approved.id)]
    assert kinds.count("run_started") == 1


@pytest.mark.law(10)
async def test_the_start_is_in_the_log_before_anything_reaches_the_host(stage: Stage) -> None:
    approved = await stage.approve(await stage.waiting())
    seen: list[State] = []

    class Watching(FakeHosts):
        """Reads the store at the moment when a warrant would be sent."""

        async def restart(
            self, host: Host, warrant: str, via: Sequence[Host] = (), **more: Any
        ) -> AsyncIterator[Progress]:
            seen.append((await requests.load(stage.db, approved.id)).state)
            async for each in super().restart(host, warrant, via, **more):
                yield each

    watching = Watching(stage.clock, stage.hosts.hosts)
    await execute.execute(replace(stage.world, hosts=watching), approved)
    assert seen == [State.RUNNING]


@pytest.mark.threat("T10")
async def test_the_certificate_of_a_run_bears_the_number_of_its_start_in_the_log(stage: Stage) -> None:
    """Only where a host asks for certificates: each number is used once, so that none can be asked for twice."""
    plain = await stage.approve(await stage.waiting())
    await execute.execute(stage.world, plain)
    assert stage.hosts.sent[-1] == ("alpha", (), 0)
    await stage.work(plain)
    stage.clock.advance(3600)
    stage.alpha.level, stage.alpha.certificates = Level.ENFORCED, True
    await stage.register(stage.alpha.claim())
    approved = await stage.approve(await stage.waiting())
    await execute.execute(stage.world, approved)
    (_, _, serial) = stage.hosts.sent[-1]
    async with stage.db.read() as connection:
        found = (await connection.scalars(select(AUDIT.c.body).where(AUDIT.c.seq == serial))).one()
    assert (json.loads(found)["type"], json.loads(found)["request"]) == ("run_started", approved.id)


@pytest.mark.threat("D22")
async def test_a_failing_command_is_told_with_its_status(stage: Stage) -> None:
    stage.alpha.next_exit = 5
    stage.alpha.next_output = b"Failed to restart.\n"
    after = await stage.run(await stage.waiting())
    assert (after.state, after.exit_status) == (State.FAILED, 5)


@pytest.mark.law(13)
@pytest.mark.threat("E5")
async def test_a_secret_that_the_command_prints_is_not_stored(stage: Stage) -> None:
    stage.alpha.next_output = b"connecting with --password=hunter2\n"
    after = await stage.run(await stage.waiting())
    assert "hunter2" not in (await requests.text(stage.db, after.output_text) or "")


async def test_only_some_may_freeze(stage: Stage) -> None:
    odo = await stage.add("odo", roles=frozenset({Role.AUDITOR}), groups=())
    with pytest.raises(Refused, match="may not use the freeze"):
        await freeze.freeze(stage.world, odo, "all", "Why not.")


@pytest.mark.parametrize("scope", ["", "everything", "host:", "host:-", "host:a b", "service:x", "all:x", "host:Alpha"])
async def test_what_is_no_scope_is_neither_frozen_nor_released(stage: Stage, scope: str) -> None:
    for switch in (freeze.freeze, freeze.release):
        with pytest.raises(Refused) as refused:
            await switch(stage.world, stage.who["cy"], scope, "An incident.")
        assert refused.value.code == "bad_scope"


@pytest.mark.parametrize(
    ("scope", "there"), [("host:alhpa", "It has alpha"), ("environment:producton", "It has production")]
)
async def test_a_slip_of_the_pen_freezes_nothing_and_is_told(stage: Stage, scope: str, there: str) -> None:
    with pytest.raises(NotFound, match="nothing was frozen") as refused:
        await freeze.freeze(stage.world, stage.who["cy"], scope, "An incident.")
    assert refused.value.next_step.startswith(there)
    assert not await freezes.current(stage.db)
