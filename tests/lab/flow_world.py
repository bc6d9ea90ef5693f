"""A whole Askfirst over a lab host: real store, real SSH, real people and a worker; and what the host itself can tell.

Nothing is faked, and nothing here is asked of the program that a test could ask of the host: how often a service was
started, who holds a port, and what lies in the spool are the host's own words.
"""

import asyncio
import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from app.core.lifecycle import ENDED, Request, State
from app.core.policy import Attempt, Person, Policy, Role, Via
from app.core.registry import Registry, difference
from app.core.service import Host, HttpCheck, JsonCheck, Service
from app.flow import ask, decide, evidence
from app.flow.ids import new_id
from app.flow.ports import Limits, News, World
from app.flow.worker import Worker
from app.main import SystemClock
from app.ssh.gate import SshHosts
from app.store import output, people, requests, services
from app.store.engine import open_database
from app.store.verify import verify
from tests.lab.hosts import Lab, LabHost
from tests.lab.truth import CODE, NEW_TFTP

ROOT = Path(__file__).parents[2]
SPOOL = "var/lib/askfirst/runs"
TEAM = ("lab-team",)
ALL = frozenset({Role.REQUESTER, Role.APPROVER})


def claim(name: str, manager: str, unit: str, port: int, **other: object) -> Service:
    """A claim of host alpha's, as the incident's registry would have it; ``other`` replaces fields."""
    made = Service(name, "alpha", "lab-team", manager, unit, "rbron", CODE, (port,), settle_seconds=1.0)
    return replace(made, **other)  # type: ignore[arg-type]


def tftp(port: int) -> tuple[HttpCheck, JsonCheck]:
    """The checks of the incident: it answers, and it uses the new TFTP server."""
    at = f"http://127.0.0.1:{port}"
    return HttpCheck(f"{at}/health"), JsonCheck(f"{at}/api/constellation", "tftp.server", NEW_TFTP)


GUI = claim("pypnm-gui", "supervisor", "lab:pypnm-gui", 5050, checks=tftp(5050))
UNIT = claim("gui-unit", "systemd", "gui-5054.service", 5054, checks=tftp(5054))
PLAIN = claim(
    "plain", "docker", "plain", 8001, user="root", path=None, checks=(HttpCheck("http://127.0.0.1:8001/health"),)
)
API = claim(
    "pypnm-api",
    "compose",
    "pypnm-gui-lab/pypnm-api",
    8000,
    user="root",
    checks=(HttpCheck("http://127.0.0.1:8000/health"),),
)
PM2 = claim("gui-pm2", "pm2", "gui-pm2", 5055, user="node", checks=tftp(5055))
CLUSTER = claim("web", "pm2", "web", 5067, user="node", path="/srv/web", checks=tftp(5067)[:1])
SECOND = claim("second", "pm2", "second", 5068, user="node", config="/home/node/.pm2-b", checks=tftp(5068))
RUNIT = claim("gui-runit", "runit", "gui", 5056, checks=tftp(5056))
S6 = claim("gui-s6", "s6", "gui", 5057, checks=tftp(5057))
OWN = claim("gui-own", "systemd-user", "gui.service", 5052, checks=tftp(5052))
SCRIPT = claim("gui-script", "script", "/usr/local/sbin/restart-gui", 5070, args=("5070",), checks=tftp(5070))
POD = replace(PLAIN, name="pod", manager="podman", unit="pod", ports=(8003,), checks=())
ROOTLESS = replace(POD, name="web-pod", unit="rbron/web", user="rbron", ports=(8013,))
TMUX = claim("gui-tmux", "manual", "rbron-tmux", 5051, checks=tftp(5051))


def standing(lab: Lab, name: str = "bravo") -> LabHost:
    """The one host with the incident on it that tests of the flow may change. Booted once in a session."""
    if name in lab.names():
        return lab.find(name)
    host = lab.host(name)
    host.boot()
    host.replay("incident")
    return host


def pinned(host: LabHost, **other: object) -> Host:
    """The registry's entry for a lab host, under the name alpha."""
    keys = tuple(key for key in host.host_keys if key.startswith("ssh-ed25519 "))
    made = Host("alpha", host.address, "lab", keys, user="askfirst", sudo=True)
    return replace(made, **other)  # type: ignore[arg-type]


def starts(host: LabHost, service: Service) -> int:
    """How often a service was started since the host is up, in the words of its own manager."""
    match service.manager:
        case "systemd":
            message = "39f53479d3a045ac8e11786248231fbf"  # systemd's own id of "a unit was started"
            asked = f"journalctl -q -b -o cat UNIT={service.unit} MESSAGE_ID={message} | wc -l"
        case "supervisor":
            name = service.unit.partition(":")[2]
            asked = f"grep -c \"spawned: '{name}'\" /var/log/supervisor/supervisord.log"
        case "pm2":
            told = json.loads(host.run(f"su - node -c '{_home(service)}pm2 jlist'").out)
            return sum(1 + app["pm2_env"]["restart_time"] for app in told if app["name"] == service.unit)
        case "runit" | "s6" | "script":
            asked = f"wc -l </run/starts-{service.ports[0]}"
        case "systemd-user":
            asked = f"journalctl -q -b -o cat USER_UNIT={service.unit} | grep -c ^Started"
        case "podman":
            asked = as_keeper(service.unit, "podman events --stream=false --since 24h --filter event=start")
            asked += f" | grep -c 'name={service.unit.rpartition('/')[2]})'"
        case _:
            name = service.unit.rpartition("/")[2]
            since = "--since 24h --until $(date +%s.%N)"
            asked = f"docker events {since} --filter event=start --filter container={name} | wc -l"
    return int(host.run(asked).out)


