"""The ways a request can go, each played on a stage on which one call fails: see ``faults``.

Whoever clicks clicks again where the page said that it was not recorded; a worker that is killed is followed by
another. ``ends`` are the ends that are true of a way, whichever call fails in it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from app.core.errors import AskfirstError, Conflict, Refused
from app.core.lifecycle import ENDED, Request, State
from app.core.policy import Attempt, Via
from app.flow import ask, by_hand, decide
from app.flow.ports import World
from app.flow.worker import Worker
from app.store import leases, requests
from tests.fakes.cut import Cut
from tests.integration.flow.conftest import CHECK, FIXED, PATH, Stage
from tests.integration.threats.faults import Fault, Killed, faulty

UNIT, PORT = "lab:pypnm-gui", 5051


@dataclass
class Play:
    """One way, on a world in which one call fails."""

    stage: Stage
    fault: Fault
    service: str = "pypnm-gui"
    _workers: int = 0

    def __post_init__(self) -> None:
        self.world: World = faulty(self.stage.world, self.fault)

    async def asked(self) -> Request:
        """Ask as a program does: with a key, again where there was no answer; and let the host prove it."""
        key = f"{self.fault.how}-{self.fault.at}-{self.service}"
        request = await self._again(
            lambda: ask.ask(self.world, self.stage.who["ada"], self.service, "The fix is pulled.", key=key)
        )
        assert request is not None, "only one call fails"
        return await self.worked(request, ENDED | {State.WAITING})

    async def approved(self) -> Request:
        """Ask, and let somebody else say yes."""
        request = await self.asked()
        bo = self.stage.who["bo"]
        await self._again(
            lambda: decide.approve(
                self.world, Attempt(bo, Via.SESSION, self.stage.clock.now(), request.digest), request.id
            )
        )
        return request

    async def clicked(self, request: Request, deed: Callable[[World], Awaitable[Request]]) -> Request:
        """Click, and click again where the page said that it was not recorded."""
        await self._again(lambda: deed(self.world))
        return await self.worked(request, ENDED)

    async def worked(self, request: Request, until: frozenset[State]) -> Request:
        """Let workers go on until the request stands so, or no longer moves."""
        worker, others = self._worker(), asyncio.all_tasks()
        for round_ in range(24):
            if round_ % 4 == 3:  # twenty seconds: what a dead one held runs out, by whichever clock
                await leases.clear(self.stage.db)
            try:
                await worker.adopt()
                await worker.once()
            except (AskfirstError, Killed):
                await _end(asyncio.all_tasks() - others)
                worker = self._worker()
            request = await requests.load(self.stage.db, request.id)
            if request.state in until:
                break
            self.stage.clock.advance(5.0)
        return request

    def _worker(self) -> Worker:
        self._workers += 1
        return Worker(replace(self.world, worker=f"{self.fault.how}-{self.fault.at}-{self._workers}"))

    async def _again(self, deed: Callable[[], Awaitable[Request]]) -> Request | None:
        for _ in range(3):
            try:
                return await deed()
            except (Conflict, Refused):
                return None  # it was done, or it is over: the page says which
            except (AskfirstError, Killed):
                self.stage.clock.advance(1)
        return None


async def _end(tasks: set[asyncio.Task[Any]]) -> None:
    """With a process all that it was doing ends, the steps beside the one that was struck too."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def run(play: Play) -> Request:
    return await play.worked(await play.approved(), ENDED)


async def denied(play: Play) -> Request:
    request = await play.asked()
    bo = play.stage.who["bo"]
    return await play.clicked(
        request,
        lambda world: decide.deny(world, bo, Via.SESSION, request.id, digest=request.digest, reason="Not now."),
    )


async def cancelled(play: Play) -> Request:
    request = await play.asked()
    return await play.clicked(request, lambda world: decide.cancel(world, play.stage.who["ada"], request.id))


async def expired(play: Play) -> Request:
    request = await play.asked()
    play.stage.clock.advance(901)
    return await play.worked(request, ENDED)


async def stale(play: Play) -> Request:
    request = await play.approved()
    play.stage.alpha.replace(UNIT)
    return await play.worked(request, ENDED)


async def burned(play: Play) -> Request:
    """The line breaks before the host has taken the warrant: nothing ran, and nothing ever will."""
    request = await play.approved()
    play.stage.hosts.cut_at["alpha"] = Cut.AFTER_INPUT
    return await play.worked(request, ENDED)


async def read(play: Play) -> Request:
    """The line breaks in the middle of the run: what became of it is read."""
    request = await play.approved()
    play.stage.hosts.cut_at["alpha"] = Cut.BEFORE_EXIT
    return await play.worked(request, ENDED)


async def handed_over(play: Play) -> Request:
    """A person restarts it by hand, and says so."""
    play.service = "by-hand"
    alpha, ada = play.stage.alpha, play.stage.who["ada"]
    request = await play.worked(await play.approved(), ENDED | {State.RUNNING})
    if request.state is not State.RUNNING:
        return request
    holder = alpha.holder(PORT)
    assert holder is not None
    alpha.kill(holder.pid)
    alpha.by_hand(PORT)
    return await play.clicked(request, lambda world: by_hand.say_done(world, ada, request.id))


@dataclass(frozen=True)
class Scene:
    """One way, the end that it has where nothing fails, and those that it may have besides."""

    play: Callable[[Play], Awaitable[Request]]
    end: State
    besides: frozenset[State] = frozenset()

    @property
    def ends(self) -> frozenset[State]:
        # A host that gave no answer when it was asked to prove the claim blocks the request, whatever comes later.
        return self.besides | {self.end, State.BLOCKED}


SCENES = {
    "run": Scene(run, State.SUCCEEDED, frozenset({State.NOT_RUN})),
    "denied": Scene(denied, State.DENIED),
    "cancelled": Scene(cancelled, State.CANCELLED),
    "expired": Scene(expired, State.EXPIRED),
    "stale": Scene(stale, State.STALE, frozenset({State.NOT_RUN})),
    "burned": Scene(burned, State.NOT_RUN, frozenset({State.SUCCEEDED})),
    "read": Scene(read, State.SUCCEEDED, frozenset({State.NOT_RUN})),
    "by hand": Scene(handed_over, State.SUCCEEDED),
}


async def prepare(stage: Stage) -> None:
    """Have a service beside the other one that a person restarts."""
    stage.alpha.by_hand(PORT)
    manual = replace(stage.alpha.claim(name="by-hand"), manager="manual", unit="rbron-by-hand", ports=(PORT,))
    registered = replace(stage.alpha.claim(), checks=(CHECK,))
    await stage.register(registered, manual)


def next_day(stage: Stage) -> None:
    """Let so much time go by that nothing of the last play counts any more, and pull another fix."""
    stage.clock.advance(7200)
    stage.hosts.cut_at.clear()
    stage.alpha.pull(PATH, FIXED, f"fix {stage.clock.now()}")
    stage.clock.advance(60)
