import os
import socket
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.errors import Refused
from app.core.facts import Facts, Listener, Process, Record
from app.core.judge import judge
from app.core.manager import Action, Command, Found, Missing, Nearness, Owner, Unseen
from app.core.verdict import Code
from app.managers import MANAGERS
from tests.unit.managers.constructed import BOOT, claim, host, process
from tests.unit.managers.test_fragments import run, sleeping

systemd_user = MANAGERS["systemd-user"]
SLICE = "/user.slice/user-1000.slice/user@1000.service"
GROUP = f"{SLICE}/app.slice/gui.service"
MANAGER = process(490, "systemd", exe="/lib/systemd/systemd", cgroup=f"{SLICE}/init.scope")
MAIN = process(541, "gunicorn", ppid=490, cgroup=GROUP)
WORKER = process(546, "gunicorn", ppid=541, cgroup=GROUP)


def manager(**fields: str) -> Record:
    plain = {"of": "rbron", "uid": "1000", "pid": "490", "linger": "yes", "why": ""}
    return Record("systemd-user.manager", {**plain, **fields})


def unit(**fields: str) -> Record:
    plain = {
        "of": "rbron",
        "id": "gui.service",
        "names": "gui.service",
        "load": "loaded",
        "active": "active",
        "sub": "running",
        "result": "success",
        "type": "simple",
        "pid": "541",
        "cgroup": GROUP,
        "dir": "/srv",
        "invocation": "1076",
        "restarts": "0",
        "reload": "no",
        "can-reload": "no",
    }
    return Record("systemd-user.unit", {**plain, **{key.replace("_", "-"): value for key, value in fields.items()}})


def seen(*processes: Process, records: tuple[Record, ...] = ()) -> Facts:
    return host(*(processes or (MANAGER, MAIN, WORKER)), records=records or (manager(), unit()))


def owner(facts: Facts, pid: int, port: int | None = None) -> Owner:
    found = systemd_user.recognise(facts.chain(pid), port, facts)
    assert found is not None
    return found


def test_a_process_is_led_to_the_users_unit_by_its_control_group() -> None:
    found = owner(seen(), 546)
    assert (found.unit, found.nearness, found.main, found.is_believed) == ("gui.service", Nearness.UNIT, 541, True)
    assert found.evidence == "systemd 490 of rbron → control group of gui.service → main process 541"


@pytest.mark.law(1)
@pytest.mark.parametrize(
    "changed",
    [
        {"manager": replace(MANAGER, exe="/home/rbron/systemd", exe_uid=1000)},
        {"manager": replace(MANAGER, exe="/usr/bin/python3")},
        {"manager": replace(MANAGER, exe=None, exe_uid=None)},
        {"manager": replace(MANAGER, ppid=400)},
        {"manager": replace(MANAGER, uid=1001)},
        {"manager": replace(MANAGER, cgroup="/user.slice/user-1000.slice/session-3.scope")},
        {"manager": replace(MANAGER, cgroup="/user.slice/x/user@10001.service/init.scope")},
        {"main": replace(MAIN, ppid=1)},
        {"main": replace(MAIN, uid=0)},
        {"main": replace(MAIN, uid=1001)},
        {"manager": replace(MANAGER, pid=491, ppid=1), "main": replace(MAIN, ppid=491)},
    ],
    ids=[
        "a program of the user's",
        "another program",
        "a program unseen",
        "not started by PID 1",
        "another user's",
        "outside of the user's service",
        "inside of another user's",
        "a process that it did not start",
        "a process of root's in the user's group",
        "a process of another user's",
        "a fake beside the real one",
    ],
)
def test_what_a_user_can_make_by_hand_inside_his_own_slice_is_never_believed(changed: dict[str, Process]) -> None:
    main = changed.get("main", MAIN)
    facts = seen(process(400, "sh"), changed.get("manager", MANAGER), main, replace(WORKER, uid=main.uid))
    assert not owner(facts, 546).is_believed
    assert judge(claim("systemd-user", "gui", user="rbron"), facts, MANAGERS, "g").code is not Code.VERIFIED


