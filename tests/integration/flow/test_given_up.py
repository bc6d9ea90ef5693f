"""A run of which nobody can find out what it did: an admin ends the search, and nothing is called success by that."""

from dataclasses import replace

import pytest

from app.core.errors import Conflict, Refused
from app.core.lifecycle import Request, State
from app.core.policy import Role
from app.core.run import SpoolState
from app.flow import execute
from app.flow.reconcile import give_up
from app.store import requests
from app.store.verify import verify
from tests.fakes.cut import Cut
from tests.integration.flow.conftest import Stage

GONE = "alpha burned down."


@pytest.fixture
async def lost(stage: Stage) -> Request:
    """A run whose line was cut after the gate had started the command; there is an admin, dan."""
    await stage.add("dan", roles=frozenset({Role.ADMIN}))
    approved = await stage.approve(await stage.waiting())
    stage.hosts.cut_at["alpha"] = Cut.AFTER_START
    request = await execute.execute(stage.world, approved)
    assert request.state is State.UNKNOWN
    return request


@pytest.mark.law(12)
async def test_where_the_host_is_gone_an_admin_ends_the_search_and_the_service_can_be_asked_for_again(
    stage: Stage, lost: Request
) -> None:
    stage.hosts.down.add("alpha")
    with pytest.raises(Conflict):
        await stage.ask()
    ended = await give_up(stage.world, stage.who["dan"], lost.id, GONE)
    assert (ended.state, ended.exit_status) == (State.GIVEN_UP, None)
    (*_, event) = await requests.events(stage.db, lost.id)
    assert (event.type, event.by) == ("given_up", stage.who["dan"].id)
    assert await requests.text(stage.db, getattr(event, "reason_text")) == GONE  # noqa: B009 - only this event has it
    assert (await stage.work(ended)).version == ended.version
    assert (await stage.ask()).state is State.OPEN
    assert (await verify(stage.db)).is_whole


@pytest.mark.law(12)
async def test_where_the_name_is_another_machine_s_by_now_that_one_is_not_even_asked(
    stage: Stage, lost: Request
) -> None:
    other = stage.hosts.add("beta")
    stage.hosts.hosts["alpha"] = other
    await stage.register(stage.alpha.claim(), host=replace(stage.alpha.host, host_keys=other.host.host_keys))
    assert (await give_up(stage.world, stage.who["dan"], lost.id, GONE)).state is State.GIVEN_UP
    assert other.spool == {}


@pytest.mark.law(12)
@pytest.mark.parametrize("goes_on", [True, False])
async def test_a_host_that_answers_is_believed_and_nothing_is_given_up(
    stage: Stage, lost: Request, goes_on: bool
) -> None:
    stage.clock.advance(0.1 if goes_on else 5)
    with pytest.raises(Conflict) as refused:
        await give_up(stage.world, stage.who["dan"], lost.id, GONE)
    assert refused.value.code == "host_answers"
    assert ("still running" in refused.value.message) == goes_on
    stage.clock.advance(5)
    assert (await stage.work(lost)).state is State.SUCCEEDED


async def test_a_run_that_never_reached_its_host_is_burned_by_the_asking(stage: Stage, lost: Request) -> None:
    del stage.alpha.spool[lost.id]
    with pytest.raises(Conflict):
        await give_up(stage.world, stage.who["dan"], lost.id, GONE)
    assert stage.alpha.spool[lost.id].state is SpoolState.BURNED
    assert (await stage.work(lost)).state is State.NOT_RUN


@pytest.mark.parametrize("name", ["ada", "bo"])
async def test_only_an_admin_gives_up(stage: Stage, lost: Request, name: str) -> None:
    stage.hosts.down.add("alpha")
    with pytest.raises(Refused) as refused:
        await give_up(stage.world, stage.who[name], lost.id, GONE)
    assert refused.value.code == "not_admin"
    assert (await requests.load(stage.db, lost.id)).version == lost.version


async def test_it_needs_a_reason_and_a_run_that_is_being_looked_for(stage: Stage, lost: Request) -> None:
    stage.hosts.down.add("alpha")
    with pytest.raises(Refused, match="reason"):
        await give_up(stage.world, stage.who["dan"], lost.id, "  ")
    stage.hosts.down.clear()
    stage.clock.advance(5)
    await stage.work(lost)
    with pytest.raises(Conflict, match="is succeeded"):
        await give_up(stage.world, stage.who["dan"], lost.id, GONE)
