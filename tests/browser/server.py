"""A server process for browsers to look at: the real pages over a real store, with a request in every state.

No worker runs and no host answers, but to a look around: so each state stays as it was written. It prints one line of
JSON when it serves: its address, its database, and the requests by name. Run as ``python -m tests.browser.server``.
"""

import asyncio
import json
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from app.core.registry import Registry
from app.core.run import Checked
from app.flow.ports import Limits, News, World
from app.main import SystemClock
from app.settings import Settings
from app.store.engine import open_database
from app.web.health import router as health
from app.web.setup import install
from tests.browser.states import every_state
from tests.integration.web.conftest import Dark
from tests.integration.web.seed import plant
from tests.output.whole import facts


class Recorded(Dark):
    """Hosts that never answer, but alpha to whoever looks around there: what the incident's host once showed."""

    async def probe(
        self, host: Any, services: Sequence[Any], via: Sequence[Any] = (), *, whole: bool = False, git: bool = False
    ) -> Any:
        if not whole or host.name != "alpha":
            return await super().probe(host, services, via, whole=whole, git=git)
        return replace(facts(Registry((host,), tuple(services))), taken_at=time.time())

    async def check(self, host: Any, check: Any, via: Sequence[Any] = ()) -> Checked:
        return Checked(check.label, is_green=True, seen="it holds")


async def serve(folder: Path) -> None:
    """Serve until the process is ended."""
    database = f"sqlite+aiosqlite:///{folder / 'askfirst.db'}"
    db = await open_database(database)
    hosts: Any = Recorded()
    listener = socket.create_server(("127.0.0.1", 0))
    base = f"http://localhost:{listener.getsockname()[1]}"  # by its name: at a bare address no browser has passkeys
    settings = Settings(base_url=base, data_dir=folder)
    limits = Limits(new_key_seconds=settings.new_key_seconds)
    world = World(db=db, hosts=hosts, clock=SystemClock(), news=News(), limits=limits, worker="test:1")
    made = await every_state(await plant(world))
    app = FastAPI(openapi_url=None)
    app.state.world = world
    app.include_router(health)
    install(app, settings)
    ids = {name: request.id for name, request in made.items()}
    print(json.dumps({"base": base, "database": database, "requests": ids}), flush=True)
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    await uvicorn.Server(config).serve([listener])
    await db.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        asyncio.run(serve(Path(sys.argv[1] if len(sys.argv) > 1 else home)))
