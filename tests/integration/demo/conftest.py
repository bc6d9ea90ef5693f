"""The demo as a process of its own, as a newcomer starts it, and commands beside it."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[3]
RUN = (sys.executable, "-c", "from app.main import run; run()")
_READY = "Ctrl-C ends it"


@dataclass
class Demo:
    """A running demo: where its pages are, who may sign in, and what it printed."""

    process: subprocess.Popen[str]
    folder: Path
    printed: str

    @property
    def url(self) -> str:
        (url,) = re.findall(r"^Open (http://\S+)$", self.printed, re.MULTILINE)
        return str(url)

    @property
    def passwords(self) -> dict[str, str]:
        """Each person's password, by e-mail."""
        return dict(re.findall(r"^  \w+ +(\S+@\S+) +(\S+)$", self.printed, re.MULTILINE))

    @property
    def asked(self) -> list[str]:
        """The short ids of what was asked before the first page: the wrong claim, then the right one."""
        return re.findall(r"^(R-\w{4}) ", self.printed, re.MULTILINE)

    @property
    def environment(self) -> dict[str, str]:
        """What makes a command work on the demo's own database and server."""
        (data,) = self.folder.glob("askfirst-demo-*/askfirst")
        return {**environment(self.folder), "ASKFIRST_DATA_DIR": str(data), "ASKFIRST_BASE_URL": self.url}

    def api(self, token: str) -> httpx.Client:
        """Return a client of the API."""
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=60)

    def command(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*RUN, *words],
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@dataclass
class Visited:
    """A demo, a token of its engineer, and what it held when its page could first be opened."""

    demo: Demo
    token: str
    wrong: dict[str, Any]
    right: dict[str, Any]
    services: dict[str, str]

    def api(self) -> httpx.Client:
        return self.demo.api(self.token)


def environment(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder with a short name: a unix socket has to fit below it."""
    folder = Path(tempfile.mkdtemp(prefix="afd-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def start(folder: Path) -> Demo:
    """Start a demo, and wait until it says where its pages are."""
    process = subprocess.Popen(
        [*RUN, "demo"], env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines: list[str] = []
    ready = threading.Event()

    def read() -> None:
        assert process.stdout
        with process.stdout as printed:
            for line in printed:
                lines.append(line)
                if _READY in line:
                    ready.set()
        ready.set()

    threading.Thread(target=read, daemon=True).start()
    assert ready.wait(120)
    assert process.poll() is None, lines
    return Demo(process, folder, "".join(lines))


@pytest.fixture(scope="module")
def demo(short_folder: Path) -> Iterator[Demo]:
    one = start(short_folder)
    yield one
    one.process.terminate()
    assert one.process.wait(60) == 130


@pytest.fixture(scope="module")
def visited(demo: Demo) -> Visited:
    """The demo as it is before any test does anything to it. Every test that does something asks for this first."""
    made = demo.command("token", "create", "tests", "--json", ASKFIRST_AS="ada@example.org")
    token = str(json.loads(made.stdout)["token"])
    with demo.api(token) as client:
        wrong, right = (client.get(f"/api/v1/requests/{short}").json() for short in demo.asked)
        found = client.get("/api/v1/services").json()["services"]
    return Visited(demo, token, wrong, right, {each["name"]: each["proof"]["verdict"] for each in found})
