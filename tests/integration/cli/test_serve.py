"""The server as a process of its own: its first start, its port, its end, and commands that run beside it."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from app.cli.serve import listening
from tests.integration.cli.conftest import ROOT, RUN, Command


@dataclass
class Serving:
    """A running server and what it prints."""

    process: subprocess.Popen[str]
    url: str
    lines: list[str] = field(default_factory=list)


def start(askfirst: Command, **variables: str) -> Serving:
    """Start a server on a free port, and wait until it answers."""
    with listening("127.0.0.1:0") as door:
        address = f"127.0.0.1:{door.getsockname()[1]}"
    process = subprocess.Popen(
        [*RUN, "serve"],
        cwd=askfirst.folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            **askfirst.environment,
            "ASKFIRST_LISTEN": address,
            "ASKFIRST_BASE_URL": f"http://{address}",
            **variables,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    served = Serving(process, f"http://{address}")
    ready = threading.Event()

    def read() -> None:
        assert process.stdout
        with process.stdout as printed:
            for line in printed:
                served.lines.append(line)
                if "Application startup complete" in line:
                    ready.set()
        ready.set()

    threading.Thread(target=read, daemon=True).start()
    assert ready.wait(60)
    assert process.poll() is None, served.lines
    return served


@contextmanager
def serving(askfirst: Command, **variables: str) -> Iterator[Serving]:
    one = start(askfirst, **variables)
    yield one
    one.process.terminate()
    one.process.wait(20)


@pytest.fixture
def served(askfirst: Command) -> Iterator[Serving]:
    with serving(askfirst) as one:
        yield one


def guess(served: Serving, number: int, *, peer: str, named: str) -> int:
    """Guess somebody's password from an address of this machine, and say for whom; return the answer's status."""
    with httpx.Client(transport=httpx.HTTPTransport(local_address=peer), trust_env=False) as client:
        form = {"email": f"nobody-{number}@example.org", "password": "a guess"}
        headers = {"Origin": served.url, "X-Forwarded-For": named}
        return client.post(f"{served.url}/sign-in", data=form, headers=headers).status_code


@pytest.mark.threat("A10")
@pytest.mark.threat("A12")
def test_attempts_are_counted_for_each_behind_a_trusted_proxy_and_for_whoever_else_connects(people: Command) -> None:
    proxy, other = "127.0.0.1", "127.0.0.2"
    with serving(people, ASKFIRST_TRUSTED_PROXIES=f"{proxy},192.0.2.0/24") as served:
        for peer in (proxy, other):
            tried = [guess(served, number, peer=peer, named=f"198.51.100.{number}") for number in range(12)]
            assert (429 in tried) is (peer == other), peer
        named = [guess(served, number, peer=proxy, named="203.0.113.9, 192.0.2.7") for number in range(12)]
        assert named[-1] == 429
        assert guess(served, 50, peer=proxy, named="203.0.113.9, 203.0.113.8") != 429  # whom the proxy itself saw


@pytest.mark.parametrize("wrong", ["proxy.example.org", "*", "10.0.0.1/8", "10.0.0.1;10.0.0.2"])
def test_a_trusted_proxy_that_is_no_address_is_told_in_words(askfirst: Command, wrong: str) -> None:
    done = askfirst("serve", ASKFIRST_TRUSTED_PROXIES=wrong)
    assert (done.exit_code, "ASKFIRST_TRUSTED_PROXIES" in done.stderr) == (1, True)


def test_the_first_start_prints_a_link_that_makes_the_first_person(askfirst: Command, served: Serving) -> None:
    (link,) = re.findall(r"http://\S+/setup/\S+", "".join(served.lines))
    assert link.startswith(served.url)
    assert httpx.get(link, trust_env=False).status_code == 200
    form = {"name": "Ada", "email": "ada@example.org", "password": "a long enough sentence"}
    made = httpx.post(link, data=form, headers={"Origin": served.url}, trust_env=False)
    assert made.status_code == 303
    assert httpx.get(link, trust_env=False).status_code == 404
    assert [each["email"] for each in askfirst.json("user", "list")] == ["ada@example.org"]


def test_only_one_server_serves_a_database_and_the_second_is_told_in_words(askfirst: Command, served: Serving) -> None:
    second = askfirst.process("serve", ASKFIRST_LISTEN="127.0.0.1:0")
    assert second.returncode == 1
    assert "Another server uses this database" in second.stderr
    assert served.process.poll() is None


def test_the_database_is_the_first_server_s_from_before_its_link_is_shown(askfirst: Command) -> None:
    """It stands still between the two halves of its start; the second one ends in words, and the first goes on."""
    with listening("127.0.0.1:0") as door:
        address = f"127.0.0.1:{door.getsockname()[1]}"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **askfirst.environment}
    first = subprocess.Popen(
        [*RUN, "serve"],
        cwd=askfirst.folder,
        env={**environment, "ASKFIRST_LISTEN": address},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with first:
        assert first.stdout
        try:
            while "Set up the first person" not in first.stdout.readline():
                assert first.poll() is None
            first.send_signal(signal.SIGSTOP)
            second = askfirst.process("serve", ASKFIRST_LISTEN="127.0.0.1:0")
            first.send_signal(signal.SIGCONT)
            while "startup complete" not in first.stdout.readline():
                assert first.poll() is None
        finally:
            first.send_signal(signal.SIGCONT)
            first.terminate()
    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr.splitlines() == [
        f"Another server uses this database already, as process {first.pid}.",
        "Stop it first. Commands such as `askfirst request` may run beside it.",
    ]


def test_a_port_that_is_taken_is_told_in_words(askfirst: Command) -> None:
    with listening("127.0.0.1:0") as door:
        address = f"127.0.0.1:{door.getsockname()[1]}"
        done = askfirst("serve", ASKFIRST_LISTEN=address)
    assert done.exit_code == 1
    assert f"Nothing can listen on {address}" in done.stderr
    assert "ASKFIRST_LISTEN" in askfirst("serve", ASKFIRST_LISTEN="nowhere").stderr


REGISTRY = (
    "hosts: [{name: alpha, address: 192.0.2.1, environment: lab}]\n"
    "services: [{name: gui, host: alpha, owner: ada, manager: systemd, unit: gui.service}]\n"
    "policies: [{environment: lab, groups: [lab-team]}]\n"
)


def registered(askfirst: Command) -> str:
    """Register a service and somebody who may ask for it. Returns a token."""
    askfirst("user", "add", "Ada", "--email", "ada@example.org", "--role", "requester", "--role", "editor")
    registry = Path(askfirst.folder / "registry.yaml")
    registry.write_text(REGISTRY)
    assert askfirst("registry", "apply", str(registry), "--as", "ada@example.org").exit_code == 0
    token: str = askfirst.json("token", "create", "ci", "--as", "ada@example.org")["token"]
    return token


def test_a_reload_is_asked_for_and_what_is_said_is_shown_as_said(askfirst: Command, served: Serving) -> None:
    server = {"ASKFIRST_TOKEN": registered(askfirst), "ASKFIRST_BASE_URL": served.url}
    words = ("request", "gui", "--reason", "New settings.")
    refused = askfirst(*words, "--action", "stop", **server)
    assert refused.exit_code == 1
    assert "restart" in refused.stderr
    asked = askfirst(*words, "--action", "reload", "--said", "committed", **server)
    assert asked.exit_code == 0, asked.stderr
    assert "reload of gui on alpha" in asked.stdout
    assert "said       Is the code committed and pushed? Ada says so." in asked.stdout
    early = askfirst("request", "insist", asked.stdout.split()[0], "--reason", "It leaks.", **server)
    assert early.exit_code == 1  # the host has proved nothing yet, or refused


@pytest.mark.threat("T20")
def test_the_server_ends_in_order_though_somebody_follows_a_request(askfirst: Command, served: Serving) -> None:
    headers = {"Authorization": f"Bearer {registered(askfirst)}"}
    asked = httpx.post(
        f"{served.url}/api/v1/requests", json={"service": "gui", "reason": "x"}, headers=headers, trust_env=False
    )
    address = f"{served.url}/api/v1/requests/{asked.json()['id']}/events"
    with httpx.stream("GET", address, headers=headers, trust_env=False, timeout=30) as stream:
        assert next(stream.iter_lines()).startswith("event: happened")
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(20) is not None
    assert "Traceback" not in "".join(served.lines)


@pytest.mark.law(13)
@pytest.mark.threat("E2")
@pytest.mark.threat("E6")
def test_what_a_host_said_cannot_steer_the_terminal_that_reads_the_log(askfirst: Command) -> None:
    said = 'a\x1b]8;;javascript:alert(1)\x07b\x9b2J\r\n{"level": "forged"}\u202e\udcff'
    text = (
        "import structlog\nfrom app.cli.serve import server\nserver()\n"
        f"structlog.get_logger('x').warning({said!a}, host={said!a})\n"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **askfirst.environment}
    done = subprocess.run([sys.executable, "-c", text], env=environment, capture_output=True, check=True)
    (line,) = done.stderr.splitlines()
    assert all(0x20 <= byte < 0x7F for byte in line)
    assert json.loads(line)["level"] == "warning"


@pytest.mark.law(13)
@pytest.mark.threat("L6")
def test_a_fault_in_the_log_shows_where_it_was_and_nothing_that_it_held(askfirst: Command) -> None:
    text = (
        "import structlog\nfrom app.cli.serve import server\nserver()\n"
        "def fail(password):\n    raise KeyError('gone')\n"
        "try:\n    fail('hunter2' * 1)\nexcept KeyError:\n    structlog.get_logger('x').exception('a step failed')\n"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **askfirst.environment}
    done = subprocess.run([sys.executable, "-c", text], env=environment, capture_output=True, text=True, check=True)
    told = json.loads(done.stderr)
    assert (told["event"], told["level"]) == ("a step failed", "error")
    assert "KeyError" in told["exception"]
    assert "hunter2" not in done.stderr
