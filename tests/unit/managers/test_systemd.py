import json
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.errors import Refused
from app.core.facts import Facts, Process, Record
from app.core.manager import Action, Command, Found, Missing, Nearness, Owner, Unseen
from app.core.reading import facts
from app.core.records import read
from app.managers import MANAGERS
from tests.facts.record import claims_of
from tests.unit.managers.constructed import BOOT, INIT, claim, host, process

systemd = MANAGERS["systemd"]
GROUP = "/system.slice/gui.service"
MAIN = process(412, "gunicorn", cgroup=GROUP)
WORKER = process(416, "gunicorn", ppid=412, cgroup=GROUP)


def unit(**fields: str) -> Record:
    plain = {
        "id": "gui.service",
        "names": "gui.service gui-alias.service",
        "load": "loaded",
        "active": "active",
        "sub": "running",
        "result": "success",
        "type": "notify",
        "pid": "412",
        "cgroup": GROUP,
        "invocation": "1076",
        "restarts": "0",
        "user": "rbron",
        "dir": "/srv",
        "reload": "no",
        "refuse-start": "no",
        "refuse-stop": "no",
        "triggers": "",
        "listen": "",
    }
    return Record("systemd.unit", {**plain, **{key.replace("_", "-"): value for key, value in fields.items()}})


def socket(listen: str = "127.0.0.1:5059 (Stream)") -> Record:
    return unit(id="lazy.socket", names="lazy.socket", pid="", cgroup="", listen=listen, triggers="lazy.service")


def owner(facts: Facts, first: Process, port: int | None = None) -> Owner | None:
    return systemd.recognise(facts.chain(first.pid), port, facts)


@pytest.mark.law(1)
def test_a_process_is_led_to_the_unit_of_its_control_group() -> None:
    found = owner(host(MAIN, WORKER, records=[unit()]), WORKER)
    assert found is not None
    assert (found.unit, found.main, found.nearness, found.depth) == ("gui.service", 412, Nearness.UNIT, 1)
    assert found.is_believed


@pytest.mark.parametrize(
    "cgroup",
    [
        "/",
        "",
        "/init.scope",
        "/user.slice/user-0.slice/session-23.scope",
        "/user.slice/user-1000.slice/user@1000.service/app.slice/gui.service",
        "/machine.slice/libpod-conmon.scope",
        f"/system.slice/docker-{'a' * 64}.scope",
        f"/docker/{'a' * 64}/system.slice/gui.service",
        "/system.slice",
        "/gui.service.d/x",
    ],
)
def test_what_is_in_no_unit_of_the_systems_is_left_to_others(cgroup: str) -> None:
    stranger = process(500, "x", cgroup=cgroup)
    assert owner(host(stranger, records=[unit()]), stranger) is None


@pytest.mark.parametrize(
    ("cgroup", "name"),
    [
        ("/system.slice/gui.service/sub", "gui.service"),
        ("/system.slice/system-gui.slice/gui@1.service", "gui@1.service"),
        ("/system.slice/a.service/b.service", "a.service"),
    ],
)
def test_the_first_part_that_is_no_slice_is_the_unit(cgroup: str, name: str) -> None:
    inside = process(500, "x", cgroup=cgroup)
    found = owner(host(inside, records=[unit(id=name, names=name, cgroup=cgroup, pid="500")]), inside)
    assert found is not None
    assert (found.unit, found.is_believed) == (name, True)


@pytest.mark.law(1)
@pytest.mark.parametrize(
    "fields",
    [
        {"cgroup": "/system.slice/other.service"},
        {"cgroup": ""},
        {"cgroup": "/system.slice/gui.servic"},
        {"active": "inactive"},
    ],
)
def test_a_control_group_that_systemd_does_not_give_to_that_unit_is_not_believed(fields: dict[str, str]) -> None:
    found = owner(host(MAIN, records=[unit(**fields)]), MAIN)
    assert found is not None
    assert not found.is_believed


@pytest.mark.law(1)
def test_a_unit_that_systemd_was_not_asked_about_has_no_name() -> None:
    found = owner(host(MAIN), MAIN)
    assert found is not None
    assert (found.unit, found.is_believed) == (None, False)


@pytest.mark.parametrize("listen", ["127.0.0.1:5059 (Stream)", "[::]:5059 (Stream)", "/run/x (Stream)\n5059 (Stream)"])
def test_a_port_that_systemd_holds_is_led_to_the_socket_and_once_it_runs_to_the_service(listen: str) -> None:
    idle = unit(id="lazy.service", names="lazy.service", active="inactive", pid="0", cgroup="")
    found = owner(host(records=[socket(listen), idle]), INIT, 5059)
    assert found is not None
    assert (found.unit, found.main, found.is_believed) == ("lazy.socket", None, True)
    busy = unit(id="lazy.service", names="lazy.service", pid="412")
    found = owner(host(MAIN, records=[socket(listen), busy]), INIT, 5059)
    assert found is not None
    assert (found.unit, found.main) == ("lazy.service", 412)


