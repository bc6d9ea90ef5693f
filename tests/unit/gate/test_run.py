"""restart: the one run of a warrant, by a real shell, with a real supervisord behind it."""

import os
import signal
import stat
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.service import Service
from app.core.warrant import Warrant
from app.gate import build
from tests.unit.gate.conftest import warrants
from tests.unit.gate.hosted import ROOT_ONLY, Gate, kinds, printed, said, until

Make = Callable[..., Warrant]


def script(folder: Path, text: str) -> str:
    path = folder / "command"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def with_config(service: Service, command: str) -> tuple[str, ...]:
    """The words of a command that names the supervisord that it acts on, as supervisorctl's do."""
    return (command, "-c", str(service.config))


@pytest.mark.law(6)
def test_a_warrant_runs_and_the_process_is_another(gate: Gate, warrant: Make, supervised: Service) -> None:
    before = warrant()
    records = gate.restart(before)
    assert kinds(records) == ["started", "output", "exit"]
    assert printed(records) == b"lab:gui: stopped\nlab:gui: started\n"
    assert records[-1].get("status") == "0"
    after = gate.probe(supervised).identity["demo"]
    assert before.identity[0] == after[0]
    assert before.identity[1] != after[1]


@pytest.mark.law(6)
def test_a_warrant_runs_once(gate: Gate, warrant: Make, supervised: Service, tmp_path: Path) -> None:
    one = warrant(*with_config(supervised, script(tmp_path, f"echo ran >>{tmp_path}/ran")))
    assert kinds(gate.restart(one)) == ["started", "exit"]
    again = gate.restart(one)
    assert [(record.kind, record.get("why")) for record in again] == [("refused", "spent")]
    assert (tmp_path / "ran").read_text() == "ran\n"


@pytest.mark.law(12)
def test_a_warrant_that_ran_is_said_to_be_spent_though_it_is_over_by_now(gate: Gate, warrant: Make) -> None:
    one = warrant()
    assert kinds(gate.restart(one))[-1] == "exit"
    again = gate.restart(replace(one, not_after=1767225600))
    assert [(record.kind, record.get("why")) for record in again] == [("refused", "spent")]


@pytest.mark.law(6)
@pytest.mark.threat("D11")
def test_of_fifty_at_once_exactly_one_runs(dash: Gate, supervised: Service, tmp_path: Path) -> None:
    command = script(tmp_path, f"echo ran >>{tmp_path}/ran")
    one = warrants(dash, supervised)(*with_config(supervised, command))
    nonce = "0" * 32
    started = [dash.start(build.restart_input(nonce, one.text())) for _ in range(50)]
    answers = [process.communicate()[0] for process in started]
    ran = [answer for answer in answers if "started" in kinds(said(answer, nonce, "restart"))]
    assert len(ran) == 1
    assert (tmp_path / "ran").read_text() == "ran\n"
    left = sorted(path.name for path in dash.runs.iterdir())
    assert len(left) == 3, "the losers leave nothing behind"


@pytest.mark.law(5)
@pytest.mark.threat("C4")
@pytest.mark.threat("C9")
def test_nothing_runs_where_the_process_is_another_by_now(gate: Gate, warrant: Make) -> None:
    stale, fresh = warrant(), warrant()
    assert kinds(gate.restart(fresh))[-1] == "exit"
    records = gate.restart(stale)
    assert set(kinds(records)) == {"differs"}
    seen = [record.get("line") for record in records]
    assert len(seen) == len(stale.identity)
    assert set(seen) - set(stale.identity), "what is seen now is said"
    assert gate.result(stale.id)[0].get("state") == "unspent"


@pytest.mark.law(5)
@pytest.mark.threat("C5")
@pytest.mark.parametrize("index", [0, 1, 2])
def test_nothing_runs_where_one_identity_line_is_another(gate: Gate, warrant: Make, index: int) -> None:
    true = warrant()
    lines = list(true.identity)
    lines[index] += "0"
    records = gate.restart(warrant(id=true.id, identity=tuple(lines)))
    assert [record.get("line") for record in records] == list(true.identity)
    assert gate.result(true.id)[0].get("state") == "unspent"


@pytest.mark.law(5)
def test_nothing_runs_where_the_unit_is_gone(gate: Gate, warrant: Make) -> None:
    records = gate.restart(warrant(unit="lab:nothing"))
    assert [(record.kind, record.get("line")) for record in records] == [("differs", "")]


