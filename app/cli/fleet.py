"""The demo's fleet: one real machine, seen over loopback, with what the incident's report met on it.

A supervisord runs the lab's GUI out of a git checkout; a second service was started by hand; a fix is pulled after the
GUI has started. Everything is real, runs as the user who started the demo, and is gone afterwards. It holds no claim
and judges nothing: what the registry says about it stands in ``claims``.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from app.cli import fleet_ssh
from app.core.errors import Refused

OLD_SERVER, NEW_SERVER = "10.0.0.1", "172.22.147.18"
GUI_PROGRAM, STOPPED_PROGRAM = "pypnm-gui", "pypnm-api"
_BIN = Path(sys.executable).parent
_PATH = f"{_BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_START_SECONDS = 30.0
_GIT = shutil.which("git")


@dataclass(frozen=True, slots=True)
class Fleet:
    """What runs, and where. ``host_key`` is the machine's own key, ``replaced_key`` one that it does not have."""

    root: Path
    user: str
    ssh_port: int
    host_key: str
    replaced_key: str
    gui_port: int
    gui_path: Path
    supervisor_config: Path
    hand_port: int
    hand_path: Path


@contextlib.asynccontextmanager
async def up(root: Path, authorized: Path) -> AsyncIterator[Fleet]:
    """Start the fleet in an empty folder, for the key pair whose public half is in ``authorized``; stop it at the end.

    Raises Refused where something of it does not start, with the end of its log.
    """
    gui, hand = root / "opt" / "pypnm-gui-lab", root / "opt" / "pypnm-api"
    gui_port, hand_port = _free_ports(2)
    fleet_key = asyncssh.generate_private_key("ssh-ed25519")
    config = _lay_out(root, gui, gui_port)
    _make_checkout(root, gui)
    _write_service(hand, OLD_SERVER)
    async with contextlib.AsyncExitStack() as stops:
        ssh = await fleet_ssh.listen(fleet_key, authorized, _environment(root))
        stops.callback(ssh.close)
        daemon = _start_supervisord(root, config)
        stops.push_async_callback(asyncio.to_thread, _end, daemon)
        stops.callback(_stop, _start_by_hand(root, hand, hand_port), hand)
        for port in (gui_port, hand_port):
            await _answers(port, daemon, root / "logs")
        await _pull_the_fix(root, gui)
        yield Fleet(
            root=root,
            user=fleet_ssh.user_name(),
            ssh_port=ssh.get_port(),
            host_key=_public(fleet_key),
            replaced_key=_public(asyncssh.generate_private_key("ssh-ed25519")),
            gui_port=gui_port,
            gui_path=gui,
            supervisor_config=config,
            hand_port=hand_port,
            hand_path=hand,
        )


def _environment(root: Path) -> dict[str, str]:
    """The environment of a session: what sshd and a login shell would give, with our tools in the path."""
    name = fleet_ssh.user_name()
    return {
        "HOME": str(root),
        "LANG": "C.UTF-8",
        "LOGNAME": name,
        "PATH": _PATH,
        "SHELL": "/bin/sh",
        "USER": name,
        "XDG_STATE_HOME": str(root / "state"),
    }


def _lay_out(root: Path, gui: Path, port: int) -> Path:
    """Make the folders and the supervisord's configuration, as an administrator would have written it."""
    for name in ("logs", "state", "opt"):
        (root / name).mkdir(mode=0o700)
    config = root / "supervisord.conf"
    config.write_text(
        f"""[supervisord]
logfile={root}/logs/supervisord.log
pidfile={root}/supervisord.pid
childlogdir={root}/logs

[unix_http_server]
file={root}/supervisor.sock
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://{root}/supervisor.sock

[program:{GUI_PROGRAM}]
command={sys.executable} app.py {port}
directory={gui}
autorestart=true

[program:{STOPPED_PROGRAM}]
command={sys.executable} app.py {port}
directory={gui}
autostart=false

[group:lab]
programs={GUI_PROGRAM},{STOPPED_PROGRAM}
""",
        encoding="utf-8",
    )
    config.chmod(0o600)
    return config