@pytest.mark.parametrize(
    "listen", ["127.0.0.1:5060 (Stream)", "127.0.0.1:5059 (Datagram)", "/run/a:5059 (Stream)", "x"]
)
def test_another_socket_is_not_taken_for_it(listen: str) -> None:
    assert owner(host(records=[socket(listen)]), INIT, 5059) is None


def test_a_name_is_looked_up_with_and_without_its_ending_and_by_its_aliases() -> None:
    facts = host(MAIN, records=[unit()])
    for name in ("gui.service", "gui", "gui-alias.service", "gui-alias"):
        found = systemd.find(claim("systemd", name), facts)
        assert isinstance(found, Found)
        assert (found.unit, found.main, found.user, found.path) == ("gui.service", (412,), "rbron", "/srv")
        assert found.obstacle == ""


def test_an_unknown_name_is_missing_and_like_ones_are_named() -> None:
    absent = unit(id="gui-backend.service", names="gui-backend.service", load="not-found", active="inactive", pid="0")
    names = Record("systemd.names", {"list": "ssh.service gui.service gui-backend@.service"})
    found = systemd.find(claim("systemd", "gui-backend"), host(records=[absent, names]))
    assert isinstance(found, Missing)
    assert found.near[0] == "gui-backend@.service"


def test_a_unit_that_was_not_told_of_is_unseen_and_not_missing() -> None:
    assert isinstance(systemd.find(claim("systemd", "gui"), host()), Unseen)


def test_where_systemd_does_not_run_no_unit_exists() -> None:
    absent = Record("systemd.manager", {"state": "absent"})
    assert systemd.find(claim("systemd", "gui"), host(records=[absent])) == Missing()


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"load": "masked"}, "masked"),
        ({"load": "bad-setting"}, "bad-setting"),
        ({"refuse_start": "yes"}, "refuses"),
        ({"refuse_stop": "yes"}, "refuses"),
        ({"type": "oneshot"}, "oneshot"),
    ],
)
def test_what_systemd_would_refuse_or_cannot_be_proved_is_said(fields: dict[str, str], word: str) -> None:
    found = systemd.find(claim("systemd", "gui"), host(records=[unit(**fields)]))
    assert isinstance(found, Found)
    assert word in found.obstacle


def test_a_running_service_has_the_ports_that_systemd_holds_for_it() -> None:
    busy = unit(id="lazy.service", names="lazy.service")
    found = systemd.find(claim("systemd", "lazy"), host(records=[socket(), busy]))
    assert isinstance(found, Found)
    assert found.ports == (5059,)
    idle = systemd.find(claim("systemd", "lazy"), host(records=[socket(), unit(id="lazy.service", pid="0")]))
    assert isinstance(idle, Found)
    assert (idle.main, idle.ports) == ((), ())


@pytest.mark.law(4)
def test_the_restart_is_an_array_of_words_by_root() -> None:
    made = systemd.restart(claim("systemd", "gui-alias"), "gui.service", host())
    assert made == Command(("systemctl", "restart", "gui.service"), "root")
    with pytest.raises(Refused):
        systemd.restart(claim("systemd", "lazy"), "lazy.socket", host())


def test_what_is_no_single_service_is_refused_where_it_is_written() -> None:
    for name in ("gui@.service", "gui@", "lazy.socket", "x.timer", "a/b.service", "session-3.scope", "system.slice"):
        assert [each.field for each in systemd.problems(claim("systemd", name))] == ["unit"], name
    for name in ("gui", "gui.service", "gui@1.service", "my.app", r"dev-disk\x2d1.service"):
        assert systemd.problems(claim("systemd", name)) == [], name
    assert [each.field for each in systemd.problems(claim("systemd", "gui", config="/etc/x"))] == ["config"]
    assert [each.field for each in systemd.problems(claim("systemd", "gui@1.service", start=True))] == ["start"]


def about_files(**fields: str) -> Record:
    named = {key.replace("_", "-"): value for key, value in fields.items()}
    return Record("systemd.claim", {"service": "api", "id": "gui.service", **named})


