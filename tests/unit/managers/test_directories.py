"""What holds for service directories with a supervisor each, under runit and under s6 alike."""

from dataclasses import replace
from types import MappingProxyType

import pytest

from app.core.facts import Facts, Process, Record
from app.core.judge import judge
from app.core.manager import Action, Command, Found, Missing, Nearness, Owner, Several, Unseen
from app.core.verdict import Code, Verdict
from app.managers import MANAGERS
from tests.unit.managers.constructed import claim, host, process

BOTH = pytest.mark.parametrize("name", ["runit", "s6"])
PROGRAM = {"runit": "runsv", "s6": "s6-supervise"}
DIRECTORY = "/etc/sv/gui"
MAIN = process(1136, "gunicorn", ppid=1135)
WORKER = process(1140, "gunicorn", ppid=1136)
WAITING = process(1136, "su", uid=0, ppid=1135, exe="/usr/bin/su")


def supervisor_of(name: str, uid: int = 0) -> Process:
    program = PROGRAM[name]
    return process(1135, program, uid=uid, exe=f"/usr/bin/{program}", argv=(program, "gui"), cwd=DIRECTORY)


def told(manager: str, **fields: str) -> Record:
    plain = {"supervisor": "1135", "name": "gui", "dir": DIRECTORY, "listed": "1136", "state": "run", "distrust": ""}
    every = {**plain, "pid": "1136", "is-up": "yes", **{key.replace("_", "-"): value for key, value in fields.items()}}
    return Record(f"{manager}.service", every)


def meant(name: str, *directories: str) -> Record:
    return Record(f"{name}.claim", {"service": "api", "dirs": " ".join(directories)})


def owner(name: str, facts: Facts, pid: int = 1140) -> Owner | None:
    return MANAGERS[name].recognise(facts.chain(pid), 5056, facts)


def verdict(name: str, facts: Facts, pid: int = 1136) -> Verdict:
    lines = ("boot b", f"process {pid} {pid * 100} rbron /srv")
    seen = replace(facts, asked=("api",), identity={"api": lines})
    return judge(claim(name, "gui", user="rbron", path="/srv"), seen, MANAGERS, "g")


@BOTH
@pytest.mark.law(1)
def test_a_process_is_led_to_the_service_that_its_supervisor_lists(name: str) -> None:
    facts = host(supervisor_of(name), MAIN, WORKER, records=[told(name), meant(name, DIRECTORY)])
    found = owner(name, facts)
    assert found is not None
    assert (found.unit, found.nearness, found.main, found.depth) == ("gui", Nearness.ANCESTOR, 1136, 2)
    assert found.is_believed
    assert verdict(name, facts).code is Code.VERIFIED


@BOTH
@pytest.mark.law(1)
@pytest.mark.parametrize("fields", [None, {"listed": "1140"}, {"listed": ""}, {"supervisor": "1"}])
def test_a_process_that_its_supervisor_does_not_list_is_not_believed(name: str, fields: dict[str, str] | None) -> None:
    records = [] if fields is None else [told(name, **fields), meant(name, DIRECTORY)]
    facts = host(supervisor_of(name), MAIN, WORKER, records=records)
    found = owner(name, facts)
    assert found is not None
    assert (found.unit, found.is_believed) == (None, False)
    assert verdict(name, facts).code is not Code.VERIFIED


@BOTH
@pytest.mark.law(1)
@pytest.mark.parametrize(
    ("uid", "change", "child", "fields"),
    [
        (0, {"exe_uid": 1000}, MAIN, {}),
        (0, {"exe": None, "exe_uid": None}, MAIN, {}),
        (1000, {"exe_uid": 1000}, MAIN, {}),
        (0, {}, MAIN, {"distrust": "/etc/sv/gui belongs to rbron"}),
        (1000, {}, MAIN, {"distrust": "others can write /etc/sv/gui/supervise"}),
        (1000, {}, replace(MAIN, uid=0, user="root"), {}),
        (1000, {}, replace(MAIN, uid=1001, user="node"), {}),
    ],
    ids=["user's program", "unseen program", "own program", "user's folder", "open folder", "root's", "another's"],
)
def test_what_an_ordinary_user_can_make_up_is_no_proof(
    name: str, uid: int, change: dict[str, object], child: Process, fields: dict[str, str]
) -> None:
    forged = replace(supervisor_of(name, uid), **change)  # type: ignore[arg-type]
    facts = host(forged, child, WORKER, records=[told(name, **fields), meant(name, DIRECTORY)])
    found = owner(name, facts)
    assert found is not None
    assert not found.is_believed
    assert verdict(name, facts).code is not Code.VERIFIED


