"""probe: what the gate says of real processes that each test starts, with hostile names, paths and arguments."""

import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.core.facts import Facts, Record
from app.core.reading import facts
from app.core.records import read
from app.core.service import Service
from app.gate import build
from tests.unit.gate.conftest import CONFIG
from tests.unit.gate.hosted import ROOT_ONLY, SERVER, Gate, claim, running, until

ME = os.geteuid()
EVERY = "0.0.0.0"  # noqa: S104 - how the host writes it


@contextmanager
def serving(*addresses: str, children: int = 0, cwd: Path | None = None) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Run a server on free ports of these addresses; its pid and the ports."""
    argv = (sys.executable, "-c", SERVER, str(children), *(f"{address}/0" for address in addresses))
    with running(*argv, cwd=cwd) as (pid, line):
        yield pid, tuple(map(int, line.split()))


def ports_of(facts: Facts, port: int) -> set[tuple[str, int, tuple[int, ...]]]:
    return {(each.address, each.uid, each.pids) for each in facts.listeners if each.port == port}


@pytest.mark.law(1)
def test_a_listener_its_holder_and_all_its_ancestors_are_seen(gate: Gate, tmp_path: Path) -> None:
    with serving("127.0.0.1", "::1", EVERY, cwd=tmp_path) as (pid, (loopback, six, every)):
        seen = gate.probe(claim(ports=(loopback,)))
    assert ports_of(seen, loopback) == {("127.0.0.1", ME, (pid,))}
    assert ports_of(seen, six) == {("::1", ME, (pid,))}
    assert ports_of(seen, every) == {(EVERY, ME, (pid,))}
    process = seen.processes[pid]
    assert (process.ppid, process.uid, process.cwd) == (os.getpid(), ME, str(tmp_path))
    assert process.exe == str(Path(sys.executable).resolve())
    assert process.argv[:2] == (sys.executable, "-c")
    assert abs(process.started_at - time.time()) < 120
    assert seen.chain(pid)[-1].ppid == 0
    assert [each.pid for each in seen.chain(pid)][:2] == [pid, os.getpid()]


@pytest.mark.law(1)
def test_every_holder_of_a_port_is_seen(gate: Gate) -> None:
    with serving("127.0.0.1", children=2) as (pid, (port,)):
        seen = gate.probe(claim(ports=(port,)))
    ((_, _, pids),) = ports_of(seen, port)
    assert pid in pids
    assert len(pids) == 3
    assert {seen.processes[each].ppid for each in pids} == {os.getpid(), pid}


def test_what_is_asked_about_gets_records_and_what_is_not_does_not(gate: Gate) -> None:
    with serving("127.0.0.1") as (pid, (port,)), serving("127.0.0.1") as (other, (other_port,)):
        seen = gate.probe(claim(ports=(port,)))
        whole, both = gate.probe(), gate.probe(claim(ports=(port,)), whole=True)
    assert pid in seen.processes
    assert other not in seen.processes
    assert ports_of(seen, other_port) == {("127.0.0.1", ME, (other,))}, "every listener is told, with its holder"
    assert {pid, other} <= set(whole.processes), "who asks about nothing is told of everything"
    assert {pid, other} <= set(both.processes)
    assert (whole.asked, both.asked) == ((), ("demo",))


def test_a_process_is_found_by_the_folder_it_works_in_where_no_port_is_claimed(gate: Gate, tmp_path: Path) -> None:
    deeper = tmp_path / "app" / "deeper"
    deeper.mkdir(parents=True)
    (tmp_path / "application").mkdir()
    with (
        running("sh", "-c", "echo; exec sleep 1000", cwd=deeper) as (inside, _),
        running("sh", "-c", "echo; exec sleep 1000", cwd=tmp_path / "application") as (beside, _),
    ):
        seen = gate.probe(claim(path=str(tmp_path / "app")))
    assert inside in seen.processes
    assert beside not in seen.processes


RENAME = """
import ctypes, sys, time
ctypes.CDLL(None).prctl(15, sys.argv[1].encode(), 0, 0, 0)
print(flush=True)
time.sleep(1000)
"""


@pytest.mark.law(13)
@pytest.mark.threat("E4")
@pytest.mark.parametrize(
    "name", ["x) S 1 1\nend ", "\n1 (a) S 0 0", "a)b(c", "supervisord", "é\u202e", ") ", "1/stat:1 (x"]
)
def test_a_name_forges_neither_a_parent_nor_a_record(gate: Gate, tmp_path: Path, name: str) -> None:
    with running(sys.executable, "-c", RENAME, name, cwd=tmp_path) as (pid, _):
        seen = gate.probe(claim(path=str(tmp_path)))
        start = int(Path(f"/proc/{pid}/stat").read_text(errors="surrogateescape").rpartition(") ")[2].split()[19])
    process = seen.processes[pid]
    assert process.comm == name.encode()[:15].decode("utf-8", "surrogateescape")
    assert (process.ppid, process.start) == (os.getpid(), start)


@pytest.mark.law(13)
@pytest.mark.threat("E4")
@pytest.mark.parametrize(
    "word",
    [
        "a\nprocess pid=1 ppid=0",
        "1/stat:1 (x) S",
        "%41",
        "-",
        "",
        "\x1b[2J",
        "\u202e",
        "\udcff\udcfe",
        "x -> /bin/y",
        "a b",
    ],
)
def test_arguments_and_folders_are_told_as_they_are(gate: Gate, tmp_path: Path, word: str) -> None:
    folder = tmp_path / (word.replace("/", "_") or "empty")
    folder.mkdir()
    with running(sys.executable, "-c", "import time; print(flush=True); time.sleep(1000)", word, cwd=folder) as (
        pid,
        _,
    ):
        process = gate.probe(claim(path=str(tmp_path))).processes[pid]
    assert process.argv[3:] == (word,) or (word, process.argv[3:]) == ("", ())
    if gate.shell[0] == "dash":
        assert process.cwd == str(folder)


@pytest.mark.law(13)
def test_a_folder_named_like_another_process_does_not_become_its_executable(gate: Gate, tmp_path: Path) -> None:
    folder = tmp_path / f"x {os.getpid()}" / "exe -> "
    folder.mkdir(parents=True)
    with running("sh", "-c", "echo; exec sleep 1000", cwd=folder):
        seen = gate.probe(claim(path=str(tmp_path)))
    assert seen.processes[os.getpid()].exe == str(Path(sys.executable).resolve())


def test_a_very_long_command_line_is_cut_and_says_so(gate: Gate, tmp_path: Path) -> None:
    with running(sys.executable, "-c", "print(flush=True); input()", "x" * 100_000, cwd=tmp_path) as (pid, _):
        process = gate.probe(claim(path=str(tmp_path))).processes[pid]
    assert sum(map(len, process.argv)) < 5000
    assert process.argv[-1].endswith("x…")


def test_an_executable_that_was_replaced_is_named(gate: Gate, tmp_path: Path) -> None:
    program = tmp_path / "program"
    shutil.copy(shutil.which("sleep") or "", program)
    with running(str(program), "1000", cwd=tmp_path, is_told=False) as (pid, _):
        until(lambda: Path(f"/proc/{pid}/exe").readlink() == program)
        assert gate.probe(claim(path=str(tmp_path))).processes[pid].deleted == ()
        program.unlink()
        process = gate.probe(claim(path=str(tmp_path))).processes[pid]
    assert (process.exe, process.deleted) == (str(program), (str(program),))


def test_a_library_that_was_replaced_is_named(dash: Gate) -> None:
    library = Path.home() / f".askfirst-test-{os.getpid()}.so"
    load = f"import ctypes, time; ctypes.CDLL({str(library)!r}); print(flush=True); time.sleep(1000)"
    shutil.copy(next(Path("/lib").glob("*/libz.so.1*"), Path("/lib/libz.so.1")).resolve(), library)
    try:
        with running(sys.executable, "-c", load, cwd=dash.home) as (pid, _):
            library.unlink()
            process = dash.probe(claim(path=str(dash.home))).processes[pid]
    finally:
        library.unlink(missing_ok=True)
    assert process.deleted == (str(library),)


@pytest.mark.law(2)
def test_a_probe_leaves_nothing_behind(gate: Gate) -> None:
    gate.probe(claim("supervisor", "x", ports=(1,), path="/usr/bin"), claim(name="other", path="/etc"))
    assert list(gate.home.iterdir()) == []


def test_processes_may_come_and_go_while_it_looks(gate: Gate) -> None:
    storm = "echo; while :; do (:) & (:) & (:) & wait; done"
    with running("sh", "-c", storm):
        for _ in range(5):
            assert not [blind for blind in gate.probe().blind if blind.what == "processes"]


def test_a_manager_that_this_gate_does_not_know_is_said_to_be_unseen(gate: Gate) -> None:
    (blind,) = [each for each in gate.probe(claim("none-such", "x")).blind if each.about == "demo"]
    assert "renew the kit" in blind.why


@pytest.mark.law(4)
@pytest.mark.threat("D1")
@pytest.mark.parametrize(
    "line",
    [
        "service demo systemd $(touch${IFS}canary) - - - -",
        "service demo systemd x - - - -; touch canary",
        "service demo systemd `touch canary` - - - -",
        "service demo systemd x - - -",
        "service demo systemd x - - - - more",
        "services demo systemd x - - - -",
        "service demo systemd x\ty - - - -",
        "service demo systemd * - - - -",
    ],
)
def test_a_claim_of_another_form_is_refused_and_never_read_by_the_shell(gate: Gate, line: str) -> None:
    (record,) = gate.raw("probe", line)
    assert record.kind == "refused"
    assert list(gate.home.iterdir()) == []


@pytest.mark.threat("E11")
def test_a_manager_that_does_not_answer_is_unseen_in_seconds(dash: Gate, tmp_path: Path) -> None:
    config = tmp_path / "supervisord.conf"
    config.write_text(CONFIG)
    mute = "import socket; s = socket.socket(socket.AF_UNIX); s.bind('s.sock'); s.listen(); print(flush=True); input()"
    with running(sys.executable, "-c", mute, cwd=tmp_path):
        seen = dash.probe(claim("supervisor", "lab:gui", config=str(config)))
    assert [(each.about, "within 5 seconds" in each.why) for each in seen.blind if "supervisord" in each.what] == [
        ("demo", True)
    ]
    assert seen.identity == {}


@ROOT_ONLY
@pytest.mark.threat("D17")
def test_who_else_can_write_what_root_would_read_is_told(gate: Gate, tmp_path: Path, supervised: Service) -> None:
    folder = Path(str(supervised.path))
    config = Path(str(supervised.config))
    assert gate.probe(supervised).writable == {}
    for path, mode, owner, expected in (
        (config, 0o644, 65534, {(str(config), "nobody")}),
        (config, 0o666, 0, {(str(config), "everyone")}),
        (folder, 0o755, 65534, {(str(folder), "nobody")}),
        (folder, 0o1777, 0, set()),
        (folder, 0o777, 0, {(str(folder), "everyone")}),
    ):
        before = path.stat()
        os.chown(path, owner, 0)
        path.chmod(mode)
        try:
            told = gate.probe(supervised).writable.get("demo", ())
        finally:
            os.chown(path, before.st_uid, before.st_gid)
            path.chmod(before.st_mode & 0o7777)
        assert {(each.path, each.by) for each in told} == expected


@ROOT_ONLY
@pytest.mark.threat("D17")
def test_a_path_is_followed_through_its_links(dash: Gate, tmp_path: Path, supervised: Service) -> None:
    config = Path(str(supervised.config))
    real = tmp_path / "elsewhere"
    real.mkdir()
    moved = real / "moved.conf"
    kept = config.read_text()
    moved.write_text(kept.replace("%(here)s", str(config.parent)))
    config.unlink()
    config.symlink_to(os.path.relpath(moved, config.parent))
    os.chown(real, 65534, 0)
    try:
        told = dash.probe(supervised).writable["demo"]
    finally:
        config.unlink()
        config.write_text(kept)
    assert {(each.path, each.by) for each in told} == {(str(real), "nobody")}


class Noted(dict[str, str]):
    """A record's fields, of which those are noted that somebody reads."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(fields)
        self.read: set[str] = set()

    def __getitem__(self, key: str) -> str:
        self.read.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.read.add(key)
        return super().get(key, default)


def test_the_frame_tells_nothing_that_nobody_reads(gate: Gate, supervised: Service) -> None:
    nonce = secrets.token_hex(16)
    with serving("127.0.0.1"):
        answer = gate.answer(build.probe_input(nonce, [supervised], whole=True, git=True))
    told = [(record.kind, Noted(record.fields)) for record in read(answer, nonce, "probe")]
    facts([Record(kind, fields) for kind, fields in told], 0.0, [supervised])
    frames = [(kind, fields) for kind, fields in told[1:] if "." not in kind]
    assert {"host", "process", "listen", "holder", "identity", "code"} <= {kind for kind, _ in frames}
    assert {(kind, key) for kind, fields in frames for key in set(fields) - fields.read} == set()
