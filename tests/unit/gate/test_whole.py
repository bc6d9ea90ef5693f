"""A probe of the whole host: what a manager may have started is told of too where it listens on nothing."""

import sys
from pathlib import Path

import pytest

from app.core.records import read
from app.gate import build
from tests.unit.gate.hosted import Gate, claim, running

KEEPER = """
import ctypes, subprocess, sys
ctypes.CDLL(None).prctl(15, b"supervisord", 0, 0, 0)
child = subprocess.Popen(["sleep", "1000"])
print(child.pid, flush=True)
try:
    child.wait()
finally:
    child.kill()
"""


def test_what_a_manager_started_is_told_of_though_it_listens_on_nothing(gate: Gate, tmp_path: Path) -> None:
    with running(sys.executable, "-c", KEEPER, cwd=tmp_path) as (keeper, line):
        child = int(line)
        whole, asked = gate.probe(claim(ports=(1,)), whole=True), gate.probe(claim(ports=(1,)))
    assert (whole.processes[child].ppid, whole.processes[child].comm) == (keeper, "sleep")
    assert {1, keeper} <= set(whole.processes)
    assert child not in asked.processes, "a probe for a proof tells of what is claimed only"


@pytest.mark.law(1)
@pytest.mark.parametrize("is_once", [False, True], ids=["each time", "once"])
def test_a_shell_that_ends_before_it_has_read_everything_leaves_nothing_absent(
    gate: Gate, tmp_path: Path, is_once: bool
) -> None:
    """A host that can start no more processes for a moment told of a supervisord without arguments: it was no proof."""
    was = tmp_path / "was"
    ends = f"[ -e {was} ] || {{ {f'touch {was};' if is_once else ''} kill -9 $$; }}; ls -ldnb".encode()
    nonce = "0" * 32
    sent = build.probe_input(nonce, [claim(ports=(1,))], whole=True)
    assert sent.count(b"; ls -ldnb") == 1
    told = read(gate.answer(sent.replace(b"; ls -ldnb", b"; " + ends)), nonce, "probe")
    blind = [each for each in told if each.kind == "blind" and "read to its end" in each.get("why")]
    (init,) = [each for each in told if each.kind == "process" and each.get("pid") == "1"]
    assert (blind == []) is is_once
    assert (init.get("argv") != "") is is_once


@pytest.mark.law(1)
def test_a_process_that_has_gone_leaves_the_others_with_their_arguments(gate: Gate) -> None:
    nonce, known = "0" * 32, b"function read_known() { read_processes()"
    sent = build.probe_input(nonce, [claim(ports=(1,))], whole=True)
    assert sent.count(known) == 1
    gone = known.replace(b"{ ", b'{ need("4194303"); ')
    told = read(gate.answer(sent.replace(known, gone)), nonce, "probe")
    (init,) = [each for each in told if each.kind == "process" and each.get("pid") == "1"]
    assert init.get("argv") != ""