@BOTH
@pytest.mark.law(1)
@pytest.mark.threat("C4")
def test_a_forged_list_that_names_somebody_elses_process_proves_nothing(name: str) -> None:
    """The list of a user's own real supervisor names root's sshd, which is no child of it."""
    stranger = process(1136, "sshd", uid=0, ppid=1)
    facts = host(supervisor_of(name, 1000), stranger, records=[told(name), meant(name, DIRECTORY)])
    assert owner(name, facts, 1136) is None
    assert verdict(name, facts).code is Code.WRONG_MANAGER


@BOTH
@pytest.mark.law(1)
def test_another_program_that_calls_itself_so_is_not_recognised(name: str) -> None:
    forged = process(1135, PROGRAM[name], exe="/usr/bin/python3", argv=(PROGRAM[name], "gui"))
    assert owner(name, host(forged, MAIN, WORKER, records=[told(name)])) is None


@BOTH
def test_a_users_own_supervisor_speaks_for_that_user_and_is_asked_as_that_user(name: str) -> None:
    facts = host(supervisor_of(name, 1000), MAIN, WORKER, records=[told(name, name=DIRECTORY), meant(name, DIRECTORY)])
    found = owner(name, facts)
    assert found is not None
    assert (found.unit, found.is_believed) == (DIRECTORY, True)
    assert MANAGERS[name].restart(claim(name, DIRECTORY), DIRECTORY, facts).user == "rbron"


@BOTH
@pytest.mark.law(1)
def test_roots_su_stands_for_the_one_process_that_it_waits_for(name: str) -> None:
    child = process(1138, "gunicorn", ppid=1136)
    facts = host(supervisor_of(name), WAITING, child, records=[told(name, pid="1138"), meant(name, DIRECTORY)])
    found = owner(name, facts, 1138)
    assert found is not None
    assert (found.main, found.is_believed) == (1138, True)
    assert verdict(name, facts, 1138).code is Code.VERIFIED


@BOTH
@pytest.mark.law(1)
@pytest.mark.parametrize(
    "waiting", [replace(WAITING, exe_uid=1000), replace(WAITING, exe="/bin/bash"), replace(WAITING, exe=None)]
)
def test_a_process_below_the_listed_one_is_not_it_where_that_is_no_su_of_roots(name: str, waiting: Process) -> None:
    child = process(1138, "gunicorn", ppid=1136)
    facts = host(supervisor_of(name), waiting, child, records=[told(name, pid="1138"), meant(name, DIRECTORY)])
    found = owner(name, facts, 1138)
    assert found is not None
    assert not found.is_believed


@BOTH
def test_a_name_is_found_missing_or_fits_several(name: str) -> None:
    manager = MANAGERS[name]
    other = told(name, dir="/srv/other/gui", pid="1999")
    names = Record(f"{name}.names", {"list": "gui api"})
    known = host(supervisor_of(name), MAIN, records=[told(name), other, meant(name, DIRECTORY)])
    assert manager.find(claim(name, "gui"), known) == Found("gui", "run", (1136,))
    missing = host(supervisor_of(name), MAIN, records=[names, meant(name)])
    assert manager.find(claim(name, "gui-x"), missing) == Missing(("gui",))
    several = host(supervisor_of(name), MAIN, records=[told(name), other, meant(name, DIRECTORY, "/srv/other/gui")])
    assert manager.find(claim(name, "gui"), several) == Several((DIRECTORY, "/srv/other/gui"))


@BOTH
@pytest.mark.parametrize("fields", [{"state": ""}, {"state": "", "distrust": "/etc/sv/gui belongs to rbron"}])
def test_what_was_not_told_or_is_not_believed_is_unseen_and_not_down(name: str, fields: dict[str, str]) -> None:
    facts = host(supervisor_of(name), MAIN, records=[told(name, is_up="no", **fields), meant(name, DIRECTORY)])
    found = MANAGERS[name].find(claim(name, "gui"), facts)
    assert isinstance(found, Unseen)
    assert fields.get("distrust", "") in found.why
    assert isinstance(MANAGERS[name].find(claim(name, "gui"), host()), Unseen)


