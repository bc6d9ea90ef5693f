"""Manual services: a person restarts between two proofs, and a word that it is done is no proof."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from app.core.errors import Refused
from app.core.facts import Facts
from app.core.lifecycle import Request, State
from app.core.policy import Role
from app.flow import by_hand, evidence, freeze
from app.flow.worker import Worker
from app.store import requests, services
from tests.fakes.hosts import FakeHosts
from tests.integration.flow.conftest import Stage


@pytest.fixture
async def approved(stage: Stage) -> Request:
    """A manual service's request, approved."""
    stage.alpha.by_hand(5051)
    claim = replace(stage.alpha.claim(), manager="manual", unit="rbron-by-hand", ports=(5051,))
    await stage.register(claim)
    return await stage.approve(await stage.waiting())


@pytest.fixture
async def handed(stage: Stage, approved: Request) -> Request:
    """The same, handed over to ada."""
    return await stage.work(approved)


def pid(stage: Stage) -> int:
    process = stage.alpha.holder(5051)
    assert process is not None
    return process.pid


@pytest.mark.law(5)
async def test_what_was_replaced_after_the_yes_is_stale_and_handed_to_nobody(stage: Stage, approved: Request) -> None:
    stage.alpha.kill(pid(stage))
    stage.alpha.by_hand(5051)
    assert (await stage.work(approved)).state is State.STALE


@pytest.mark.law(1)
async def test_a_host_that_cannot_be_seen_after_the_yes_is_waited_for(stage: Stage, approved: Request) -> None:
    stage.hosts.down.add("alpha")
    assert (await stage.work(approved)).state is State.APPROVED
    stage.hosts.down.clear()
    stage.clock.advance(5)
    assert (await stage.work(approved)).state is State.RUNNING


class Freezing(FakeHosts):
    """Hosts that take so long to look at that somebody freezes everything meanwhile."""

    freeze: Callable[[], Awaitable[object]]

    async def probe(self, *args: Any, **more: Any) -> Facts:
        seen = await super().probe(*args, **more)
        await self.freeze()
        return seen


async def test_what_is_frozen_while_the_host_is_looked_at_is_not_handed_over_until_it_is_released(
    stage: Stage, approved: Request
) -> None:
    hosts = Freezing(stage.hosts.clock, stage.hosts.hosts)
    hosts.freeze = once(lambda: freeze.freeze(stage.world, stage.who["cy"], "all", "An incident."))
    after = await stage.work(approved, Worker(replace(stage.world, hosts=hosts)))
    assert after.state is State.APPROVED
    await freeze.release(stage.world, stage.who["cy"], "all", "It is over.")
    assert (await stage.work(approved)).state is State.RUNNING


def once(deed: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[object]]:
    left = [deed]

    async def do() -> None:
        if left:
            await left.pop()()

    return do


async def test_it_is_handed_to_whoever_asked_with_a_time_and_proved_once_that_person_says_so(
    stage: Stage, handed: Request
) -> None:
    assert (handed.state, handed.is_by_hand) == (State.RUNNING, True)
    assert (handed.by_hand_of, handed.by_hand_until) == (stage.who["ada"].id, stage.clock.now() + 3600)
    assert (await stage.work(handed)).state is State.RUNNING
    was = pid(stage)
    stage.alpha.kill(was)
    stage.alpha.by_hand(5051)
    said = await by_hand.say_done(stage.world, stage.who["ada"], handed.id)
    assert said.state is State.SETTLING
    after = await stage.work(said)
    assert after.state is State.SUCCEEDED, after.outcome
    assert stage.alpha.spool == {}
    proof = await evidence.of_outcome(stage.db, after)
    assert proof is not None
    assert [line.split()[1] for line in proof.gone if line.startswith("process ")] == [str(was)]
    assert any(line.startswith(f"process {pid(stage)} ") for line in proof.identity)


@pytest.mark.law(11)
async def test_another_machine_by_the_same_name_is_no_sign_that_it_was_restarted(stage: Stage, handed: Request) -> None:
    other = stage.hosts.add("other")
    other.by_hand(5051)
    stage.hosts.hosts["alpha"] = other
    (claim,) = (await services.registry(stage.db)).services
    await stage.register(claim, host=replace(stage.alpha.host, host_keys=other.host.host_keys))
    stage.clock.advance(3600)
    after = await stage.work(handed)
    assert after.state is State.FAILED
    assert "means something else by now than what ran" in after.outcome


async def test_one_that_nobody_restarted_does_not_succeed_by_being_said_so(stage: Stage, handed: Request) -> None:
    said = await by_hand.say_done(stage.world, stage.who["ada"], handed.id)
    after = await stage.work(said)
    assert after.state is State.FAILED
    assert "was not restarted" in after.outcome


@pytest.mark.law(9)
async def test_where_nobody_says_anything_in_time_and_nothing_has_changed_it_was_not_run(
    stage: Stage, handed: Request
) -> None:
    stage.clock.advance(3599)
    assert (await stage.work(handed)).state is State.RUNNING
    stage.clock.advance(1)
    ended = await stage.work(handed)
    assert ended.state is State.NOT_RUN
    assert ended.outcome == "Nobody said within 1 h that it was restarted, and what ran before still runs."


async def test_where_nobody_said_that_it_is_done_and_it_is_the_host_proves_it(stage: Stage, handed: Request) -> None:
    stage.alpha.kill(pid(stage))
    stage.alpha.by_hand(5051)
    stage.clock.advance(3600)
    ended = await stage.work(handed)
    assert ended.state is State.SUCCEEDED, ended.outcome
    assert [event.type for event in await requests.events(stage.db, ended.id)][-2:] == ["run_ended", "settled"]
    (word,) = [event for event in await requests.events(stage.db, ended.id) if event.type == "run_ended"]
    assert word.by == "askfirst"


async def test_after_a_boot_the_same_pid_and_start_time_are_another_process(stage: Stage, handed: Request) -> None:
    was = stage.alpha.processes[pid(stage)]
    stage.alpha.reboot()
    now = stage.alpha.processes[stage.alpha.by_hand(5051)]
    now.start = was.start
    assert now.pid == was.pid
    stage.clock.advance(3600)
    ended = await stage.work(handed)
    assert ended.state is State.SUCCEEDED, ended.outcome


async def test_a_host_that_does_not_answer_when_the_time_is_up_is_no_end_that_says_nothing_was_run(
    stage: Stage, handed: Request
) -> None:
    stage.hosts.down.add("alpha")
    stage.clock.advance(3600)
    ended = await stage.work(handed)
    assert ended.state is State.FAILED
    assert "could not be seen" in ended.outcome


async def test_only_who_takes_part_in_restarts_can_say_that_it_is_done(stage: Stage, handed: Request) -> None:
    await stage.add("eve", roles=frozenset({Role.AUDITOR}))
    with pytest.raises(Refused, match="no part in restarts"):
        await by_hand.say_done(stage.world, stage.who["eve"], handed.id)
    await by_hand.say_done(stage.world, stage.who["cy"], handed.id)  # a colleague may have done it; the log says who
    with pytest.raises(Refused, match="Nobody is restarting this"):
        await by_hand.say_done(stage.world, stage.who["ada"], handed.id)
