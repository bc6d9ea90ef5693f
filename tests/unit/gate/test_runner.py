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


@pytest.mark.law(10)
@pytest.mark.parametrize("verb", ["run", "burn"])
def test_a_spent_warrant_is_on_disk_before_anything_else_happens(verb: str, spool: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    trace = spool.parent / "trace"
    command = words(("dash",), verb, spool, *(("", "/bin/true") if verb == "run" else ()))
    said = run(["strace", "-f", "-qq", "-o", str(trace), "-e", "trace=fsync,link,linkat,execve,write", *command])
    assert said.startswith(("started", "burned"))
    calls = [line.split(None, 1)[1] for line in trace.read_text().splitlines()]
    linked = next(index for index, call in enumerate(calls) if re.match(r"link(at)?\(.*= 0", call))
    then = next(
        index for index, call in enumerate(calls) if re.match(r'write\(1, "(burned|started)|execve\("/bin/true', call)
    )
    synced = [index for index, call in enumerate(calls) if call.startswith("fsync(") and call.endswith("= 0")]
    assert [index for index in synced if index < linked], "what it says is on disk before it has its name"
    assert [index for index in synced if linked < index < then], "its name is on disk before anything rests on it"
