"""A clock that is set back makes nobody wait for the time that it went back."""

from app.core.lifecycle import State
from app.flow import freeze
from app.flow.worker import Worker
from tests.integration.flow.conftest import Stage


async def test_a_worker_whose_clock_was_set_back_goes_on_at_once(stage: Stage) -> None:
    approved = await stage.approve(await stage.waiting())
    worker = Worker(stage.world)
    await freeze.freeze(stage.world, stage.who["cy"], "all", "An incident.")
    assert (await stage.work(approved, worker)).state is State.APPROVED  # looked at, and left alone for a moment
    await freeze.release(stage.world, stage.who["cy"], "all", "It is over.")
    stage.clock.advance(-50)
    assert (await stage.work(approved, worker)).state is State.SUCCEEDED
