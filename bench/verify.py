"""What one verification costs: ours against bare `ssh`, a warm ControlMaster and Ansible, in one run on one lab host.

    python -m bench.verify                     boots a host with the incident on it, and takes it away again
    python -m bench.verify --lab dev1          uses a lab host that is up
    python -m bench.verify --address A --key FILE --host-key 'ssh-ed25519 AAAA…' [--user askfirst] [--no-sudo]

Every peer does its work once in each round, in an order that changes from round to round, so that whatever else the
machine does hits all alike. Read the ratios, not the milliseconds. CPU is this machine's own share, children included.
"""

import argparse
import asyncio
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from app.core.judge import judge
from app.core.service import Host, Service
from app.core.verdict import Code, Verdict
from app.gate import build
from app.managers import MANAGERS
from app.ssh.gate import SshHosts

CLAIMS = (
    Service("pypnm-gui", "bench", "lab", "supervisor", "lab:pypnm-gui", "rbron", "/opt/pypnm-gui-lab", (5050,)),
    Service("gui-5054", "bench", "lab", "systemd", "gui-5054.service", "rbron", "/opt/pypnm-gui-lab", (5054,)),
    Service("plain", "bench", "lab", "docker", "plain", ports=(8001,)),
)
BARE, PROBED, MUX_TRUE, MUX = "ssh true, cold", "ssh + probe, cold", "ssh true, warm mux", "ssh + probe, warm mux"
COLD, KEPT = "Askfirst, cold", "Askfirst, kept open"
ANSIBLE, ANSIBLE_MUX = "ansible command, cold", "ansible command, warm mux"


@dataclass(slots=True)
class Peer:
    """One way to ask a host, with what each round of it took (milliseconds, and milliseconds of our CPU)."""

    name: str
    ask: Callable[[], Awaitable[None]]
    took: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Target:
    """The host to measure on, and the key that signs in to it."""

    host: Host
    key: Path


async def measure(target: Target, claims: Sequence[Service], rounds: int, ansible: Path | None) -> list[Peer]:
    """Run all peers, round by round. Stops where a peer does not do what it is measured for."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        ssh = ssh_argv(target, folder)
        mux = [*ssh, "-o", f"ControlPath={folder}/mux"]
        probe = build.probe_input("0" * 32, claims)
        remote = ["sudo", "-n", "sh", "-s"] if target.host.sudo else ["sh", "-s"]
        kept = SshHosts(target.key)
        kept.keep(target.host.name)
        peers = [
            Peer(BARE, lambda: run([*ssh, "true"])),
            Peer(PROBED, lambda: run([*ssh, *remote], probe)),
            Peer(MUX_TRUE, lambda: run([*mux, "true"])),
            Peer(MUX, lambda: run([*mux, *remote], probe)),
            Peer(COLD, lambda: _verify_cold(target, claims)),
            Peer(KEPT, lambda: _verify(kept, target.host, claims)),
        ]
        if ansible:
            peers.append(Peer(ANSIBLE, _ansible(ansible, target, folder, "none")))
            peers.append(Peer(ANSIBLE_MUX, _ansible(ansible, target, folder, f"{folder}/mux")))
        await run([*mux, "-o", "ControlMaster=yes", "-o", "ControlPersist=yes", "true"])
        try:
            await _interleave(peers, rounds)
        finally:
            await run([*mux, "-O", "exit"])
            await kept.close()
        return peers


async def _interleave(peers: Sequence[Peer], rounds: int) -> None:
    for number in range(rounds + 1):
        for peer in random.sample(peers, len(peers)):
            cpu, began = _cpu(), time.perf_counter()
            await peer.ask()
            took, burnt = time.perf_counter() - began, _cpu() - cpu
            if number:  # the first round warms up
                peer.took.append(took * 1000)
                peer.cpu.append(burnt * 1000)
        print(f"\rround {number} of {rounds}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


async def _verify_cold(target: Target, claims: Sequence[Service]) -> None:
    hosts = SshHosts(target.key)
    try:
        await _verify(hosts, target.host, claims)
    finally:
        await hosts.close()


async def _verify(hosts: SshHosts, host: Host, claims: Sequence[Service]) -> None:
    """The whole of it: connect where needed, probe, read, judge every claim."""
    facts = await hosts.probe(host, claims)
    for claim in claims:
        verdict: Verdict = judge(claim, facts, MANAGERS, gate=build.DIGEST)
        assert verdict.code is Code.VERIFIED, f"{claim.name}: {verdict.code}: {verdict.findings}"


async def run(argv: Sequence[str], stdin: bytes = b"", environment: dict[str, str] | None = None) -> None:
    """Run a command, with a probe as its input where there is one; stop where it fails."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    out, err = await process.communicate(stdin)
    assert process.returncode == 0, f"{argv[0]} … {argv[-1]} ended with {process.returncode}: {err.decode()}"
    assert not stdin or b"\nend nonce=" in out, f"the probe gave no whole answer: {out[-200:]!r} {err.decode()}"


def ssh_argv(target: Target, folder: Path) -> list[str]:
    """Return the command line of plain ssh to the target, with its pinned keys and X25519."""
    known = folder / "known_hosts"
    known.write_text("".join(f"[{target.host.address}]:{target.host.port} {key}\n" for key in target.host.host_keys)
                     + "".join(f"{target.host.address} {key}\n" for key in target.host.host_keys))  # fmt: skip
    options = (
        *("BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=yes", "LogLevel=ERROR"),
        *(f"UserKnownHostsFile={known}", "KexAlgorithms=curve25519-sha256", f"Port={target.host.port}"),
    )
    words = [word for option in options for word in ("-o", option)]
    return ["ssh", "-F", "none", "-i", str(target.key), *words, f"{target.host.user}@{target.host.address}"]


