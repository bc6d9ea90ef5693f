"""The runner by itself: what is on disk before what, and what becomes of a run whose listener is gone already."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.gate import build
from tests.unit.gate.hosted import SHELLS, running, shell_of, until, with_children
from tests.unit.gate.test_spool import BOOT, start_of


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return shell_of(request.param)[:-1]


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir(mode=0o700)
    return folder


def text_of_runner() -> str:
    """The runner, as the gate holds it in a variable."""
    printed = subprocess.run(
        ["sh", "-s"], input=f"{build.program()}printf '%s' \"$AF_RUNNER\"\n", capture_output=True, text=True, check=True
    )
    return printed.stdout


def words(shell: Sequence[str], verb: str, spool: Path, *more: str) -> list[str]:
    return [*shell, "-c", text_of_runner(), "askfirst", verb, str(spool / "ID"), BOOT, *more]


def run(argv: list[str]) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL).stdout.strip()


@pytest.mark.threat("C7")
def test_it_refuses_where_the_process_went_away_this_very_moment(shell: tuple[str, ...], spool: Path) -> None:
    with running("sh", "-c", "echo; exec sleep 1000") as (pid, _):
        start = int(start_of(pid))
        for alive in (f"{pid}:{start + 1}", f"{pid}:{start} 999999999:1"):
            said = run(words(shell, "run", spool, alive, "touch", str(spool / "ran")))
            assert said.startswith("refused process")
            assert list(spool.iterdir()) == []
        assert run(words(shell, "run", spool, f"{pid}:{start} ", "touch", str(spool / "ran"))).startswith("started")
    assert (spool / "ran").exists()


@pytest.mark.law(12)
def test_it_runs_the_command_though_nobody_hears_that_it_started(shell: tuple[str, ...], spool: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    process = subprocess.Popen(words(shell, "run", spool, "", "touch", str(spool / "ran")), stdout=write_end)
    os.close(write_end)
    process.wait()
    assert (spool / "ran").exists()
    assert (spool / f"ID.{process.pid}.exit").read_text().split() == ["status", "0"]


def test_its_files_say_who_runs_what_since_when(shell: tuple[str, ...], spool: Path) -> None:
    command = ("sh", "-c", "echo $$; exec sleep 1000")
    process = subprocess.Popen(
        words(shell, "run", spool, "", *command), stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    output, status = spool / f"ID.{process.pid}.output", spool / f"ID.{process.pid}.exit"
    try:
        assert process.stdout is not None
        said = process.stdout.readline().split()
        assert said == ["started", str(process.pid), start_of(process.pid)]
        assert (spool / "ID").read_text() == f"state started\nboot {BOOT}\nrunner {process.pid} {said[2]}\n"
        until(lambda: output.read_text().endswith("\n"))
        assert {path.name for path in spool.iterdir()} == {"ID", output.name, f"{status.name}.part"}
        os.kill(int(output.read_text()), signal.SIGTERM)
        until(status.exists)
    finally:
        with_children(process.pid)
        process.communicate()
    assert status.read_text() == "status 143         \n"


def traced(spool: Path, verb: str, *more: str) -> list[str]:
    """Run it to its end; each call of it and of what it starts, with the paths of the files that are meant."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    trace, watched = spool.parent / "trace", "trace=fsync,link,linkat,rename,renameat,renameat2,execve,write"
    said = run(["strace", "-f", "-qq", "-y", "-o", str(trace), "-e", watched, *words(("dash",), verb, spool, *more)])
    assert said.startswith(("started", "burned"))
    return [line.split(None, 1)[1] for line in trace.read_text().splitlines()]


def first(calls: Sequence[str], pattern: str) -> int:
    """Where the first call of this form is."""
    return next(index for index, call in enumerate(calls) if re.match(pattern, call))


def synced(calls: Sequence[str]) -> list[str]:
    """The paths of what these calls brought to disk."""
    return [found[1] for call in calls if (found := re.match(r"fsync\(\d+<(.*)>\) += 0$", call))]


@pytest.mark.law(10)
@pytest.mark.parametrize("verb", ["run", "burn"])
def test_a_spent_warrant_is_on_disk_before_anything_else_happens(verb: str, spool: Path) -> None:
    calls = traced(spool, verb, *(("", "/bin/true") if verb == "run" else ()))
    linked = first(calls, r"link(at)?\(.*= 0")
    then = first(calls, r'write\(1<[^>]*>, "(burned|started) ?|execve\("/bin/true')
    own = re.compile(rf"{spool}/ID\.\d+")
    assert any(map(own.fullmatch, synced(calls[:linked]))), "what it says is on disk before it has its name"
    assert str(spool) in synced(calls[linked:then]), "its name is on disk before anything rests on it"


@pytest.mark.law(12)
def test_what_a_command_left_is_on_disk_before_a_name_says_that_it_ended(spool: Path) -> None:
    """Power fails when it likes: a file of that name that is empty then would say that nobody knows."""
    calls = traced(spool, "run", "", "sh", "-c", "echo done")
    written = first(calls, r'write\(1<[^>]*\.exit\.part>, "status 0 ')
    renamed = first(calls, r'rename.*\.exit\.part", .*\.exit".* = 0')
    between = [Path(path).name.split(".", 2)[2] for path in synced(calls[written:renamed])]
    assert sorted(between) == ["exit.part", "output"]
    assert synced(calls[renamed:]) == [str(spool)], "and so is the name"
