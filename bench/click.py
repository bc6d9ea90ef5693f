"""What a click costs: from the approving POST to the first sign of the command, over the real pages and a real host.

    python -m bench.click                      boots a host with the incident on it, and takes it away again
    python -m bench.click --lab dev1           uses a lab host that is up

A real server on loopback, a real approver's session, and a systemd unit that is restarted for real in each round. The
connection that the verification opened is still there when somebody clicks, as in life. Bare `ssh true` (cold, and
over a warm ControlMaster) runs beside it in each round. Read the ratios, not the milliseconds.
"""

import argparse
import asyncio
import itertools
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import uvicorn

from app.cli.browser import Browser, signed_in
from app.core.lifecycle import ENDED, Request, State
from app.core.pace import LOOP_RUNS
from app.core.policy import Person, Policy, Role
from app.core.registry import Registry
from app.core.run import Progress, Started
from app.core.service import Host, Service
from app.flow import ask, people, registry
from app.flow.ports import World
from app.main import Wiring, create_app
from app.settings import Settings
from app.ssh.gate import SshHosts
from app.store import requests
from bench.verify import Target, goal_line, machine, run, ssh_argv, target_of

PASSWORD = "a sentence for the bench"  # noqa: S105 - of a store that lives for one run
URL = "http://127.0.0.1:8771"
UNIT = Service("gui-5054", "bench", "lab", "systemd", "gui-5054.service", "rbron", "/opt/pypnm-gui-lab", (5054,))
STEPS = (
    "the page, the session, the guard",
    "the yes and the claim, both durable",
    "compared, spent, started on the host",
)


@dataclass(slots=True)
class Round:
    """What one round took, in milliseconds: the three steps of a click, and the peers."""

    steps: tuple[float, ...] = ()
    cold: float = 0.0
    mux: float = 0.0

    @property
    def click(self) -> float:
        """The whole click."""
        return sum(self.steps)


class TimedHosts(SshHosts):
    """The real hosts, with a note of when the gate said that it had started each warrant's command."""

    started: ClassVar[dict[str, float]] = {}

    async def restart(self, host: Host, warrant: str, via: Sequence[Host] = (), **more: Any) -> AsyncIterator[Progress]:
        """Run a warrant's text, noting the time of its start."""
        request_id = re.search(r"^id (\S+)$", warrant, re.MULTILINE)
        async for progress in super().restart(host, warrant, via, **more):
            if isinstance(progress, Started) and request_id:
                self.started[request_id[1]] = time.time()
            yield progress


class TimedWiring(Wiring):
    """The real wiring, but for the noted time."""

    def __init__(self, settings: Settings) -> None:
        """Use these settings."""
        self.__dict__["settings"] = settings

    @asynccontextmanager
    async def open_world(
        self, settings: Settings | None = None, *, make: bool = False, upgrade: bool = False
    ) -> AsyncIterator[World]:
        """Open the world, and put the timed hosts into it."""
        async with super().open_world(settings, make=make, upgrade=upgrade) as world:
            assert self.settings.ssh_key is not None
            hosts = TimedHosts(self.settings.ssh_key)
            yield replace(world, hosts=hosts)
            await hosts.close()


