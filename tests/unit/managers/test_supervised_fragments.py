"""What the gate's fragments read of supervisors and of PM2, by the real shell, on folders made for one test."""

import os
import pwd
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copy

import pytest

from app.core.facts import Record
from tests.unit.managers.test_fragments import identity, run, sleeping

WE = {"AF_UID": str(os.getuid()), "AF_NAME": pwd.getpwuid(os.getuid()).pw_name}

NOBODY = 65534
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose services alone are known by their names")


def service_in(folder: Path, pid: str = "1136", stat: str = "run") -> Path:
    """A service directory as runsv keeps it."""
    supervise = folder / "supervise"
    supervise.mkdir(parents=True)
    supervise.chmod(0o700)
    folder.chmod(0o755)
    (supervise / "pid").write_text(f"{pid}\n")
    (supervise / "stat").write_text(f"{stat}\n")
    (folder / "run").write_text("#!/bin/sh\n")
    return folder


@contextmanager
def supervising(folder: Path, user: int | None = None) -> Iterator[int]:
    """A process that was given ``gui`` and stands in a folder, as runsv does: a shell that waits for a line."""
    (folder / "gui").write_text("read line\n")
    argv = ["runsv", "gui"]
    with subprocess.Popen(argv, executable="/bin/sh", cwd=folder, stdin=subprocess.PIPE, user=user) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def runit(supervisor: int, **variables: str) -> list[Record]:
    return run("facts_runit", {"AF_COMMS": f"{supervisor} runsv\n77 dockerd\n", **WE, **variables})


def services(records: list[Record]) -> list[tuple[str, str, str, str]]:
    return [
        (each.get("dir"), each.get("listed"), each.get("state"), each.get("is-up"))
        for each in records
        if each.kind == "runit.service"
    ]


def test_a_claim_means_a_directory_by_whatever_path_leads_there(tmp_path: Path) -> None:
    gui = service_in(tmp_path / "sv" / "gui")
    service_in(gui / "log", "1137")
    (tmp_path / "link").symlink_to(gui)
    claims = f"a {tmp_path}/link - - - -\nb {gui}/log - - - -\nc {tmp_path} - - - -\nd {tmp_path}/nothing - - - -"
    with supervising(gui) as supervisor:
        found = runit(supervisor, AF_CLAIMS=claims)
    assert services(found) == [(str(gui), "1136", "run", "yes"), (f"{gui}/log", "1137", "run", "yes")]
    meant = {each.get("service"): each.get("dirs") for each in found if each.kind == "runit.claim"}
    assert meant == {"a": str(gui), "b": f"{gui}/log", "c": "", "d": ""}
    lines = identity(found)
    assert ("a", "1136") in lines
    assert ("b", "1137") in lines
    assert ("a", f"directory {gui}") in lines
    assert any(service == "a" and line.startswith(f"supervisor {supervisor} ") for service, line in lines)


def test_before_a_run_the_directory_that_its_command_names_is_bound(tmp_path: Path) -> None:
    gui, other = service_in(tmp_path / "one" / "gui"), service_in(tmp_path / "two" / "gui", "1999")
    with supervising(gui) as one, supervising(other) as two:
        variables = {
            "AF_COMMS": f"{one} runsv\n{two} runsv\n",
            "AF_CLAIMS": "a gui root - - -",
            "AF_VERB": "restart",
            "AF_ARGV": f"sv -w 30 restart {other}",
            **WE,
        }
        found = identity(run("facts_runit", variables))
    assert ("a", "1999") in found
    assert ("a", "1136") not in found


@AS_ROOT
@pytest.mark.law(1)
def test_an_ordinary_users_service_is_not_meant_by_a_name_that_roots_could_have(tmp_path: Path) -> None:
    gui = service_in(tmp_path / "gui")
    with supervising(gui, user=NOBODY) as supervisor:
        found = runit(supervisor, AF_CLAIMS=f"a gui - - - -\nb {gui} - - - -")
    meant = {each.get("service"): each.get("dirs") for each in found if each.kind == "runit.claim"}
    assert meant == {"a": "", "b": str(gui)}
    assert [each.get("name") for each in found if each.kind == "runit.service"] == [str(gui)]


