"""Three replicas on one real PostgreSQL over one real host, and what is done to them: killed, stopped, cut off.

How each request ended is held against the host's own spool, and how often a service was started against what its own
manager ran. Nothing is asked of the program but what it wrote into its log.
"""

import asyncio
import contextlib
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from app.cli.serve import listening
from app.core.errors import AskfirstError
from app.core.lifecycle import ENDED, Request, State
from app.core.service import Service
from app.flow import ask
from tests.integration.cluster import Cluster
from tests.lab.flow_world import ROOT, SPOOL, Scene, another_world, environment
from tests.lab.hosts import LabHost

SERVICES = tuple(
    Service(f"beat-{number}", "alpha", "lab-team", "systemd", f"beat-{number}.service", "daemon", settle_seconds=0.5)
    for number in range(1, 5)
)
# Each start notes itself on the host; the little sleep is time in which something can happen to whoever watches.
MAKE_SERVICES = """
for n in 1 2 3 4; do
  printf '%s\\n' '[Service]' Type=exec User=daemon \
    "ExecStartPre=+/bin/sh -c 'echo \\$INVOCATION_ID >>/var/lib/starts-$n; sleep 0.5'" \
    'ExecStart=/usr/bin/sleep infinity' >/etc/systemd/system/beat-$n.service
  : >/var/lib/starts-$n
done
systemctl daemon-reload
systemctl restart beat-1 beat-2 beat-3 beat-4
"""
ASKERS = 40  # nobody may ask for more than twenty in ten minutes
LEASE_SECONDS = 3.0
_PATIENCE = 180.0


