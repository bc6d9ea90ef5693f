"""What comes at the last moment, in a world without faults in which one thing is slow."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from random import Random

import pytest

from app.core.lifecycle import Request, State
from app.flow.ports import World
from app.flow.worker import Worker
from app.store.log import Tx
from app.store.requests import Alive
from tests.simulator.faults import Fault, Record
from tests.simulator.people import Story
from tests.simulator.planted import LooksOnce, LooksTooLate
from tests.simulator.store import chance_from
from tests.simulator.template import START, copied, template
from tests.simulator.world import Planted, Stage


class StartsSlowly(Worker):
    """Its clock is a minute late, and the commit of a start takes until the request's time is over."""

    async def _step(self, world: World, request: Request) -> Request:
        if request.state is State.APPROVED:
            world.clock.set(-60.0)  # type: ignore[attr-defined]
            world = replace(world, db=replace(world.db, guard=_until(request.not_after)))
        return await super()._step(world, request)


def _until(at: float) -> Callable[[Tx], Awaitable[None]]:
    async def guard(_: Tx) -> None:
        await asyncio.sleep(max(0.0, at + 0.1 - START - asyncio.get_running_loop().time()))

    return guard


class ComesLate(Worker):
    """Its clock is a minute late, and it takes an approved request up when that is over."""

    def _due(self, alive: Iterable[Alive], now: float) -> list[str]:
        return super()._due([each for each in alive if each.state is not State.APPROVED or _is_over(each)], now)

    async def _step(self, world: World, request: Request) -> Request:
        if request.state is State.APPROVED:
            world.clock.set(-60.0)  # type: ignore[attr-defined]
        return await super()._step(world, request)


def _is_over(request: Alive) -> bool:
    return request.not_after <= request.seen_at


class ComesLateAndLooksTooLate(ComesLate, LooksTooLate):
    """The same, and its first look comes when the start is written."""


class StartsSlowlyAndLooksOnce(StartsSlowly, LooksOnce):
    """The same, without a second look."""


@pytest.mark.law(9)
@pytest.mark.threat("B8")
def test_what_is_over_by_the_server_s_clock_once_its_start_is_written_is_not_sent() -> None:
    stage, request = lived(StartsSlowly)
    assert (stage.record.broken, stage.model.sent.total(), request.state) == ([], 0, State.NOT_RUN)
    assert request.outcome == "It expired the moment before the run."


def test_a_missing_second_look_at_the_clock_is_found() -> None:
    stage, _ = lived(StartsSlowlyAndLooksOnce)
    assert stage.record.broken == ["what is over is not sent: by w1"]


@pytest.mark.law(9)
@pytest.mark.threat("B8")
def test_what_is_over_by_the_server_s_clock_is_not_begun_by_one_that_is_late() -> None:
    stage, request = lived(ComesLate)
    assert (stage.record.broken, stage.model.sent.total(), request.state) == ([], 0, State.EXPIRED)


def test_a_missing_first_look_at_the_clock_is_found() -> None:
    stage, _ = lived(ComesLateAndLooksTooLate)
    assert "what is over is not begun: by w1" in stage.record.broken


def lived(worker: type[Worker]) -> tuple[Stage, Request]:
    """Let a request be approved at the last moment."""
    # One of the many seeds in which the yes is taken up before the time is over.
    stage = Stage(Random(2), Record(), copied(template(1, 60)), True, Planted(worker=worker))
    stage.chances.rates = {Fault.LAST_MOMENT: 1.0}
    with chance_from(Random(2)):
        stage.in_the_world("world", _live(stage))
    stage.close()
    (told,) = stage.model.told.values()
    return stage, told.request


async def _live(stage: Stage) -> None:
    stage.start()
    await Story(stage, "pypnm-gui").tell()
