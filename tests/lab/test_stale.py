"""Between the yes and the run the host has changed: the request is stale, and nothing is run.

The run is held back by starting no worker. Each test changes one thing on the host, then lets a worker loose; that
nothing ran is told by the host: its own count of starts, and a spool that has never heard of the request.
"""

import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.core.lifecycle import State
from app.core.service import Service
from tests.lab.flow_world import (
    API,
    CLUSTER,
    GUI,
    OWN,
    PLAIN,
    PM2,
    POD,
    ROOTLESS,
    RUNIT,
    S6,
    SCRIPT,
    SECOND,
    UNIT,
    Scene,
    as_keeper,
    holder,
    scene,
    spool,
    standing,
    starts,
)
from tests.lab.hosts import Lab, LabHost
from tests.lab.machine import Process

EVERY = (GUI, UNIT, PLAIN, API, PM2, CLUSTER, SECOND, RUNIT, S6, OWN, SCRIPT, POD, ROOTLESS)
UNIT_FILE = "/etc/systemd/system/gui-5054.service"
DROP_IN = f"{UNIT_FILE}.d"
OWN_UNIT = "/home/rbron/.config/systemd/user/gui.service"


def as_rbron(command: str) -> str:
    """Have the user's own systemd told something."""
    return f"su - rbron -s /bin/sh -c 'XDG_RUNTIME_DIR=/run/user/$(id -u) systemctl --user {command}'"


@pytest.fixture(scope="module")
def bravo(lab: Lab) -> LabHost:
    return standing(lab)