def as_keeper(unit: str, command: str) -> str:
    """Have a command of podman's run by the user whose container ``unit`` names."""
    user = unit.rpartition("/")[0]
    return (
        f"cd / && {command}"
        if not user
        else f"su - {user} -s /bin/sh -c 'XDG_RUNTIME_DIR=/run/user/$(id -u) {command}'"
    )


def _home(service: Service) -> str:
    return f"PM2_HOME={service.config} " if service.config else ""


def holder(host: LabHost, port: int) -> tuple[int, int]:
    """Who answers for a port on the host: pid and start in clock ticks, of the parent of all that hold it."""
    script = (
        f"for p in $(ss -Hltnp 'sport = :{port}' | grep -o 'pid=[0-9]*' | cut -d= -f2 | sort -un);"
        " do sed 's/.*) //' /proc/$p/stat | cut -d' ' -f20 | sed \"s/^/$p /\"; done | sort -n -k2 | head -1"
    )
    pid, start = host.run(script).out.split()
    return int(pid), int(start)


def container(host: LabHost, service: Service) -> tuple[str, str]:
    """A container's main pid and when it was started, in the words of who keeps it."""
    name, tool = service.unit.rpartition("/")[2], "podman" if service.manager == "podman" else "docker"
    asked = f'{tool} inspect -f "{{{{.State.Pid}}}} {{{{.State.StartedAt}}}}" {name}'
    pid, _, at = host.run(as_keeper(service.unit, asked) if tool == "podman" else asked).out.partition(" ")
    return pid, at


def spool(host: LabHost, request_id: str) -> list[str]:
    """The names in the host's spool that belong to a request, read from its disk, also while it is off or cut."""
    folder = host.root / SPOOL
    return sorted(each.name for each in folder.glob(f"{request_id}*")) if folder.exists() else []


def runs(host: LabHost, request_id: str) -> int:
    """How often a command was begun under a request's warrant: each begins with an output file of its own."""
    return sum(name.endswith(".output") for name in spool(host, request_id))


def make_old(host: LabHost, *units: Service) -> str:
    """Have these run the code from before the fix, and pull the fix again. Returns its commit."""
    commands = {
        "supervisor": "supervisorctl restart {}",
        "systemd": "systemctl restart {}",
        "pm2": "su - node -c 'pm2 restart {}'",
        "runit": "sv -w 30 restart {}",
        "systemd-user": "su - rbron -s /bin/sh -c 'XDG_RUNTIME_DIR=/run/user/$(id -u) systemctl --user restart {}'",
        "script": "{} 5070",
        "s6": "s6-svc -wr -T 30000 -r /srv/s6/{}",
    }
    restart = " && ".join(commands[each.manager].format(each.unit) for each in units)
    commit = "git -c user.name='T. Weaver' -c user.email=tweaver@example.org commit -qam"
    back = f"cd {CODE} && echo '{{\"tftp\": \"10.0.0.1\"}}' >constellation.json && {commit} 'Back to the old one'"
    fix = f"cd {CODE} && echo '{{\"tftp\": \"{NEW_TFTP}\"}}' >constellation.json && {commit} 'Use the new TFTP server'"
    waits = "\n".join(
        f"until curl -sf -m 3 http://127.0.0.1:{each.ports[0]}/health >/dev/null; do sleep 0.1; done" for each in units
    )
    # A commit's time is in whole seconds: it must be later than the process by more than that.
    host.run(
        f"set -e\nsu rbron -c {shlex.quote(back)}\n{restart} >/dev/null\n{waits}\nsleep 1.2\n"
        f"su rbron -c {shlex.quote(fix)}\n"
    )
    return host.run(["su", "rbron", "-c", f"git -C {CODE} rev-parse HEAD"]).out.strip()


