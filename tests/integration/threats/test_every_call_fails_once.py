"""Every way that a request can go, with each single call to the store or to the host failing once, in four ways.

Whatever fails, the rules of the faults hold afterwards: at most one run of one yes, which was another human's; nothing
leaves an end; the log is whole and every table is what it says; and the request comes to an end that is true: one that
says "not run" has not run, and one that ran is not given up. The main path calls nothing else: no file but the
database's own.
"""

import asyncio
from collections import Counter

import pytest

from app.core.events import Approved
from app.core.lifecycle import ENDED, Request, State, fold
from app.core.run import SpoolState
from app.store import requests
from app.store.verify import verify
from tests.integration.databases import Databases
from tests.integration.flow.conftest import Stage, staged
from tests.integration.threats.faults import AFTERWARDS, Fault, How
from tests.integration.threats.scenes import SCENES, Play, Scene, next_day, prepare

MOST = 500  # no way makes so many calls: whoever counts to it has lost count of them

# Less than this struck would prove less: how often the way at least reads and writes, and what else it calls.
LEAST = {
    "run": (40, 14, {"probe", "check", "restart", "restart: Started", "restart: Output", "restart: Exited"}),
    "denied": (20, 6, {"probe", "check"}),
    "cancelled": (20, 6, {"probe", "check"}),
    "expired": (20, 6, {"probe", "check"}),
    "stale": (35, 8, {"probe", "check", "restart", "restart: Differs"}),
    "burned": (35, 12, {"probe", "check", "restart", "burn"}),
    "read": (40, 12, {"probe", "check", "restart", "restart: Started", "restart: Output", "burn"}),
    "by hand": (40, 12, {"probe"}),
}
# What has no answer that could be lost: what ends a run is the last that is heard of it, and a line that breaks by
# itself before it has brought one.
UNANSWERED = {"run": {"restart: Exited"}, "stale": {"restart: Differs"}, "burned": {"restart"}}


async def _hold(stage: Stage, scene: Scene, request: Request, fault: Fault) -> None:
    """Hold what has to be true of every end."""
    what = (fault.how, fault.at, fault.struck, request.state, request.outcome)
    events = await requests.events(stage.db, request.id)
    spent = stage.alpha.spool.get(request.id)
    ran = spent is not None and spent.state is not SpoolState.BURNED
    assert request.state in scene.ends, what
    assert ran == (request.state is State.SUCCEEDED and not request.is_by_hand), what
    assert [event.type for event in events].count("run_started") <= 1, what
    assert all(event.human != request.requester_human for event in events if isinstance(event, Approved)), what
    assert not any(fold(request.id, events[:length]).state in ENDED for length in range(1, len(events))), what


@pytest.mark.law(6)
@pytest.mark.law(10)
@pytest.mark.law(12)
@pytest.mark.threat("F5")
@pytest.mark.threat("G4")
@pytest.mark.threat("T1")
@pytest.mark.threat("T2")
@pytest.mark.threat("T3")
@pytest.mark.threat("T5")
@pytest.mark.threat("T6")
@pytest.mark.threat("T7")
@pytest.mark.threat("T8")
@pytest.mark.threat("T9")
@pytest.mark.threat("T11")
@pytest.mark.threat("T12")
@pytest.mark.threat("T13")
@pytest.mark.threat("T14")
@pytest.mark.threat("T15")
@pytest.mark.parametrize("how", list(How))
@pytest.mark.parametrize("name", list(SCENES))
async def test_whatever_call_fails_once_the_end_is_true_and_nothing_ran_twice(
    databases: Databases, database_kind: str, name: str, how: How
) -> None:
    scene, struck, missed = SCENES[name], Counter[str](), set[str]()
    url = databases.place()
    async with staged(url, databases) as stage:
        await prepare(stage)
        for number in range(1, MOST):
            next_day(stage)
            fault = Fault(number, how)
            request = await asyncio.wait_for(scene.play(Play(stage, fault)), 60)
            await _hold(stage, scene, request, fault)
            if fault.calls < number:
                assert request.state is scene.end, "a way that nothing befalls ends as it should"
                break
            if fault.struck:
                struck[fault.struck] += 1
            else:
                missed.add(fault.reached)
        else:
            pytest.fail(f"no run came through in which none of {MOST} calls was left to fail")
        assert (await verify(stage.db)).is_whole
    databases.drop(url)
    print(f"{database_kind}, {name}, {how}: {struck.total()} calls failed once: {dict(struck)}")
    reads, writes, calls = LEAST[name]
    unanswered = UNANSWERED.get(name, set()) if how in AFTERWARDS else set()
    assert missed <= unanswered, "a fault that was not delivered proves nothing"
    assert how in AFTERWARDS or struck["read"] >= reads
    assert struck["write"] >= writes
    assert calls - unanswered <= set(struck)
