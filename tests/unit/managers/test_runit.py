import pytest

from app.core.manager import Nearness
from app.managers import MANAGERS
from tests.unit.managers.constructed import host, process

runit = MANAGERS["runit"]
MAIN = process(1136, "gunicorn", ppid=1135)


@pytest.mark.parametrize("given", ["gui", "/etc/service/gui", "gui/"])
def test_a_service_is_named_by_its_directory_and_never_believed(given: str) -> None:
    supervisor = process(1135, "runsv", uid=0, exe="/usr/bin/runsv", argv=("runsv", given))
    worker = process(1140, "gunicorn", ppid=1136)
    facts = host(supervisor, MAIN, worker)
    found = runit.recognise(facts.chain(1140), 5056, facts)
    assert found is not None
    assert (found.unit, found.nearness, found.main) == ("gui", Nearness.ANCESTOR, 1136)
    assert not found.is_believed


def test_a_supervisor_without_a_directory_names_nothing() -> None:
    facts = host(process(1135, "runsv", exe=None, argv=("runsv",)), MAIN)
    found = runit.recognise(facts.chain(1136), 5056, facts)
    assert found is not None
    assert found.unit is None


@pytest.mark.law(1)
def test_another_program_that_calls_itself_runits_is_not_recognised() -> None:
    facts = host(process(1135, "runsv", exe="/usr/bin/python3", argv=("runsv", "gui")), MAIN)
    assert runit.recognise(facts.chain(1136), 5056, facts) is None
