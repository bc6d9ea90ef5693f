"""What machines ask: alive, ready, and a few numbers."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from app.flow.ports import World
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


async def test_the_numbers_name_no_service_and_no_person(client: httpx.AsyncClient, seed: Seed) -> None:
    await seed.waiting()
    text = (await client.get("/metrics")).text
    assert 'askfirst_requests{state="waiting"} 1' in text
    assert "askfirst_freezes 0" in text
    assert "pypnm" not in text
    assert "ada" not in text
