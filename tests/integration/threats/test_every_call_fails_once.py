"""The whole main path, with each single call to the store or to the host failing once, in four ways.

Whatever fails, the rules of the faults hold afterwards: at most one run of one yes, which was another human's; nothing
leaves an end; the log is whole and every table is what it says; and the request comes to an end that is true: one that
says "not run" has not run, and one that ran is not given up.
"""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from app.core.errors import AskfirstError, Conflict
from app.core.events import Approved
from app.core.lifecycle import ENDED, Request, State, fold
from app.core.policy import Attempt, Via
from app.flow import ask, decide
from app.flow.ports import World
from app.flow.worker import Worker
from app.store import requests
from app.store.verify import verify
from tests.integration.databases import Databases
from tests.integration.flow.conftest import Stage, staged
from tests.integration.threats.faults import Fault, How, Killed, faulty

TRUE_ENDS = {State.SUCCEEDED, State.NOT_RUN, State.BLOCKED, State.STALE}


async def _ask(stage: Stage, world: World) -> Request:
    """Ask as a program does: with a key, again where there was no answer."""
    for _ in range(3):
        try:
            return await ask.ask(world, stage.who["ada"], "pypnm-gui", "The fix is pulled.", key="one")
        except (AskfirstError, Killed):
            stage.clock.advance(1)
    raise AssertionError("only one call fails")


async def _approve(stage: Stage, world: World, request: Request) -> None:
    """Click, and click again where the page said that it was not recorded."""
    for _ in range(3):
        try:
            await decide.approve(
                world, Attempt(stage.who["bo"], Via.SESSION, stage.clock.now(), request.digest), request.id
            )
        except Conflict:
            return
        except (AskfirstError, Killed):
            stage.clock.advance(1)
        else:
            return


async def _work(stage: Stage, world: World, request_id: str, until: frozenset[State], name: str) -> Request:
    """Let a worker go on; the one that is killed is followed by another."""
    worker, rounds = Worker(replace(world, worker=name)), 0
    others = asyncio.all_tasks()
    while True:
        try:
            if rounds == 0:
                await worker.adopt()
            await worker.once()
        except (AskfirstError, Killed):
            await _end(asyncio.all_tasks() - others)
            name += "+"
            worker, rounds = Worker(replace(world, worker=name)), -1
        request = await requests.load(stage.db, request_id)
        if request.state in until or rounds == 12:
            return request
        stage.clock.advance(1.5)
        rounds += 1


async def _end(tasks: set[asyncio.Task[Any]]) -> None:
    """With a process all that it was doing ends, the steps beside the one that was struck too."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _live(stage: Stage, fault: Fault) -> Request:
    world = faulty(stage.world, fault)
    request = await _ask(stage, world)
    request = await _work(stage, world, request.id, ENDED | {State.WAITING}, "one")
    if request.state is State.WAITING:
        await _approve(stage, world, request)
        request = await _work(stage, world, request.id, ENDED, "two")
    return request


async def _hold(stage: Stage, request: Request, fault: Fault) -> None:
    """Hold what has to be true of every end."""
    what = (fault.how, fault.struck, request.state, request.outcome)
    events = await requests.events(stage.db, request.id)
    runs = stage.alpha.runs()
    assert request.state in TRUE_ENDS, what
    assert runs == (1 if request.state is State.SUCCEEDED else 0), what
    assert [event.type for event in events].count("run_started") <= 1, what
    assert all(event.human != request.requester_human for event in events if isinstance(event, Approved)), what
    assert not any(fold(request.id, events[:length]).state in ENDED for length in range(1, len(events))), what
    assert (await verify(stage.db)).is_whole, what


async def _each_call(databases: Databases, how: How) -> None:
    """Fail every call once, each on a stage of its own."""
    struck: list[str] = []
    for number in range(1, 500):
        fault = Fault(number, how)
        url = databases.place()
        async with staged(url, databases) as stage:
            request = await asyncio.wait_for(_live(stage, fault), 30)
            await _hold(stage, request, fault)
        databases.drop(url)
        if not fault.struck:
            break
        struck.append(fault.struck)
    assert {"write", "probe", "check", "restart", "restart: Started", "restart: Exited"} <= set(struck)
    assert struck.count("write") == 10  # asked, proved, approved, …: a test that struck fewer would prove less


@pytest.mark.law(6)
@pytest.mark.law(10)
@pytest.mark.law(12)
@pytest.mark.threat("F5")
@pytest.mark.threat("G4")
@pytest.mark.threat("T1")
@pytest.mark.threat("T2")
@pytest.mark.threat("T3")
@pytest.mark.threat("T5")
@pytest.mark.threat("T7")
@pytest.mark.threat("T8")
@pytest.mark.threat("T9")
@pytest.mark.threat("T11")
@pytest.mark.threat("T12")
@pytest.mark.threat("T13")
@pytest.mark.threat("T14")
@pytest.mark.threat("T15")
@pytest.mark.only("sqlite")
@pytest.mark.parametrize("how", list(How))
async def test_whatever_call_fails_once_the_end_is_true_and_nothing_ran_twice(databases: Databases, how: How) -> None:
    await _each_call(databases, how)


@pytest.mark.only("postgresql")
@pytest.mark.threat("G4")
async def test_an_answer_that_is_lost_once_makes_no_second_run_on_a_server_either(databases: Databases) -> None:
    await _each_call(databases, How.UNACKNOWLEDGED)
