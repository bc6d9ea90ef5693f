"""Askfirst as `docker-compose.yml` brings it up, in a lab host's real Docker, by the README's own words.

No registry of images and no package index is reached from there: the images are made from a local base, the packages
are fetched outside. What runs is the repository's own Dockerfile, compose file and proxy.
"""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.lab.flow_world import ROOT
from tests.lab.hosts import LabHost
from tests.lab.machine import call

THERE = "/root/askfirst"
BASE_URL = "http://localhost:8770"
_IMAGES = Path(__file__).parent / "images"
_SHIPPED = ("app", "templates", "migrations", "deploy", "requirements.lock", "pyproject.toml", "README.md", "LICENSE")
_SHIPPED_TOO = ("Dockerfile", ".dockerignore", "docker-compose.yml")
# Docker's layers on the disk of a host that is itself an overlay would be whole copies.
_IN_MEMORY = """set -e
systemctl stop docker.service docker.socket
mount -t tmpfs -o size=8g,mode=711 tmpfs /var/lib/docker
echo '{}' >/etc/docker/daemon.json
systemctl start docker
until docker info >/dev/null 2>&1; do sleep 0.2; done
docker import /root/base.tar local/base:lab
docker build -q -t local/postgres:lab /root/database
rm /root/base.tar
"""


def words() -> list[str]:
    """Return the commands of the README's section, one a line."""
    section = (ROOT / "README.md").read_text().split("## With Docker Compose")[1].split("\n## ")[0]
    found = re.search(r"```\n(.*?)```", section, re.DOTALL)
    assert found
    return found[1].splitlines()


def deliver(host: LabHost, folder: Path) -> None:
    """Put what is needed on the host: the repository's files, the locked packages, the images of others."""
    there = host.root / THERE.lstrip("/")
    for name in (*_SHIPPED, *_SHIPPED_TOO):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, there / name, ignore=shutil.ignore_patterns("__pycache__", "_data"))
        else:
            there.mkdir(exist_ok=True)
            shutil.copy(source, there / name)
    fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--dest", str(folder)]
    for what in (["--require-hashes", "-r", str(ROOT / "requirements.lock")], ["hatchling>=1.27,<2"]):
        subprocess.run([*fetch, *what], check=True, capture_output=True)
    shutil.copytree(folder, there / "wheels")
    shutil.copy(call(_IMAGES / "base.sh").strip(), host.root / "root/base.tar")
    database = host.root / "root/database"
    database.mkdir()
    shutil.copy(_IMAGES / "database.sh", database)
    (database / "Dockerfile").write_text('FROM local/base:lab\nCOPY database.sh /\nENTRYPOINT ["/database.sh"]\n')
    images = ("PYTHON_IMAGE=local/base:lab", "POSTGRES_IMAGE=local/postgres:lab", "PROXY_IMAGE=local/base:lab")
    (there / ".env").write_text("\n".join(images) + "\n")
    host.run(_IN_MEMORY, timeout=300)


@dataclass
class Composed:
    """The running project, and a way to its proxy from here."""

    host: LabHost
    address: str
    passwords: dict[str, str] = field(default_factory=dict)

    def run(self, command: str, timeout: float = 120) -> str:
        """Run a command line in the project's folder on the host, as the README has it."""
        return self.host.run(f"cd {THERE}\n{command}\n", timeout=timeout).out

    def replicas(self) -> list[str]:
        """The running replicas, by the first letters of the container's id, which is its host name too."""
        return self.run("docker compose ps -q askfirst").split()

    def client(self) -> httpx.Client:
        """A browser's side of the proxy: the address is the tunnel's, the name the one that people use."""
        headers = {"Host": "localhost:8770", "Origin": BASE_URL, "Sec-Fetch-Site": "same-origin"}
        return httpx.Client(base_url=self.address, headers=headers, trust_env=False, timeout=30)

    @contextmanager
    def signed_in(self, email: str) -> Iterator[httpx.Client]:
        with self.client() as made:
            answer = made.post("/sign-in", data={"email": email, "password": self.passwords[email]})
            assert answer.status_code == 303, answer.text
            yield made


@contextmanager
def tunnel(host: LabHost, port: int) -> Iterator[str]:
    """Lead to the host's own loopback, where the proxy listens."""
    argv = host.ssh_argv("root", "sleep infinity")
    argv[1:1] = ["-o", "ExitOnForwardFailure=yes", "-L", f"127.0.0.1:{port}:127.0.0.1:8770"]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 30
        while not _answers(address):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(10)


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/healthz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
