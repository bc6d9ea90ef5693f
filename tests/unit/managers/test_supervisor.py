from dataclasses import replace

import pytest

from app.core.facts import Facts, Process, Record
from app.core.manager import Command, Found, Missing, Nearness, Owner, Unseen
from app.managers import MANAGERS
from tests.unit.managers.constructed import claim, host, process

supervisor = MANAGERS["supervisor"]
ETC = "/etc/supervisor/supervisord.conf"
OWN = "/home/rbron/supervisord.conf"
DAEMON = process(60, "supervisord", uid=0, argv=("/usr/bin/python3", "/usr/bin/supervisord", "-n"))
THEIRS = process(70, "supervisord", uid=1000, argv=("/home/rbron/venv/bin/python", "/home/rbron/venv/bin/supervisord"))
MAIN = process(355, "gunicorn", ppid=60)
WORKER = process(360, "gunicorn", ppid=355)


def daemon(**fields: str) -> Record:
    plain = {"config": ETC, "default": "yes", "pid": "60", "socket": "/run/s.sock", "is-own": "yes", "by": "curl"}
    return Record("supervisor.daemon", {**plain, **{key.replace("_", "-"): value for key, value in fields.items()}})


def program(name: str = "lab:gui", **fields: str) -> Record:
    plain = {"config": ETC, "name": name, "state": "RUNNING", "pid": "355", "error": ""}
    return Record("supervisor.program", {**plain, **fields})


def owner(facts: Facts, first: Process) -> Owner | None:
    return supervisor.recognise(facts.chain(first.pid), 5050, facts)


@pytest.mark.law(1)
def test_a_process_is_led_to_the_program_that_supervisord_lists() -> None:
    found = owner(host(DAEMON, MAIN, WORKER, records=[daemon(), program()]), WORKER)
    assert found is not None
    assert (found.unit, found.main, found.nearness, found.depth) == ("lab:gui", 355, Nearness.ANCESTOR, 2)
    assert found.is_believed


@pytest.mark.law(1)
@pytest.mark.parametrize(
    "records",
    [
        [],
        [daemon()],
        [program()],
        [daemon(), program(pid="356")],
        [daemon(pid="61"), program()],
        [daemon(is_own="no"), program()],
        [daemon(), program(config=OWN)],
    ],
)
def test_a_process_that_its_supervisord_does_not_list_is_not_believed(records: list[Record]) -> None:
    found = owner(host(DAEMON, MAIN, records=records), MAIN)
    assert found is not None
    assert (found.unit, found.is_believed) == (None, False)


@pytest.mark.law(1)
@pytest.mark.parametrize(
    "forged",
    [
        replace(DAEMON, exe_uid=1000),
        replace(DAEMON, exe=None, exe_uid=None),
        replace(DAEMON, uid=1001, exe_uid=1000),
    ],
)
def test_a_supervisord_whose_program_file_is_somebody_elses_is_not_believed(forged: Process) -> None:
    facts = host(forged, MAIN, records=[daemon(), program()])
    found = owner(facts, MAIN)
    assert found is not None
    assert not found.is_believed
    looked_up = supervisor.find(claim("supervisor", "lab:gui"), facts)
    assert isinstance(looked_up, Found)
    assert looked_up.obstacle != ""


@pytest.mark.law(1)
def test_an_ordinary_users_supervisord_speaks_for_that_user_only() -> None:
    records = [daemon(config=OWN, default="no", pid="70"), program(config=OWN)]
    theirs = replace(THEIRS, exe_uid=1000)
    for uid, is_believed in ((1000, True), (0, False), (1001, False)):
        found = owner(host(theirs, process(355, "gunicorn", ppid=70, uid=uid), records=records), MAIN)
        assert found is not None
        assert found.is_believed == is_believed


def test_a_process_that_only_calls_itself_supervisord_is_none() -> None:
    pretender = process(60, "supervisord", argv=("/usr/bin/python3", "/srv/pretend.py", "supervisord"))
    assert owner(host(pretender, MAIN, records=[daemon(), program()]), MAIN) is None


def test_supervisord_itself_is_not_one_of_its_programs() -> None:
    assert owner(host(DAEMON, records=[daemon(), program()]), DAEMON) is None


