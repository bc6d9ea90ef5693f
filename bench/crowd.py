"""What a probe costs a host that runs 2,000 processes: its CPU there, and beside it bare `ssh HOST true`.

    python -m bench.crowd                  boots a host with a supervised service on it, and takes it away again
    python -m bench.crowd --lab dev1       uses a lab host that is up; a crowd is made on it, and ended

CPU is what all processes of the probe used on the host, as the shell there counts them; what daemons spend on their
answers is not in it. Read the ratios, not the milliseconds.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from app.core.service import Host
from app.gate import build
from bench.verify import CLAIMS, Target, goal_line, machine, ssh_argv
from tests.lab.crowd import crowd
from tests.lab.hosts import Lab, LabHost

ASKED = {"one service": (CLAIMS[0],), "all that the host runs": ()}
# The second line that `times` prints is about children.
COUNTED = "sh -s; times"


def cpu_seconds(host: LabHost, probe: bytes) -> float:
    """Let root's shell on the host run a probe, and count. Stops where the probe gave no whole answer."""
    out = host.run(["sh", "-c", COUNTED], stdin=probe.decode()).out
    assert f"\nend nonce={'0' * 32} count=" in out, f"the probe gave no whole answer: {out[-200:]!r}"
    minutes = re.findall(r"([0-9]+)m([0-9.]+)s", out.splitlines()[-1])
    return sum(int(whole) * 60 + float(part) for whole, part in minutes)


def wall(argv: Sequence[str], data: bytes = b"") -> float:
    """Time a command in seconds."""
    began = time.perf_counter()
    subprocess.run(argv, input=data, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def measure(host: LabHost, rounds: int, folder: Path) -> str:
    """Probe in turns with bare ssh, and write the table."""
    target = Target(Host("crowd", host.address, "bench", host.host_keys, user="root"), host.key_path)
    ssh = ssh_argv(target, folder)
    probes = {name: build.probe_input("0" * 32, claims) for name, claims in ASKED.items()}
    bare: list[float] = []
    took: dict[str, list[float]] = {name: [] for name in probes}
    cpu: dict[str, list[float]] = {name: [] for name in probes}
    for _ in range(rounds):
        bare.append(wall([*ssh, "true"]))
        for name, probe in probes.items():
            took[name].append(wall([*ssh, "sh", "-s"], probe))
            cpu[name].append(cpu_seconds(host, probe))
    lines = [machine(), f"medians of {rounds} rounds; bare ssh true: {statistics.median(bare) * 1000:.0f} ms", ""]
    for name in probes:
        ratio = statistics.median(took[name]) / statistics.median(bare)
        lines.append(f"a probe of {name}: {ratio:.2f} × bare ssh true (both cold, over ssh)")
        lines.append(goal_line(f"  CPU seconds on the host for {name}", statistics.median(cpu[name]), 1.0))
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    """Make the crowd, measure, and end it."""
    parser = argparse.ArgumentParser(prog="bench.crowd", description="What a probe costs a crowded host.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--lab", help="a lab host that is up, with the service of scenario supervisor on it")
    parser.add_argument("--processes", type=int, default=2000)
    parser.add_argument("--listeners", type=int, default=100)
    wish = parser.parse_args(argv)
    lab = Lab()
    place = nullcontext(lab.find(wish.lab)) if wish.lab else lab.lend(f"crowd-{os.getpid()}", "supervisor")
    with (
        place as host,
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        crowd(host, wish.processes, wish.listeners),
    ):
        print(f"{wish.processes} processes more, {wish.listeners} of them listening")
        print(measure(host, wish.rounds, Path(name)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
