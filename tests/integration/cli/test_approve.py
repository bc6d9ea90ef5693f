"""`askfirst approve`: a person at a terminal, the machine's own ssh-keygen, and a server that is not believed."""

import asyncio
import json
import os
import pty
import re
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.cli import approve
from app.core.credential import Credential, fingerprint, ssh_key
from app.core.errors import Refused
from app.core.lifecycle import Request
from app.core.policy import Kind
from app.core.warrant import short_digest
from app.flow.ids import new_id
from app.flow.ports import Limits, News, World
from app.main import SystemClock
from app.store import credentials, requests, tokens
from app.store.engine import open_database
from tests.integration.cli.conftest import ROOT, RUN, Command
from tests.integration.cli.test_serve import Serving, start
from tests.integration.web.conftest import Dark
from tests.integration.web.seed import Seed, plant
from tests.unit.core.samples import WARRANT


@dataclass
class Stage:
    """A running server with a request that waits, bo's plain key, and a token that reads."""

    askfirst: Command
    served: Serving
    waiting: Request
    key: Path
    token: str

    def at_a_terminal(self, *words: str, says: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the command with a terminal as its input, at which somebody types a line."""
        above, below = pty.openpty()
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.askfirst.folder), "PYTHONPATH": str(ROOT)}
        told = {**self.askfirst.environment, "ASKFIRST_BASE_URL": self.served.url, **variables}
        running = subprocess.Popen(
            [*RUN, "approve", *words],
            env={**environment, **told},
            stdin=below,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(below)
        os.write(above, f"{says}\n".encode())
        out, err = running.communicate(timeout=120)
        os.close(above)
        return subprocess.CompletedProcess(words, running.returncode, out, err)

    def now(self) -> Request:
        async def load(world: World) -> Request:
            return await requests.load(world.db, self.waiting.id)

        request: Request = asyncio.run(with_world(self.askfirst, load))
        return request


async def with_world(askfirst: Command, act: Any) -> Any:
    folder = Path(askfirst.environment["ASKFIRST_DATA_DIR"])
    folder.mkdir(exist_ok=True, mode=0o700)
    db = await open_database(f"sqlite+aiosqlite:///{folder}/askfirst.db")
    hosts: Any = Dark()
    try:
        return await act(World(db, hosts, SystemClock(), News(), Limits(), "test"))
    finally:
        await db.close()


def new_key(folder: Path, name: str) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    return folder / name


@pytest.fixture
def stage(askfirst: Command, tmp_path: Path) -> Iterator[Stage]:
    key = new_key(tmp_path, "key")

    async def plant_it(world: World) -> tuple[Request, str]:
        seed: Seed = await plant(world)
        bo, now = seed.accounts["bo"].person.id, world.clock.now()
        _, line = ssh_key(key.with_suffix(".pub").read_text())
        mine = Credential(fingerprint(line), bo, Kind.PLAIN, "laptop", line, 0, now)
        await credentials.enrol(world.db, mine, by=bo, event_id=new_id(now))
        await credentials.confirm(world.db, mine.id, by="cy", at=now, usable_at=now, event_id=new_id(now))
        token = await tokens.create(
            world.db, bo, "mine", frozenset({"read"}), token_id=new_id(now), by=bo, at=now, event_id=new_id(now)
        )
        return await seed.waiting(plain_keys=True), token

    waiting, token = asyncio.run(with_world(askfirst, plant_it))
    served = start(Command(askfirst.folder, {**askfirst.environment, "ASKFIRST_ROLE": "web"}))
    yield Stage(askfirst, served, waiting, key, token)
    served.process.terminate()
    served.process.wait(20)


@pytest.mark.law(5)
@pytest.mark.law(8)
def test_a_person_at_a_terminal_reads_the_warrant_signs_it_and_says_yes(stage: Stage) -> None:
    asked = stage.at_a_terminal(stage.waiting.short_id, "--key", str(stage.key), says="n", ASKFIRST_TOKEN=stage.token)
    assert asked.returncode == 1
    assert "You did not say yes." in asked.stderr
    assert stage.now().approvals == ()
    for shown in (
        stage.waiting.id,
        "restart of pypnm-gui",
        "supervisorctl restart lab:pypnm-gui",
        "ada@example.org",
        stage.waiting.digest,
        short_digest(stage.waiting.digest),
    ):
        assert shown in asked.stdout
    # The same without a token, on the server's own machine; for programs the answer stands alone on standard output.
    done = stage.at_a_terminal(stage.waiting.short_id, "--key", str(stage.key), "--json", says="y")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["state"], told["approvals"], told["digest"]) == ("approved", 1, stage.waiting.digest)
    (yes,) = stage.now().approvals
    assert yes.level == "key"
    again = stage.at_a_terminal(stage.waiting.id, "--key", str(stage.key), says="y", ASKFIRST_TOKEN=stage.token)
    assert again.returncode == 1
    assert "approved, not waiting" in again.stderr
    # Where no key is named: none is found, or the agent's only one that somebody has to touch.
    nothing = stage.at_a_terminal(stage.waiting.id, says="y")
    assert nothing.returncode == 2
    assert "ssh-keygen -t ed25519-sk -O verify-required" in nothing.stderr
    agent = stage.askfirst.folder / "bin" / "ssh-add"
    agent.parent.mkdir()
    agent.write_text("#!/bin/sh\necho ssh-ed25519 AAAA plain\necho sk-ssh-ed25519@openssh.com AAAA blue\n")
    agent.chmod(0o755)
    held = stage.at_a_terminal(stage.waiting.id, says="n", PATH=f"{agent.parent}:{os.environ['PATH']}")
    assert "with the agent's security key?" in held.stdout
    other = new_key(stage.askfirst.folder, "other")
    unknown = stage.at_a_terminal(stage.waiting.id, "--key", str(other), says="y", ASKFIRST_TOKEN=stage.token)
    assert "Nobody here has enrolled the key SHA256:" in unknown.stderr
    assert "Settings" in unknown.stderr


@pytest.mark.law(8)
def test_without_a_terminal_nothing_is_signed(askfirst: Command) -> None:
    done = askfirst.process("approve", "R-7F3K", given="y\n")
    assert done.returncode == 1
    assert "there is no terminal here" in done.stderr


def test_there_is_no_option_that_says_yes(askfirst: Command) -> None:
    options = set(re.findall(r"--[a-z-]+", askfirst("approve", "--help").stdout))
    assert options == {"--key", "--token", "--json", "--help"}


@pytest.mark.law(5)
def test_a_server_that_answers_with_another_warrant_is_not_signed_for() -> None:
    for asked in ("R-0000", "01JF3W6V9Q0Z7E5M2T8X4K1B6M"):
        with pytest.raises(Refused, match="not for") as refused:
            approve.warrant_of(WARRANT.text(), asked)
        assert refused.value.code == "other_warrant"
    with pytest.raises(Refused, match="not a warrant"):
        approve.warrant_of(WARRANT.text().replace("\nhost ", "\nhosts "), WARRANT.id)
    with pytest.raises(Refused, match="expired"):
        approve.warrant_of(WARRANT.text(), WARRANT.id)


class Page(BaseHTTPRequestHandler):
    """What a proxy or another program answers."""

    def do_POST(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<h1>Welcome</h1>")

    def log_message(self, *_: object) -> None:
        """Keep it quiet."""


def test_a_yes_that_reached_something_that_is_not_askfirst_is_told_as_unknown(stage: Stage) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        words = (stage.waiting.short_id, "--key", str(stage.key), "--json")
        done = stage.at_a_terminal(*words, says="y", ASKFIRST_BASE_URL=f"http://127.0.0.1:{other.server_port}")
        other.shutdown()
    assert done.returncode != 0
    told = json.loads(done.stdout)
    assert told["code"] == "not_askfirst"
    assert "whether your yes was counted is not known here" in told["detail"]
    assert f"askfirst request show {stage.waiting.id}" in told["next"]
    assert stage.now().approvals == ()
