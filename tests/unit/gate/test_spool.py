"""burn and result: what became of a warrant, told by the host that would have run it."""

import os
import secrets
import subprocess
from pathlib import Path

import pytest

from app.core.service import Service
from app.gate import build
from tests.unit.gate.conftest import warrants
from tests.unit.gate.hosted import Gate, kinds, printed, running, said
from tests.unit.gate.test_run import Make, script, with_config

ID = "01JF3W6V9Q0Z7E5M2T8X4K1B6N"
BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def spooled(gate: Gate, text: str) -> None:
    gate.runs.mkdir(parents=True, mode=0o700)
    (gate.runs / ID).write_text(text)


def start_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[19]


@pytest.mark.law(2)
def test_looking_at_a_warrant_changes_nothing(gate: Gate) -> None:
    assert gate.result(ID)[0].get("state") == "unspent"
    assert gate.result(ID)[0].get("state") == "unspent"
    assert list(gate.runs.iterdir()) == []


@pytest.mark.law(12)
def test_a_burned_warrant_can_never_run(gate: Gate, warrant: Make) -> None:
    one = warrant()
    assert [(record.kind, record.get("state")) for record in gate.burn(one.id)] == [("spool", "burned")]
    assert [record.get("why") for record in gate.restart(one)] == ["spent"]
    assert [record.get("state") for record in gate.burn(one.id)] == ["burned"]
    assert [record.get("state") for record in gate.result(one.id)] == ["burned"]


@pytest.mark.law(12)
@pytest.mark.threat("G3")
def test_who_burns_what_has_run_reads_its_result(
    gate: Gate, warrant: Make, supervised: Service, tmp_path: Path
) -> None:
    one = warrant(*with_config(supervised, script(tmp_path, "echo out; exit 5")))
    gate.restart(one)
    for ask in (gate.burn, gate.result):
        records = ask(one.id)
        assert (records[0].get("state"), records[0].get("status")) == ("exited", "5")
        assert printed(records) == b"out\n"


@pytest.mark.law(6)
def test_a_burn_and_a_run_at_once_agree_on_who_was_first(dash: Gate, supervised: Service, tmp_path: Path) -> None:
    command = script(tmp_path, f"echo ran >>{tmp_path}/ran")
    make = warrants(dash, supervised)
    ran = 0
    for _ in range(12):
        one, nonce = make(*with_config(supervised, command)), secrets.token_hex(16)
        run = dash.start(build.restart_input(nonce, one.text()))
        burnt = dash.burn(one.id)[0].get("state")
        has_run = "started" in kinds(said(run.communicate()[0], nonce, "restart"))
        assert has_run == (burnt != "burned")
        ran += has_run
    lines = (tmp_path / "ran").read_text().count("ran") if (tmp_path / "ran").exists() else 0
    assert lines == ran


@pytest.mark.threat("C4")
def test_a_run_whose_runner_is_gone_was_interrupted_even_if_its_pid_is_anothers_by_now(gate: Gate) -> None:
    with running("sh", "-c", "echo ready; exec sleep 1000") as (pid, _):
        spooled(gate, f"state started\nboot {BOOT}\nrunner {pid} {int(start_of(pid)) - 1}\n")
        assert gate.result(ID)[0].get("state") == "interrupted"
        (gate.runs / ID).write_text(f"state started\nboot {BOOT}\nrunner {pid} {start_of(pid)}\n")
        assert gate.result(ID)[0].get("state") == "running"


def test_a_runner_that_ended_and_that_nobody_waited_for_runs_no_more(gate: Gate) -> None:
    """As in a container whose first process waits for no orphans."""
    with subprocess.Popen(["true"]) as runner:
        os.waitid(os.P_PID, runner.pid, os.WEXITED | os.WNOWAIT)
        spooled(gate, f"state started\nboot {BOOT}\nrunner {runner.pid} {start_of(runner.pid)}\n")
        assert gate.result(ID)[0].get("state") == "interrupted"


@pytest.mark.threat("C5")
def test_a_run_from_before_a_reboot_was_interrupted_unless_it_had_ended(gate: Gate) -> None:
    with running("sh", "-c", "echo ready; exec sleep 1000") as (pid, _):
        spooled(gate, f"state started\nboot 00000000-0000-0000-0000-000000000000\nrunner {pid} {start_of(pid)}\n")
        (gate.runs / f"{ID}.{pid}.output").write_bytes(b"half")
        records = gate.burn(ID)
        assert records[0].get("state") == "interrupted"
        assert printed(records) == b"half"
        (gate.runs / f"{ID}.{pid}.exit").write_text("status 0           \n")
        assert (gate.result(ID)[0].get("state"), gate.result(ID)[0].get("status")) == ("exited", "0")


@pytest.mark.law(12)
def test_a_killed_runner_leaves_an_interrupted_run_that_nothing_repeats(
    gate: Gate, warrant: Make, supervised: Service, tmp_path: Path
) -> None:
    one = warrant(
        *with_config(supervised, script(tmp_path, f"echo ran >>{tmp_path}/ran; kill -9 $PPID; exec sleep 0.1"))
    )
    records = gate.restart(one)
    assert kinds(records) == ["started"]
    assert gate.burn(one.id)[0].get("state") == "interrupted"
    assert [record.get("why") for record in gate.restart(one)] == ["spent"]
    assert (tmp_path / "ran").read_text() == "ran\n"


@pytest.mark.threat("D1")
@pytest.mark.parametrize(
    "line",
    [
        "id ../../../../tmp/x0123456789012345",
        "id 01JF3W6V9Q0Z7E5M2T8X4K1B6N; touch canary",
        "id $(touch canary)0123456789012345",
        "id *",
        "id 0123",
        "id " + "0" * 65,
        "id",
        "01JF3W6V9Q0Z7E5M2T8X4K1B6N",
    ],
)
@pytest.mark.parametrize("verb", ["burn", "result"])
def test_what_is_no_request_id_is_refused(gate: Gate, verb: str, line: str) -> None:
    (record,) = gate.raw(verb, line)
    assert (record.kind, record.get("why")) == ("refused", "this is no request id")
    assert [path.name for path in gate.home.iterdir()] == []