def test_signs_are_what_systemd_says_and_files_newer_than_the_process() -> None:
    later = int(BOOT) + 1000
    newer = about_files(
        file="/etc/systemd/system/gui.service.d/nice.conf",
        files_at=str(later),
        environment="/etc/default/gui",
        environment_at=str(later + 60),
    )
    facts = host(MAIN, records=[unit(reload="yes", result="exit-code"), newer])
    signs = systemd.signs(claim("systemd", "gui"), facts)
    assert [(sign.kind, sign.at) for sign in signs] == [
        ("unit", later),
        ("environment", later + 60),
        ("daemon-reload", later),
        ("result", None),
    ]
    assert (
        signs[0].text == "/etc/systemd/system/gui.service.d/nice.conf was changed 9 min 48 s after process 412 started."
    )
    assert signs[1].text.startswith("/etc/default/gui was changed")
    assert systemd.signs(claim("systemd", "gui"), host(MAIN, records=[unit()])) == ()
    older = about_files(file="/x", files_at=str(int(BOOT)), environment="/y", environment_at=str(int(BOOT)))
    assert systemd.signs(claim("systemd", "gui"), host(MAIN, records=[unit(), older])) == ()


def test_restarts_by_systemd_itself_are_a_sign_while_the_last_is_fresh() -> None:
    young = replace(MAIN, started_at=BOOT + 9_400)
    (sign,) = systemd.signs(claim("systemd", "gui"), host(young, records=[unit(restarts="3")]))
    assert (sign.kind, sign.at) == ("restarts", young.started_at)
    assert sign.text == "systemd has restarted gui.service 3 times by itself, last 10 min ago."
    assert systemd.signs(claim("systemd", "gui"), host(young, records=[unit(restarts="0")])) == ()
    assert systemd.signs(claim("systemd", "gui"), host(MAIN, records=[unit(restarts="3")])) == ()  # hours ago
    down = unit(pid="0", active="activating", sub="auto-restart", restarts="4")
    assert [sign.kind for sign in systemd.signs(claim("systemd", "gui"), host(records=[down]))] == ["restarts"]


def test_what_is_gentler_than_a_restart_is_what_the_unit_can_do_now() -> None:
    def ways(**fields: str) -> dict[Action, Command]:
        return dict(systemd.gentler(claim("systemd", "gui"), "gui.service", host(MAIN, records=[unit(**fields)])))

    reload = Command(("systemctl", "reload", "gui.service"), "root")
    anew = Command(("systemctl", "daemon-reload"), "root")
    assert ways() == {}
    assert ways(can_reload="yes") == {Action.RELOAD: reload}
    assert ways(reload="yes") == {Action.DAEMON_RELOAD: anew}
    assert list(ways(reload="yes", can_reload="yes")) == [Action.DAEMON_RELOAD, Action.RELOAD]
    assert ways(can_reload="yes", active="inactive", pid="") == {}


def test_what_a_unit_may_ever_be_told_does_not_rest_on_this_moment() -> None:
    """A host's own table is written once; systemd may have to read its files anew at any time."""

    def ways(**fields: str) -> list[Action]:
        seen = host(MAIN, records=[unit(**fields)])
        return list(systemd.gentler(claim("systemd", "gui"), "gui.service", seen, ever=True))

    assert ways() == [Action.DAEMON_RELOAD]
    assert ways(can_reload="yes", active="inactive", pid="") == [Action.DAEMON_RELOAD, Action.RELOAD]


@pytest.mark.law(11)
def test_a_new_incarnation_is_told_by_the_invocation_and_not_by_the_count_of_restarts() -> None:
    lines = (
        "boot b",
        "process 412 9 rbron /srv",
        "fragment /x 1",
        "invocation 1076",
        "unit gui.service active/running",
    )
    assert systemd.mark(lines) == ("invocation 1076",)


@pytest.mark.law(13)
def test_numbers_that_are_none_break_nothing() -> None:
    broken = unit(pid="x", restarts="-1")
    facts = host(MAIN, records=[broken, Record("systemd.claim", {"service": "api", "files-at": "soon"})])
    assert isinstance(systemd.find(claim("systemd", "gui"), facts), Found)
    assert systemd.signs(claim("systemd", "gui"), facts) == ()
    assert owner(facts, MAIN) is not None


def test_signs_and_gentler_ways_of_a_real_host() -> None:
    """Recorded after a unit's file and another's environment file were changed, the one not read by systemd yet."""
    path = Path("tests/facts/systemd/in-full.rec")
    answer = path.read_bytes()
    nonce = answer.partition(b"nonce=")[2].partition(b" ")[0].decode()
    claims = claims_of(json.loads(path.with_suffix(".json").read_text()))
    seen = facts(read(answer, nonce, "probe"), 0.0, claims)
    signs = {each.name: [sign.kind for sign in systemd.signs(each, seen)] for each in claims}
    ways = {each.name: [*systemd.gentler(each, each.unit, seen)] for each in claims}
    assert {name: kinds for name, kinds in signs.items() if kinds} == {
        "forks": ["environment"],
        "dropped": ["unit", "daemon-reload"],
    }
    assert {name: each for name, each in ways.items() if each} == {
        "forks": [Action.RELOAD],
        "dropped": [Action.DAEMON_RELOAD],
    }
