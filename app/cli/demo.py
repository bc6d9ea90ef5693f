"""The demo: a real small fleet on loopback, a server over it, and three people to sign in as; or the story of it.

Needs no root, no Docker, no mail. Everything lies in one folder of its own and is gone at the end.
"""

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from app.cli import claims, fleet, story
from app.cli.answers import Exit, Line, Wiring, attempt, show
from app.cli.cast import Cast, SignIn, prepare
from app.cli.serve import listening, server
from app.cli.server import connected
from app.core.errors import Refused
from app.core.service import PATH
from app.settings import Settings
from app.ssh.keys import ensure_key
from app.store.engine import lock_for_serving
from app.store.verify import Report
from app.store.verify import verify as verify_log

_USUAL_PORT = 8770
# A unix socket's path may have 107 bytes; ours needs some of them.
_LONGEST_FOLDER = 60


def demo(
    context: typer.Context,
    replay: Annotated[
        bool,
        typer.Option("--replay", help="Tell the incident's story without a browser; 0 only if all went as it should."),
    ] = False,
) -> None:
    """Show everything with a real small fleet on this machine. Needs no root; Ctrl-C ends it."""
    wiring: Wiring = context.obj
    is_right = attempt(lambda: _demo(wiring, replay=replay))
    raise typer.Exit(Exit.YES if is_right else Exit.NO)


async def _demo(wiring: Wiring, *, replay: bool) -> bool:
    if not sys.platform.startswith("linux"):
        raise Refused(
            "The demo needs Linux: it proves what runs by looking into /proc.",
            code="not_linux",
            next_step="Run it on a Linux machine, or in a virtual one.",
        )
    _end_in_order()
    root = _folder()
    try:
        with _page_socket() as door:
            settings = _settings(root, door)
            assert settings.ssh_key is not None  # noqa: S101 - Settings fills it
            ensure_key(settings.ssh_key)
            show(["Starting a small fleet: an SSH server, a supervisord, a service by hand …"])
            async with fleet.up(root / "alpha", settings.ssh_key.with_suffix(".pub")) as machine:
                async with wiring.open_world(settings, make=True) as world:
                    cast = await prepare(world, machine)
                with lock_for_serving(settings.database_url):
                    return await _served(wiring, settings, door, machine, cast, replay=replay)
    finally:
        await asyncio.to_thread(shutil.rmtree, root, ignore_errors=True)


async def _served(
    wiring: Wiring, settings: Settings, door: socket.socket, machine: fleet.Fleet, cast: Cast, *, replay: bool
) -> bool:
    """Serve the pages, and tell the story over them or wait for Ctrl-C."""

    async def verified() -> Report:
        async with wiring.open_world(settings) as world:
            return await verify_log(world.db)

    web = server(is_quiet=True)
    serving = asyncio.create_task(web.serve(sockets=[door]))
    try:
        await _is_up(web, serving)
        if replay:
            return await story.tell(settings.base_url, cast, machine, verified)
        show(_welcome(settings.base_url, cast, *await _asked_before(settings.base_url, cast)))
        await asyncio.shield(serving)  # a cancelled server would leave its work half done
        return True
    finally:
        web.should_exit = True
        await asyncio.gather(serving, return_exceptions=True)


async def _asked_before(base_url: str, cast: Cast) -> tuple[str, str]:
    """Let the engineer ask by a wrong claim and by the right one. Returns both short ids."""
    async with connected(base_url, cast.token) as api:
        wrong = await story.ask(api, claims.REPORT[0].service, "The report says that this unit runs the GUI")
        right = await story.ask(api, claims.RIGHT, "The TFTP fix is pulled; the process is older than it")
    return wrong["short_id"], right["short_id"]


def _welcome(base_url: str, cast: Cast, wrong: str, right: str) -> list[Line | str]:
    people = (cast.engineer, cast.approver, cast.auditor)
    return [
        "",
        Line(f"Open {base_url}", "good"),
        "",
        *(_sign_in(each) for each in people),
        "",
        f"{wrong}  a claim of the incident's report: blocked, with its reasons. Nobody was asked.",
        f"{right}  the right claim: proved, and waiting for {cast.approver.name}.",
        "",
        f"Sign in as the {cast.approver.part}, open {right}, read what the host proved, and press Approve.",
        "",
        "Ctrl-C ends it; nothing stays behind.",
    ]


def _sign_in(who: SignIn) -> str:
    return f"  {who.part:<9} {who.email:<18} {who.password}"


async def _is_up(web: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    while not web.started:
        if serving.done():
            raise Refused(
                "The server did not start.", code="demo_failed", next_step="`askfirst doctor` checks this machine."
            )
        await asyncio.sleep(0.05)


def _settings(root: Path, door: socket.socket) -> Settings:
    """Return the demo's settings, which the web server reads from the environment too; nobody's own ones are used."""
    for name in Settings.model_fields:
        os.environ.pop(f"ASKFIRST_{name.upper()}", None)
    data, address = root / "askfirst", f"127.0.0.1:{door.getsockname()[1]}"
    data.mkdir(mode=0o700)
    os.environ |= {
        "ASKFIRST_DATA_DIR": str(data),
        "ASKFIRST_DATABASE_URL": f"sqlite+aiosqlite:///{data / 'askfirst.db'}",
        "ASKFIRST_SSH_KEY": str(data / "ssh_key"),
        "ASKFIRST_BASE_URL": f"http://{address}",
        "ASKFIRST_LISTEN": address,
        "ASKFIRST_ROLE": "all",
        "ASKFIRST_NEW_KEY_SECONDS": "0",
    }
    return Settings()


def _folder() -> Path:
    """Make a folder that a claim can name and a unix socket can lie in."""
    usual = Path(tempfile.gettempdir()).resolve()
    is_plain = PATH.fullmatch(str(usual)) is not None and len(str(usual)) <= _LONGEST_FOLDER
    folder = Path(tempfile.mkdtemp(prefix="askfirst-demo-", dir=usual if is_plain else "/tmp"))  # noqa: S108 - mkdtemp's own
    (folder / "alpha").mkdir(mode=0o700)
    return folder


def _page_socket() -> socket.socket:
    """Listen where a server usually does, or on any free port."""
    try:
        return listening(f"127.0.0.1:{_USUAL_PORT}")
    except Refused:
        return listening("127.0.0.1:0")


def _end_in_order() -> None:
    """Let a closed terminal and a kill end the demo as Ctrl-C does, so that nothing of it stays."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - this runs in one
    end = partial(_cancel_once, task)
    for sign in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(sign, end)


def _cancel_once(task: asyncio.Task[bool]) -> None:
    """Cancel a task that is not ending yet: the web server passes the signal on once more when it is done."""
    if not task.cancelling():
        task.cancel()