@pytest.mark.threat("D15")
def test_the_command_gets_a_clean_environment_and_nothing_of_the_session(
    gate: Gate, warrant: Make, supervised: Service, tmp_path: Path
) -> None:
    ignored = "sed -n 's/^SigIgn:\t*//p' /proc/$$/status"
    # What this very process was started with cannot be undone by any shell; the gate may add nothing to it.
    before = subprocess.run(["sh", "-c", ignored], capture_output=True, text=True, check=True).stdout.strip()
    look = f"env | sort; pwd; umask; readlink /proc/self/fd/0; ulimit -t; {ignored}"
    look += "; ps -o sid= -p $$"
    one = warrant(*with_config(supervised, script(tmp_path, look)))
    lines = printed(gate.restart(one)).decode().split("\n")
    names = {line.partition("=")[0] for line in lines if "=" in line}
    assert names <= {
        "HOME",
        "LANG",
        "LOGNAME",
        "PATH",
        "PWD",
        "SHELL",
        "USER",
        "XDG_RUNTIME_DIR",
        "_",
        "SHLVL",
        "OLDPWD",
    }
    assert lines[-7:-2] == ["/", "0022", "/dev/null", "unlimited", before]
    assert int(lines[-2]) != os.getsid(0)


def test_what_the_command_prints_comes_byte_for_byte_and_its_status_with_it(
    gate: Gate, warrant: Make, supervised: Service, tmp_path: Path
) -> None:
    every = "".join(f"\\{byte:03o}" for byte in range(256))
    one = warrant(*with_config(supervised, script(tmp_path, f"printf '{every}'; printf x >&2; exit 7")))
    records = gate.restart(one)
    assert printed(records) == bytes(range(256)) + b"x"
    assert records[-1].get("status") == "7"
    assert printed(gate.result(one.id)) == bytes(range(256)) + b"x"


def test_output_is_streamed_while_the_command_runs(
    gate: Gate, warrant: Make, supervised: Service, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    command = script(tmp_path, f"echo first; while [ ! -e {go} ]; do sleep 0.05; done; echo second")
    one = warrant(*with_config(supervised, command))
    process = gate.start(build.restart_input("0" * 32, one.text()))
    assert process.stdout is not None
    seen = b""
    while b"output " not in seen:
        line = process.stdout.readline()
        assert line, "it ended before it printed"
        seen += line
    assert gate.result(one.id)[0].get("state") == "running"
    assert printed(gate.result(one.id)) == b"first\n"
    go.touch()
    seen += process.communicate()[0]
    assert printed(said(seen, "0" * 32, "restart")) == b"first\nsecond\n"


@pytest.mark.threat("E6")
def test_no_more_than_a_mebibyte_of_output_is_sent(dash: Gate, supervised: Service, tmp_path: Path) -> None:
    command = script(tmp_path, "head -c 3000000 /dev/zero; exit 3")
    records = dash.restart(warrants(dash, supervised)(*with_config(supervised, command)))
    assert len(printed(records)) == 1 << 20
    assert records[-1].get("status") == "3"


@pytest.mark.law(12)
@pytest.mark.threat("D19")
@pytest.mark.parametrize("cut", ["reader", "session"])
def test_a_run_ends_well_though_its_connection_is_cut(
    gate: Gate, warrant: Make, supervised: Service, tmp_path: Path, cut: str
) -> None:
    go = tmp_path / "go"
    command = script(
        tmp_path, f"echo one; while [ ! -e {go} ]; do sleep 0.05; done; echo two; echo done >{tmp_path}/done; exit 4"
    )
    one = warrant(*with_config(supervised, command))
    process = gate.start(build.restart_input("0" * 32, one.text()))
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"askfirst-gate ")
    assert process.stdout.readline().startswith(b"started ")
    if cut == "session":
        os.killpg(process.pid, signal.SIGKILL)
    process.stdout.close()
    go.touch()
    until(lambda: gate.result(one.id)[0].get("state") == "exited")
    process.wait()
    records = gate.burn(one.id)
    assert (records[0].get("state"), records[0].get("status")) == ("exited", "4")
    assert printed(records) == b"one\ntwo\n"
    assert (tmp_path / "done").read_text() == "done\n"