@BOTH
def test_a_service_that_is_down_is_down_and_its_supervisor_is_none_of_its_processes(name: str) -> None:
    down = told(name, listed="", pid="1135", is_up="no", state="down, want up")
    facts = host(supervisor_of(name), records=[down, meant(name, DIRECTORY)])
    assert MANAGERS[name].find(claim(name, "gui"), facts) == Found("gui", "down, want up")
    (sign,) = MANAGERS[name].signs(claim(name, "gui"), facts)
    assert sign.kind == "state"
    running = host(supervisor_of(name), MAIN, records=[told(name), meant(name, DIRECTORY)])
    assert MANAGERS[name].signs(claim(name, "gui"), running) == ()
    stopped = host(supervisor_of(name), records=[told(name, is_up="no", state="down"), meant(name, DIRECTORY)])
    assert MANAGERS[name].signs(claim(name, "gui"), stopped) == ()


@BOTH
@pytest.mark.law(1)
def test_a_start_is_proved_by_a_real_supervisor_alone(name: str) -> None:
    down = told(name, listed="", pid="1135", is_up="no", state="down")
    service = claim(name, "gui", start=True)
    lines = MappingProxyType({"api": ("boot b", f"directory {DIRECTORY}")})
    for change, is_proved in (({}, True), ({"exe_uid": 1000}, False), ({"exe": "/usr/bin/python3"}, False)):
        supervisor = replace(supervisor_of(name), **change)
        facts = host(supervisor, records=[down, meant(name, DIRECTORY)])
        seen = replace(facts, asked=("api",), identity=lines)
        assert judge(service, seen, MANAGERS, "g").is_verified == is_proved


@pytest.mark.law(4)
@pytest.mark.parametrize(
    ("name", "action", "argv"),
    [
        ("runit", Action.RESTART, ("sv", "-w", "30", "restart", DIRECTORY)),
        ("runit", Action.START, ("sv", "-w", "30", "start", DIRECTORY)),
        ("s6", Action.RESTART, ("s6-svc", "-wr", "-T", "30000", "-r", DIRECTORY)),
        ("s6", Action.START, ("s6-svc", "-wu", "-T", "30000", "-u", DIRECTORY)),
    ],
)
def test_what_is_run_names_the_directory_whatever_the_claim_called_it(
    name: str, action: Action, argv: tuple[str, ...]
) -> None:
    facts = host(supervisor_of(name), MAIN, records=[told(name), meant(name, DIRECTORY)])
    make = MANAGERS[name].restart if action is Action.RESTART else MANAGERS[name].start
    for called in ("gui", "/etc/service/gui"):
        assert make(claim(name, called), "gui", facts) == Command(argv, "root")


@BOTH
def test_a_signal_is_no_reload(name: str) -> None:
    facts = host(supervisor_of(name), MAIN, records=[told(name), meant(name, DIRECTORY)])
    assert MANAGERS[name].gentler(claim(name, "gui"), "gui", facts) == {}


@BOTH
@pytest.mark.parametrize("unit", ["gui", "gui/log", "/etc/sv/gui", "/srv/s6/gui/log", "gui-2"])
def test_a_name_and_a_directory_are_names(name: str, unit: str) -> None:
    assert MANAGERS[name].problems(claim(name, unit)) == []


@BOTH
@pytest.mark.parametrize("unit", ["gui/", "/etc/sv/../sv/gui", "/", "sv/gui", "etc/sv/gui"])
def test_half_a_directory_is_no_name(name: str, unit: str) -> None:
    assert [each.field for each in MANAGERS[name].problems(claim(name, unit))] == ["unit"]
    assert [each.field for each in MANAGERS[name].problems(claim(name, "gui", config="/srv/s6"))] == ["config"]


@BOTH
@pytest.mark.law(11)
def test_a_new_incarnation_is_told_by_its_process(name: str) -> None:
    lines = ("boot b", "process 355 9 rbron /srv", "directory /etc/sv/gui", "supervisor 3 4")
    assert MANAGERS[name].mark(lines) == ("boot b process 355 9 rbron /srv",)