@pytest.mark.law(1)
@pytest.mark.parametrize(
    "records",
    [
        (unit(),),
        (manager(why="somebody else may answer on its socket"), unit()),
        (manager(of="node", uid="1001"), unit(of="node")),
        (manager(), unit(of="node")),
        (manager(), unit(cgroup=f"{SLICE}/app.slice/other.service")),
        (manager(), unit(active="inactive")),
    ],
    ids=["nobody was asked", "who answered is not known", "another's", "another's unit", "another group", "inactive"],
)
def test_a_unit_that_the_users_own_systemd_does_not_vouch_for_is_not_believed(records: tuple[Record, ...]) -> None:
    assert not owner(seen(records=records), 546).is_believed


@pytest.mark.parametrize(
    ("below", "named"),
    [
        ("app.slice/gui.service", "gui.service"),
        ("app.slice/app-gui.slice/gui@5052.service", "gui@5052.service"),
        ("app.slice/gui.service/workers", "gui.service"),
        ("session.slice/tmux-spawn-1.scope", "tmux-spawn-1.scope"),
    ],
)
def test_a_unit_that_nobody_was_asked_about_is_named_all_the_same(below: str, named: str) -> None:
    main = process(541, "gunicorn", ppid=490, cgroup=f"{SLICE}/{below}")
    worker = process(546, "gunicorn", ppid=541, cgroup=f"{SLICE}/{below}")
    found = owner(host(MANAGER, main, worker), 546)
    assert (found.unit, found.nearness, found.main, found.is_believed) == (named, Nearness.UNIT, 541, False)
    assert found.evidence.startswith(f"systemd 490 of rbron → {named} by its control group → gunicorn 541 of rbron")


def test_a_unit_whose_manager_is_not_above_it_is_still_named() -> None:
    found = owner(host(process(541, "gunicorn", cgroup=GROUP)), 541)
    assert (found.unit, found.is_believed) == ("gui.service", False)
    assert "user id 1000" in found.evidence


@pytest.mark.parametrize(
    "cgroup",
    [f"{SLICE}/init.scope", "/system.slice/gui.service", "/user.slice/user-1000.slice/session-3.scope", SLICE, "/"],
)
def test_what_is_no_unit_of_a_user_is_not_recognised(cgroup: str) -> None:
    facts = seen(MANAGER, process(541, "gunicorn", cgroup=cgroup))
    assert systemd_user.recognise(facts.chain(541), 5052, facts) is None


def test_a_port_that_the_users_systemd_holds_is_led_to_the_unit() -> None:
    lazy = unit(id="lazy.socket", names="lazy.socket", pid="", cgroup="", listen="127.0.0.1:5059 (Stream)")
    trigger = replace(lazy, fields={**lazy.fields, "triggers": "gui.service"})
    facts = seen(records=(manager(), trigger, unit()))
    found = owner(facts, 490, 5059)
    assert (found.unit, found.main, found.is_believed) == ("gui.service", 541, True)
    assert systemd_user.recognise(facts.chain(490), None, facts) is None
    doubted = seen(records=(manager(why="no"), trigger, unit()))
    assert not owner(doubted, 490, 5059).is_believed


def test_a_unit_is_found_in_the_list_of_the_user_whose_it_is() -> None:
    assert systemd_user.find(claim("systemd-user", "gui", user="rbron"), seen()) == Found(
        unit="gui.service", state="active/running", main=(541,), user="rbron", path="/srv"
    )
    absent = unit(id="gux.service", names="gux.service", load="not-found", pid="0")
    names = Record("systemd-user.names", {"of": "rbron", "list": "dirmngr.service gui.service"})
    facts = seen(records=(manager(), absent, names))
    assert systemd_user.find(claim("systemd-user", "gux", user="rbron"), facts) == Missing(("gui.service",))


