from dataclasses import replace
from pathlib import Path

import pytest

from app.core.facts import Facts, Listener, Process, Record, Writable
from app.core.judge import judge
from app.core.manager import Command, Found, Missing, Nearness, Several, Unseen
from app.core.registry import Registry, problems
from app.core.service import Host, Service
from app.core.verdict import Code
from app.managers import MANAGERS
from tests.unit.managers.constructed import ID, claim, host, process
from tests.unit.managers.test_fragments import identity, run, sleeping

script = MANAGERS["script"]
UNIT = "/usr/local/sbin/restart-gui"
GUI = process(3186, "gunicorn", cwd="/opt/gui")
WORKER = process(3187, "gunicorn", ppid=3186, cwd="/opt/gui")
HELD = Listener(5070, "127.0.0.1", 1000, (3186, 3187))


def file(state: str = "plain", **fields: str) -> Record:
    return Record("script.file", {"path": UNIT, "state": state, "uid": "0", "sha256": "c" * 64, **fields})


def found_for(pid: int, unit: str = UNIT) -> Record:
    return Record("script.process", {"unit": unit, "pid": str(pid)})


def service(**fields: object) -> Service:
    plain: dict[str, object] = {"user": "rbron", "path": "/opt/gui", "ports": (5070,), "args": ("5070",)}
    return claim("script", UNIT, **{**plain, **fields})


def proved(*processes: Process, state: str = "plain") -> Facts:
    """A host on which all is as claimed, and the identity lines of it were printed."""
    lines = ("boot 8f2c", f"process 3186 {GUI.start} rbron /opt/gui", f"script {UNIT} {'c' * 64} 0 755")
    facts = host(*processes, records=(file(state), found_for(3186)), listeners=[HELD])
    return replace(facts, identity={"api": lines}, asked=("api",))


def code(facts: Facts, claimed: Service | None = None) -> Code:
    return judge(claimed or service(), facts, MANAGERS, "g").code


def test_what_no_manager_runs_and_is_where_the_claim_says_is_the_scripts() -> None:
    facts = proved(GUI, WORKER)
    found = script.recognise(facts.chain(3187), 5070, facts)
    assert found is not None
    assert (found.unit, found.nearness, found.depth, found.main) == (UNIT, Nearness.NOBODY, 1, 3186)
    assert code(facts) is Code.VERIFIED


def test_no_process_tells_that_a_script_once_started_it() -> None:
    facts = host(process(50, "start.sh", exe="/bin/dash"), process(60, "serve", ppid=50), records=[file()])
    assert script.recognise(facts.chain(60), 5070, facts) is None


@pytest.mark.law(1)
@pytest.mark.parametrize(
    ("above", "cgroup"),
    [
        (process(900, "gunicorn"), "/system.slice/gui.service"),
        (process(900, "gunicorn"), f"/system.slice/docker-{ID}.scope"),
        (process(900, "gunicorn"), f"/machine.slice/libpod-{ID}.scope"),
        (process(900, "gunicorn"), "/user.slice/user-1000.slice/user@1000.service/app.slice/gui.service"),
        (process(900, "tmux: server", exe="/usr/bin/tmux"), "/user.slice/user-1000.slice/session-3.scope"),
        (process(900, "supervisord", argv=("python3", "/usr/bin/supervisord")), "/system.slice/x.scope"),
        (process(900, "runsv", exe="/usr/bin/runsv", argv=("runsv", "gui")), "/system.slice/x.scope"),
        (process(900, "s6-supervise", exe="/usr/bin/s6-supervise", argv=("s6-supervise", "gui")), "/x.scope"),
    ],
    ids=["systemd", "docker", "podman", "systemd-user", "tmux", "supervisor", "runit", "s6"],
)
def test_what_a_manager_runs_is_that_managers_whatever_a_script_claims(above: Process, cgroup: str) -> None:
    main = process(3186, "gunicorn", ppid=900, cwd="/opt/gui", cgroup=cgroup)
    worker = process(3187, "gunicorn", ppid=3186, cwd="/opt/gui", cgroup=cgroup)
    assert code(proved(above, main, worker)) is Code.WRONG_MANAGER


