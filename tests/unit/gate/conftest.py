"""The gate under each shell, and a supervisord with one program that a warrant can be about."""

import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.core.service import Service
from app.core.warrant import Warrant
from tests.unit.gate.enforced import Installed, installed
from tests.unit.gate.hosted import SHELLS, Gate, claim, shell_of, until

CONFIG = """
[unix_http_server]
file=%(here)s/s.sock
[supervisord]
logfile=%(here)s/log
pidfile=%(here)s/pid
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://%(here)s/s.sock
[program:gui]
command=sleep 1000
directory=%(here)s
startsecs=0
[program:alone]
command=sleep 1000
autostart=false
[group:lab]
programs=gui
"""


@pytest.fixture(params=SHELLS)
def gate(request: pytest.FixtureRequest, tmp_path: Path) -> Gate:
    """The gate of an account with an empty home folder."""
    return Gate(shell_of(request.param), tmp_path)


@pytest.fixture
def dash(tmp_path: Path) -> Gate:
    """The same under dash alone, for what is slow."""
    return Gate(shell_of("dash"), tmp_path)


@pytest.fixture(scope="module", params=SHELLS)
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """A host with the gate where the kit puts it, for a file's tests under each shell."""
    with installed(shell_of(request.param)[:-1], tmp_path_factory.mktemp("installed")) as made:
        yield made


@pytest.fixture(scope="session")
def supervised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A claim that is true: a program of a real supervisord's, which has its own configuration."""
    folder = tmp_path_factory.mktemp("supervised")
    config = folder / "supervisord.conf"
    config.write_text(CONFIG)
    process = subprocess.Popen(
        [Path(sys.executable).with_name("supervisord"), "--nodaemon", "--configuration", config],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        service = claim("supervisor", "lab:gui", path=str(folder), config=str(config))
        look = Gate(shell_of("dash"), folder).probe
        until((folder / "s.sock").exists)
        until(lambda: "program lab:gui RUNNING" in look(service).identity.get("demo", ()))
        yield service
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def warrant(gate: Gate, supervised: Service) -> Callable[..., Warrant]:
    """Make a warrant that rests on what the supervised program is at this moment."""
    return warrants(gate, supervised)


def warrants(gate: Gate, service: Service) -> Callable[..., Warrant]:
    """Return a maker of warrants about a service; its arguments are the words of the command."""

    def make(*argv: str, user: str = "", **fields: object) -> Warrant:
        seen = gate.probe(service)
        values: dict[str, Any] = {
            "id": "01JF3W6V9Q" + secrets.token_hex(8).upper(),
            "service": service.name,
            "host": "here",
            "host_key": "SHA256:none",
            "manager": service.manager,
            "unit": service.unit,
            "action": "restart",
            "argv": argv or ("supervisorctl", "-c", service.config, "restart", service.unit),
            "argv_user": user or seen.user,
            "identity": seen.identity[service.name],
            "requester": "ada@example.org",
            "reason": "a test  with two blanks, ümlauts and\na second line",
            "policy": "lab 1",
            "not_after": int(time.time()) + 900,
            "evidence": "sha256:0",
        }
        return Warrant(**{**values, **fields})

    return make
