"""Accounts that guess, and streams that stay open when the right to read has gone."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI

from app.core.errors import Refused
from app.flow import people
from app.flow.ports import World
from app.store import sessions, tokens
from tests.integration.api.conftest import Api
from tests.integration.flow.conftest import Stage
from tests.integration.web.conftest import Clock
from tests.integration.web.seed import Seed
from tests.integration.web.test_live import Stream, cookie_of

Make = Callable[..., Any]


@pytest.mark.threat("A10")
async def test_one_account_is_one_account_however_its_name_is_written(stage: Stage) -> None:
    spelled = ["sam@example.org", "\u017fam@example.org", "SAM@example.org", "SaM@example.org", "\u017fAM@example.org"]
    await stage.add("sam")
    refusals = []
    for number, name in enumerate(spelled * 4):
        with pytest.raises(Refused) as caught:
            await people.sign_in(stage.world, name, "a wrong password", f"10.0.0.{number}")
        refusals.append(caught.value.code)
    assert refusals[:5] == ["sign_in_refused"] * 5
    assert set(refusals[6:]) == {"throttled"}


@pytest.mark.threat("A2")
@pytest.mark.threat("A11")
async def test_who_signed_out_is_told_nothing_more(app: FastAPI, browser: Make, world: World, seed: Seed) -> None:
    waiting = await seed.waiting()
    stream = Stream(app, f"/requests/{waiting.id}/live?version={waiting.version}", await cookie_of(browser, "ada"))
    await stream.chunks.get()
    await sessions.close_all(world.db, seed.accounts["ada"].person.id)
    await seed.approve(waiting)
    world.news.tell(waiting.id)
    await asyncio.wait_for(stream.task, 20)
    told = b""
    while not stream.chunks.empty():
        told += stream.chunks.get_nowait()
    assert b"event:" not in told


@pytest.mark.threat("A2")
@pytest.mark.threat("A11")
async def test_a_revoked_token_hears_nothing_more(api: Api) -> None:
    request = await api.seed.ask()
    owner = api.seed.accounts["ada"].person.id
    async with await api.caller("ada") as ada:
        listening = asyncio.create_task(ada.get(f"/api/v1/requests/{request.id}/events"))
        # It listens once it has told what there is.
        while not api.world.news._listening.get(request.id):  # noqa: ASYNC110, SLF001
            await asyncio.sleep(0.01)
        for token in await tokens.of_person(api.world.db, owner):
            now = api.world.clock.now()
            await tokens.revoke(api.world.db, token.id, by=owner, at=now, event_id=f"revoked {token.id}")
        await api.seed.block(request)
        api.world.news.tell(request.id)
        heard = (await asyncio.wait_for(listening, 20)).text
    assert "asked" in heard
    assert "blocked" not in heard


@pytest.mark.threat("A2")
@pytest.mark.threat("A11")
async def test_a_stream_in_which_nothing_happens_ends_with_its_token_too(api: Api) -> None:
    clock = Clock(api.world.clock.now())
    api.app.state.world = replace(api.world, clock=clock)
    request = await api.seed.ask()
    owner = api.seed.accounts["ada"].person.id
    async with await api.caller("ada") as ada:
        listening = asyncio.create_task(ada.get(f"/api/v1/requests/{request.id}/events"))
        while not api.world.news._listening.get(request.id):  # noqa: ASYNC110, SLF001
            await asyncio.sleep(0.01)
        for token in await tokens.of_person(api.world.db, owner):
            now = clock.now()
            await tokens.revoke(api.world.db, token.id, by=owner, at=now, event_id=f"revoked {token.id}")
        assert not listening.done()
        clock.time += 61
        heard = (await asyncio.wait_for(listening, 20)).text
    assert "ended" not in heard
