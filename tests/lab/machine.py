"""What lab hosts share on this machine: the bridge, the addresses, the control groups, and processes by pid.

It knows nothing of a host's disk, of SSH or of what runs on a host. Several test runs, and people with a shell, use it
at once; so an address is taken by creating a file exclusively, under one lock for the whole machine, and a process is
only ever ended by pid *and* start time.
"""

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

BRIDGE = "aflab"
NETWORK = "172.31.77"
LEASES = Path("/run/askfirst-lab")
CGROUPS = Path("/sys/fs/cgroup")


class LabError(RuntimeError):
    """The lab could not do what was asked; the text says what to do next."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process that a reused pid cannot be mistaken for: start is in clock ticks after the machine's boot."""

    pid: int
    start: int

    @classmethod
    def of(cls, pid: int) -> Self | None:
        try:
            stat = Path(f"/proc/{pid}/stat").read_bytes()
        except OSError:
            return None
        # A process may have ") " in its name: what follows the last one is the kernel's.
        fields = stat[stat.rindex(b") ") + 2 :].split()
        return None if fields[0] in (b"Z", b"X") else cls(pid, int(fields[19]))

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """The process that was saved in a file, if it still lives."""
        try:
            pid, start = path.read_text().split()
        except (OSError, ValueError):
            return None
        saved = cls(int(pid), int(start))
        return saved if saved.lives() else None

    def save(self, path: Path) -> None:
        path.write_text(f"{self.pid} {self.start}\n")

    def lives(self) -> bool:
        return Process.of(self.pid) == self

    def children(self) -> list["Process"]:
        found = []
        for task in Path(f"/proc/{self.pid}/task").glob("*/children"):
            try:
                found += [Process.of(int(pid)) for pid in task.read_text().split()]
            except OSError:
                continue  # the thread ended while we looked
        return [child for child in found if child]

    def kill(self) -> None:
        if self.lives():
            try:
                os.kill(self.pid, 9)
            except ProcessLookupError:
                pass


def call(*argv: str | Path) -> str:
    """Run a tool of this machine and return what it printed."""
    done = subprocess.run(
        [str(word) for word in argv], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        raise LabError(f"{' '.join(map(str, argv))} ended with {done.returncode}: {done.stderr.strip() or done.stdout}")
    return done.stdout


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock that the kernel drops if this process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def take_number(folder: Path) -> int:
    """Take the number (10 to 250) that becomes a host's address, bridge port and control group."""
    with locked(LEASES / "lock"):
        for number in range(10, 251):
            lease = LEASES / str(number)
            holder = lease.read_text() if lease.exists() else ""
            if not holder or not Path(holder).exists():
                lease.write_text(str(folder))
                return number
    raise LabError("all addresses of the lab's network are taken: end some hosts with `hosts.py list` and `down NAME`")


def give_number_back(number: int) -> None:
    with locked(LEASES / "lock"):
        (LEASES / str(number)).unlink(missing_ok=True)


def ensure_bridge() -> None:
    with locked(LEASES / "lock"):
        if not Path(f"/sys/class/net/{BRIDGE}").exists():
            call("ip", "link", "add", BRIDGE, "type", "bridge")
            call("ip", "address", "add", f"{NETWORK}.1/24", "dev", BRIDGE)
        call("ip", "link", "set", BRIDGE, "up")


def drop_unused_bridge() -> None:
    """Take the bridge away with the last host."""
    with locked(LEASES / "lock"):
        ports = Path(f"/sys/class/net/{BRIDGE}/brif")
        if ports.exists() and not any(ports.iterdir()) and not any(LEASES.glob("[0-9]*")):
            call("ip", "link", "delete", BRIDGE)


def cgroups_of(number: int) -> list[Path]:
    """A host's own group in every hierarchy: hosts in one tree would see, and could end, each other's units."""
    roots = [CGROUPS, *(path for path in CGROUPS.iterdir() if path.is_dir() and not path.is_symlink())]
    return [root / f"aflab-{number}" for root in roots if (root / "cgroup.procs").exists()]


def make_cgroups(number: int) -> list[Path]:
    groups = cgroups_of(number)
    for group in groups:
        group.mkdir(exist_ok=True)
        for name in ("cpuset.mems", "cpuset.cpus"):
            if (group / name).exists():
                (group / name).write_text((group.parent / name).read_text())
    return groups


def remove_cgroups(number: int) -> None:
    for group in cgroups_of(number):
        folders = [group, *(path for path in group.rglob("*") if path.is_dir())] if group.exists() else []
        for folder in sorted(folders, key=lambda path: len(path.parts), reverse=True):
            try:
                folder.rmdir()
            except OSError:
                continue  # a process is still on its way out; an empty group harms nobody


def processes_in(number: int) -> list[Process]:
    """Every process of a host, seen from outside."""
    pids: set[int] = set()
    for group in cgroups_of(number):
        for listing in group.rglob("cgroup.procs"):
            try:
                pids.update(map(int, listing.read_text().split()))
            except OSError:
                continue  # a group that vanished, or a threaded one
    return [process for pid in sorted(pids) if (process := Process.of(pid))]