def _write_service(folder: Path, server: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(__file__).with_name("fleet_gui.py"), folder / "app.py")
    (folder / "constellation.json").write_text(f'{{"tftp": {{"server": "{server}"}}}}\n', encoding="utf-8")


def _make_checkout(root: Path, gui: Path) -> None:
    """Clone the code from where it is kept; without git on this machine it is a plain folder."""
    origin = root / "origin"
    _write_service(origin if _GIT else gui, OLD_SERVER)
    if _GIT:
        _git(root, origin, "init", "--quiet")
        _commit(root, origin, "Constellation of the lab")
        _git(root, root, "clone", "--quiet", str(origin), str(gui))


async def _pull_the_fix(root: Path, gui: Path) -> None:
    """Bring the fix into the checkout after the process has started: a commit's time is in whole seconds."""
    await asyncio.sleep(2.0 - time.time() % 1)
    if _GIT is None:
        _write_service(gui, NEW_SERVER)
        return
    _write_service(root / "origin", NEW_SERVER)
    _commit(root, root / "origin", "TFTP fix: the constellation uses the new server")
    _git(root, gui, "pull", "--quiet", "--ff-only")


def _commit(root: Path, folder: Path, subject: str) -> None:
    _git(root, folder, "add", "--all")
    _git(root, folder, "commit", "--quiet", "--message", subject)


def _git(root: Path, folder: Path, *words: str) -> None:
    """Run git without anybody's own settings."""
    identity = {f"GIT_{who}_{what}": "lab@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    plain = {"PATH": _PATH, "HOME": str(root), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, **identity}
    argv = [str(_GIT), "-C", str(folder), *words]
    done = subprocess.run(argv, env=plain, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise _failed(f"git {words[0]} failed: {done.stderr.strip()[-300:]}")


def _start_supervisord(root: Path, config: Path) -> subprocess.Popen[bytes]:
    argv = [str(_BIN / "supervisord"), "--nodaemon", "--configuration", str(config)]
    quiet = subprocess.DEVNULL
    # A session of its own: Ctrl-C at the demo's terminal is for the demo, which then stops this one in order.
    return subprocess.Popen(
        argv, cwd=root, env=_environment(root), stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
    )


def _start_by_hand(root: Path, folder: Path, port: int) -> int:
    """Start a service as somebody in a hurry does, and leave it behind as an orphan. Returns its pid."""
    line = f"nohup '{sys.executable}' app.py {port} >'{root}/logs/by-hand.log' 2>&1 & echo $!"
    done = subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=folder,
        env=_environment(root),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
        check=True,
    )
    return int(done.stdout)


def _stop(pid: int, folder: Path) -> None:
    """End the service that was started by hand, if that process is still it."""
    with contextlib.suppress(OSError):
        if Path(f"/proc/{pid}/cwd").readlink() == folder:
            os.kill(pid, signal.SIGTERM)


def _end(daemon: subprocess.Popen[bytes]) -> None:
    """End supervisord, which stops what it runs."""
    daemon.terminate()
    try:
        daemon.wait(timeout=15)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


async def _answers(port: int, daemon: subprocess.Popen[bytes], logs: Path) -> None:
    """Wait until something listens on the port."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and daemon.poll() is None:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.1)
    raise _failed(f"Nothing answers on port {port}. {_last_words(logs)}")


def _last_words(logs: Path) -> str:
    """Return the end of each log, on one line."""
    ends = [line for log in sorted(logs.glob("*.log")) for line in log.read_text(errors="replace").splitlines()[-3:]]
    return " / ".join(ends)[-600:]


def _free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody uses now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _public(key: asyncssh.SSHKey) -> str:
    return " ".join(key.export_public_key().decode().split()[:2])


def _failed(message: str) -> Refused:
    return Refused(
        message, code="demo_failed", next_step="Run it once more; if it stays, `askfirst doctor` checks this machine."
    )