@pytest.mark.law(1)
def test_where_not_all_ancestors_were_seen_a_manager_may_be_hidden() -> None:
    orphan = process(3186, "gunicorn", ppid=900, cwd="/opt/gui")
    assert code(proved(orphan, WORKER)) is Code.BLIND


def test_another_user_and_another_path_are_said() -> None:
    assert code(proved(GUI, WORKER), service(user="node")) is Code.WRONG_USER
    assert code(proved(GUI, WORKER), service(path="/srv")) is Code.WRONG_PATH


def test_a_script_that_an_ordinary_user_can_write_is_unsafe() -> None:
    facts = replace(proved(GUI, WORKER), writable={"api": (Writable(UNIT, "rbron"),)})
    assert code(facts) is Code.UNSAFE


@pytest.mark.parametrize(
    ("state", "word"), [("link", "symbolic link"), ("special", "no regular file"), ("unrunnable", "not executable")]
)
def test_what_is_no_plain_executable_file_is_said(state: str, word: str) -> None:
    facts = proved(GUI, WORKER, state=state)
    found = script.find(service(), facts)
    assert isinstance(found, Found)
    assert word in found.obstacle
    assert code(facts) is Code.NO_SUCH_UNIT


def test_a_missing_script_has_near_names_of_its_own_folder_only() -> None:
    names = "/usr/local/sbin/restart-guis /usr/sbin/restart-gu /usr/local/sbin/backup"
    facts = host(records=[file("missing"), Record("script.names", {"list": names})])
    assert script.find(service(), facts) == Missing(("/usr/local/sbin/restart-guis",))


def test_a_script_that_was_not_seen_is_not_absent() -> None:
    for records in ([], [file("unread")], [file(sha256="")]):
        assert isinstance(script.find(service(), host(records=records)), Unseen)
    dark = host(records=[file()], listeners=[Listener(5070, "10.0.0.5", 1000, ())])
    assert isinstance(script.find(service(), dark), Unseen)


def test_where_nothing_runs_it_is_down_and_several_in_one_path_are_not_chosen_from() -> None:
    idle = host(records=[file()])
    assert script.find(service(), idle) == Found(unit=UNIT, state="not running")
    two = host(process(7, "one", cwd="/opt/gui"), process(8, "two", cwd="/opt/gui"), records=[file()])
    assert isinstance(script.find(service(ports=()), two), Several)


@pytest.mark.law(4)
def test_its_argv_is_the_path_and_the_words_by_root() -> None:
    made = Command((UNIT, "5070", "--now"), "root")
    claimed = service(args=("5070", "--now"))
    assert script.restart(claimed, UNIT, host()) == script.start(claimed, UNIT, host()) == made
    assert script.gentler(claimed, UNIT, host()) == {}
    assert script.signs(claimed, host()) == ()


@pytest.mark.parametrize("unit", ["restart-gui", "/opt/../etc/x", "/opt/./x", "/", "/opt//x", "/opt/x/"])
def test_a_claim_names_an_absolute_path(unit: str) -> None:
    found = script.problems(claim("script", unit, user="rbron", ports=(1,)))
    assert [problem.field for problem in found] == ["unit"]


def test_a_claim_says_where_and_whose_its_process_is() -> None:
    assert script.problems(service()) == []
    assert [each.field for each in script.problems(service(ports=(), path=None))] == ["ports"]
    assert [each.field for each in script.problems(service(user=None, config="/etc/x"))] == ["user", "config"]


def wrong(claimed: Service) -> list[tuple[str, str]]:
    registry = Registry((Host("alpha", "10.0.0.5", "lab"),), (claimed,), ())
    return [(problem.field, problem.message) for kind, _, problem in problems(registry, MANAGERS) if kind == "service"]


@pytest.mark.law(4)
@pytest.mark.parametrize("arg", ["a b", "", "$(id)", "x;y", "a\nb", "*", "'", "ü", "x" * 201, "a\\b", "~"])
def test_an_argument_is_one_word_that_no_shell_reads_otherwise(arg: str) -> None:
    assert [field for field, _ in wrong(service(args=("5070", arg)))] == ["args.1"]