@pytest.mark.law(12)
def test_the_gate_ends_soon_where_nobody_reads_a_silent_run_and_the_run_goes_on(
    gate: Gate, warrant: Make, supervised: Service, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    command = script(tmp_path, f"for _ in $(seq 300); do [ ! -e {go} ] || break; sleep 0.05; done; echo two")
    one = warrant(*with_config(supervised, command))
    process = gate.start(build.restart_input("0" * 32, one.text()))
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    assert lines[2] == b"output offset=0 hex=-\n", "now and then it says that it has nothing to say"
    process.stdout.close()
    until(lambda: process.poll() is not None)
    assert gate.result(one.id)[0].get("state") == "running"
    go.touch()
    until(lambda: gate.result(one.id)[0].get("state") == "exited")
    assert printed(gate.result(one.id)) == b"two\n"


@ROOT_ONLY
def test_root_runs_the_command_as_the_user_of_the_warrant(dash: Gate, supervised: Service) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        command = script(Path(folder), "id -un; id -Gn; echo $HOME")
        one = warrants(dash, supervised)(*with_config(supervised, command), user="nobody")
        assert printed(dash.restart(one)).split() == [b"nobody", b"nogroup", b"/nonexistent"]


@pytest.mark.threat("B16")
def test_an_ordinary_account_runs_nothing_as_somebody_else(dash: Gate, supervised: Service, tmp_path: Path) -> None:
    one = warrants(dash, supervised)(*with_config(supervised, script(tmp_path, "id")), user="bin")
    account = dash
    if os.geteuid() == 0:
        tmp_path.chmod(0o777)
        account = Gate(("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *dash.shell), tmp_path)
    (record,) = account.restart(one)
    assert record.kind == "refused"
    assert "only root can run a command as bin" in record.get("why")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"user": "nobody-here"}, "nobody-here"),
        ({"manager": "none-such"}, "renew the kit"),
        ({"argv": ("no-such-command",)}, "not on this host's PATH"),
        ({"argv": ()}, "by hand"),
        ({"identity": ("boot x",)}, "no identity"),
        ({"not_after": 1767225600}, "the warrant held until 2026-01-01T00:00:00Z, and this host's clock says 20"),
    ],
)
def test_a_warrant_that_cannot_run_here_is_refused_unspent(
    gate: Gate, warrant: Make, fields: dict[str, object], why: str
) -> None:
    if "user" in fields and os.geteuid() != 0:
        why = "only root"
    one = warrant(**fields)
    (record,) = gate.restart(one)
    assert record.kind == "refused"
    assert why in record.get("why")
    assert not gate.runs.exists() or list(gate.runs.iterdir()) == []


def test_the_spool_is_its_owners_alone(gate: Gate, warrant: Make) -> None:
    gate.restart(warrant())
    assert stat.S_IMODE(gate.runs.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in gate.runs.iterdir()} == {0o600}


@pytest.mark.parametrize("kind", ["file", "link"])
def test_nothing_is_spent_or_run_without_a_spool(
    gate: Gate, warrant: Make, supervised: Service, tmp_path: Path, kind: str
) -> None:
    one = warrant(*with_config(supervised, script(tmp_path, f"touch {tmp_path}/ran")))
    if kind == "file":
        (tmp_path / "state").write_text("in the way")
    else:
        gate.runs.parent.mkdir(parents=True)
        gate.runs.symlink_to(tmp_path)
    (record,) = gate.restart(one)
    assert record.kind == "refused"
    assert "spool" in record.get("why")
    assert gate.burn(one.id)[0].kind == "refused"
    assert not (tmp_path / "ran").exists()


@ROOT_ONLY
@pytest.mark.law(10)
@pytest.mark.parametrize("room", ["none", "a little"])
def test_nothing_is_spent_or_run_where_the_disk_is_full(
    dash: Gate, supervised: Service, tmp_path: Path, room: str
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    one = warrants(dash, supervised)(*with_config(supervised, script(tmp_path, f"touch {tmp_path}/ran")))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "none", state], check=True)
    try:
        dash.runs.mkdir(parents=True, mode=0o700)
        filler = state / "filler"
        filler.write_bytes(bytes(64 << 10 if room == "none" else 60 << 10))
        (record,) = dash.restart(one)
        assert record.kind == "refused"
        assert "spool" in record.get("why")
        assert list(dash.runs.iterdir()) == []
        filler.unlink()
        assert dash.result(one.id)[0].get("state") == "unspent"
    finally:
        subprocess.run(["umount", state], check=True)
    assert not (tmp_path / "ran").exists()


@ROOT_ONLY
@pytest.mark.law(12)
def test_the_exit_status_is_kept_though_the_output_fills_the_disk(
    dash: Gate, supervised: Service, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    one = warrants(dash, supervised)(*with_config(supervised, script(tmp_path, "head -c 900000 /dev/zero; exit 9")))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "none", state], check=True)
    try:
        assert dash.restart(one)[-1].get("status") == "9"
        assert dash.result(one.id)[0].get("status") == "9"
    finally:
        subprocess.run(["umount", state], check=True)


@pytest.mark.law(12)
def test_a_runner_that_says_nothing_is_not_said_to_have_run_nothing(
    dash: Gate, supervised: Service, tmp_path: Path
) -> None:
    """The small child that tells that the run began may be killed, alone: then only the spool knows."""
    one = warrants(dash, supervised)(*with_config(supervised, script(tmp_path, f"echo ran >>{tmp_path}/ran")))
    nonce = "0" * 32
    tells = b'(echo "started $$ $(start_of $$)") 2>/dev/null'
    sent = build.restart_input(nonce, one.text())
    assert tells in sent
    assert kinds(said(dash.answer(sent.replace(tells, b":")), nonce, "restart")) == []
    until(lambda: dash.result(one.id)[0].get("state") == "exited")
    assert (tmp_path / "ran").read_text() == "ran\n"