@dataclass
class Scene:
    """A world over one lab host, with people by their first names: ada asks, bo and cy may approve."""

    lab: LabHost
    world: World
    url: str
    who: dict[str, Person] = field(default_factory=dict)

    async def register(self, *claims: Service, host: Host | None = None, approvers: int = 1) -> None:
        """Make the registry hold exactly these services."""
        policy = Policy(environment="lab", approvers=approvers, groups=TEAM)
        current = await services.registry(self.world.db)
        now = self.world.clock.now()
        await services.apply(
            self.world.db,
            difference(current, Registry((host or pinned(self.lab),), claims, (policy,))),
            by="setup",
            at=now,
            event_id=new_id(now),
            base_revision=current.revision,
        )

    async def add(self, name: str) -> None:
        now = self.world.clock.now()
        account = await people.add(
            self.world.db,
            person_id=new_id(now),
            name=name.title(),
            email=f"{name}@example.org",
            roles=ALL,
            groups=TEAM,
            password_hash=None,
            by="setup",
            at=now,
            event_id=new_id(now),
        )
        self.who[name] = account.person

    async def waiting(self, service: Service) -> Request:
        """Ask for a restart, and have the host prove it."""
        request = await ask.ask(self.world, self.who["ada"], service.name, "The fix is pulled.")
        return await ask.prove(self.world, request)

    async def approve(self, request: Request, name: str = "bo", world: World | None = None) -> Request:
        attempt = Attempt(self.who[name], Via.SESSION, self.world.clock.now(), request.digest)
        return await decide.approve(world or self.world, attempt, request.id)

    async def approved(self, service: Service) -> Request:
        """Ask, prove and approve. No worker runs, so that it stays approved."""
        request = await self.waiting(service)
        proof = await evidence.of(self.world.db, request)
        assert request.state is State.WAITING, proof and proof.verdict.findings
        return await self.approve(request)

    async def load(self, request: Request) -> Request:
        return await requests.load(self.world.db, request.id)

    async def until(self, request: Request, *states: State, seconds: float = 90) -> Request:
        """Wait until a request is in one of these states, or has ended where none is named."""
        wanted = frozenset(states) or ENDED
        async with asyncio.timeout(seconds):
            while True:  # the worker may be another process, whose news do not reach this one
                now = await self.load(request)
                if now.state in wanted:
                    return now
                await asyncio.sleep(0.05)

    async def registry(self) -> Registry:
        return await services.registry(self.world.db)

    async def story(self, request: Request) -> list[str]:
        """What happened to a request, in order, in the words of the log."""
        return [event.type for event in await requests.events(self.world.db, request.id)]

    async def printed(self, request: Request) -> str:
        """What the command printed: as it was streamed, and as it was kept at its end."""
        kept = await requests.text(self.world.db, request.output_text)
        streamed = (await output.read(self.world.db, request.id, 0)).decode()
        return streamed or kept or ""

    async def run(self, request: Request) -> Request:
        """Let a worker bring a request to its end."""
        async with self.working():
            return await self.until(request)

    @contextlib.asynccontextmanager
    async def working(self, world: World | None = None) -> AsyncIterator[asyncio.Task[None]]:
        """A worker of this process, ended at the end of the block (or before, by whoever cancels the task)."""
        task = asyncio.create_task(Worker(world or self.world).run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @contextlib.contextmanager
    def worker_process(self) -> Iterator[subprocess.Popen[bytes]]:
        """A worker in a process of its own, as `askfirst serve --role worker`, so that it can really be killed."""
        folder = Path(self.url.removeprefix("sqlite:///")).parent
        process = subprocess.Popen(
            [sys.executable, "-c", "from app.main import run; run()", "serve", "--role", "worker"],
            cwd=ROOT,
            env=environment(folder, self.lab),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()

    async def log_is_whole(self) -> None:
        """The audit log's chain holds, and every row that was derived from it can be built anew."""
        report = await verify(self.world.db)
        assert (report.first_broken, list(report.differences)) == (None, [])


def environment(folder: Path, host: LabHost, port: int = 0) -> dict[str, str]:
    """The settings of an Askfirst in a process of its own."""
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith("ASKFIRST_")},
        "PYTHONPATH": str(ROOT),
        "ASKFIRST_DATA_DIR": str(folder),
        "ASKFIRST_SSH_KEY": str(host.key_path),
        "ASKFIRST_LISTEN": f"127.0.0.1:{port}",
        "ASKFIRST_BASE_URL": f"http://127.0.0.1:{port}",
        "ASKFIRST_SWEEP_EVERY": "0",  # what looks at the host is what the test has asked for
    }


@contextlib.asynccontextmanager
async def another_world(
    scene_url: str, host: LabHost, worker: str, limits: Limits | None = None
) -> AsyncIterator[World]:
    """A world of its own over a store: its own database connections and its own SSH."""
    db = await open_database(scene_url)
    hosts = SshHosts(host.key_path, answer_seconds=20)
    try:
        yield World(db, hosts, SystemClock(), News(), limits or Limits(settle_timeout_seconds=20), worker)
    finally:
        await hosts.close()
        await db.close()


@contextlib.asynccontextmanager
async def scene(host: LabHost, folder: Path, *claims: Service) -> AsyncIterator[Scene]:
    """Open a fresh store over a host, with three people and these claims in it. The log is checked at the end."""
    url = f"sqlite:///{folder}/askfirst.db"
    async with another_world(url, host, "one") as world:
        made = Scene(host, world, url)
        for name in ("ada", "bo", "cy"):
            await made.add(name)
        await made.register(*claims)
        yield made
        await made.log_is_whole()


async def when(holds: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is so on this machine."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came to be so"
        await asyncio.sleep(0.05)


async def aside(call: Callable[[], object]) -> None:
    """Do something slow to a host while the worker goes on."""
    await asyncio.to_thread(call)