def test_a_program_is_looked_up_in_the_supervisord_that_the_claim_means() -> None:
    facts = host(
        *(DAEMON, THEIRS, MAIN),
        records=[
            *(daemon(), program(), program("solo", pid="0", state="STOPPED")),
            *(daemon(config=OWN, default="no", pid="70"), program("lab:gui", config=OWN, pid="700", state="FATAL")),
        ],
    )
    found = supervisor.find(claim("supervisor", "lab:gui"), facts)
    assert found == Found("lab:gui", "RUNNING", (355,))
    for name in ("solo", "solo:solo"):
        assert supervisor.find(claim("supervisor", name), facts) == Found("solo", "STOPPED")
    theirs = supervisor.find(claim("supervisor", "lab:gui", config=OWN), facts)
    assert isinstance(theirs, Found)
    assert (theirs.state, theirs.main) == ("FATAL", (700,))
    assert isinstance(supervisor.find(claim("supervisor", "solo", config=OWN), facts), Missing)
    assert isinstance(supervisor.find(claim("supervisor", "solo", config="/etc/other.conf"), facts), Unseen)


def test_the_group_is_part_of_the_name() -> None:
    facts = host(DAEMON, MAIN, records=[daemon(), program()])
    assert supervisor.find(claim("supervisor", "gui"), facts) == Missing(("lab:gui",))
    assert supervisor.find(claim("supervisor", "lab"), facts) == Missing(("lab:gui",))


def test_where_no_supervisord_answered_nothing_is_missing() -> None:
    assert isinstance(supervisor.find(claim("supervisor", "lab:gui"), host()), Unseen)


@pytest.mark.law(4)
def test_the_restart_is_an_array_of_words_by_the_user_of_that_supervisord() -> None:
    facts = host(DAEMON, THEIRS, records=[daemon(), daemon(config=OWN, default="no", pid="70")])
    made = supervisor.restart(claim("supervisor", "lab:gui", user="rbron"), "lab:gui", facts)
    assert made == Command(("supervisorctl", "restart", "lab:gui"), "root")
    made = supervisor.restart(claim("supervisor", "lab:gui", config=OWN), "lab:gui", facts)
    assert made == Command(("supervisorctl", "-c", OWN, "restart", "lab:gui"), "rbron")


def test_names_that_supervisorctl_would_take_for_several_are_refused_where_they_are_written() -> None:
    for name in ("lab:", "a:b:c"):
        assert [each.field for each in supervisor.problems(claim("supervisor", name))] == ["unit"]
    for name in ("gui", "lab:gui", "web:web_00"):
        assert supervisor.problems(claim("supervisor", name)) == []


def test_signs_are_what_supervisor_says_of_a_program_that_does_not_stay() -> None:
    for state in ("BACKOFF", "FATAL", "EXITED", "UNKNOWN"):
        facts = host(
            DAEMON, records=[daemon(), program(state=state, error="no such file"), program("other", state="FATAL")]
        )
        (sign,) = supervisor.signs(claim("supervisor", "lab:gui"), facts)
        assert state in sign.text
        assert "no such file" in sign.text
    assert supervisor.signs(claim("supervisor", "lab:gui"), host(DAEMON, records=[daemon(), program()])) == ()


@pytest.mark.law(11)
def test_a_new_incarnation_is_told_by_its_process() -> None:
    lines = ("boot b", "process 355 9 rbron /srv", "config /etc/s.conf 1", "program lab:gui RUNNING")
    assert supervisor.mark(lines) == ("boot b process 355 9 rbron /srv",)


@pytest.mark.law(13)
def test_an_answer_that_holds_no_numbers_breaks_nothing() -> None:
    facts = host(DAEMON, MAIN, records=[daemon(pid="x"), program(pid="y")])
    found = supervisor.find(claim("supervisor", "lab:gui"), facts)
    assert isinstance(found, Found)
    assert (found.main, found.obstacle != "") == ((), True)
    assert supervisor.restart(claim("supervisor", "lab:gui"), "lab:gui", facts).user == "root"


def test_settings_newer_than_the_process_are_a_sign_that_says_what_a_restart_would_keep() -> None:
    newer, older = (
        daemon(newest="/etc/supervisor/conf.d/gui.conf", newest_at=str(int(MAIN.started_at) + change))
        for change in (3600, -3600)
    )
    (sign,) = supervisor.signs(claim("supervisor", "lab:gui"), host(DAEMON, MAIN, records=[newer, program()]))
    assert (sign.kind, sign.at) == ("config", int(MAIN.started_at) + 3600)
    assert "conf.d/gui.conf was changed" in sign.text
    assert "supervisorctl reread" in sign.text
    assert supervisor.signs(claim("supervisor", "lab:gui"), host(DAEMON, MAIN, records=[older, program()])) == ()
