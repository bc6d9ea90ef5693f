"""The gate, run for real by a shell of this machine, and processes for it to look at, which a test starts itself."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from app.core.facts import Facts, Record
from app.core.reading import facts
from app.core.records import HEADER, read
from app.core.service import Service
from app.core.warrant import Warrant
from app.gate import build

SHELLS = {"dash": ("dash", "-s"), "busybox": ("busybox", "ash", "-s")}
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it takes another user's part, or mounts")


def shell_of(name: str) -> tuple[str, ...]:
    if shutil.which(SHELLS[name][0]) is None:
        pytest.skip(f"needs {SHELLS[name][0]}")
    return SHELLS[name]


@dataclass(frozen=True)
class Gate:
    """One account of this machine, as the gate sees it: its shell, its home folder, where its spool lies."""

    shell: Sequence[str]
    home: Path

    @property
    def runs(self) -> Path:
        return self.home / "state" / "askfirst" / "runs"

    def start(self, data: bytes) -> subprocess.Popen[bytes]:
        """Start the gate as sshd would, with what it is asked on its standard input. Complaints spoil the answer."""
        process = subprocess.Popen(
            self.shell,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.home,
            env={
                "PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": str(self.home),
                "XDG_STATE_HOME": str(self.home / "state"),
                "HIDDEN": "what a session has in its environment",
            },
            start_new_session=True,
        )
        assert process.stdin is not None
        process.stdin.write(data)
        process.stdin.close()
        process.stdin = None
        return process

    def answer(self, data: bytes) -> bytes:
        return self.start(data).communicate()[0]

    def probe(self, *services: Service, whole: bool = False, git: bool = False) -> Facts:
        nonce = secrets.token_hex(16)
        answer = self.answer(build.probe_input(nonce, services, whole=whole, git=git))
        return facts(read(answer, nonce, "probe"), time.time(), services)

    def restart(self, warrant: Warrant) -> list[Record]:
        nonce = secrets.token_hex(16)
        return said(self.answer(build.restart_input(nonce, warrant.text())), nonce, "restart")

    def burn(self, request_id: str) -> list[Record]:
        nonce = secrets.token_hex(16)
        return said(self.answer(build.burn_input(nonce, request_id)), nonce, "burn")

    def result(self, request_id: str) -> list[Record]:
        nonce = secrets.token_hex(16)
        return said(self.answer(build.result_input(nonce, request_id)), nonce, "result")

    def raw(self, verb: str, *lines: str) -> list[Record]:
        """Ask with data that ``build`` would refuse to send."""
        nonce = secrets.token_hex(16)
        data = "".join(f"{line}\n" for line in lines)
        text = f"{build.program()}af_main {verb} {nonce} <<'{nonce}'\n{data}end\n{nonce}\n"
        return said(self.answer(text.encode("utf-8")), nonce, verb)


def said(answer: bytes, nonce: str, verb: str) -> list[Record]:
    """Return the records of an answer, without its header."""
    header, *records = read(answer, nonce, verb)
    assert header.kind == HEADER
    return records


def kinds(records: Sequence[Record]) -> list[str]:
    return [record.kind for record in records]


def printed(records: Sequence[Record]) -> bytes:
    """Put the pieces of an output together, each at its offset."""
    out = b""
    for record in records:
        if record.kind == "output":
            assert int(record.fields["offset"]) == len(out)
            out += bytes.fromhex(record.fields["hex"])
    return out


def claim(manager: str = "manual", unit: str = "demo", **fields: object) -> Service:
    return replace(Service("demo", "here", "lab", manager, unit), **fields)  # type: ignore[arg-type]


@contextmanager
def running(*argv: str, cwd: Path | None = None, is_told: bool = True) -> Iterator[tuple[int, str]]:
    """Run a program until the end of the block. Its pid comes back, and the line by which it tells that it is ready."""
    process = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=cwd, start_new_session=True, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline() if is_told else ""
        assert line or not is_told
        yield process.pid, line
    finally:
        with_children(process.pid)
        process.wait()
        process.stdin.close()
        process.stdout.close()


def with_children(leader: int) -> None:
    """End a session's processes."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        pass


def until(holds: object, seconds: float = 20.0) -> None:
    """Wait until something holds, at most so long."""
    deadline = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


# A server on the ports that it is given (`ADDRESS PORT`), with as many children that hold them as well.
SERVER = """
import os, socket, sys, time
held = []
for word in sys.argv[2:]:
    address, _, port = word.rpartition("/")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    one = socket.socket(family)
    if family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    one.bind((address, int(port)))
    one.listen()
    held.append(one)
for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        break
else:
    print(*(one.getsockname()[1] for one in held), flush=True)
time.sleep(1000)
"""
