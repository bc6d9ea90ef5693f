"""What people do in a simulated world: they ask, say yes or no, take back, freeze, and click again where nothing came.

Each click goes through whichever replica answers, and dies with it; the person does not know then what became of it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from app.core.errors import AskfirstError
from app.core.lifecycle import Request, State
from app.core.policy import Attempt, Person, Role, Via
from app.flow import ask, decide, freeze
from app.flow.ports import World as Flow
from tests.simulator.faults import Fault
from tests.simulator.template import START
from tests.simulator.world import Stage

T = TypeVar("T")
_PATIENCE_SECONDS = 15.0
_ROLES = frozenset({Role.REQUESTER, Role.APPROVER, Role.EDITOR})


@dataclass(eq=False)
class Story:
    """One request, from the question to its end, with the people who take part."""

    stage: Stage
    key: str

    async def tell(self) -> None:
        """Ask, and let the others do what they do meanwhile."""
        stage = self.stage
        deeds: list[Coroutine[Any, Any, None]] = [self._ask(), self._approve("bo"), self._approve("cy")]
        if self._has(Fault.DENY):
            deeds.append(self._deny("cy"))
        if self._has(Fault.CANCEL):
            deeds.append(self._cancel())
        if self._has(Fault.FREEZE):
            deeds.append(self._freeze("bo"))
        me = stage.loop.process(f"people-{self.key}")
        await asyncio.wait([stage.loop.start(me, each, name="person") for each in deeds], timeout=60.0)
        until = stage.loop.time() + stage.chance.uniform(5.0, 40.0)
        while True:
            if stage.loop.time() >= until or stage.is_at_rest():
                return
            await asyncio.sleep(0.5)

    async def nudge(self) -> None:
        """Say yes once more to what still waits, now that nothing is broken, and let a second go by."""
        request = self.request
        if request is not None and request.state is State.WAITING:
            for name in ("bo", "cy"):
                await self._click(name, "approves", self._yes(name, request))
        await asyncio.sleep(1.0)

    def _has(self, fault: Fault) -> bool:
        return fault in self.stage.chances.rates and self.stage.chance.random() < 0.3

    @property
    def request(self) -> Request | None:
        """The newest request that the log knows."""
        told = list(self.stage.model.told.values())
        return told[-1].request if told else None

    async def _ask(self) -> None:
        await asyncio.gather(self._ask_once(), *([self._ask_once()] if self._again() else []))
        for _ in range(6):
            if self.request is not None:
                return
            await self._ask_once()
            await self._pause(2.0)

    async def _ask_once(self) -> None:
        await self._click("ada", "asks", lambda world: ask.ask(world, _who("ada"), "pypnm-gui", "Why.", key=self.key))

    async def _approve(self, name: str) -> None:
        """Say yes as soon as there is a warrant, and until it is said."""
        while (request := await self._waits(State.WAITING)) is not None:
            if name in {each.person for each in request.approvals}:
                return
            await self._pause(3.0)
            yes = self._yes(name, request)
            await asyncio.gather(*[self._click(name, "approves", yes) for _ in range(2 if self._again() else 1)])

    def _yes(self, name: str, request: Request) -> Callable[[Flow], Awaitable[Request]]:
        return lambda world: decide.approve(
            world, Attempt(_who(name), Via.SESSION, world.clock.now(), request.digest), request.id
        )

    async def _deny(self, name: str) -> None:
        if request := await self._waits(State.WAITING):
            await self._pause(3.0)
            self.stage.record.fault(Fault.DENY, name)
            await self._click(
                name,
                "denies",
                lambda world: decide.deny(
                    world, _who(name), Via.SESSION, request.id, digest=request.digest, reason="Not now."
                ),
            )

    async def _cancel(self) -> None:
        if request := await self._waits(State.WAITING, State.APPROVED):
            await self._pause(4.0)
            self.stage.record.fault(Fault.CANCEL, "ada")
            await self._click("ada", "cancels", lambda world: decide.cancel(world, _who("ada"), request.id))

    async def _freeze(self, name: str) -> None:
        """Stop everything for a while."""
        await self._waits(State.WAITING, State.APPROVED)
        await self._pause(3.0)
        self.stage.record.fault(Fault.FREEZE, name)
        await self._click(name, "freezes", lambda world: freeze.freeze(world, _who(name), "all", "An incident."))
        await self._pause(8.0)
        await release(self.stage)

    async def _waits(self, *states: State) -> Request | None:
        """Return the request once it is in one of these states, None where it is past them."""
        while True:
            request = self.request
            if request is not None and request.state in states:
                return request
            if request is not None and request.state not in {State.OPEN, *states}:
                return None
            await asyncio.sleep(0.25)

    async def _click(self, who: str, what: str, deed: Callable[[Flow], Awaitable[Any]]) -> None:
        await click(self.stage, who, what, deed)

    async def _pause(self, most: float) -> None:
        await asyncio.sleep(self.stage.chance.uniform(0.0, most))

    def _again(self) -> bool:
        return self.stage.chances.strikes(Fault.AGAIN, "people")


async def release(stage: Stage) -> None:
    """Release the freeze, until it is known to be released."""
    while stage.is_frozen():
        await click(stage, "bo", "releases", lambda world: freeze.release(world, _who("bo"), "all", "It is over."))
        await asyncio.sleep(1.0)


async def click(stage: Stage, who: str, what: str, deed: Callable[[Flow], Awaitable[Any]]) -> None:
    """Do something through some replica; what it answers is its word, and nothing where it died or hangs."""
    up = stage.up()
    if not up:
        await asyncio.sleep(0.5)
        return
    replica = stage.chance.choice(up)
    stage.record.note(who, what, f"by {replica.process.name}")
    task = stage.loop.start(replica.process, _said(stage, deed(replica.world)), name=what)
    await asyncio.wait({task}, timeout=_PATIENCE_SECONDS)
    answer = task.result() if task.done() and not task.cancelled() else "no answer"
    stage.record.note(who, "hears", answer)


async def _said(stage: Stage, deed: Awaitable[Any]) -> str:
    try:
        await deed
    except AskfirstError as error:
        return error.code
    except Exception as error:  # noqa: BLE001 - whatever it is, a person must not see it
        stage.record.breaks("a person gets an answer", f"{type(error).__name__}: {error}")
        return "an error page"
    return "done"


def _who(name: str) -> Person:
    return Person(name, name.title(), name, _ROLES, {"lab-team": START - 1000.0})
