"""The judge on who holds the claimed ports: nobody that could be seen, a second one, or nobody yet."""

from dataclasses import replace

import pytest

from app.core.owner import holding
from app.core.service import Service
from app.core.verdict import Code
from tests.unit.core.judging import API, BY_HAND, FACTS, GUI, UNIT, finding, judged, with_listeners


@pytest.mark.law(1)
def test_a_port_that_docker_publishes_without_a_process_is_its_containers() -> None:
    bare = replace(FACTS, listeners=tuple(each for each in FACTS.listeners if each.port != 8000))
    verdict = judged(API, bare)
    assert verdict.is_verified
    assert finding(verdict, "ports").observed == "8000 is published by pypnm-gui-lab/pypnm-api"


@pytest.mark.law(1)
@pytest.mark.parametrize("service", [GUI, UNIT, API, BY_HAND], ids=lambda service: service.name)
def test_a_hidden_holder_is_never_agreement(service: Service) -> None:
    hidden = with_listeners(lambda each: replace(each, pids=()) if each.port in service.ports else each)
    verdict = judged(service, hidden)
    assert verdict.code is Code.BLIND
    assert finding(verdict, "ports").agrees is None


def test_a_hidden_holder_of_a_port_that_is_not_claimed_is_no_matter() -> None:
    elsewhere = with_listeners(lambda each: replace(each, pids=()) if each.port == 5054 else each)
    assert judged(GUI, elsewhere).is_verified


@pytest.mark.law(1)
def test_a_second_holder_of_the_port_that_is_not_the_services_own_is_seen() -> None:
    stranger = holding(5053, FACTS)[0]
    shared = with_listeners(lambda each: replace(each, pids=(*each.pids, stranger)) if each.port == 5050 else each)
    verdict = judged(GUI, shared)
    assert verdict.code is Code.WRONG_MANAGER
    assert finding(verdict, "ports").code is Code.WRONG_PORT
    assert str(stranger) in finding(verdict, "ports").observed


def test_what_was_started_a_moment_ago_may_not_listen_yet() -> None:
    unlistened = replace(FACTS, listeners=tuple(each for each in FACTS.listeners if each.port != 5054))
    (main,) = [FACTS.processes[pid] for pid in judged(UNIT).pids]
    for age, is_said in ((5.0, True), (61.0, False), (-5.0, False)):
        verdict = judged(UNIT, replace(unlistened, now=main.started_at + age))
        assert verdict.code is Code.WRONG_PORT
        assert ("It was started 5 s ago and may not listen yet: look again" in verdict.next_step) is is_said
        assert "an editor corrects the ports" in verdict.next_step