@pytest.mark.law(1)
def test_a_unit_of_the_same_name_of_another_user_is_not_meant() -> None:
    """Both have a gui.service: node's is claimed, and rbron's holds the port."""
    other = "/user.slice/user-1001.slice/user@1001.service"
    nodes = process(700, "systemd", uid=1001, exe="/lib/systemd/systemd", cgroup=f"{other}/init.scope")
    its = process(701, "gunicorn", ppid=700, uid=1001, cgroup=f"{other}/app.slice/gui.service")
    records = (
        *(manager(), unit(), manager(of="node", uid="1001", pid="700")),
        unit(of="node", pid="701", cgroup=f"{other}/app.slice/gui.service"),
    )
    facts = host(*(MANAGER, MAIN, WORKER, nodes, its), records=records, listeners=[Listener(5052, "::", 1000, (541,))])
    verdict = judge(claim("systemd-user", "gui", user="node", ports=(5052,)), facts, MANAGERS, "g")
    assert verdict.code is not Code.VERIFIED
    assert any(finding.aspect == "ports" and finding.agrees is False for finding in verdict.findings)


def test_a_user_who_does_not_linger_is_said_with_the_unit() -> None:
    found = systemd_user.find(claim("systemd-user", "gui", user="rbron"), seen(records=(manager(linger="no"), unit())))
    assert isinstance(found, Found)
    assert found.state == "active/running, until rbron's last login ends (no lingering)"


def test_a_systemd_that_does_not_run_or_is_not_proved_is_unseen_and_says_what_to_do() -> None:
    service = claim("systemd-user", "gui", user="rbron")
    for records, why, step in (
        ((), "no user rbron", "user"),
        ((manager(pid="0", why="it does not run"),), "no systemd running", "loginctl enable-linger rbron"),
        ((manager(why="blind may not ask it"), unit()), "may not ask", "sudo: true"),
        ((manager(),), "did not tell", "systemctl show"),
    ):
        found = systemd_user.find(service, host(MANAGER, MAIN, records=records))
        assert isinstance(found, Unseen)
        assert why in found.why
        assert step in found.next_step


@pytest.mark.law(4)
def test_the_argv_is_run_by_the_user_whose_unit_it_is() -> None:
    service = claim("systemd-user", "gui", user="rbron")
    words = ("systemctl", "--user")
    assert systemd_user.restart(service, "gui.service", seen()) == Command((*words, "restart", "gui.service"), "rbron")
    assert systemd_user.start(service, "gui.service", seen()) == Command((*words, "start", "gui.service"), "rbron")
    with pytest.raises(Refused):
        systemd_user.restart(replace(service, user=None), "gui.service", seen())


def test_it_can_read_changed_files_and_have_a_unit_reload_itself() -> None:
    service = claim("systemd-user", "gui", user="rbron")
    facts = seen(records=(manager(), unit(reload="yes", can_reload="yes")))
    assert systemd_user.gentler(service, "gui.service", facts) == {
        Action.DAEMON_RELOAD: Command(("systemctl", "--user", "daemon-reload"), "rbron"),
        Action.RELOAD: Command(("systemctl", "--user", "reload", "gui.service"), "rbron"),
    }
    assert systemd_user.gentler(service, "gui.service", seen()) == {}


def test_signs_are_what_the_users_systemd_says() -> None:
    newer = Record("systemd-user.claim", {"service": "api", "file": "/x", "files-at": str(int(BOOT) + 1000)})
    facts = seen(records=(manager(), unit(reload="yes", result="exit-code"), newer))
    signs = systemd_user.signs(claim("systemd-user", "gui", user="rbron"), facts)
    assert [sign.kind for sign in signs] == ["unit", "daemon-reload", "result"]
    assert systemd_user.signs(claim("systemd-user", "gui", user="rbron"), seen()) == ()


@pytest.mark.law(11)
def test_its_mark_is_the_invocation() -> None:
    assert systemd_user.mark(("boot b", "invocation 1076", "process 541 1 rbron /")) == ("invocation 1076",)


