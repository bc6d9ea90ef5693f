"""What holds for every manager that this version recognises and does not restart through."""

import pytest

from app.core.errors import Refused
from app.managers import MANAGERS
from tests.unit.managers.constructed import claim, host, process

NEVER = ["kubernetes", "none", "screen", "tmux"]


def test_these_are_all_that_are_not_driven() -> None:
    undriven = {name for name, manager in MANAGERS.items() if not manager.is_driven and not manager.is_by_hand}
    assert undriven == set(NEVER)
    assert {name for name in undriven if not MANAGERS[name].is_claimable} == set(NEVER)


@pytest.mark.parametrize("name", NEVER)
def test_a_restart_is_refused_with_what_to_do_instead(name: str) -> None:
    with pytest.raises(Refused) as refused:
        MANAGERS[name].restart(claim(name, "gui"), "gui", host())
    assert refused.value.code == "not_driven"
    assert "manual" in refused.value.next_step


@pytest.mark.parametrize("name", NEVER)
def test_an_unseen_process_is_not_taken(name: str) -> None:
    found = MANAGERS[name].recognise((), 5050, host())
    assert found is None or (name, found.main) == ("none", None)


@pytest.mark.parametrize("name", NEVER)
def test_a_process_of_another_manager_is_not_taken(name: str) -> None:
    gunicorn = process(412, "gunicorn", cgroup="/system.slice/gui-5054.service")
    facts = host(gunicorn)
    found = MANAGERS[name].recognise(facts.chain(412), 5054, facts)
    assert found is None or name == "none"
