"""The pages over a real store, through ASGI: people, a registry, and browsers that keep their cookies."""

import asyncio
import html
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.core.errors import Unreachable
from app.flow.ids import new_id
from app.flow.ports import Limits, News, World
from app.settings import Settings
from app.store import sessions
from app.web.setup import install
from tests.integration.databases import Databases, is_file, set_clock
from tests.integration.web.seed import PASSWORD, Seed, plant

BASE = "http://127.0.0.1:8770"


def words(page: str) -> str:
    """The text of a page as a reader sees it, blanks made single."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL)))


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    time: float = 1_795_000_000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await asyncio.sleep(0)


@dataclass
class Dark:
    """Hosts that never answer; what was wanted of them is noted."""

    asked: list[str] = field(default_factory=list)

    async def probe(
        self, host: Any, services: Sequence[Any], via: Sequence[Any] = (), *, whole: bool = False, git: bool = False
    ) -> Any:
        self.asked.append(host.name)
        raise Unreachable(f"{host.name} does not answer.", next_step="Look at the host, then try again.")

    async def burn(self, host: Any, request_id: str, via: Sequence[Any] = ()) -> Any:
        return await self.probe(host, ())

    def keep(self, host: Any) -> None:
        pass

    def release(self, host: Any) -> None:
        pass


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def world(url: str, databases: Databases, clock: Clock) -> AsyncIterator[World]:
    db = await databases.open(url)
    if not is_file(url):
        set_clock(url, "NULL")  # the clock of this world is the one that stands still
    hosts: Any = Dark()
    yield World(db=db, hosts=hosts, clock=clock, news=News(), limits=Limits(), worker="test:1")
    await db.close()


@pytest.fixture
async def seed(world: World) -> Seed:
    return await plant(world)


def application(world: World, base_url: str = BASE) -> FastAPI:
    app = FastAPI(openapi_url=None)
    app.state.world = world
    install(app, Settings(base_url=base_url, data_dir=Path("/nonexistent")))
    return app


@pytest.fixture
def app(world: World) -> FastAPI:
    return application(world)


class Browser:
    """One browser: its cookies, and forms as a page would send them."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return await self.client.get(path, **more)

    async def post(self, path: str, data: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        """Post a form as our own page does: same origin, with the session's token."""
        fields = {"csrf": await self.csrf(), **(data or {})}
        headers = {"sec-fetch-site": "same-origin", **more.pop("headers", {})}
        return await self.client.post(path, data=fields, headers=headers, **more)

    async def csrf(self) -> str:
        found = re.search(r'name="csrf" value="(\w+)"', (await self.client.get("/settings")).text)
        return found[1] if found else ""

    async def sign_in(self, who: str, password: str = PASSWORD, **more: str) -> httpx.Response:
        fields = {"email": f"{who}@example.org", "password": password, **more}
        return await self.client.post("/sign-in", data=fields, headers={"sec-fetch-site": "same-origin"})


@pytest.fixture
async def browser(app: FastAPI, world: World, seed: Seed) -> AsyncIterator[Callable[..., Any]]:
    """Return a maker of browsers, signed in as somebody or as nobody."""
    async with AsyncExitStack() as stack:

        async def make(who: str = "", base_url: str = BASE) -> Browser:
            transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
            client = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url=base_url))
            made = Browser(client)
            if who:
                person, now = seed.accounts[who].person, world.clock.now()
                secret = await sessions.open_session(world.db, person.id, now, event_id=new_id(now))
                assert secret
                client.cookies.set("askfirst", secret, domain="127.0.0.1")
            return made

        yield make
