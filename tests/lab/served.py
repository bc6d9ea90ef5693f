"""A real `askfirst serve` over a lab host, for tests that go through the browser."""

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx

from app.core.policy import Role
from app.core.service import Service
from app.flow.people import add_as_operator
from tests.lab.flow_world import ROOT, TEAM, Scene, another_world, environment
from tests.lab.hosts import LabHost

PASSWORD = "correct horse battery"


@contextlib.contextmanager
def served(
    host: LabHost, folder: Path, *claims: Service, name: str = "127.0.0.1", settings: Mapping[str, str] = {}
) -> Iterator[str]:
    """Serve these claims of a host by a real `askfirst serve` on loopback. Gives the address; people have PASSWORD."""
    url = f"sqlite:///{folder}/askfirst.db"

    async def plant() -> None:
        async with another_world(url, host, "setup") as world:
            made = Scene(host, world, url)
            await made.register(*claims)
            for who, role in (
                ("ada", Role.REQUESTER),
                ("bo", Role.APPROVER),
                ("cy", Role.APPROVER),
                ("eve", Role.AUDITOR),
            ):
                groups = TEAM if role is Role.APPROVER else ()
                email = f"{who}@example.org"
                await add_as_operator(
                    world, name=who.title(), email=email, roles={role}, groups=groups, password=PASSWORD
                )

    asyncio.run(plant())
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    base = f"http://{name}:{port}"
    log = folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", "from app.main import run; run()", "serve"],
            cwd=ROOT,
            env={**environment(folder, host, port), "ASKFIRST_BASE_URL": base, **settings},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 60
        while not _is_ready(base):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield base
    finally:
        process.terminate()
        process.wait(30)


def _is_ready(base: str) -> bool:
    try:
        return httpx.get(f"{base}/readyz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
