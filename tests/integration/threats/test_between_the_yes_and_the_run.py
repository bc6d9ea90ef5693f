"""What happens in the moments between a yes, the claim, the run and its end: rights, registry, spool, clock."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pytest

from app.core.errors import Conflict, Lost, Refused
from app.core.events import RunRefused
from app.core.lifecycle import State
from app.core.policy import Policy, Role
from app.core.registry import Registry, difference
from app.core.run import Progress, SpoolState, Started
from app.core.service import Host, Service
from app.flow import ask, decide, execute, freeze, people, prove
from app.flow.ids import new_id
from app.flow.ports import World
from app.flow.reconcile import reconcile
from app.flow.worker import Worker
from app.store import requests, services
from app.store.engine import Database
from app.store.log import Tx
from tests.fakes.clock import FakeClock
from tests.fakes.cut import Cut
from tests.fakes.host import FakeHost, Run
from tests.fakes.hosts import FakeHosts
from tests.integration.flow.conftest import Stage

T = TypeVar("T")
UNIT = "lab:pypnm-gui"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meddled(Database):
    """The real database; something else is written just before the next write of whoever holds this one."""

    first: list[Callable[[], Awaitable[None]]]

    async def write(self, change: Callable[[Tx], Awaitable[T]]) -> T:
        if self.first:
            await self.first.pop()()
        return await Database.write(self, change)


def meddled(world: World, first: Callable[[], Awaitable[None]]) -> World:
    return replace(
        world, db=Meddled(engine=world.db.engine, writer=world.db.writer, guard=world.db.guard, first=[first])
    )


async def entries(stage: Stage, *hosts: Host, of: Sequence[Service] | None = None) -> None:
    """Make the registry hold these hosts, and the services as they are unless others are given."""
    current = await services.registry(stage.db)
    kept = current.services if of is None else tuple(of)
    wanted = Registry(hosts, kept, current.policies)
    now = stage.clock.now()
    await services.apply(
        stage.db,
        difference(current, wanted),
        by="setup",
        at=now,
        event_id=new_id(now),
        base_revision=current.revision,
    )


async def lose_a_right(stage: Stage, name: str, roles: Sequence[Role], groups: Sequence[str]) -> None:
    admin = await stage.add("root", roles=frozenset({Role.ADMIN}), groups=())
    await people.set_rights(stage.world, admin, stage.who[name].id, roles, groups, is_enabled=True)


@pytest.mark.law(10)
async def test_a_freeze_that_is_written_before_the_claim_holds_although_the_worker_looked_before(stage: Stage) -> None:
    approved = await stage.approve(await stage.waiting())

    async def freeze_now() -> None:
        await freeze.freeze(stage.world, stage.who["cy"], "all", "An incident.")

    after = await execute.execute(meddled(stage.world, freeze_now), approved)
    assert (after.state, stage.alpha.runs()) == (State.APPROVED, 0)
    assert (await stage.work(after)).state is State.APPROVED
    await freeze.release(stage.world, stage.who["cy"], "all", "It is over.")
    assert ((await stage.work(after)).state, stage.alpha.runs()) == (State.SUCCEEDED, 1)


@pytest.mark.threat("A14")
@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize(("roles", "groups"), [([Role.REQUESTER], ["lab-team"]), ([Role.APPROVER], ["others"])])
async def test_a_yes_ends_with_the_right_to_say_it(
    stage: Stage, roles: list[Role], groups: list[str], is_late: bool
) -> None:
    approved = await stage.approve(await stage.waiting())

    async def lose() -> None:
        await lose_a_right(stage, "bo", roles, groups)

    if is_late:
        after = await execute.execute(meddled(stage.world, lose), approved)
    else:
        await lose()
        after = await stage.work(approved)
    assert (after.state, stage.alpha.runs()) == (State.STALE, 0)


@pytest.mark.threat("B9")
@pytest.mark.threat("K1")
@pytest.mark.parametrize("what", ["service", "host", "policy", "gone"])
async def test_what_of_the_registry_changed_before_the_claim_runs_nothing(stage: Stage, what: str) -> None:
    approved = await stage.approve(await stage.waiting())
    claim = (await services.registry(stage.db)).services[0]

    async def change() -> None:
        match what:
            case "service":
                await entries(stage, stage.alpha.host, of=[replace(claim, settle_seconds=6.0)])
            case "host":
                await entries(stage, replace(stage.alpha.host, address="elsewhere.example"))
            case "policy":
                await stage.register(claim, approvers=2)
            case "gone":
                await entries(stage, stage.alpha.host, of=[])

    after = await execute.execute(meddled(stage.world, change), approved)
    assert (after.state, stage.alpha.spool) == (State.STALE, {})


@pytest.mark.threat("K3")
@pytest.mark.threat("K5")
@pytest.mark.threat("T17")
@pytest.mark.parametrize("state", [State.OPEN, State.WAITING, State.APPROVED])
async def test_a_request_ends_where_its_service_was_taken_out(stage: Stage, state: State) -> None:
    request = await stage.ask()
    if state is not State.OPEN:
        request = await ask.prove(stage.world, request)
    if state is State.APPROVED:
        request = await stage.approve(request)
    await entries(stage, stage.alpha.host, of=[])
    stage.clock.advance(31)
    worker = Worker(stage.world)
    await worker.once()
    stage.clock.advance(31)
    await worker.once()
    after = await requests.load(stage.db, request.id)
    assert after.state is (State.CANCELLED if state is State.OPEN else State.STALE)
    assert stage.alpha.spool == {}


@pytest.mark.law(12)
@pytest.mark.threat("G3")
async def test_a_warrant_that_was_spent_before_is_read_and_not_called_not_run(stage: Stage) -> None:
    """As after a database that was put back from a copy: to it the yes looks unused."""
    approved = await stage.approve(await stage.waiting())
    stage.alpha.spool[approved.id] = Run(SpoolState.EXITED, UNIT, 0.0, 3, b"Failed.\n")
    after = await stage.work(approved)
    assert (after.state, after.exit_status, stage.alpha.runs()) == (State.FAILED, 3, 1)


class Accounts(FakeHosts):
    """Hosts whose spools are each account's own, as a gate's without sudo are."""

    def __init__(self, hosts: FakeHosts, by: dict[str, dict[str, Run]]) -> None:
        super().__init__(hosts.clock, hosts.hosts, hosts.cut_at, hosts.down)
        self.by = by

    async def _reach(self, host: Host, via: Sequence[Host]) -> FakeHost:
        there = await super()._reach(host, via)
        there.spool = self.by.setdefault(f"{host.user} {host.sudo}", {})
        return there


@pytest.mark.law(12)
@pytest.mark.parametrize("change", [{"user": "other"}, {"sudo": True}])
async def test_a_lost_run_is_looked_for_in_the_spool_of_the_account_that_it_ran_as(
    stage: Stage, change: dict[str, object]
) -> None:
    spools: dict[str, dict[str, Run]] = {}
    world = replace(stage.world, hosts=Accounts(stage.hosts, spools))
    approved = await stage.approve(await stage.waiting())
    stage.hosts.cut_at["alpha"] = Cut.AFTER_START
    lost = await execute.execute(world, approved)
    assert lost.state is State.UNKNOWN
    await entries(stage, replace(stage.alpha.host, **change))  # type: ignore[arg-type]
    stage.clock.advance(5)
    after = await reconcile(world, lost)
    assert (after.state, after.exit_status) == (State.SETTLING, 0)


@pytest.mark.law(12)
@pytest.mark.threat("C11")
async def test_another_machine_that_was_given_the_hosts_name_is_not_asked_what_became_of_a_run(stage: Stage) -> None:
    approved = await stage.approve(await stage.waiting())
    stage.hosts.cut_at["alpha"] = Cut.AFTER_START
    lost = await execute.execute(stage.world, approved)
    other = stage.hosts.add("beta")
    stage.hosts.hosts["alpha"] = other
    await entries(stage, replace(stage.alpha.host, host_keys=other.host.host_keys))
    stage.clock.advance(5)
    assert (await reconcile(stage.world, lost)).state is State.UNKNOWN
    assert other.spool == {}, "it was not even burned there"


@pytest.mark.threat("C13")
@pytest.mark.parametrize("what", ["replaced", "down"])
async def test_a_fresh_look_that_saw_something_else_is_no_fresh_proof(stage: Stage, what: str) -> None:
    waiting = await stage.waiting()
    if what == "replaced":
        stage.alpha.replace(UNIT)
    else:
        stage.alpha.kill(stage.alpha.programs[UNIT].pid or 0)
    registry = await services.registry(stage.db)
    stage.clock.advance(5)
    await prove.remember(stage.world, await prove.look(stage.world, registry, registry.services[0]))
    with pytest.raises(Conflict):
        await stage.approve(waiting)
    assert (await requests.load(stage.db, waiting.id)).state is State.STALE


@pytest.mark.threat("C13")
async def test_an_old_proof_is_taken_again_at_the_click(stage: Stage) -> None:
    waiting = await stage.waiting()
    stage.clock.advance(121)
    probes = len(stage.hosts.probes)
    assert (await stage.approve(waiting)).state is State.APPROVED
    assert len(stage.hosts.probes) == probes + 1


@pytest.mark.law(12)
@pytest.mark.threat("D21")
async def test_a_run_that_began_is_not_cancelled(stage: Stage) -> None:
    seen: list[str] = []

    class Cancelling(FakeHosts):
        async def restart(
            self, host: Host, warrant: str, via: Sequence[Host] = (), **more: Any
        ) -> AsyncIterator[Progress]:
            async for progress in super().restart(host, warrant, via, **more):
                if isinstance(progress, Started):
                    with pytest.raises(Conflict) as caught:
                        await decide.cancel(stage.world, stage.who["ada"], approved.id)
                    seen.append(caught.value.code)
                yield progress

    approved = await stage.approve(await stage.waiting())
    world = replace(stage.world, hosts=Cancelling(stage.clock, stage.hosts.hosts))
    assert (await execute.execute(world, approved)).state is State.SETTLING
    assert (seen, stage.alpha.runs()) == (["too_late"], 1)


@pytest.mark.threat("B13")
async def test_what_has_ended_is_not_run_again_and_a_new_request_needs_a_new_yes(stage: Stage) -> None:
    done = await stage.run(await stage.waiting())
    assert done.state is State.SUCCEEDED
    with pytest.raises(Conflict):
        await stage.approve(done)
    with pytest.raises(Refused):
        await execute.execute(stage.world, done)
    stage.clock.advance(1)
    again = await stage.waiting()
    assert again.digest != done.digest
    assert (again.state, again.approvals, stage.alpha.runs()) == (State.WAITING, (), 1)


@pytest.mark.law(3)
async def test_a_proof_that_no_warrant_can_be_made_of_blocks_and_is_not_tried_for_ever(stage: Stage) -> None:
    """A host whose identity lines are not words with one blank between them: no warrant can hold them."""

    class Odd(FakeHosts):
        async def _reach(self, host: Host, via: Sequence[Host]) -> FakeHost:
            there = await super()._reach(host, via)
            there.boot = "a  b"
            return there

    world = replace(stage.world, hosts=Odd(stage.clock, stage.hosts.hosts))
    blocked = await ask.prove(world, await stage.ask())
    assert (blocked.state, blocked.verdict) == (State.BLOCKED, "BLIND")


@pytest.mark.law(9)
async def test_a_request_whose_proof_fails_for_ever_ends_by_itself(stage: Stage) -> None:
    class Broken(FakeHosts):
        async def _reach(self, host: Host, via: Sequence[Host]) -> FakeHost:
            raise RuntimeError("a fault of ours")

    worker = Worker(replace(stage.world, hosts=Broken(stage.clock, stage.hosts.hosts)))
    request = await stage.ask()
    for _ in range(4):
        await worker.once()
        stage.clock.advance(301)
    assert (await requests.load(stage.db, request.id)).state is State.EXPIRED


@pytest.mark.threat("F11")
async def test_a_clock_that_was_set_back_gives_no_yes_more_time(stage: Stage) -> None:
    waiting = await stage.waiting()
    stage.clock.advance(waiting.not_after - stage.clock.now() + 1)
    ended = await stage.work(waiting)
    stage.clock.set(-3600)
    with pytest.raises(Conflict):
        await stage.approve(waiting)
    assert ended.state is State.EXPIRED


@pytest.mark.law(9)
async def test_a_host_by_whose_clock_the_yes_is_over_runs_nothing_and_both_times_are_told(stage: Stage) -> None:
    approved = await stage.approve(await stage.waiting())
    stage.alpha.clock = FakeClock(stage.clock.now() + 3600)
    after = await stage.work(approved)
    assert (after.state, stage.alpha.runs()) == (State.NOT_RUN, 0)
    last = (await requests.events(stage.db, approved.id))[-1]
    assert isinstance(last, RunRefused)
    assert re.search(r"held until 20\S+Z, and this host's clock says 20\S+Z", last.why)


@pytest.mark.law(12)
async def test_a_fault_of_ours_in_mid_run_is_settled_by_what_the_host_kept(stage: Stage) -> None:
    class Faulty(FakeHosts):
        async def restart(
            self, host: Host, warrant: str, via: Sequence[Host] = (), **more: Any
        ) -> AsyncIterator[Progress]:
            async for progress in super().restart(host, warrant, via, **more):
                yield progress
                raise RuntimeError("nobody foresaw this")

    approved = await stage.approve(await stage.waiting())
    worker = Worker(replace(stage.world, hosts=Faulty(stage.clock, stage.hosts.hosts)))
    after = approved
    for _ in range(5):
        after = await stage.work(approved, worker)
        stage.clock.advance(3)
    assert (after.state, stage.alpha.runs()) == (State.SUCCEEDED, 1)


@pytest.mark.law(12)
@pytest.mark.parametrize("error", [Lost("gone", next_step="wait"), RuntimeError("a fault")])
async def test_no_error_after_the_warrant_was_sent_is_called_not_run(stage: Stage, error: Exception) -> None:
    class Silent(FakeHosts):
        async def restart(
            self, host: Host, warrant: str, via: Sequence[Host] = (), **more: Any
        ) -> AsyncIterator[Progress]:
            run = (await self._reach(host, via)).spend(warrant)
            if isinstance(run, Run):
                raise error
            yield run

    approved = await stage.approve(await stage.waiting())
    worker = Worker(replace(stage.world, hosts=Silent(stage.clock, stage.hosts.hosts)))
    after = approved
    for _ in range(6):
        after = await stage.work(approved, worker)
        stage.clock.advance(3)
    assert (after.state, stage.alpha.runs()) == (State.SUCCEEDED, 1)


@pytest.mark.threat("B10")
async def test_who_left_the_group_and_came_back_joined_anew(stage: Stage) -> None:
    waiting = await stage.waiting()
    admin = await stage.add("root", roles=frozenset({Role.ADMIN}), groups=())
    stage.clock.advance(1)
    for groups in ([], ["lab-team"]):
        await people.set_rights(stage.world, admin, stage.who["bo"].id, stage.who["bo"].roles, groups, is_enabled=True)
        stage.clock.advance(1)
    with pytest.raises(Refused, match="joined the group after"):
        await stage.approve(waiting)


@pytest.mark.law(9)
async def test_a_policy_of_nobody_lets_nothing_be_asked(stage: Stage) -> None:
    claim = (await services.registry(stage.db)).services[0]
    await stage.register(claim, groups=())
    with pytest.raises(Refused, match="No policy"):
        await stage.ask()
    assert Policy(environment="production").groups == ()
