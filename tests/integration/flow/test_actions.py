"""What is asked for besides a restart, and what the requester only says."""

import pytest

from app.core.errors import Refused
from app.core.events import Asked
from app.core.lifecycle import State
from app.flow import ask, evidence
from app.flow.prove import look_all
from app.store import requests, services
from tests.integration.flow.conftest import Stage


@pytest.mark.law(3)
@pytest.mark.parametrize("action", ["reload", "daemon-reload"])
async def test_an_action_that_the_manager_does_not_offer_is_blocked_with_what_it_has(stage: Stage, action: str) -> None:
    asked = await ask.ask(stage.world, stage.who["ada"], "pypnm-gui", "New settings.", action=action)
    assert asked.action == action
    blocked = await ask.prove(stage.world, asked)
    proof = await evidence.of(stage.db, blocked)
    assert proof is not None
    assert (blocked.state, blocked.verdict, blocked.warrant) == (State.BLOCKED, "NO_SUCH_UNIT", None)
    finding = proof.verdict.findings[-1]
    assert (finding.aspect, finding.agrees) == ("action", False)
    assert finding.observed == f"supervisor offers no {action} of lab:pypnm-gui now; it offers: restart."
    assert proof.verdict.next_step == "Ask for one of these instead: restart."


@pytest.mark.law(4)
@pytest.mark.parametrize("action", ["start", "stop", "restart; reboot", ""])
async def test_nothing_else_can_be_asked_for(stage: Stage, action: str) -> None:
    with pytest.raises(Refused) as refused:
        await ask.ask(stage.world, stage.who["ada"], "pypnm-gui", "Because.", action=action)
    assert refused.value.code == "no_such_action"
    assert refused.value.next_step == "Ask for one of daemon-reload, reload, restart."


async def test_what_is_ticked_is_logged_as_said_and_nothing_else_can_be(stage: Stage) -> None:
    asked = await ask.ask(stage.world, stage.who["ada"], "pypnm-gui", "Because.", said=("committed", "committed"))
    (event,) = await requests.events(stage.db, asked.id)
    assert isinstance(event, Asked)
    assert (event.said, event.by) == (("committed",), stage.who["ada"].id)
    with pytest.raises(Refused) as refused:
        await ask.ask(stage.world, stage.who["ada"], "pypnm-gui", "Because.", said=("approved",))
    assert refused.value.code == "not_sayable"


async def test_git_is_asked_for_a_request_and_not_by_a_look_that_nobody_asked_for(stage: Stage) -> None:
    request = await stage.waiting()
    proof = await evidence.of(stage.db, request)
    assert proof is not None
    assert proof.committed is not None
    assert proof.committed.agrees
    registry = await services.registry(stage.db)
    seen = (await look_all(stage.world, registry, "alpha"))[0]
    told = seen.evidence().committed
    assert told is not None
    assert told.agrees is None
    assert "it was not asked" in told.observed


async def test_one_key_with_another_action_is_another_question(stage: Stage) -> None:
    await ask.ask(stage.world, stage.who["ada"], "pypnm-gui", "Because.", key="k")
    with pytest.raises(Refused) as refused:
        await ask.ask(stage.world, stage.who["ada"], "pypnm-gui", "Because.", key="k", action="reload")
    assert refused.value.code == "key_reused"