def _ansible(folder: Path, target: Target, scratch: Path, line: str) -> Callable[[], Awaitable[None]]:
    host = target.host
    where = (
        f"{host.address} ansible_port={host.port} ansible_user={host.user} ansible_python_interpreter=/usr/bin/python3"
    )
    (scratch / "inventory").write_text(f"{where} ansible_ssh_private_key_file={target.key}\n")
    ssh = "-F none -o IdentitiesOnly=yes -o KexAlgorithms=curve25519-sha256 -o ControlMaster=no"
    environment = {
        "PATH": f"{folder}/bin:{os.environ['PATH']}",
        "HOME": str(scratch),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_PIPELINING": "True",
        "ANSIBLE_SSH_ARGS": f"{ssh} -o ControlPath={line} -o UserKnownHostsFile={scratch}/known_hosts",
    }
    argv = [f"{folder}/bin/ansible", "all", "-i", f"{scratch}/inventory", "-m", "command", "-a", "true"]
    return lambda: run(argv, environment=environment)


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def report(peers: Sequence[Peer], claims: Sequence[Service]) -> str:
    """Write the table, with the ratios that the goals are about."""
    middle = {peer.name: statistics.median(peer.took) for peer in peers}
    lines = [
        machine(),
        f"One verification of {len(claims)} claims on one host; medians of {len(peers[0].took)} interleaved rounds.",
        "",
        f"{'':30}{'ms':>8}{'least':>8}{'most':>8}{'CPU ms':>8}{'× bare ssh':>12}{'× warm mux':>12}",
    ]
    lines += [
        f"{peer.name:30}{middle[peer.name]:8.1f}{min(peer.took):8.1f}{max(peer.took):8.1f}"
        f"{statistics.median(peer.cpu):8.1f}{middle[peer.name] / middle[BARE]:12.2f}"
        f"{middle[peer.name] / middle[MUX]:12.2f}"
        for peer in peers
    ]
    lines += ["", goal_line("cold, × bare ssh", middle[COLD] / middle[BARE], 1.0)]
    lines += [goal_line("kept open, × the same probe over a warm mux", middle[KEPT] / middle[MUX], 1.5)]
    if ANSIBLE in middle:
        lines += [goal_line("Ansible cold, × ours cold", middle[ANSIBLE] / middle[COLD], 10, at_least=True)]
        warm = middle[ANSIBLE_MUX] / middle[KEPT]
        lines += [goal_line("Ansible over a warm mux, × ours kept open", warm, 10, at_least=True)]
    return "\n".join(lines)


def goal_line(what: str, value: float, goal: float, *, at_least: bool = False) -> str:
    """Write one goal, and whether it holds."""
    holds = value >= goal if at_least else value <= goal
    return f"{'ok  ' if holds else 'MISS'} {what}: {value:.2f} (goal: {'at least' if at_least else 'at most'} {goal:g})"


def machine() -> str:
    """Say what this was measured on."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    ssh = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=True).stderr.split(",")[0]
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    system = f"Linux {platform.release()}, Python {platform.python_version()}, {ssh}"
    return f"{os.cpu_count()} × {model}, {system}, load {load}"


@contextmanager
def target_of(wish: argparse.Namespace) -> Iterator[Target]:
    """Yield the host that was asked for; one that was booted for it is taken away again."""
    if wish.address:
        host = Host("bench", wish.address, "bench", tuple(wish.host_key), wish.port, wish.user, not wish.no_sudo)
        yield Target(host, wish.key)
        return
    from tests.lab.hosts import Lab  # noqa: PLC0415 - needs root, which an address does not

    lab = Lab()
    with nullcontext(lab.find(wish.lab)) if wish.lab else lab.lend(f"bench-{os.getpid()}", "incident") as found:
        yield Target(Host("bench", found.address, "bench", found.host_keys, sudo=True), found.key_path)


@contextmanager
def _ansible_folder(wish: argparse.Namespace) -> Iterator[Path | None]:
    """Install Ansible into an environment of its own, unless one is named."""
    if wish.no_ansible or wish.ansible:
        yield None if wish.no_ansible else wish.ansible
        return
    with tempfile.TemporaryDirectory(prefix="ansible-") as name:
        venv.create(name, with_pip=True)
        subprocess.run([f"{name}/bin/pip", "install", "--quiet", "ansible-core"], check=True)
        yield Path(name)


def main(argv: Sequence[str]) -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="bench.verify", description="What one verification costs.")
    parser.add_argument("--rounds", type=int, default=15, help="at least 9")
    parser.add_argument("--lab", help="a lab host that is up, with the incident on it")
    parser.add_argument("--address", help="a host that is no lab host")
    parser.add_argument("--port", type=int, default=22)
    parser.add_argument("--user", default="askfirst")
    parser.add_argument("--key", type=Path)
    parser.add_argument("--host-key", action="append", default=[])
    parser.add_argument("--no-sudo", action="store_true")
    parser.add_argument("--claims", type=int, default=1, help=f"how many services at once, up to {len(CLAIMS)}")
    parser.add_argument("--ansible", type=Path, help="a virtual environment that has ansible-core")
    parser.add_argument("--no-ansible", action="store_true")
    wish = parser.parse_args(argv)
    claims = CLAIMS[: wish.claims]
    with target_of(wish) as target, _ansible_folder(wish) as ansible:
        peers = asyncio.run(measure(target, claims, max(9, wish.rounds), ansible))
    print(report(peers, claims))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
