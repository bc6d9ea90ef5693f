"""The only place that wires: settings → store and ssh → flow → pages, API and commands.

It decides nothing. ``create_app`` is the factory that the web server calls; ``run`` is the ``askfirst`` command; both
build the same ``World`` by ``Wiring.open_world``.
"""

import asyncio
import contextlib
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cached_property

from fastapi import FastAPI

from app import __version__
from app.api import problems, replies
from app.api.routes import router as api_router
from app.cli.main import app as command_line
from app.flow.anchoring import anchored
from app.flow.ports import Limits, News, World
from app.flow.replica import replica
from app.settings import Settings
from app.ssh.certificates import Certificates
from app.ssh.gate import SshHosts
from app.ssh.keys import ensure_key
from app.ssh.signer import SocketSigner
from app.ssh.vault import Place, VaultSigner
from app.store.engine import open_database, require_made
from app.web.health import router as health_router
from app.web.setup import install as install_pages


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> float:
        """Return the time in epoch seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that no setting of the clock changes."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


@dataclass
class Wiring:
    """How a process gets its settings and its world."""

    @cached_property
    def settings(self) -> Settings:
        """The settings, read once."""
        return Settings()

    @contextlib.asynccontextmanager
    async def open_world(
        self, settings: Settings | None = None, *, make: bool = False, upgrade: bool = False
    ) -> AsyncIterator[World]:
        """Open the database and the SSH side, and close both at the end; for the rest see ``open_database``."""
        settings = settings or self.settings
        if not make:
            require_made(settings.database_url)  # before a folder or a key is made for nobody
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        assert settings.ssh_key is not None  # noqa: S101 - Settings fills it
        ensure_key(settings.ssh_key)
        db = await open_database(settings.database_url, make=make, upgrade=upgrade)
        hosts = SshHosts(
            settings.ssh_key,
            answer_seconds=settings.probe_timeout_seconds,
            run_seconds=settings.run_timeout_seconds,
            certificates=_certificates(settings),
        )
        try:
            yield World(
                db=db,
                hosts=hosts,
                clock=SystemClock(),
                news=News(),
                limits=_limits(settings),
                worker=f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}",
            )
        finally:
            await hosts.close()
            await db.close()


def _limits(settings: Settings) -> Limits:
    """The numbers of these settings that the flow goes by."""
    return Limits(
        step_up_seconds=settings.step_up_seconds,
        proof_max_age_seconds=settings.proof_max_age_seconds,
        probe_timeout_seconds=settings.probe_timeout_seconds,
        run_timeout_seconds=settings.run_timeout_seconds,
        settle_timeout_seconds=settings.settle_timeout_seconds,
        by_hand_seconds=settings.by_hand_seconds,
        lease_seconds=settings.lease_seconds,
        sweep_every_seconds=settings.sweep_every,
        sweep_grace_seconds=settings.sweep_grace,
        sweep_hosts_at_once=settings.sweep_hosts_at_once,
        new_key_seconds=settings.new_key_seconds,
    )


def _certificates(settings: Settings) -> Certificates | None:
    """Who certifies our sign-ins: our own signer, Vault, or nobody."""
    sources = tuple(filter(None, settings.source_addresses.split(",")))
    if settings.signer_socket:
        return Certificates(SocketSigner(settings.signer_socket), sources)
    if settings.vault_addr:
        place = Place(
            settings.vault_addr,
            settings.vault_role,
            settings.vault_mount,
            token_file=settings.vault_token_file,
            role_id=settings.vault_role_id,
            secret_id_file=settings.vault_secret_id_file,
            ca_file=settings.vault_ca_file,
        )
        return Certificates(VaultSigner(place), sources)
    return None


def create_app(wiring: Wiring | None = None) -> FastAPI:
    """Build the web application; its lifespan holds the world and, unless the role says otherwise, the worker.

    Whoever runs it holds the server's place at the database, from before it is built: see ``lock_for_serving``.
    """
    wiring = wiring or Wiring()
    settings = wiring.settings

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        anchor = (settings.anchor_file, settings.anchor_every)
        async with wiring.open_world(make=True, upgrade=True) as world, anchored(world, *anchor):
            app.state.world = world
            async with replica(world, settings.database_url, works=settings.role != "web") as worker:
                app.state.worker = worker
                yield

    app = FastAPI(
        title="Askfirst",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.state.settings = settings
    app.include_router(health_router)
    if settings.role != "worker":
        app.include_router(api_router)
        problems.install(app)
        install_pages(app, settings)
        replies.describe(app)
    return app


def run() -> None:
    """Run the ``askfirst`` command."""
    command_line(obj=Wiring())
