"""A probe of the whole host: what a manager may have started is told of too where it listens on nothing."""

import sys
from pathlib import Path

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
