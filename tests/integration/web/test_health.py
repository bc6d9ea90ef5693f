"""What machines ask: alive, ready, and a few numbers."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, NoReturn, cast

import httpx
import pytest
from fastapi import FastAPI

from app.core.errors import Broken
from app.flow.ports import World
from app.store import history
from app.store.engine import Database
from app.web.health import router
from tests.integration.web.seed import Seed


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    app.include_router(router)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8770") as one:
        yield one


async def test_a_server_is_ready_while_its_store_answers_and_its_worker_lives(
    app: FastAPI, client: httpx.AsyncClient, world: World, seed: Seed
) -> None:
    assert (await client.get("/healthz")).text == "ok\n"
    assert (await client.get("/readyz")).status_code == 200
    app.state.worker = asyncio.create_task(asyncio.sleep(0))
    await app.state.worker
    assert (await client.get("/readyz")).status_code == 503
    assert (await client.get("/healthz")).status_code == 200


async def test_a_server_whose_store_is_away_is_not_ready(
    app: FastAPI, client: httpx.AsyncClient, world: World, seed: Seed
) -> None:
    class Away:
        def read(self) -> NoReturn:
            raise Broken("The database is away.", code="store_away", next_step="Start it.")

    app.state.world = replace(world, db=cast(Any, Away()))
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "The database is away.\n")


@dataclass(frozen=True, slots=True)
class Full(Database):
    """A database on a disk that holds nothing more."""

    @property
    def is_full(self) -> bool:
        return True


async def test_a_server_is_ready_however_many_downloads_stand_still(
    client: httpx.AsyncClient, world: World, seed: Seed
) -> None:
    await seed.waiting()
    stalled = [history.events_as_json_lines(world.db, history.Filter()) for _ in range(40)]
    for rows in stalled:
        assert await anext(rows)
    assert (await client.get("/readyz")).status_code == 200
    for rows in stalled:
        await rows.aclose()  # type: ignore[attr-defined]


async def test_a_server_on_a_full_disk_is_not_ready(app: FastAPI, client: httpx.AsyncClient, world: World) -> None:
    app.state.world = replace(world, db=Full(world.db.engine, world.db.writer))
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "the disk that holds the database is full\n")


async def test_the_numbers_name_no_service_and_no_person(client: httpx.AsyncClient, seed: Seed) -> None:
    await seed.waiting()
    text = (await client.get("/metrics")).text
    asked = [line for line in text.splitlines() if line.startswith("askfirst_requests{")]
    assert asked == [
        'askfirst_requests{state="open"} 0',
        'askfirst_requests{state="waiting"} 1',
        'askfirst_requests{state="approved"} 0',
        'askfirst_requests{state="running"} 0',
        'askfirst_requests{state="unknown"} 0',
        'askfirst_requests{state="settling"} 0',
    ]
    assert "askfirst_freezes 0" in text
    assert "pypnm" not in text
    assert "ada" not in text
