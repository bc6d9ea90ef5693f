import pytest

from app.core.facts import Listener
from app.core.manager import Found, Several, Unseen
from app.managers import MANAGERS
from tests.unit.managers.constructed import INIT, claim, host, process

manual = MANAGERS["manual"]

MASTER = process(100, "gunicorn")
WORKERS = (process(101, "gunicorn", ppid=100), process(102, "gunicorn", ppid=100))
STRANGER = process(300, "python3")


def held(port: int, *pids: int) -> Listener:
    return Listener(port, "127.0.0.1", 1000, pids)


def test_a_manual_service_is_the_topmost_of_those_that_hold_its_ports() -> None:
    facts = host(MASTER, *WORKERS, STRANGER, listeners=[held(5051, 100, 101, 102), held(9000, 300)])
    assert manual.find(claim("manual", "gui", ports=(5051,)), facts) == Found(unit="gui", state="running", main=(100,))


def test_several_ports_may_be_held_by_several_programs() -> None:
    facts = host(MASTER, *WORKERS, STRANGER, listeners=[held(5051, 101, 102), held(9000, 300)])
    found = manual.find(claim("manual", "gui", ports=(5051, 9000)), facts)
    assert isinstance(found, Found)
    assert found.main == (101, 102, 300)


def test_the_first_process_holds_a_port_for_another_and_is_no_main_process() -> None:
    facts = host(MASTER, listeners=[held(5051, INIT.pid, 100)])
    found = manual.find(claim("manual", "gui", ports=(5051,)), facts)
    assert isinstance(found, Found)
    assert found.main == (100,)


def test_a_port_that_nobody_holds_is_a_service_that_does_not_run() -> None:
    found = manual.find(claim("manual", "gui", ports=(5051,)), host(MASTER))
    assert isinstance(found, Found)
    assert (found.state, found.main) == ("not running", ())


@pytest.mark.law(1)
def test_a_port_whose_holder_could_not_be_seen_is_not_free() -> None:
    found = manual.find(claim("manual", "gui", ports=(5051,)), host(MASTER, listeners=[held(5051)]))
    assert isinstance(found, Unseen)
    assert found.next_step


def test_without_a_port_it_is_the_one_program_that_works_in_the_path() -> None:
    there = process(100, "worker", cwd="/opt/lab")
    below = process(101, "worker", ppid=100, cwd="/opt/lab")
    found = manual.find(claim("manual", "worker", path="/opt/lab"), host(there, below, STRANGER))
    assert isinstance(found, Found)
    assert found.main == (100,)


def test_a_program_that_listens_goes_before_a_shell_that_stands_in_the_path() -> None:
    shell, server = process(100, "bash", cwd="/opt/lab"), process(200, "serve", cwd="/opt/lab")
    found = manual.find(
        claim("manual", "worker", path="/opt/lab"), host(shell, server, STRANGER, listeners=[held(1, 200, 300)])
    )
    assert isinstance(found, Found)
    assert found.main == (200,)


def test_a_path_that_fits_two_programs_is_not_guessed_from() -> None:
    facts = host(process(100, "worker", cwd="/opt/lab"), process(200, "bash", cwd="/opt/lab"))
    assert manual.find(claim("manual", "worker", path="/opt/lab"), facts) == Several(("worker 100", "bash 200"))


def test_nothing_is_ever_run_for_it() -> None:
    command = manual.restart(claim("manual", "gui"), "gui", host())
    assert (command.argv, command.user) == ((), "-")
    assert manual.is_by_hand
    assert not manual.is_driven


def test_it_takes_no_process_from_the_manager_that_runs_it() -> None:
    facts = host(MASTER)
    assert manual.recognise(facts.chain(100), 5051, facts) is None


def test_its_mark_is_its_processes() -> None:
    lines = ("boot 8f2c", "process 100 10000 rbron /srv", "process 300 30000 rbron /srv")
    assert manual.mark(lines) == tuple(f"{lines[0]} {line}" for line in lines[1:])
    assert not set(manual.mark(lines)) & set(manual.mark(("boot 9a01", *lines[1:])))


def test_a_claim_has_to_say_where_to_look() -> None:
    assert [problem.field for problem in manual.problems(claim("manual", "gui"))] == ["ports"]
    assert manual.problems(claim("manual", "gui", path="/opt/lab")) == []
    assert manual.problems(claim("manual", "gui", ports=(5051,))) == []
    assert [each.field for each in manual.problems(claim("manual", "gui", ports=(1,), config="/etc/x"))] == ["config"]
