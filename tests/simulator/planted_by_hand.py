"""Bugs in what is done by hand, planted on purpose like those in ``planted``."""

from app.core.events import RunEnded, RunRefused, Settled
from app.core.lifecycle import Request, State
from app.flow import by_hand, execute
from app.flow.ids import salted, stamp
from app.flow.ports import World
from app.flow.worker import Worker
from app.store import requests


class TakesTheWord(Worker):
    """It takes a person's word that it is done for a proof."""

    async def _step(self, world: World, request: Request) -> Request:
        if request.state is State.SETTLING and request.outcome == "by hand":
            text = salted("They said so.")
            settled = Settled(**stamp(world.clock.now()), is_success=True, why="", evidence_text=text.commitment)
            return await requests.append(world.db, request, settled, (text,))
        return await super()._step(world, request)


class TakesTheClock(Worker):
    """It takes a word that never came for a proof that nothing was done."""

    async def _step(self, world: World, request: Request) -> Request:
        if by_hand.is_overdue(request, world.clock.now(), world.limits.by_hand_seconds):
            return await requests.append(world.db, request, RunRefused(**stamp(world.clock.now()), why="Nobody spoke."))
        return await super()._step(world, request)


class TakesTheTime(Worker):
    """It takes a time that ran out for a restart that was made."""

    async def _step(self, world: World, request: Request) -> Request:
        if by_hand.is_overdue(request, world.clock.now(), world.limits.by_hand_seconds):
            ended = RunEnded(**stamp(world.clock.now()), exit_status=None, how="time ran out", output_text="")
            return await requests.append(world.db, request, ended)
        return await super()._step(world, request)


class LosesByHand(Worker):
    """It takes what a person does for a run that nobody follows."""

    async def _step(self, world: World, request: Request) -> Request:
        if request.state is State.RUNNING:
            return await execute.lose(world, request, "The worker that followed this run is gone.")
        return await super()._step(world, request)
