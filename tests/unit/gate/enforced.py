"""A host that has installed the gate, as far as the gate sees: its own /etc, /usr/local, /var/lib and /dev.

It is a mount namespace of this machine, with overlays that nobody else sees, and a socket where its programs look for
the host's log. There is no sshd and no sudo in it: the lab has those. Needs root.
"""

import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from app.core.facts import Facts, Record
from app.core.level import Level
from app.core.reading import facts
from app.core.records import HEADER, read
from app.core.service import Service
from app.core.warrant import Warrant
from app.gate import build
from app.gate.kit import LIB
from tests.unit.gate.hosted import Gate, with_children

ENTER = """
set -e
mount -t tmpfs -o mode=755 none "$1"
for each in etc usr/local var/lib dev; do
    mkdir -p "$1/$each/upper" "$1/$each/work"
    mount -t overlay overlay -o "lowerdir=/$each,upperdir=$1/$each/upper,workdir=$1/$each/work" "/$each"
done
chown 0:0 /etc /usr/local /usr/local/lib /var/lib
chmod 755 /etc /usr/local /usr/local/lib /var/lib
rm -rf /etc/askfirst /usr/local/lib/askfirst /var/lib/askfirst /etc/ssh/ssh_host_*
mkdir -p /etc/ssh /usr/local/bin /usr/local/lib/askfirst /etc/askfirst/approvers
ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
ln -sf "$2" /usr/local/bin/supervisorctl
shift 2
for each; do ln -s "$(command -v busybox)" "/usr/local/sbin/$each"; done
echo ready
exec sleep 100000
"""
# What the installed part uses besides the shell: with busybox's shell they are busybox's too.
TOOLS = (
    *("awk", "base64", "cat", "date", "env", "find", "ln", "logger", "ls", "mkdir", "od", "rm", "setsid", "sleep"),
    *("sync", "timeout"),
)


@dataclass(frozen=True)
class Installed(Gate):
    """The installed gate, started as sudo would start it."""

    pid: int = 0
    journal: socket.socket = field(default_factory=socket.socket)

    def at(self, path: str) -> Path:
        """Where this machine sees a file of the host."""
        return Path(f"/proc/{self.pid}/root{path}")

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        self.at(path).write_text(text)
        self.at(path).chmod(mode)

    @property
    def runs(self) -> Path:
        return self.at("/var/lib/askfirst/runs")

    @property
    def host_key(self) -> str:
        listed = ["ssh-keygen", "-lf", str(self.at("/etc/ssh/ssh_host_ed25519_key.pub"))]
        return subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split(" ")[1]

    def inside(self, *argv: str) -> list[str]:
        return ["nsenter", "-m", "-t", str(self.pid), *argv]

    def begin(self, *words: str, program: str = f"{LIB}/gate") -> subprocess.Popen[bytes]:
        environment = {"PATH": "/tmp:/usr/bin:/bin", "HOME": "/root", "SUDO_UID": "1000", "SUDO_USER": "askfirst"}
        return subprocess.Popen(
            self.inside(*self.shell, program, *words), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env=environment, start_new_session=True,
        )  # fmt: skip

    def do(self, script: str) -> int:
        """Run something there, as its administrator."""
        return subprocess.run(self.inside("sh", "-c", script), check=False).returncode

    def ask(self, data: bytes, *words: str) -> tuple[bytes, int]:
        """Return the answer and the exit status."""
        process = self.begin(*words)
        return process.communicate(data)[0], process.returncode

    def probe(self, *services: Service, whole: bool = False, git: bool = False) -> Facts:
        nonce = secrets.token_hex(16)
        data = build.probe_input(nonce, services, whole=whole, git=git, level=Level.ENFORCED)
        return facts(read(self.ask(data, "probe")[0], nonce, "probe"), time.time(), services)

    def decide(self, warrant: Warrant | str, signatures: Sequence[str] = (), asked: str = "demo") -> tuple[Record, int]:
        """Ask for a run; return the first record of the answer, or the last where it ran, and the exit status."""
        nonce = secrets.token_hex(16)
        text = warrant if isinstance(warrant, str) else warrant.text()
        data = build.restart_input(nonce, text, signatures, level=Level.SEALED)
        answer, status = self.ask(data, "restart", asked)
        header, *records = read(answer, nonce, "restart")
        assert header.kind == HEADER
        return records[0], status

    def raw(self, verb: str, *lines: str) -> list[Record]:
        nonce = secrets.token_hex(16)
        answer, _ = self.ask("\n".join([nonce, *lines, "end", ""]).encode(), *verb.split())
        return read(answer, nonce, verb.split(maxsplit=1)[0])[1:]

    def said(self) -> list[str]:
        """Return what the host's log got since the last time."""
        lines = []
        while True:
            try:
                lines.append(self.journal.recv(8192).decode())
            except BlockingIOError:
                return [line.partition("askfirst: ")[2] for line in lines]


@contextmanager
def installed(shell: Sequence[str], folder: Path) -> Iterator[Installed]:
    """Make such a host until the end of the block, with nothing allowed yet but a host file."""
    place = folder / "host"
    place.mkdir()
    command = Path(sys.executable).with_name("supervisorctl")
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", ENTER, "sh", place, command, *(TOOLS if "busybox" in shell else ())],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        try:
            assert process.stdout.readline() == b"ready\n"
            journal.setblocking(False)
            journal.bind(f"/proc/{process.pid}/root/dev/log")
            host = Installed(shell, folder, process.pid, journal)
            host.write(f"{LIB}/gate", build.installed(), 0o755)
            host.write(f"{LIB}/door", build.door(), 0o755)
            describe(host)
            yield host
        finally:
            with_children(process.pid)
            process.wait()
            process.stdout.close()


def describe(host: Installed, level: str = "enforced", per_hour: int = 100, plain_keys: str = "yes") -> None:
    """Write the host's own file."""
    host.write("/etc/askfirst/host", f"name here\nlevel {level}\nper-hour {per_hour}\nplain-keys {plain_keys}\n")


def allow(host: Installed, one: Warrant, cooldown: int = 0, approvals: int = 1) -> None:
    """Let the host's table have the one line that this warrant needs."""
    words = (one.service, one.manager, one.unit, one.action, one.argv_user, str(cooldown), str(approvals), *one.argv)
    host.write("/etc/askfirst/restarts", "# what this host allows\n\n" + " ".join(words) + "\n")
