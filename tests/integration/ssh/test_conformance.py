"""The fake host and real shells over real SSH do the same: one suite runs on both."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from app.core.service import Host, HttpCheck, JsonCheck, Service
from app.ssh.gate import SshHosts
from app.ssh.keys import ClientKey
from tests.fakes.clock import FakeClock
from tests.fakes.conformance import HostsThatCanBeCut, Place
from tests.fakes.cut import Cut
from tests.fakes.host import FakeHost
from tests.fakes.hosts import FakeHosts
from tests.fakes.sshd import Sshd

DOCUMENT = '{"tftp": {"server": "172.22.147.18"}}'
PROGRAM = """
import http.server, sys

DOCUMENT = open("document.json", "rb").read()

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(DOCUMENT)))
        self.end_headers()
        self.wfile.write(DOCUMENT)
    def log_message(self, *_):
        pass

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def with_checks(service: Service) -> Service:
    url = f"http://127.0.0.1:{service.ports[0]}"
    checks = (HttpCheck(f"{url}/health"), JsonCheck(f"{url}/api", "tftp.server", "172.22.147.18"))
    return replace(service, checks=checks)


@dataclass
class FakePlace:
    """The fake host."""

    hosts: FakeHosts
    there: FakeHost

    @property
    def host(self) -> Host:
        return self.there.host

    @property
    def service(self) -> Service:
        return with_checks(self.there.claim())

    async def replace(self) -> None:
        self.there.replace("lab:pypnm-gui")

    async def wait(self) -> None:
        self.hosts.clock.advance(0.5)

    def cut(self, point: Cut) -> None:
        self.hosts.cut_at["alpha"] = point


class TestFakeHost(HostsThatCanBeCut):
    @pytest.fixture
    def place(self) -> Place:
        hosts = FakeHosts(FakeClock())
        there = hosts.add()
        there.supervise(document=DOCUMENT)
        return FakePlace(hosts, there)


@dataclass
class Supervised:
    """A real supervisord of the current user's, with one web service under it."""

    folder: Path
    port: int
    user: str
    bin: Path = field(default_factory=lambda: Path(sys.executable).parent)

    @property
    def service(self) -> Service:
        claim = Service("pypnm-gui", "alpha", "lab", "supervisor", "lab:pypnm-gui", user=self.user)
        config = str(self.folder / "supervisord.conf")
        return with_checks(replace(claim, path=str(self.folder / "app"), ports=(self.port,), config=config))

    def write(self) -> None:
        (self.folder / "app").mkdir()
        (self.folder / "app" / "document.json").write_text(DOCUMENT)
        (self.folder / "app" / "serve.py").write_text(PROGRAM)
        (self.folder / "supervisord.conf").write_text(
            f"[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile={self.folder}/pid\n"
            f"[unix_http_server]\nfile={self.folder}/supervisor.sock\nchmod=0700\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
            f"[supervisorctl]\nserverurl=unix://{self.folder}/supervisor.sock\n"
            f"[program:pypnm-gui]\ncommand={sys.executable} serve.py {self.port}\ndirectory={self.folder}/app\n"
            "startsecs=0\nstdout_logfile=NONE\nstderr_logfile=NONE\n"
            "[group:lab]\nprograms=pypnm-gui\n"
        )

    def control(self, *words: str) -> str:
        argv = [self.bin / "supervisorctl", "-c", self.folder / "supervisord.conf", *words]
        return subprocess.run(
            [str(word) for word in argv], capture_output=True, text=True, timeout=30, check=True
        ).stdout

    async def until_it_answers(self) -> None:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                await asyncio.sleep(0.05)
            else:
                return
        raise AssertionError("the service never came up")


@pytest.fixture(scope="class")
def supervised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervised]:
    folder = tmp_path_factory.mktemp("fleet")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    user = subprocess.check_output(["id", "-un"], text=True).strip()
    made = Supervised(folder, port, user)
    made.write()
    argv = [str(made.bin / "supervisord"), "-n", "-c", str(folder / "supervisord.conf")]
    daemon = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
    yield made
    daemon.terminate()
    daemon.wait(30)
    shutil.rmtree(folder)


@dataclass
class RealPlace:
    """Real shells of the current user over real SSH, with the supervisord behind them."""

    hosts: SshHosts
    sshd: Sshd
    supervised: Supervised

    @property
    def host(self) -> Host:
        return self.sshd.host

    @property
    def service(self) -> Service:
        return self.supervised.service

    async def replace(self) -> None:
        await asyncio.to_thread(self.supervised.control, "restart", self.service.unit)
        await self.supervised.until_it_answers()

    async def wait(self) -> None:
        await asyncio.sleep(0.05)

    def cut(self, point: Cut) -> None:
        self.sshd.cut_at = point


class TestRealShells(HostsThatCanBeCut):
    @pytest.fixture
    async def place(
        self, supervised: Supervised, client_key: ClientKey, key_path: Path, tmp_path: Path
    ) -> AsyncIterator[Place]:
        await supervised.until_it_answers()
        environment = {
            "HOME": str(tmp_path),
            "XDG_STATE_HOME": str(tmp_path / "state"),
            "PATH": f"{supervised.bin}:{os.environ['PATH']}",
        }
        async with Sshd(client_key.pair, environment=environment) as sshd:
            hosts = SshHosts(key_path)
            yield RealPlace(hosts, sshd, supervised)
            await hosts.close()

    async def disconnect(self, place: Place) -> None:
        assert isinstance(place, RealPlace)
        await place.hosts.close()
