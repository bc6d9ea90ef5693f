"""The one guard on the way to an approval, over the real store: who, when, to what."""

import asyncio

import pytest

from app.core.errors import Conflict, Refused
from app.core.lifecycle import State
from app.core.policy import Attempt, Role, Via
from app.flow import decide, people
from app.store import requests
from tests.integration.flow.conftest import Stage


async def _refused(stage: Stage, attempt: Attempt, request_id: str) -> str:
    before = (await requests.load(stage.db, request_id)).version
    with pytest.raises(Refused) as caught:
        await decide.approve(stage.world, attempt, request_id)
    assert (await requests.load(stage.db, request_id)).version == before
    return caught.value.code


@pytest.mark.law(7)
@pytest.mark.threat("B1")
async def test_nobody_approves_their_own_not_even_with_every_role(stage: Stage) -> None:
    await stage.add("rae", roles=frozenset(Role))
    waiting = await stage.waiting("rae")
    attempt = Attempt(stage.who["rae"], Via.SESSION, stage.clock.now(), waiting.digest)
    assert await _refused(stage, attempt, waiting.id) == "own_request"


@pytest.mark.law(7)
@pytest.mark.threat("B2")
async def test_a_second_account_of_the_same_human_is_the_same_human(stage: Stage) -> None:
    twin = await stage.add("ada2", human=stage.who["ada"].human)
    waiting = await stage.waiting("ada")
    attempt = Attempt(twin, Via.SESSION, stage.clock.now(), waiting.digest)
    assert await _refused(stage, attempt, waiting.id) == "own_request"


@pytest.mark.law(8)
async def test_no_token_approves_or_denies(stage: Stage) -> None:
    waiting = await stage.waiting()
    attempt = Attempt(stage.who["bo"], Via.TOKEN, stage.clock.now(), waiting.digest)
    assert await _refused(stage, attempt, waiting.id) == "token"
    with pytest.raises(Refused):
        await decide.deny(stage.world, stage.who["bo"], Via.TOKEN, waiting.id, digest=waiting.digest, reason="no")


@pytest.mark.law(5)
@pytest.mark.threat("B4")
@pytest.mark.parametrize("digest", ["", "0" * 64, "upper", "other"])
async def test_a_yes_names_this_very_warrant(stage: Stage, digest: str) -> None:
    waiting = await stage.waiting()
    given = {"upper": waiting.digest.upper(), "other": waiting.digest[::-1]}.get(digest, digest)
    attempt = Attempt(stage.who["bo"], Via.SESSION, stage.clock.now(), given)
    assert await _refused(stage, attempt, waiting.id) == "digest_differs"


@pytest.mark.threat("A3")
async def test_a_sign_in_that_is_too_old_has_to_be_renewed(stage: Stage) -> None:
    waiting = await stage.waiting()
    attempt = Attempt(stage.who["bo"], Via.SESSION, stage.clock.now() - 301, waiting.digest)
    assert await _refused(stage, attempt, waiting.id) == "step_up_required"


@pytest.mark.law(9)
async def test_silence_is_never_yes(stage: Stage) -> None:
    waiting = await stage.waiting()
    stage.clock.advance(901)
    ended = await stage.work(waiting)
    assert ended.state is State.EXPIRED
    with pytest.raises(Conflict):
        await stage.approve(waiting)
    assert stage.alpha.runs() == 0


@pytest.mark.law(9)
@pytest.mark.threat("B8")
async def test_a_yes_in_time_does_not_run_out_of_time(stage: Stage) -> None:
    waiting = await stage.waiting()
    stage.clock.advance(waiting.not_after - stage.clock.now() - 1)
    approved = await stage.approve(waiting)
    stage.clock.advance(2)
    assert (await stage.work(approved)).state is State.EXPIRED
    assert stage.alpha.runs() == 0


