"""What became of a run is found out about what ran, whatever the registry, the clock or the host say meanwhile."""

from dataclasses import replace
from typing import Any

import pytest

from app.core.errors import Conflict
from app.core.lifecycle import Request, State
from app.core.registry import Registry, difference
from app.core.service import Host, Service
from app.flow import decide, execute
from app.flow.ids import new_id
from app.flow.ports import World
from app.flow.worker import Worker
from app.store import leases, requests, services
from tests.fakes.cut import Cut
from tests.integration.flow.conftest import FIXED, PATH, Stage

UNIT = "lab:pypnm-gui"


async def enter(stage: Stage, *hosts: Host, **change: Any) -> None:
    """Have editors change the one service, and which hosts there are."""
    current = await services.registry(stage.db)
    (before,) = current.services
    claim: Service = replace(before, **change)
    now = stage.clock.now()
    wanted = Registry(hosts or current.hosts, (claim,), current.policies)
    changes = difference(current, wanted)
    await services.apply(stage.db, changes, by="setup", at=now, event_id=new_id(now), base_revision=current.revision)


async def lost(stage: Stage) -> Request:
    """A run that was lost in the middle, after which the program does not come back."""
    approved = await stage.approve(await stage.waiting())
    stage.hosts.cut_at["alpha"] = Cut.AFTER_START
    stage.alpha.programs[UNIT].comes_back = False
    assert (await execute.execute(stage.world, approved)).state is State.UNKNOWN
    return approved


@pytest.mark.law(11)
@pytest.mark.parametrize("moved", ["to another host", "to another unit"])
async def test_a_service_that_was_moved_meanwhile_is_no_sign_that_what_ran_came_back(stage: Stage, moved: str) -> None:
    approved = await lost(stage)
    if moved == "to another host":
        beta = stage.hosts.add("beta")
        beta.supervise()
        beta.pull(PATH, FIXED)
        beta.replace(UNIT)
        await enter(stage, stage.alpha.host, beta.host, host="beta")
    else:
        stage.alpha.supervise("lab:other", port=5060, document=FIXED)
        await enter(stage, unit="lab:other", ports=(5060,), checks=())
    stage.clock.advance(30)
    after = await stage.work(approved)
    assert after.state is State.FAILED
    assert "means something else by now than what ran" in after.outcome


@pytest.mark.law(11)
async def test_another_machine_by_the_same_name_is_no_sign_that_what_ran_came_back(stage: Stage) -> None:
    stage.alpha.programs[UNIT].comes_back = False
    ran = await execute.execute(stage.world, await stage.approve(await stage.waiting()))
    assert ran.state is State.SETTLING
    other = stage.hosts.add("other")
    other.supervise()
    other.pull(PATH, FIXED)
    other.replace(UNIT)
    stage.hosts.hosts["alpha"] = other
    await enter(stage, replace(stage.alpha.host, host_keys=other.host.host_keys))
    after = await stage.work(ran)
    assert after.state is State.FAILED
    assert "means something else by now than what ran" in after.outcome


@pytest.mark.law(11)
async def test_a_host_whose_keys_were_taken_away_meanwhile_keeps_no_request_settling_for_ever(stage: Stage) -> None:
    ran = await execute.execute(stage.world, await stage.approve(await stage.waiting()))
    await enter(stage, replace(stage.alpha.host, host_keys=()))
    after = await stage.work(ran)
    assert after.state is State.FAILED
    assert "means something else by now than what ran" in after.outcome


@pytest.mark.law(13)
async def test_a_host_that_says_what_no_gate_writes_does_not_keep_a_request_settling_for_ever(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.register(replace(stage.alpha.claim(), user=None, checks=()))
    approved = await stage.approve(await stage.waiting())
    kind, plain = type(stage.alpha), type(stage.alpha)._identity  # noqa: SLF001 - the host lies once something ran

    def lies(self: Any, unit: str) -> tuple[str, ...]:
        lines = plain(self, unit)
        return tuple(f"{line}\udcff" if self.runs() and line.startswith("process ") else line for line in lines)

    monkeypatch.setattr(kind, "_identity", lies)
    after = await stage.work(approved)
    assert (after.state, stage.alpha.runs()) == (State.FAILED, 1)


@pytest.mark.law(9)
@pytest.mark.threat("B8")
async def test_a_run_whose_machine_stood_still_after_the_claim_until_it_was_over_is_not_begun(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    approved = await stage.approve(await stage.waiting())
    claim = execute._claim  # noqa: SLF001 - the moment that nothing else can hit

    async def stands_still(world: World, request: Request) -> Request | None:
        claimed = await claim(world, request)
        stage.clock.advance(3600)
        return claimed

    monkeypatch.setattr(execute, "_claim", stands_still)
    after = await execute.execute(stage.world, approved)
    assert (after.state, stage.alpha.spool) == (State.NOT_RUN, {})


@pytest.mark.threat("T20")
async def test_a_worker_told_to_stop_while_it_took_leases_gives_them_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    approved = await stage.approve(await stage.waiting())
    worker, take = Worker(stage.world), leases.take

    async def stopped_meanwhile(*about: Any, **more: Any) -> list[leases.Lease]:
        got = await take(*about, **more)
        worker.stop()
        return got

    monkeypatch.setattr(leases, "take", stopped_meanwhile)
    await worker.once()
    assert (await requests.load(stage.db, approved.id)).state is State.APPROVED
    assert await leases.held(stage.db, stage.clock.now()) == set()


async def test_what_runs_cannot_be_cancelled_and_nobody_is_told_that_it_ended(stage: Stage) -> None:
    approved = await stage.approve(await stage.waiting())
    stage.hosts.cut_at["alpha"] = Cut.AFTER_START
    assert (await execute.execute(stage.world, approved)).state is State.UNKNOWN
    with pytest.raises(Conflict) as refused:
        await decide.cancel(stage.world, stage.who["ada"], approved.id)
    assert refused.value.next_step == "It is under way; its page shows what is known of it."
