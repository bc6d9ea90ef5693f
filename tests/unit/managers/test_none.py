from dataclasses import replace

import pytest

from app.core.facts import Listener, Process, Record
from app.core.judge import judge
from app.core.manager import Nearness
from app.core.owner import owner_of
from app.core.verdict import Code
from app.managers import MANAGERS
from tests.unit.managers.constructed import claim, host, process

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


GROUP = "/system.slice/gui.service"
CRON = process(612, "cron", uid=0, exe="/usr/sbin/cron", cgroup="/system.slice/cron.service")
FORK = process(700, "cron", uid=0, ppid=612, exe="/usr/sbin/cron", cgroup=CRON.cgroup)
SHELL = process(701, "sh", ppid=700, exe="/bin/dash", cgroup=CRON.cgroup)
JOB = process(702, "gunicorn", ppid=701, argv=GUNICORN, cgroup=CRON.cgroup)
CRONS_UNIT = Record(
    "systemd.unit",
    {"id": "cron.service", "load": "loaded", "active": "active", "pid": "612", "cgroup": CRON.cgroup},
)


def test_what_a_job_of_cron_started_is_nobodys_and_names_cron() -> None:
    """Its control group is that of cron's unit, whose restart would neither end nor start it."""
    facts = host(CRON, FORK, SHELL, JOB, records=[CRONS_UNIT])
    found = owner_of(702, facts, MANAGERS)
    assert (found.manager, found.main) == ("none", 702)
    assert found.evidence.startswith("started by a job of cron 700 of root; nobody restarts it: gunicorn 702 of rbron")


def test_what_a_job_of_cron_left_behind_is_nobodys_too() -> None:
    facts = host(CRON, replace(JOB, ppid=1), records=[CRONS_UNIT])
    found = owner_of(702, facts, MANAGERS)
    assert found.manager == "none"
    assert found.evidence.startswith("left behind by a job of cron.service")


def test_cron_itself_is_systemds() -> None:
    facts = host(CRON, records=[CRONS_UNIT])
    assert owner_of(612, facts, MANAGERS).unit == "cron.service"


def test_a_manager_that_a_job_of_cron_started_is_nearer_than_cron() -> None:
    tmux = process(701, "tmux: server", ppid=700, exe="/usr/bin/tmux", cgroup=CRON.cgroup)
    assert owner_of(702, host(CRON, FORK, tmux, JOB, records=[CRONS_UNIT]), MANAGERS).manager == "tmux"


@pytest.mark.law(1)
@pytest.mark.parametrize(
    "forged", [replace(FORK, exe_uid=1000), replace(FORK, exe="/usr/bin/python3"), replace(FORK, uid=1000)]
)
def test_a_process_that_only_calls_itself_cron_takes_no_process_from_its_unit(forged: Process) -> None:
    unit = Record("systemd.unit", {**CRONS_UNIT.fields, "id": "gui.service", "pid": "700", "cgroup": GROUP})
    inside = [replace(each, cgroup=GROUP) for each in (replace(forged, ppid=1), SHELL, JOB)]
    assert owner_of(702, host(*inside, records=[unit]), MANAGERS).unit == "gui.service"


def test_what_to_do_about_a_job_of_crons_is_to_ask_whose_it_is() -> None:
    facts = host(CRON, FORK, SHELL, JOB, records=[CRONS_UNIT], listeners=[Listener(5053, "127.0.0.1", 1000, (702,))])
    verdict = judge(claim("systemd", "cron.service", ports=(5053,)), facts, MANAGERS, "g")
    wrong = next(each for each in verdict.findings if each.aspect == "manager")
    assert wrong.code is Code.WRONG_MANAGER
    assert "No manager runs process 702 of rbron, since" in wrong.next_step
    assert "Ask rbron" in wrong.next_step


def test_a_claim_may_not_name_it() -> None:
    assert not none.is_claimable