def test_arguments_are_for_a_script_alone_and_not_too_many() -> None:
    assert wrong(service()) == []
    assert [field for field, _ in wrong(service(args=("x",) * 21))] == ["args"]
    for name, manager in MANAGERS.items():
        unit = {"compose": "a/b"}.get(name, "gui")
        found = wrong(claim(name, unit, user="rbron", ports=(5070,), args=("x",)))
        assert ("args" in [field for field, _ in found]) == (manager.is_claimable and name != "script"), name


def test_the_same_script_with_other_words_is_another_service() -> None:
    one, other = service(), replace(service(), name="other", ports=(5071,))
    both = Registry((Host("alpha", "10.0.0.5", "lab"),), (one, replace(other, args=("5071",))), ())
    assert [each for kind, _, each in problems(both, MANAGERS) if kind == "service"] == []
    same = replace(both, services=(one, other))
    assert [each.field for kind, _, each in problems(same, MANAGERS) if kind == "service"] == ["unit"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "bin"
    made.mkdir()
    (made / "restart-gui").write_text("#!/usr/bin/env sh\necho\n")
    (made / "restart-gui").chmod(0o755)
    (made / "odd\nname").write_text("")
    return made


def told(claims: str, held: str = "", **variables: str) -> list[Record]:
    units = "\n".join(line.split(" ")[1] for line in claims.splitlines())
    return run("facts_script", {"AF_CLAIMS": claims, "AF_UNITS": units, "AF_HOLDERS": held, **variables})


def test_a_script_is_bound_by_its_digest_owner_and_mode_and_to_who_holds_its_ports(folder: Path) -> None:
    path = folder / "restart-gui"
    with sleeping("sleep") as one:
        found = told(f"a {path} rbron - - 5070", f"5070 {one}\n5052 1\n")
    owner = path.stat().st_uid
    lines = [line for _, line in identity(found)]
    digest = next(line for line in lines if line.startswith("script ")).split(" ")
    assert digest[0:2] + digest[3:] == ["script", str(path), str(owner), "755"]
    assert len(digest[2]) == 64
    assert set(lines) - {" ".join(digest)} == {"found-by - 5070", str(one)}
    guarded = [each.get("path") for each in found if each.kind == "guard"]
    assert guarded[0] == str(path)
    assert guarded[1].endswith("/sh")  # what /usr/bin/env would find
    path.write_text("#!/bin/sh\necho more\n")
    again = [line for _, line in identity(told(f"a {path} rbron - - 5070"))]
    assert digest[2] not in " ".join(again)


def test_what_is_no_plain_file_is_told_and_near_names_are_whole_lines(folder: Path) -> None:
    (folder / "link").symlink_to(folder / "restart-gui")
    (folder / "plain").write_text("#!/bin/sh\n")
    states = {"link": "link", "gone": "missing", "plain": "unrunnable", "sub": "special"}
    (folder / "sub").mkdir()
    for name, state in states.items():
        found = told(f"a {folder}/{name} rbron - - 5070")
        assert [each.get("state") for each in found if each.kind == "script.file"] == [state]
        assert bool(identity(found)) == (state != "missing")
    near = next(each for each in told(f"a {folder}/gone rbron - - 5070") if each.kind == "script.names").get("list")
    assert {f"{folder}/{name}" for name in ("link", "plain", "restart-gui", "sub")} < set(near.split(" "))
    assert "\n" not in near


@pytest.mark.law(5)
def test_at_a_restart_it_looks_at_who_is_now_where_the_warrant_says_it_was(folder: Path) -> None:
    path = folder / "restart-gui"
    with sleeping("sleep", cwd=folder):
        claims = f"a {path} rbron {folder} - -"
        probed = identity(told(claims))
        warranted = "\n".join(["boot x", "process 1 2 rbron /", f"found-by {folder} -", "script x", ""])
        again = told(f"a {path} root - - -", AF_VERB="restart", AF_WARRANTED=warranted)
    assert identity(again) == probed
    assert ("a", f"found-by {folder} -") in probed
