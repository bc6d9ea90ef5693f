"""The whole application over a store with a request in every state, and callers that hold tokens.

Each answer is compared with what /openapi.json promises: an undeclared status or kind of content fails the test.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.flow.ids import new_id
from app.flow.ports import World
from app.main import Wiring, create_app
from app.settings import Settings
from app.store import tokens
from tests.integration.web.seed import Seed, plant


@dataclass
class Api:
    """The application, its store, and how to call it."""

    app: FastAPI
    seed: Seed

    @property
    def world(self) -> World:
        world: World = self.app.state.world
        return world

    async def token(self, who: str, *scopes: str) -> str:
        now = self.world.clock.now()
        person = self.seed.accounts[who].person.id
        return await tokens.create(
            self.world.db, person, "a script", scopes, token_id=new_id(now), by=person, at=now, event_id=new_id(now)
        )

    async def caller(self, who: str, *scopes: str) -> httpx.AsyncClient:
        """Return a client with a token of this person."""
        return self.anybody({"Authorization": f"Bearer {await self.token(who, *(scopes or ('ask', 'read')))}"})

    def anybody(self, headers: dict[str, str] | None = None) -> httpx.AsyncClient:
        """Return a client with these headers and no other."""
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.app),
            base_url="http://askfirst.test",
            headers=headers,
            event_hooks={"response": [self._is_declared]},
        )

    async def _is_declared(self, response: httpx.Response) -> None:
        path, method = response.request.url.path, response.request.method.lower()
        for template, operations in self.app.openapi()["paths"].items():
            if re.fullmatch(re.sub(r"\{\w+\}", r"[^/]+", template), path) and method in operations:
                _compare(response, operations[method]["responses"], f"{method} {template}")
                return


def _compare(response: httpx.Response, declared: dict[str, Any], where: str) -> None:
    assert str(response.status_code) in declared, f"{where} does not declare {response.status_code}"
    kind = response.headers["content-type"].partition(";")[0]
    assert kind in declared[str(response.status_code)]["content"], f"{where} does not declare {kind}"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    wiring = Wiring()
    wiring.settings = Settings(data_dir=tmp_path / "data", base_url="http://askfirst.test", role="web")
    app = create_app(wiring)
    async with app.router.lifespan_context(app):
        yield Api(app, await plant(app.state.world))