def test_what_su_waits_for_is_the_main_process(tmp_path: Path) -> None:
    copy("/bin/dash", tmp_path / "su")
    waiting = [str(tmp_path / "su"), "-c", "sleep 60 & echo $!; wait"]
    with subprocess.Popen(waiting, stdout=subprocess.PIPE, text=True, start_new_session=True) as su:
        assert su.stdout is not None
        child = su.stdout.readline().strip()
        try:
            with supervising(service_in(tmp_path / "gui", str(su.pid))) as supervisor:
                (found,) = [each for each in runit(supervisor) if each.kind == "runit.service"]
        finally:
            os.killpg(su.pid, signal.SIGKILL)
    assert (found.get("listed"), found.get("pid")) == (str(su.pid), child)


@AS_ROOT
def test_a_bare_name_means_services_of_roots(tmp_path: Path) -> None:
    gui = service_in(tmp_path / "gui")
    with supervising(gui) as supervisor:
        found = runit(supervisor, AF_CLAIMS="a gui - - - -\nb gui-2 - - - -")
    assert {each.get("service"): each.get("dirs") for each in found if each.kind == "runit.claim"} == {
        "a": str(gui),
        "b": "",
    }
    (names,) = [each.get("list") for each in found if each.kind == "runit.names"]
    assert "gui" in names.split(" ")
    guarded = [each.get("path") for each in found if each.kind == "guard"]
    assert {f"{gui}/run", f"{gui}/supervise"} <= set(guarded)


@pytest.mark.law(1)
@pytest.mark.threat("D17")
def test_a_list_that_others_can_write_is_not_read(tmp_path: Path) -> None:
    gui = service_in(tmp_path / "gui")
    (gui / "supervise").chmod(0o777)
    with supervising(gui) as supervisor:
        (found,) = [each for each in runit(supervisor) if each.kind == "runit.service"]
    assert found.get("distrust") == f"others can write {gui}/supervise"
    assert (found.get("listed"), found.get("state"), found.get("is-up")) == ("", "", "no")


@pytest.mark.law(13)
@pytest.mark.parametrize(
    ("pid", "stat", "expected"),
    [
        ("1136", "run, got TERM, want down", ("1136", "run, got TERM, want down", "yes")),
        ("1137", "finish", ("1137", "finish", "no")),
        ("", "down, want up", ("0", "down, want up", "no")),
        ("1136", "run\nhost boot=x", ("", "", "no")),
        ("1136 1", "run", ("1136", "1 run", "no")),
        ("-1", "run", ("", "", "no")),
        ("1136", "$(touch x) run", ("", "", "no")),
    ],
)
def test_what_a_list_says_is_a_number_and_a_state_or_nothing(
    tmp_path: Path, pid: str, stat: str, expected: tuple[str, str, str]
) -> None:
    gui = service_in(tmp_path / "gui", pid, stat)
    with supervising(gui) as supervisor:
        found = services(runit(supervisor))
    assert [each[1:] for each in found] == [expected if expected[0] != "0" else ("", *expected[1:])]


@pytest.mark.law(13)
def test_a_directory_that_a_reader_of_lines_would_take_for_two_is_left_out(tmp_path: Path) -> None:
    hostile = service_in(tmp_path / f"x\n{os.getpid()} {tmp_path}")
    with supervising(hostile) as supervisor:
        assert services(runit(supervisor)) == []


def pm2(lines: str, **variables: str) -> list[Record]:
    return run('printf "%s\\n" "$SAID" | awk "$AF_AWK$PM2_SAY_AWK"', {"SAID": lines, **variables})


DAEMON = "daemon 1080 node - /home/node/.pm2 1001\ndefault\n"


def test_the_applications_of_a_daemon_are_bound_by_their_processes_and_its_own() -> None:
    said = (
        f"{DAEMON}app 0 gui 1098 fork_mode online 0 %2Fsrv%2Fgui.js %2Fsrv\napp 1 api 0 fork_mode stopped 0 x y\nended"
    )
    found = pm2(said, AF_CLAIMS="a gui node - - -\nb api node - - -\nc gui rbron - - -\nd web node - - -")
    assert [(each.get("name"), each.get("pid")) for each in found if each.kind == "pm2.app"] == [
        ("gui", "1098"),
        ("api", ""),
    ]
    lines = identity(found)
    assert [line for service, line in lines if service == "a"] == [
        "home /home/node/.pm2",
        "app gui 0 fork_mode online %2Fsrv%2Fgui.js",
        "1098",
    ]
    assert ("b", "app api 1 fork_mode stopped x") in lines
    assert ("c", "1098") in lines  # of a user without a daemon: only one runs an application of that name
    assert not [line for service, line in lines if service == "d"]