@pytest.fixture
async def stage(bravo: LabHost, tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(bravo, tmp_path, *EVERY) as made:
        yield made


@dataclass(frozen=True)
class Change:
    """What happens to the host behind our back, what of it the outcome has to name, and how it is mended."""

    name: str
    service: Service
    act: str
    named: str
    mend: str = ""


CHANGES = (
    Change("a unit restarted", UNIT, "systemctl restart gui-5054.service", "process"),
    Change("a program restarted", GUI, "supervisorctl restart lab:pypnm-gui", "process"),
    Change("a unit stopped", UNIT, "systemctl stop gui-5054.service", "process", "systemctl start gui-5054"),
    Change("an application restarted", PM2, "su - node -c 'pm2 restart gui-pm2'", "process"),
    Change("workers of a cluster reloaded", CLUSTER, "su - node -c 'pm2 reload web'", "process"),
    Change("another home's restarted", SECOND, "su - node -c 'PM2_HOME=/home/node/.pm2-b pm2 restart 0'", "process"),
    Change(
        "an application stopped",
        PM2,
        "su - node -c 'pm2 stop gui-pm2'",
        "app",
        "su - node -c 'pm2 restart gui-pm2'",
    ),
    # All of it is killed, and the supervisor has it up again at once.
    Change("a runit service killed", RUNIT, "pkill -9 -f 127.0.0.1:5056; sleep 1.5", "process"),
    Change("a runit service restarted", RUNIT, "sv -w 30 restart gui", "process"),
    Change("a runit service stopped", RUNIT, "sv -w 30 stop gui", "process", "sv -w 30 start gui"),
    Change("a run script edited", RUNIT, "echo '# by hand' >>/etc/sv/gui/run", "run"),
    Change("an s6 service restarted", S6, "s6-svc -wr -T 30000 -r /srv/s6/gui", "process"),
    Change("an s6 service stopped", S6, "s6-svc -wD -T 30000 -d /srv/s6/gui", "process", "s6-svc -u /srv/s6/gui"),
    # systemd has not read it yet, and a restart would not use it; it is no longer the unit that was approved.
    Change("a unit file edited", UNIT, f"echo '# by hand' >>{UNIT_FILE}", "fragment", "systemctl daemon-reload"),
    Change(
        "a drop-in added",
        UNIT,
        f"mkdir -p {DROP_IN} && printf '[Service]\\nNice=5\\n' >{DROP_IN}/nice.conf && systemctl daemon-reload",
        "fragment",
        f"rm -r {DROP_IN}; systemctl daemon-reload",
    ),
    Change(
        "a container recreated",
        PLAIN,
        "docker rm -f plain && docker run -d --name plain -p 8001:8000 pypnm-api:lab",
        "process",
    ),
    Change("a user's unit restarted", OWN, as_rbron("restart gui"), "process"),
    Change("a user's unit stopped", OWN, as_rbron("stop gui"), "process", as_rbron("start gui")),
    Change("a user's unit edited", OWN, f"echo '# by hand' >>{OWN_UNIT}", "fragment", as_rbron("daemon-reload")),
    Change("what a script started restarted", SCRIPT, "/usr/local/sbin/restart-gui 5070", "process"),
    Change("a script edited", SCRIPT, "echo '# by hand' >>/usr/local/sbin/restart-gui", "script"),
    Change("a script of another mode", SCRIPT, "chmod 750 /usr/local/sbin/restart-gui", "script"),
    Change("a pod restarted", POD, "cd / && podman restart -t 0 pod", "process"),
    Change("a user's pod restarted", ROOTLESS, as_keeper("rbron/web", "podman restart -t 0 web"), "process"),
    Change(
        "a user's pod stopped",
        ROOTLESS,
        as_keeper("rbron/web", "podman stop -t 0 web"),
        "container",
        as_keeper("rbron/web", "podman start web"),
    ),
    Change("a container restarted", PLAIN, "docker restart -t 0 plain", "process"),
    Change(
        "a compose service recreated",
        API,
        "cd /opt/pypnm-gui-lab && docker compose up -d --force-recreate -t 0",
        "process",
    ),
)


async def went_stale(stage: Scene, service: Service, act: Callable[[], object]) -> str:
    """Hold an approved request back, act, and let it go. Returns how it ended, after proving that nothing was run."""
    await_listener(stage.lab, service.ports[0])
    request = await stage.approved(service)
    act()
    count, told = starts(stage.lab, service), holder_or_none(stage.lab, service)
    request = await stage.run(request)
    assert request.state is State.STALE, (request.state, request.outcome)
    assert spool(stage.lab, request.id) == []
    assert starts(stage.lab, service) == count
    assert holder_or_none(stage.lab, service) == told
    assert (await stage.story(request))[-2:] == ["run_started", "went_stale"]  # told by the host, in the same breath
    return request.outcome


def await_listener(host: LabHost, port: int) -> None:
    """Wait until what an earlier case has started again listens."""
    host.run(f"timeout 60 sh -c 'until ss -Hltn \"sport = :{port}\" | grep -q .; do sleep 0.2; done'")


def holder_or_none(host: LabHost, service: Service) -> tuple[int, int] | None:
    port = service.ports[0]
    listens = host.run(["ss", "-Hltn", f"sport = :{port}"]).out.strip()
    return holder(host, port) if listens else None


@pytest.mark.law(5)
@pytest.mark.threat("B4")
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
async def test_nothing_is_run_after(stage: Scene, change: Change) -> None:
    try:
        outcome = await went_stale(stage, change.service, lambda: stage.lab.run(f"set -e\n{change.act}\n"))
    finally:
        if change.mend:
            stage.lab.run(change.mend)
    assert f"«{change.named} " in outcome


@pytest.mark.law(5)
async def test_a_reused_pid_is_another_process(stage: Scene) -> None:
    """supervisord starts its program again, and the kernel is made to give it the very pid of the old one."""
    pid, start = holder(stage.lab, 5050)
    outcome = await went_stale(stage, GUI, lambda: reuse_pid(stage.lab, pid))
    assert outcome.count(f"process {pid} ") == 2, outcome
    assert f"process {pid} {start} " in outcome


@pytest.mark.law(5)
async def test_a_rebooted_host_is_another_host(lab: Lab, stage: Scene) -> None:
    """Its unit comes back by itself; its boot id does not."""
    boot = stage.lab.run(["cat", "/proc/sys/kernel/random/boot_id"]).out.strip()
    outcome = await went_stale(stage, UNIT, stage.lab.reboot)
    assert f"boot {boot}" in outcome
    stage.lab.replay("incident")


def reuse_pid(host: LabHost, pid: int) -> None:
    """End a process of the host, and have what supervisord starts in its place get its pid."""
    for _ in range(5):
        race_for(host, pid, holder(host, 5050)[0])
        # supervisord calls a program started once it has stayed for a second.
        host.run("until curl -sf -m 3 http://127.0.0.1:5050/health >/dev/null; do sleep 0.1; done; sleep 1.2")
        if holder(host, 5050)[0] == pid:
            return
    pytest.fail(f"somebody else was given the pid {pid}, five times")


def race_for(host: LabHost, pid: int, old: int) -> None:
    """End a process and have whatever starts next on the host get the pid, which may be anybody."""
    nspawn = Process.load(host.folder / "nspawn")
    assert nspawn is not None
    first = nspawn.children()[0]
    # The group: a worker that lives on would keep the port. Builtins only: a fork would take the pid that is kept
    # free. The kernel's word is about the writer's own pid namespace, so the writer has to be in the host's.
    script = f"""
        set -e
        there=/proc/{first.pid}/root/proc
        kill -9 -- -{old}
        while [ -d $there/{old} ]; do :; done
        while [ -d $there/{pid} ]; do :; done
        while [ ! -d $there/{pid} ]; do echo {pid - 1} >/proc/sys/kernel/ns_last_pid; done
    """
    subprocess.run(["nsenter", "-t", str(first.pid), "-p", "bash", "-c", script], check=True, timeout=30)
