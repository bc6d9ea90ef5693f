"""Running the server: pages, API and worker in one process, or one of the two.

At the first start it prints the one link with which the first person is set up. A port or a database that another
process holds is a sentence, before anything is started.
"""

import logging
import os
import socket
from enum import StrEnum
from typing import Annotated

import typer
import uvicorn

from app.cli.answers import Line, Wiring, attempt, log_from, show
from app.cli.start import refuse_open_secrets
from app.core.errors import Refused
from app.flow.people import setup_link
from app.store.anchor import BEGUN, Anchor
from app.store.engine import lock_for_serving

_DRAIN_SECONDS = 3


class ReplicaRole(StrEnum):
    """What this replica does."""

    ALL = "all"
    WEB = "web"
    WORKER = "worker"


def serve(
    context: typer.Context,
    role: Annotated[ReplicaRole | None, typer.Option(help="all, web or worker; ASKFIRST_ROLE if not given.")] = None,
) -> None:
    """Run pages, API and worker. Stop it with Ctrl-C."""
    if role is not None:
        os.environ["ASKFIRST_ROLE"] = role
    wiring: Wiring = context.obj

    async def run() -> None:
        settings = wiring.settings
        refuse_open_secrets(settings)
        # From here to the end: whoever comes second hears of it now, and not when half of it is up.
        with lock_for_serving(settings.database_url):
            await _prepare(wiring)
            with listening(settings.listen) as socket:
                show([f"Askfirst serves {settings.base_url} (listening on {settings.listen})."])
                await server(trusted=settings.trusted_proxies).serve(sockets=[socket])

    attempt(run)


async def _prepare(wiring: Wiring) -> None:
    """Bring the database to this version, hold its log against the anchor, and show the link for the first person."""
    settings = wiring.settings
    async with wiring.open_world(make=True, upgrade=True) as world:
        anchor = Anchor(settings.anchor_file)
        await anchor.check(world.db)
        if bare := await anchor.begins_anew(world.db):
            show([Line(bare, "wait"), BEGUN])
        # A new link ends the one before, which a server with pages may have shown: none is made by a worker, nor by a
        # server that then finds its port taken.
        with listening(settings.listen):
            link = None if settings.role == "worker" else await setup_link(world, settings.base_url)
    if link:
        show([f"Set up the first person here, once: {link}"])


def server(*, is_quiet: bool = False, trusted: str = "") -> uvicorn.Server:
    """Return the web server over the application that the settings describe.

    Who asks is whoever connects, or for a ``trusted`` proxy (addresses or networks, with commas) whom it names.
    """
    level = logging.CRITICAL if is_quiet else logging.INFO
    log_from(level)
    config = uvicorn.Config(
        "app.main:create_app",
        factory=True,
        http="httptools",
        loop="asyncio",
        ws="none",
        log_level=logging.WARNING if is_quiet else level,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=bool(trusted),
        forwarded_allow_ips=trusted,
        # An open event stream would hold the end up for ever.
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    return uvicorn.Server(config)


def listening(address: str) -> socket.socket:
    """Open the listening socket of HOST:PORT. Raises Refused where that is no address, or somebody else has it."""
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise Refused(
            f"ASKFIRST_LISTEN is {address!r}, which is no HOST:PORT.",
            code="bad_setting",
            next_step="Write it as 127.0.0.1:8770.",
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, int(port)), family=family, backlog=512)
    except OSError as error:
        raise Refused(
            f"Nothing can listen on {address}: {error.strerror}.",
            code="cannot_listen",
            next_step="Stop what uses that port, or set ASKFIRST_LISTEN to another.",
        ) from error
