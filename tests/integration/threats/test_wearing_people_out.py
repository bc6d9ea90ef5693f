"""Whoever asks again and again, after a no, in a loop or all at once; and who changes a method and then asks."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app.core.errors import AskfirstError, Conflict, Refused
from app.core.lifecycle import Request, State
from app.core.pace import LOOP_SECONDS, MOST_ASKED, PAUSE_SECONDS
from app.core.policy import Via
from app.core.registry import with_entry
from app.flow import ask, decide, registry
from app.flow.ports import World
from app.store import requests, services
from tests.integration.api.conftest import Api
from tests.integration.flow.conftest import Stage
from tests.integration.web.conftest import Clock
from tests.integration.web.seed import GUI, Seed

Make = Callable[..., Any]


async def denied(stage: Stage) -> Request:
    waiting = await stage.waiting()
    return await decide.deny(
        stage.world, stage.who["bo"], Via.SESSION, waiting.id, digest=waiting.digest, reason="Not today."
    )


@pytest.mark.threat("B15")
@pytest.mark.threat("I5")
async def test_after_a_no_the_same_human_waits_before_asking_again_in_other_words(stage: Stage) -> None:
    await denied(stage)
    second = await stage.add("ada2", human=stage.who["ada"].human)
    stage.clock.advance(180)
    for who in (stage.who["ada"], second):
        with pytest.raises(Conflict, match="denied 3 min ago") as caught:
            await ask.ask(stage.world, who, "pypnm-gui", "The fix is pulled, really.")
        assert caught.value.code == "denied_lately"
    stage.clock.advance(PAUSE_SECONDS - 180)
    assert (await stage.waiting()).state is State.WAITING


@pytest.mark.threat("B15")
async def test_somebody_else_may_ask_for_what_was_denied(stage: Stage) -> None:
    await denied(stage)
    assert (await stage.waiting("cy")).state is State.WAITING


@pytest.mark.threat("I9")
async def test_a_question_repeated_with_its_key_is_the_one_that_was_denied(stage: Stage) -> None:
    asked = await stage.ask(key="once")
    waiting = await ask.prove(stage.world, asked)
    await decide.deny(stage.world, stage.who["bo"], Via.SESSION, asked.id, digest=waiting.digest, reason="Not today.")
    again = await stage.ask(key="once")
    assert (again.id, again.state) == (asked.id, State.DENIED)


@pytest.mark.threat("B15")
async def test_one_human_asks_for_so_many_restarts_and_no_more(stage: Stage) -> None:
    for _ in range(MOST_ASKED):
        await decide.cancel(stage.world, stage.who["ada"], (await stage.ask()).id)
        stage.clock.advance(1)
    with pytest.raises(Refused, match="You asked for") as caught:
        await stage.ask()
    assert caught.value.code == "too_many"
    assert (await stage.ask("cy")).state is State.OPEN
    stage.clock.advance(600)
    await decide.cancel(stage.world, stage.who["cy"], (await requests.wanting(stage.db, {State.OPEN}))[0])
    assert (await stage.ask()).state is State.OPEN


@pytest.mark.threat("I6")
async def test_after_three_restarts_in_half_an_hour_two_people_have_to_say_yes(stage: Stage) -> None:
    for _ in range(3):
        assert (await stage.run(await stage.waiting())).state is State.SUCCEEDED
        stage.clock.advance(60)
    fourth = await stage.waiting()
    assert (await stage.approve(fourth)).state is State.WAITING
    assert (await stage.work(fourth)).state is State.WAITING
    assert stage.alpha.runs() == 3
    ended = await stage.work(await stage.approve(fourth, "cy"))
    assert (ended.state, stage.alpha.runs()) == (State.SUCCEEDED, 4)
    stage.clock.advance(LOOP_SECONDS)
    assert (await stage.run(await stage.waiting())).state is State.SUCCEEDED


@pytest.mark.threat("I5")
async def test_a_program_is_told_of_the_no_and_when_to_ask_again(api: Api) -> None:
    waiting = await api.seed.waiting()
    bo = api.seed.accounts["bo"].person
    await decide.deny(api.world, bo, Via.SESSION, waiting.id, digest=waiting.digest, reason="Not today.")
    async with await api.caller("ada") as ada:
        answer = await ada.post("/api/v1/requests", json={"service": "pypnm-gui", "reason": "Now, please."})
    assert (answer.status_code, answer.json()["code"]) == (409, "denied_lately")
    assert "again in 15 min" in answer.json()["next"]


@pytest.mark.threat("B15")
@pytest.mark.threat("H6")
async def test_a_program_that_asks_without_end_is_told_to_wait(api: Api) -> None:
    async with await api.caller("ada") as ada:
        for number in range(MOST_ASKED):
            asked = await ada.post("/api/v1/requests", json={"service": "tftp", "reason": f"Number {number}."})
            assert asked.status_code == 201
            await ada.post(f"{asked.headers['location']}/cancel")
        answer = await ada.post("/api/v1/requests", json={"service": "tftp", "reason": "One more."})
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many")
    assert "Retry-After" in answer.headers


@pytest.mark.threat("I5")
async def test_the_approver_reads_of_the_last_no_and_the_requester_keeps_what_was_typed(
    browser: Make, world: World, seed: Seed, clock: Clock
) -> None:
    waiting = await seed.waiting()
    bo = seed.accounts["bo"].person
    await decide.deny(world, bo, Via.SESSION, waiting.id, digest=waiting.digest, reason="Not today.")
    clock.time += 180
    ada = await browser("ada")
    page = await ada.get("/requests/new?service=pypnm-gui")
    assert page.status_code == 200
    form = {"service": "pypnm-gui", "reason": "In other words.", "ticket": "", "key": "one"}
    again = await ada.post("/requests/new", form)
    assert again.status_code == 409
    assert "denied 3 min ago" in again.text
    assert "In other words." in again.text
    next_one = await seed.waiting(who="bo", reason="Somebody else asks.")
    shown = (await (await browser("cy")).get(f"/requests/{next_one.id}")).text
    assert f"{waiting.short_id} for this service was denied 3 min ago by Bo Approver" in shown


@pytest.mark.threat("K1")
async def test_the_card_says_who_changed_the_method_and_when(
    browser: Make, world: World, seed: Seed, clock: Clock
) -> None:
    now = await services.registry(world.db)
    wanted = with_entry(now, "service", "pypnm-gui", replace(GUI, unit="lab:other"))
    ed, fay = (seed.accounts[name].person for name in ("ed", "fay"))
    proposed = await registry.change(world, ed, wanted)
    assert proposed.proposal is not None
    await registry.confirm(world, fay, proposed.proposal.id)
    clock.time += 7200
    waiting = await seed.waiting(who="ed")
    shown = (await (await browser("bo")).get(f"/requests/{waiting.id}")).text
    assert "How it is restarted was changed 2 h ago by Ed Editor, confirmed by Fay Editor." in shown
    clock.time += 86_400
    assert "was changed" not in (await (await browser("bo")).get(f"/requests/{waiting.id}")).text


async def test_every_refusal_of_the_pace_says_what_to_do_next(stage: Stage) -> None:
    await denied(stage)
    with pytest.raises(AskfirstError) as caught:
        await stage.ask()
    assert "talk with who denied it" in caught.value.next_step