@pytest.mark.threat("B10")
async def test_two_of_a_group_are_two_people_and_joined_before_it_was_asked(stage: Stage) -> None:
    await stage.register(stage.alpha.claim(), approvers=2)
    waiting = await stage.waiting()
    stage.clock.advance(1)
    late = await stage.add("late")
    once = await stage.approve(waiting, "bo")
    assert once.state is State.WAITING
    again = Attempt(stage.who["bo"], Via.SESSION, stage.clock.now(), waiting.digest)
    assert await _refused(stage, again, waiting.id) == "already_approved"
    newcomer = Attempt(late, Via.SESSION, stage.clock.now(), waiting.digest)
    assert await _refused(stage, newcomer, waiting.id) == "joined_later"
    assert (await stage.approve(waiting, "cy")).state is State.APPROVED


@pytest.mark.threat("B9")
async def test_a_policy_that_was_loosened_while_it_waited_voids_it(stage: Stage) -> None:
    await stage.register(stage.alpha.claim(), approvers=2)
    waiting = await stage.waiting()
    await stage.register(stage.alpha.claim(), approvers=1)
    with pytest.raises(Conflict):
        await stage.approve(waiting)
    assert (await requests.load(stage.db, waiting.id)).state is State.STALE


@pytest.mark.threat("A14")
async def test_an_approver_who_was_disabled_before_the_run_takes_the_yes_along(stage: Stage) -> None:
    approved = await stage.approve(await stage.waiting())
    admin = await stage.add("root", roles=frozenset({Role.ADMIN}), groups=())
    await people.set_rights(
        stage.world, admin, stage.who["bo"].id, stage.who["bo"].roles, ["lab-team"], is_enabled=False
    )
    after = await stage.work(approved)
    assert after.state is State.STALE
    assert stage.alpha.runs() == 0


async def test_a_stranger_s_yes_does_not_even_reach_the_host(stage: Stage) -> None:
    odo = await stage.add("odo", roles=frozenset({Role.AUDITOR}), groups=())
    waiting = await stage.waiting()
    stage.clock.advance(200)
    probes = len(stage.hosts.probes)
    attempt = Attempt(odo, Via.SESSION, stage.clock.now(), waiting.digest)
    assert await _refused(stage, attempt, waiting.id) == "not_approver"
    assert len(stage.hosts.probes) == probes


async def test_what_a_session_remembers_of_roles_does_not_count(stage: Stage) -> None:
    waiting = await stage.waiting()
    admin = await stage.add("root", roles=frozenset({Role.ADMIN}), groups=())
    await people.set_rights(stage.world, admin, stage.who["bo"].id, [Role.REQUESTER], ["lab-team"], is_enabled=True)
    attempt = Attempt(stage.who["bo"], Via.SESSION, stage.clock.now(), waiting.digest)
    assert await _refused(stage, attempt, waiting.id) == "not_approver"


async def test_everybody_is_told_whether_they_could_and_why_not(stage: Stage) -> None:
    await stage.add("odo", roles=frozenset({Role.AUDITOR}), groups=())
    waiting = await stage.waiting()
    said = await decide.could_approve(stage.world, waiting)
    codes = {account.email.split("@")[0]: refusal.code if refusal else None for account, refusal in said}
    assert codes == {"ada": "own_request", "bo": None, "cy": None, "odo": "not_approver"}


@pytest.mark.law(6)
@pytest.mark.threat("G1")
async def test_many_clicks_at_once_are_one_decision(stage: Stage) -> None:
    waiting = await stage.waiting()
    results = await asyncio.gather(
        *(stage.approve(waiting, "bo") for _ in range(10)),
        *(stage.approve(waiting, "cy") for _ in range(10)),
        return_exceptions=True,
    )
    won = [each for each in results if not isinstance(each, BaseException)]
    assert len(won) == 1
    assert all(isinstance(each, Conflict) for each in results if isinstance(each, BaseException))
    assert len((await requests.load(stage.db, waiting.id)).approvals) == 1