def test_before_a_run_the_home_is_the_one_that_its_command_names() -> None:
    said = f"{DAEMON}app 0 gui 1098 fork_mode online 0 x y\nended\n"
    said += "daemon 2080 node - /home/node/.pm2-b 1001\napp 0 gui 2098 fork_mode online 0 x y\nended"
    for argv, pid in (("pm2 restart gui", "1098"), ("env PM2_HOME=/home/node/.pm2-b pm2 restart gui", "2098")):
        found = identity(pm2(said, AF_CLAIMS="a gui node - - -", AF_VERB="restart", AF_ARGV=argv))
        assert [line for _, line in found if line.isdecimal()] == [pid]


@pytest.mark.law(13)
@pytest.mark.parametrize(
    "line",
    [
        "app 0 gui 1098 fork_mode online 0 x",
        "app 0 gui 1098 fork_mode online 0 x y z",
        "app 0 gui -1 fork_mode online 0 x y",
        "app x gui 1098 fork_mode online 0 x y",
        "app 0 gui%zz 1098 fork_mode online 0 x y",
        "app 0 g=i 1098 fork_mode online 0 x y",
        "host boot=x",
    ],
)
def test_a_line_of_a_daemons_answer_that_is_not_of_its_form_is_dropped(line: str) -> None:
    found = pm2(f"{DAEMON}{line}\nended")
    assert [each.kind for each in found] == ["pm2.daemon"]


@pytest.mark.law(1)
def test_an_answer_without_its_end_is_none() -> None:
    (found,) = pm2(f"{DAEMON}app 0 gui 1098 fork_mode online 0 x y")
    assert (found.kind, found.get("answered")) == ("pm2.daemon", "no")


@pytest.mark.law(1)
@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_a_daemon_whose_home_others_can_write_is_not_asked(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    (found,) = asked(tmp_path)
    assert (found.get("distrust"), found.get("answered")) == (f"others can write its home {tmp_path}", "no")


def test_a_home_of_pm2_that_a_shell_would_read_differently_is_not_looked_at(tmp_path: Path) -> None:
    trap = tmp_path / "made"
    assert asked(Path(f"/tmp/x$(touch {trap})")) == []
    assert not trap.exists()


def test_a_program_that_is_no_node_is_not_run(tmp_path: Path) -> None:
    """Its executable is sleep here: run with our words it would have complained, and node would have been asked."""
    tmp_path.chmod(0o755)
    (found,) = asked(tmp_path)
    assert (found.get("home"), found.get("distrust"), found.get("answered")) == (str(tmp_path), "", "no")


@pytest.mark.parametrize(
    ("home", "config", "is_asked"), [(".pm2-b", "-", False), (".pm2-b", ".pm2-b", True), (".pm2", "-", True)]
)
def test_a_daemon_that_no_claim_can_mean_is_not_asked(tmp_path: Path, home: str, config: str, is_asked: bool) -> None:
    """It is found among all processes, as it stands above none that matters."""
    (tmp_path / home).mkdir(mode=0o755)
    copy("/bin/dash", tmp_path / "PM2 v7.0.4: God")
    title = f"PM2 v7.0.4: God Daemon ({tmp_path / home})"
    claims = f"a gui node - {config if config == '-' else tmp_path / config} -"
    argv = [title, "-c", "read line"]
    with subprocess.Popen(argv, executable=tmp_path / "PM2 v7.0.4: God", stdin=subprocess.PIPE) as process:
        found = run("facts_pm2", {"AF_COMMS": "77 dockerd\n", "AF_CLAIMS": claims, **WE})
        process.kill()
    assert (str(process.pid) in [each.get("pid") for each in found if each.kind == "pm2.daemon"]) == is_asked


def asked(home: Path) -> list[Record]:
    with sleeping(f"PM2 v7.0.4: God Daemon ({home})") as god:
        return run("facts_pm2", {"AF_COMMS": f"{god} PM2%20v7.0.4:%20God\n77 dockerd\n", **WE})
