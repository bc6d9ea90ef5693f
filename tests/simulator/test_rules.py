"""The two rules that no planted bug can break: the life cycle and the database's own constraint stand before it."""

import sqlite3
from dataclasses import replace

import pytest

from app.core.events import Approved, Asked
from app.core.lifecycle import State, begin
from tests.simulator.faults import Record
from tests.simulator.rules import Rules
from tests.simulator.standing import Standing, Told
from tests.simulator.template import START


def told(state: State) -> Told:
    asked = Asked(
        id="e",
        at=START,
        by="ada",
        service="pypnm-gui",
        host="alpha",
        environment="production",
        requester="ada",
        requester_human="ada",
        reason_text="",
        ticket_text="",
        registry=1,
    )
    return Told(replace(begin("r", asked), state=state, not_after=START + 60.0), 1, 1)


@pytest.fixture
def rules() -> Rules:
    return Rules(Record(), Standing(sqlite3.connect(":memory:"), lambda: START, is_served=True))


@pytest.mark.parametrize(("state", "broken"), [(State.SETTLING, 1), (State.SUCCEEDED, 0)])
def test_a_second_open_request_of_a_service_is_seen(rules: Rules, state: State, broken: int) -> None:
    rules.asks(told(State.OPEN), [told(state)])
    assert rules.record.broken == ["one open request of a service: pypnm-gui"] * broken


@pytest.mark.parametrize(("seconds", "broken"), [(60.0, 1), (59.9, 0)])
def test_a_yes_that_comes_too_late_is_seen(rules: Rules, seconds: float, broken: int) -> None:
    yes = Approved(id="y", at=START + seconds, by="bo", human="bo", digest="", level="click", signature_text="", key="")
    rules.happens(told(State.WAITING), yes, "w1")
    assert rules.record.broken == ["a yes is in time: bo"] * broken
