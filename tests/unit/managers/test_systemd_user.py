import pytest

from app.core.manager import Nearness
from app.managers import MANAGERS
from tests.unit.managers.constructed import claim, host, process

systemd_user = MANAGERS["systemd-user"]
SLICE = "/user.slice/user-1000.slice/user@1000.service"
MANAGER = process(490, "systemd", exe="/lib/systemd/systemd", cgroup=f"{SLICE}/init.scope")


@pytest.mark.parametrize(
    ("below", "unit"),
    [
        ("app.slice/gui.service", "gui.service"),
        ("app.slice/app-gui.slice/gui@5052.service", "gui@5052.service"),
        ("app.slice/gui.service/workers", "gui.service"),
        ("session.slice/tmux-spawn-1.scope", "tmux-spawn-1.scope"),
    ],
)
def test_a_users_unit_is_named_by_its_control_group_and_never_believed(below: str, unit: str) -> None:
    main = process(541, "gunicorn", ppid=490, cgroup=f"{SLICE}/{below}")
    worker = process(546, "gunicorn", ppid=541, cgroup=f"{SLICE}/{below}")
    facts = host(MANAGER, main, worker)
    found = systemd_user.recognise(facts.chain(546), 5052, facts)
    assert found is not None
    assert (found.unit, found.nearness, found.main, found.is_believed) == (unit, Nearness.UNIT, 541, False)
    assert found.evidence.startswith(f"systemd 490 of rbron → {unit} by its control group → gunicorn 541 of rbron")


def test_a_unit_whose_manager_is_not_above_it_is_still_named() -> None:
    facts = host(process(541, "gunicorn", cgroup=f"{SLICE}/app.slice/gui.service"))
    found = systemd_user.recognise(facts.chain(541), 5052, facts)
    assert found is not None
    assert (found.unit, found.is_believed) == ("gui.service", False)
    assert "user id 1000" in found.evidence


@pytest.mark.parametrize(
    "cgroup",
    [f"{SLICE}/init.scope", "/system.slice/gui.service", "/user.slice/user-1000.slice/session-3.scope", SLICE, "/"],
)
def test_what_is_no_unit_of_a_user_is_not_recognised(cgroup: str) -> None:
    facts = host(process(541, "gunicorn", cgroup=cgroup))
    assert systemd_user.recognise(facts.chain(541), 5052, facts) is None


def test_a_claim_has_to_name_the_user() -> None:
    assert [problem.field for problem in systemd_user.problems(claim("systemd-user", "gui.service"))] == ["user"]
    assert systemd_user.problems(claim("systemd-user", "gui.service", user="rbron")) == []