async def measure(target: Target, rounds: int) -> list[Round]:
    """Click so many times, on one store after the other: after so many restarts a single yes is not enough."""
    found: list[Round] = []
    while len(found) < rounds:
        found += await _served(target, min(LOOP_RUNS - 1, rounds - len(found)))
        print(f"\rround {len(found)} of {rounds}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return found


async def _served(target: Target, rounds: int) -> list[Round]:
    """Serve a store of its own, and click so many times."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        settings = Settings(data_dir=folder / "data", ssh_key=target.key, base_url=URL)
        app = create_app(TimedWiring(settings))
        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=8771, log_level="warning", loop="asyncio"))
        serving = asyncio.create_task(server.serve())
        async with asyncio.timeout(30):
            while not server.started:  # noqa: ASYNC110 - uvicorn offers no event to wait for
                await asyncio.sleep(0.05)
        try:
            return await _rounds(app.state.world, target, folder, rounds)
        finally:
            server.should_exit = True
            await serving


async def _rounds(world: World, target: Target, folder: Path, rounds: int) -> list[Round]:
    ssh = ssh_argv(target, folder)
    mux = [*ssh, "-o", f"ControlPath={folder}/mux"]
    await run([*mux, "-o", "ControlMaster=yes", "-o", "ControlPersist=yes", "true"])
    requester = await _people_and_registry(world, target)
    found: list[Round] = []
    try:
        async with signed_in(URL, "bo@example.org", PASSWORD) as browser:
            for number in range(rounds + 1):
                one = Round(
                    await _click(world, browser, requester), await _timed([*ssh, "true"]), await _timed([*mux, "true"])
                )
                found += [one] if number else []  # the first round warms up
    finally:
        await run([*mux, "-O", "exit"])
    return found


async def _people_and_registry(world: World, target: Target) -> Person:
    """Make an approver, and a requester who also edits; return the latter."""
    made = [
        await people.add_as_operator(
            world, name=name, email=f"{name}@example.org", roles=roles, groups=["lab"], password=PASSWORD
        )
        for name, roles in (("ada", [Role.REQUESTER, Role.EDITOR]), ("bo", [Role.APPROVER]))
    ]
    policy = Policy(environment=target.host.environment, groups=("lab",))
    await registry.change(world, made[0].person, Registry((target.host,), (UNIT,), (policy,)))
    return made[0].person


async def _click(world: World, browser: Browser, requester: Person) -> tuple[float, ...]:
    """Ask, wait for the proof, click; return the three steps in milliseconds."""
    request = await ask.ask(world, requester, UNIT.name, "to see how long a click takes")
    request = await _when(world, request, lambda each: each.state is not State.OPEN)
    assert request.state is State.WAITING, request.verdict
    page = await browser.open(f"/requests/{request.id}")
    began = time.time()
    await browser.press(page, "Approve")
    request = await _when(world, request, lambda each: each.state in ENDED)
    assert request.state is State.SUCCEEDED, request.outcome
    at = {event.type: event.at for event in await requests.events(world.db, request.id)}
    moments = (began, at["approved"], at["run_started"], TimedHosts.started[request.id])
    return tuple((after - before) * 1000 for before, after in itertools.pairwise(moments))


async def _when(world: World, request: Request, holds: Callable[[Request], bool]) -> Request:
    while not holds(request):
        await world.news.wait(request.id, 0.5)
        request = await requests.load(world.db, request.id)
    return request


async def _timed(argv: Sequence[str]) -> float:
    began = time.perf_counter()
    await run(argv)
    return (time.perf_counter() - began) * 1000


def report(rounds: Sequence[Round]) -> str:
    """Write the table."""
    click = statistics.median(each.click for each in rounds)
    cold = statistics.median(each.cold for each in rounds)
    mux = statistics.median(each.mux for each in rounds)
    lines = [
        machine(),
        f"From the approving POST to the command's start on the host; medians of {len(rounds)} interleaved rounds.",
        "",
    ]
    for number, step in enumerate(STEPS):
        took = statistics.median(each.steps[number] for each in rounds)
        lines.append(f"{step:46}{took:8.1f} ms{took / click:8.0%}")
    lines += [f"{'the whole click':46}{click:8.1f} ms", ""]
    lines += [f"{'ssh true, cold':46}{cold:8.1f} ms", f"{'ssh true, warm mux':46}{mux:8.1f} ms", ""]
    lines.append(goal_line("the whole click, × ssh true cold", click / cold, 1.0))
    lines.append(f"     the whole click, × ssh true over a warm mux: {click / mux:.2f}")
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    """Measure, and print the table."""
    os.environ.setdefault("ASKFIRST_ROLE", "all")
    parser = argparse.ArgumentParser(prog="bench.click", description="What a click costs.")
    parser.add_argument("--rounds", type=int, default=9, help="at least 9")
    parser.add_argument("--lab", help="a lab host that is up, with the incident on it")
    wish = parser.parse_args(argv, argparse.Namespace(address=None))
    with target_of(wish) as target:
        rounds = asyncio.run(measure(target, max(9, wish.rounds)))
    print(report(rounds))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
