"""The signer: a process beside the server, as a user of its own, that certifies a key for each sign-in to a host."""

import asyncio
import contextlib
import logging
import os
import pwd
import signal
from pathlib import Path
from typing import Annotated

import typer

from app.cli.answers import attempt, log_from, show
from app.core.errors import NotFound
from app.ssh.authority import Authority
from app.ssh.signer import keep_to_itself, listening, serve


def signer(
    socket: Annotated[Path, typer.Option(metavar="PATH", help="Where the server asks: its ASKFIRST_SIGNER_SOCKET.")],
    key: Annotated[Path, typer.Option(metavar="PATH", help="The signing key; one is made if there is none.")],
    user: Annotated[str, typer.Option(metavar="NAME", help="The only user who may ask: the server's.")] = "askfirst",
) -> None:
    """Hold the key that hosts trust, and sign a certificate of five minutes for each sign-in. Stop it with Ctrl-C."""

    async def run() -> None:
        log_from(logging.INFO)
        uid = _uid(user)
        keep_to_itself()
        with Authority(key) as authority, listening(socket) as listener:
            show([f"The signer answers {user} at {socket}. Hosts trust it by this line:", authority.public_line])
            task = asyncio.ensure_future(serve(authority, listener, {uid}))
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
            with contextlib.suppress(asyncio.CancelledError):
                await task

    attempt(run)


def _uid(name: str) -> int:
    if name.isdecimal():
        return int(name)
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError as error:
        raise NotFound(
            f"This machine has no user {name!r}.",
            code="no_such_user",
            next_step=f"Name the user that the server runs as with --user; you are {os.geteuid()}.",
        ) from error
