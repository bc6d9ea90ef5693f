"""What people do in a simulated world: they ask, say yes or no, take back, look, freeze, restart what is done by hand,
and click again where nothing came.

Each click goes through whichever replica answers, and dies with it; the person does not know then what became of it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from app.core.errors import AskfirstError
from app.core.lifecycle import ASKING, Request, State
from app.core.policy import Attempt, Person, Role, Via
from app.flow import ask, by_hand, decide, freeze, prove
from app.flow.named import service_named
from app.store import services
from tests.simulator.faults import Fault
from tests.simulator.template import EXPIRES_SECONDS, PEOPLE, START
from tests.simulator.world import Replica, Stage

T = TypeVar("T")
_PATIENCE_SECONDS = 15.0
_SCOPES = ("all", "environment:production", "host:alpha")
_ROLES = frozenset({Role.REQUESTER, Role.APPROVER, Role.EDITOR})


@dataclass(eq=False)
class Story:
    """One request of one person for one service, from the question to its end, with the people who take part."""

    stage: Stage
    service: str
    who: str = "ada"

    @property
    def is_rival(self) -> bool:
        """Whether somebody else asks for the same."""
        return self.who != "ada"

    @property
    def others(self) -> list[str]:
        """Those who may say yes."""
        return [each for each in PEOPLE if each != self.who]

    async def tell(self) -> None:
        """Ask, and let the others do what they do meanwhile."""
        stage = self.stage
        me = stage.loop.process(f"people-{self.service}-{self.who}")
        asking = stage.loop.start(me, self._ask(), name="person")
        deeds: list[Coroutine[Any, Any, None]] = [*map(self._approve, self.others)]
        if self._has(Fault.DENY):
            deeds.append(self._deny(self.others[1]))
        if self._has(Fault.CANCEL):
            deeds.append(self._cancel())
        if self._has(Fault.FREEZE):
            deeds.append(self._freeze(self.others[0]))
        if stage.chances.strikes(Fault.LOOK, "people"):
            deeds.append(self._look())
        if self.service == "tftp":
            deeds.append(self._restart())
        doing = [stage.loop.start(me, each, name="person") for each in deeds]
        await asyncio.wait({asking}, timeout=70.0)
        if self.request is None:
            return
        await asyncio.wait(doing, timeout=70.0)
        until = stage.loop.time() + stage.chance.uniform(5.0, 40.0)
        while True:
            if stage.loop.time() >= until or stage.is_at_rest():
                return
            await asyncio.sleep(0.5)

    async def nudge(self) -> None:
        """Say yes once more to what still waits, now that nothing is broken, and let a second go by."""
        request = self.request
        if request is not None and request.state is State.WAITING:
            for name in self.others:
                await self._click(name, "approves", self._yes(name, request))
        await asyncio.sleep(1.0)

    def _has(self, fault: Fault) -> bool:
        return fault in self.stage.chances.rates and self.stage.chance.random() < 0.3

    @property
    def request(self) -> Request | None:
        """The newest request of this person for this service that the log knows."""
        mine = (self.service, self.who)
        told = [each.request for each in self.stage.model.told.values()]
        return next((each for each in reversed(told) if (each.service, each.requester) == mine), None)

    async def _ask(self) -> None:
        if self.is_rival:
            await self._pause(25.0)
        await asyncio.gather(self._ask_once(), *([self._ask_once()] if self._again() else []))
        for _ in range(6):
            if self.request is not None:
                return
            await self._ask_once()
            await self._pause(2.0)

    async def _ask_once(self) -> None:
        me, service = _who(self.who), self.service
        await self._click(self.who, "asks", lambda at: ask.ask(at.world, me, service, "Why.", key=service))

    async def _approve(self, name: str) -> None:
        """Say yes as soon as there is a warrant, and until it is said."""
        while (request := await self._waits(State.WAITING)) is not None:
            if name in {each.person for each in request.approvals}:
                return
            await self._wait_before(request)
            yes = self._yes(name, request)
            await asyncio.gather(*[self._click(name, "approves", yes) for _ in range(2 if self._again() else 1)])

    async def _wait_before(self, request: Request) -> None:
        """Let some seconds go by before a yes, or nearly all that there are."""
        left = request.not_after - self.stage.server.now()
        if left <= min(EXPIRES_SECONDS) and self.stage.chances.strikes(Fault.LAST_MOMENT, "people"):
            await asyncio.sleep(max(0.0, left - self.stage.chance.uniform(0.5, 3.0)))
        else:
            await self._pause(3.0)

    def _yes(self, name: str, request: Request) -> Callable[[Replica], Awaitable[Request]]:
        return lambda at: decide.approve(
            at.world, Attempt(_who(name), Via.SESSION, at.clock.now(), request.digest), request.id
        )

    async def _deny(self, name: str) -> None:
        if request := await self._waits(State.WAITING):
            await self._pause(3.0)
            self.stage.record.fault(Fault.DENY, name)
            await self._click(
                name,
                "denies",
                lambda at: decide.deny(
                    at.world, _who(name), Via.SESSION, request.id, digest=request.digest, reason="Not now."
                ),
            )

    async def _cancel(self) -> None:
        if request := await self._waits(State.WAITING, State.APPROVED):
            await self._pause(4.0)
            self.stage.record.fault(Fault.CANCEL, self.who)
            await self._click(self.who, "cancels", lambda at: decide.cancel(at.world, _who(self.who), request.id))

    async def _freeze(self, name: str) -> None:
        """Stop everything for a while, some time after the question or as soon as the yes is given."""
        if self.stage.chance.random() < 0.5:
            await self._waits(State.WAITING, State.APPROVED)
            await self._pause(3.0)
        else:
            await self._until(lambda request: request.state not in {State.OPEN, State.WAITING})
            await self._pause(0.3)
        scope = self.stage.chance.choice(_SCOPES)
        self.stage.record.fault(Fault.FREEZE, name, scope)
        await self._click(name, "freezes", lambda at: freeze.freeze(at.world, _who(name), scope, "An incident."))
        await self._pause(8.0)
        await release(self.stage)

    async def _look(self) -> None:
        """Look at the service now and then, as its page does."""
        for _ in range(2):
            await self._pause(8.0)
            await self._click("bo", "looks", lambda at: _look(at, self.service))

    async def _restart(self) -> None:
        """Restart by hand what was handed over, or not, and say so, or not."""
        stage, alpha = self.stage, self.stage.alpha
        request = await self._until(lambda request: request.is_by_hand or request.state not in ASKING)
        if not request.is_by_hand or stage.chances.strikes(Fault.IDLE, self.who):
            return
        await self._pause(6.0)
        if not stage.chances.strikes(Fault.LIE, self.who):
            stage.record.note(self.who, "restarts")
            alpha.stop_by_hand()
            await self._pause(1.5)
            alpha.start_by_hand()
        if stage.chances.strikes(Fault.SILENT, self.who):
            return
        while (request := await self._until(lambda _: True)).state is State.RUNNING:
            await self._click(self.who, "says done", lambda at: by_hand.say_done(at.world, _who(self.who), request.id))
            await self._pause(1.0)

    async def _until(self, is_so: Callable[[Request], bool]) -> Request:
        """Return the request once it is so."""
        while True:
            if (request := self.request) is not None and is_so(request):
                return request
            await asyncio.sleep(0.1)

    async def _waits(self, *states: State) -> Request | None:
        """Return the request once it is in one of these states, None where it is past them."""
        while True:
            request = self.request
            if request is not None and request.state in states:
                return request
            if request is not None and request.state not in {State.OPEN, *states}:
                return None
            await asyncio.sleep(0.25)

    async def _click(self, who: str, what: str, deed: Callable[[Replica], Awaitable[Any]]) -> None:
        await click(self.stage, who, what, deed)

    async def _pause(self, most: float) -> None:
        await asyncio.sleep(self.stage.chance.uniform(0.0, most))

    def _again(self) -> bool:
        return self.stage.chances.strikes(Fault.AGAIN, "people")


async def release(stage: Stage) -> None:
    """Release every freeze, until all are known to be released."""
    while scopes := stage.frozen():
        for scope in scopes:
            await click(stage, "bo", "releases", _release(scope))
        await asyncio.sleep(1.0)


def _release(scope: str) -> Callable[[Replica], Awaitable[None]]:
    return lambda at: freeze.release(at.world, _who("bo"), scope, "It is over.")


async def click(stage: Stage, who: str, what: str, deed: Callable[[Replica], Awaitable[Any]]) -> None:
    """Do something through some replica; what it answers is its word, and nothing where it died or hangs."""
    up = stage.up()
    if not up:
        await asyncio.sleep(0.5)
        return
    replica = stage.chance.choice(up)
    stage.record.note(who, what, f"by {replica.process.name}")
    task = stage.loop.start(replica.process, _said(stage, deed(replica)), name=what)
    await asyncio.wait({task}, timeout=_PATIENCE_SECONDS)
    answer = task.result() if task.done() and not task.cancelled() else "no answer"
    stage.record.note(who, "hears", answer)


async def _look(at: Replica, service: str) -> None:
    registry = await services.registry(at.world.db)
    async with at.turns.turn("alpha", "bo"):
        seen = await prove.look(at.world, registry, service_named(registry, service))
    await prove.remember(at.world, seen)


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