def test_a_claim_names_the_user_and_one_service() -> None:
    assert systemd_user.problems(claim("systemd-user", "gui.service", user="rbron")) == []
    for fields, wrong in (
        ({"unit": "gui.service"}, ["user"]),
        ({"unit": "gui@.service", "user": "rbron"}, ["unit"]),
        ({"unit": "gui.timer", "user": "rbron"}, ["unit"]),
        ({"unit": "gui", "user": "rbron", "config": "/etc/x"}, ["config"]),
        ({"unit": "gui@1", "user": "rbron", "start": True}, ["start"]),
    ):
        service = claim("systemd-user", **fields)
        assert [problem.field for problem in systemd_user.problems(service)] == wrong


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Path, socket.socket]]:
    """The folder that stands for /run/user/UID, with the socket that this very process listens on in it."""
    (tmp_path / "systemd").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "systemd" / "private"))
        listening.listen()
        # Whose the folders are, as if root had made the upper one.
        tool = tmp_path / "stat"
        tool.write_text(
            f'#!/bin/sh\n[ "$2" != %u ] || {{ echo {os.getuid()}; echo 0; exit; }}\nexec /usr/bin/stat "$@"\n'
        )
        tool.chmod(0o755)
        yield tmp_path, listening


def line_of(listening: socket.socket, bound_to: Path, shown: str) -> str:
    """What ss prints for a listening socket: its path, its number, and the file that it was bound to."""
    file = bound_to.stat()
    kernels = os.major(file.st_dev) << 20 | os.minor(file.st_dev)
    device = f"{os.major(kernels)}/{os.minor(kernels)}"
    number = os.fstat(listening.fileno()).st_ino
    return f"u_str LISTEN 0 4096 {shown} {number} * 0 <-> ino:{file.st_ino} dev:{device} peers:\n"


def strange(folder: Path, lines: str, daemon: int) -> str:
    (folder / "lines").write_text(lines)
    tool = folder / "ss"
    tool.write_text(f"#!/bin/sh\ncat {folder}/lines\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    variables = {"place": str(folder), "daemon": str(daemon), "AF_USER_UID": str(os.getuid())}
    said = 'WHY=$(systemd_user_strange) awk "$AF_AWK"\'BEGIN { rec("x.y"); put("why", ENVIRON["WHY"]); done() }\''
    return run(said, variables, str(folder))[0].get("why")


@pytest.mark.law(1)
def test_only_the_socket_that_the_users_systemd_itself_listens_on_is_asked(place: tuple[Path, socket.socket]) -> None:
    folder, listening = place
    own = line_of(listening, folder / "systemd/private", str(folder / "systemd/private"))
    assert strange(folder, own, os.getpid()) == ""
    with sleeping("sleep") as other:
        assert "somebody else" in strange(folder, own, other)
    assert "somebody else" in strange(folder, "", os.getpid())
    # Two sockets that were bound to one file cannot be: one of the lines is no line of ss's.
    with socket.socket(socket.AF_UNIX) as another:
        assert "somebody else" in strange(folder, own + line_of(another, folder / "systemd/private", "/x"), os.getpid())


@pytest.mark.law(1)
def test_a_socket_that_was_moved_into_its_place_is_not_asked(place: tuple[Path, socket.socket]) -> None:
    """The real one was moved away, and is still the process's own; what stands in its place is not."""
    folder, listening = place
    private, aside = folder / "systemd/private", folder / "systemd/aside"
    private.rename(aside)
    with socket.socket(socket.AF_UNIX) as fake:
        fake.bind(str(private))
        fake.listen()
        real = line_of(listening, aside, str(private))
        with sleeping("sleep") as daemon:
            assert "somebody else" in strange(folder, real + line_of(fake, private, str(private)), daemon)
        # A path can hold a whole line of ours, which gives the real socket's number to the fake's file.
        forged = line_of(listening, private, "/x")
        assert "somebody else" in strange(folder, real + f"u_str LISTEN 0 1 /y\n{forged}", os.getpid())