class Replica:
    """One `askfirst serve`, the whole of it, in a process of its own."""

    def __init__(self, number: int, folder: Path, host: LabHost, url: str, lease_seconds: float) -> None:
        self.number = number
        self._folder = folder / f"replica-{number}"
        self._folder.mkdir(mode=0o700)
        with listening("127.0.0.1:0") as door:
            self.port = int(door.getsockname()[1])
        self._environment = {
            **environment(self._folder, host, self.port),
            "ASKFIRST_DATABASE_URL": url,
            "ASKFIRST_LEASE_SECONDS": str(lease_seconds),
            "ASKFIRST_SETTLE_TIMEOUT_SECONDS": "20",
        }
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        return self.process.pid if self.process else 0

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "from app.main import run; run()", "serve"],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    async def ready(self, seconds: float = 90) -> None:
        """Wait until it serves."""
        async with asyncio.timeout(seconds), httpx.AsyncClient(trust_env=False) as client:
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(f"http://127.0.0.1:{self.port}/readyz")).status_code == 200:
                        return
                assert self.process is not None
                assert self.process.poll() is None, (self._folder / "log").read_text()[-2000:]
                await asyncio.sleep(0.1)

    def signal(self, what: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(what)

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def said(self, what: str) -> int:
        """How often its log says something."""
        return (self._folder / "log").read_text().count(what)


@dataclass
class Fleet:
    """The replicas, their database, their host, and a hand of chance on them."""

    stage: Scene
    cluster: Cluster
    replicas: list[Replica]
    chance: random.Random
    asked: list[Request] = field(default_factory=list)
    harms: Counter[str] = field(default_factory=Counter)

    async def ask_all(self) -> list[Request]:
        """Ask for each service, have whichever replica prove it, and let as many people say yes as it takes."""
        made: list[Request] = []
        for service in SERVICES:
            who = self.stage.who[f"asker-{self.chance.randrange(ASKERS)}"]
            request_id = f"kill-{len(self.asked) + len(made)}"
            made.append(
                await self._again(lambda: ask.ask(self.stage.world, who, service.name, "A test.", key=request_id))  # noqa: B023
            )
        self.asked += made
        return made

    async def approve(self, request: Request) -> None:
        """Say yes as soon as it waits, also while the database is away for a moment."""
        async with asyncio.timeout(_PATIENCE):
            while True:
                with contextlib.suppress(AskfirstError):
                    now = await self.stage.load(request)
                    if now.state is State.WAITING:
                        said = {each.person for each in now.approvals}
                        free = next(name for name in ("bo", "cy") if self.stage.who[name].id not in said)
                        now = await self.stage.approve(now, free)
                    if now.state not in {State.OPEN, State.WAITING}:
                        return
                await asyncio.sleep(0.05)

    async def ended(self, request: Request) -> Request:
        """Wait until a request has ended."""
        async with asyncio.timeout(_PATIENCE):
            while True:
                with contextlib.suppress(AskfirstError):
                    if (now := await self.stage.load(request)).state in ENDED:
                        return now
                await asyncio.sleep(0.1)

    async def round(self, kills: int, *, database: bool = False) -> None:
        """Ask for all, and while they are proved, run and settled, kill, stop and cut at random."""
        made = await self.ask_all()
        yes = [asyncio.create_task(self.approve(each)) for each in made]
        if self.chance.random() < 0.8:  # else the harm comes while they are still being proved
            await asyncio.gather(*yes)
        for _ in range(kills):
            await asyncio.sleep(self.chance.uniform(0, 1.2))
            if self.chance.random() < 0.4:
                await self._stop_one()
            await self._kill_one()
        if database:
            how = self.chance.choice([signal.SIGINT, signal.SIGQUIT])
            await asyncio.to_thread(self.cluster.stop, how)
            await asyncio.to_thread(self.cluster.start)
            self.harms[f"PostgreSQL {'crashed' if how is signal.SIGQUIT else 'restarted'}"] += 1
        await asyncio.gather(*yes)
        await asyncio.gather(*(self.ended(each) for each in made))

    async def _kill_one(self) -> None:
        """Kill a replica, rather one that holds something; it starts again at once."""
        holders = await self._holders()
        one = self.chance.choice(holders or [each for each in self.replicas if each.pid])
        one.kill()
        self.harms["kill -9 of one that held a lease" if holders else "kill -9 of one that held nothing"] += 1
        one.start()

    async def _stop_one(self) -> None:
        """Let a replica stand still until its leases have run out, or not quite, and then go on as if nothing was."""
        one = self.chance.choice(await self._holders() or self.replicas)
        one.signal(signal.SIGSTOP)
        self.harms["SIGSTOP and SIGCONT"] += 1
        await asyncio.sleep(self.chance.uniform(0.3, 2.2 * LEASE_SECONDS))
        one.signal(signal.SIGCONT)

    async def _holders(self) -> list[Replica]:
        with contextlib.suppress(AskfirstError):
            async with self.stage.world.db.read() as connection:
                run = await self.stage.world.db.dialect.fast(connection)
                rows = await run("SELECT worker FROM leases WHERE until > 0")
            pids = {int(worker.split(":")[1]) for (worker,) in rows}
            return [each for each in self.replicas if each.pid in pids]
        return []

    async def _again(self, call: Callable[[], Awaitable[Request]]) -> Request:
        """Ask until the database takes it."""
        while True:
            try:
                return await call()
            except AskfirstError as error:
                if error.code not in {"store_away", "store_busy", "already_asked"}:
                    raise
            await asyncio.sleep(0.2)

    async def table(self) -> Counter[tuple[str, str, str]]:
        """How each request ended, what its log tells from the yes on, and what the host's spool says of it."""
        rows: Counter[tuple[str, str, str]] = Counter()
        for each in self.asked:
            now = await self.stage.load(each)
            story = [
                kind for kind in await self.stage.story(each) if kind.startswith(("run_", "settled", "went", "exp"))
            ]
            rows[str(now.state), " ".join(story), in_spool(self.stage.lab, each.id)] += 1
        return rows

    async def wrong(self) -> list[str]:
        """Name each request that ended otherwise than the host's spool says, and each service started too often."""
        found = []
        for each in self.asked:
            now, spool = await self.stage.load(each), in_spool(self.stage.lab, each.id)
            story = await self.stage.story(each)
            if not fits(now.state, spool) or story.count("run_started") > 1:
                found.append(f"{each.id}: {now.state}, {spool}, {story}")
        for service in SERVICES:
            spools = [in_spool(self.stage.lab, each.id) for each in self.asked if each.service == service.name]
            ran = sum(spool.startswith("ran") for spool in spools)
            started = len(starts(self.stage.lab, service))
            if started != ran + 1 or len(set(starts(self.stage.lab, service))) != started:
                found.append(f"{service.name}: {started - 1} starts, {ran} warrants spent on a run")
        return found


def in_spool(host: LabHost, request_id: str) -> str:
    """What the host's own spool says of a warrant, read from its disk: what it was spent on, and how that ended."""
    file = host.root / SPOOL / request_id
    if not file.exists():
        return "never spent"
    if file.read_text().startswith("state burned"):
        return "burned"
    begun = len(list(file.parent.glob(f"{request_id}.*.output")))
    ends = [end.read_text().strip() for end in file.parent.glob(f"{request_id}.*.exit")]
    return f"ran {begun}×, {', '.join(ends) or 'no end'}"


def fits(state: State, spool: str) -> bool:
    """Whether a request that ended so can be one of which the spool says this."""
    match state:
        case State.SUCCEEDED:
            return spool == "ran 1×, status 0"
        case State.FAILED:
            return spool.startswith("ran 1×")
        case State.NOT_RUN:
            return spool in {"burned", "never spent"}
        case State.STALE | State.EXPIRED | State.BLOCKED:
            return spool == "never spent"
    return False


def starts(host: LabHost, service: Service) -> list[str]:
    """The incarnations of a service, as systemd named each when it started it."""
    return (host.root / "var/lib" / f"starts-{service.name[-1]}").read_text().split()


@contextlib.asynccontextmanager
async def fleet(
    host: LabHost, folder: Path, cluster: Cluster, seed: int, lease_seconds: float = LEASE_SECONDS
) -> AsyncIterator[Fleet]:
    """Three replicas that serve one fresh database, over a host with four services."""
    await asyncio.to_thread(host.run, MAKE_SERVICES)
    url = cluster.place()
    cluster.create(url)
    async with another_world(url, host, "test") as world:
        stage = Scene(host, world, url)
        for name in ("bo", "cy", *(f"asker-{number}" for number in range(ASKERS))):
            await stage.add(name)
        await stage.register(*SERVICES)
        replicas = [Replica(each, folder, host, url, lease_seconds) for each in range(3)]
        made = Fleet(stage, cluster, replicas, random.Random(seed))
        for each in made.replicas:
            each.start()
        try:
            await asyncio.gather(*(each.ready() for each in made.replicas))
            yield made
            await stage.log_is_whole()
        finally:
            for each in made.replicas:
                each.kill()
