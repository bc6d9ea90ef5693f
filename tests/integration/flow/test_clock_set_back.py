"""A clock that is set makes nobody wait for the time that it went back, and ends nothing by that which it went on."""

import pytest

from app.core.lifecycle import State
from app.flow import execute, freeze, prove
from app.flow.worker import Worker
from app.store import requests, services
from tests.integration.flow.conftest import Stage


async def test_a_worker_whose_clock_was_set_back_goes_on_at_once(stage: Stage) -> None:
    approved = await stage.approve(await stage.waiting())
    worker = Worker(stage.world)
    await freeze.freeze(stage.world, stage.who["cy"], "all", "An incident.")
    assert (await stage.work(approved, worker)).state is State.APPROVED  # looked at, and left alone for a moment
    await freeze.release(stage.world, stage.who["cy"], "all", "It is over.")
    stage.clock.set(-50)
    assert (await stage.work(approved, worker)).state is State.SUCCEEDED


async def test_settling_lasts_no_longer_by_a_clock_that_was_set_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = await stage.approve(await stage.waiting())
    stage.alpha.programs["lab:pypnm-gui"].comes_back = False
    slept, sleep = 0.0, stage.clock.sleep

    async def set_back_once(seconds: float) -> None:
        nonlocal slept
        if slept < 10 <= slept + seconds:
            stage.clock.set(-3600)
        slept += seconds
        await sleep(seconds)

    monkeypatch.setattr(stage.clock, "sleep", set_back_once)
    assert (await stage.work(ran)).state is State.FAILED
    assert 60 < slept < 150


@pytest.mark.law(11)
@pytest.mark.threat("T14")
@pytest.mark.parametrize("seconds", [-3600, -70, 100])
async def test_a_service_that_comes_back_well_has_succeeded_however_the_clock_is_set_meanwhile(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    ran = await execute.execute(stage.world, await stage.approve(await stage.waiting()))
    began, sleep = stage.clock.monotonic(), stage.clock.sleep

    async def set_once(seconds_slept: float) -> None:
        if stage.clock.monotonic() == began:
            stage.clock.set(seconds)
        await sleep(seconds_slept)

    monkeypatch.setattr(stage.clock, "sleep", set_once)
    after = await stage.work(ran)
    assert after.state is State.SUCCEEDED, after.outcome
    assert stage.clock.monotonic() - began >= stage.alpha.claim().settle_seconds


async def test_a_look_of_before_the_clock_was_set_back_ends_nothing(stage: Stage) -> None:
    """It is dated later than what was seen since: which of the two is newer no clock tells."""
    registry = await services.registry(stage.db)
    await prove.remember(stage.world, await prove.look(stage.world, registry, registry.services[0]))
    stage.clock.set(-30)
    stage.alpha.replace("lab:pypnm-gui")
    request = await stage.waiting()
    assert (await requests.load(stage.db, request.id)).state is State.WAITING
