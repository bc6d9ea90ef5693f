from dataclasses import replace

import pytest

from app.core.manager import Nearness
from app.managers import MANAGERS
from tests.unit.managers.constructed import host, process

none = MANAGERS["none"]
GUNICORN = ("/usr/bin/python3", "/usr/bin/gunicorn", "app:app")


def test_everything_is_nobodys_where_nobody_else_is_nearer() -> None:
    facts = host(process(1210, "gunicorn", argv=GUNICORN), process(1217, "gunicorn", ppid=1210, argv=GUNICORN))
    found = none.recognise(facts.chain(1217), 5053, facts)
    assert found is not None
    assert (found.manager, found.unit, found.nearness, found.main) == ("none", None, Nearness.NOBODY, 1210)


def test_it_says_whose_the_process_is_since_when_and_which_command_line_it_came_from() -> None:
    facts = host(process(1210, "gunicorn", argv=GUNICORN), process(1217, "gunicorn", ppid=1210, argv=GUNICORN))
    found = none.recognise(facts.chain(1217), 5053, facts)
    assert found is not None
    assert found.evidence == (
        "nobody restarts it: gunicorn 1210 of rbron, since 2023-11-14 22:33:30 UTC: "
        "/usr/bin/python3 /usr/bin/gunicorn app:app"
    )


def test_a_shell_that_started_a_program_is_not_the_program() -> None:
    facts = host(process(50, "bash", exe="/bin/bash"), process(60, "serve", ppid=50, exe="/srv/serve"))
    found = none.recognise(facts.chain(60), 5053, facts)
    assert found is not None
    assert found.main == 60


def test_another_user_or_control_group_ends_the_climb() -> None:
    for other in (
        process(50, "gunicorn", uid=0, argv=GUNICORN),
        process(50, "gunicorn", argv=GUNICORN, cgroup="/system.slice/gui.service"),
    ):
        facts = host(other, process(60, "gunicorn", ppid=50, argv=GUNICORN))
        found = none.recognise(facts.chain(60), 5053, facts)
        assert found is not None
        assert found.main == 60


def test_a_process_that_was_gone_before_it_could_be_looked_at_is_nobodys_too() -> None:
    found = none.recognise((), 5053, host())
    assert found is not None
    assert (found.nearness, found.main) == (Nearness.NOBODY, None)


@pytest.mark.law(13)
@pytest.mark.parametrize("started_at", [1e300, float("nan"), float("inf"), -1e18])
def test_a_host_that_prints_no_time_is_still_read(started_at: float) -> None:
    odd = replace(process(60, "serve"), started_at=started_at)
    found = none.recognise((odd,), 5053, host(odd))
    assert found is not None
    assert "since a time that is none" in found.evidence


def test_a_claim_may_not_name_it() -> None:
    assert not none.is_claimable
