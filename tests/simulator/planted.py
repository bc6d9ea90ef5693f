"""Bugs that are planted on purpose, each as another worker or another port in place of the real one.

Nothing of Askfirst is patched: a world is built with these instead, as ``main`` builds it with the real ones.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from app.core.errors import AskfirstError, Conflict, Lost
from app.core.events import RunRefused, RunStarted
from app.core.lifecycle import ENDED, Request, State
from app.core.registry import Registry
from app.core.run import Exited, Progress, Spool, SpoolState
from app.core.service import Host
from app.flow import by_hand, envelope, evidence, execute, prove, watch
from app.flow.ids import stamp
from app.flow.ports import World
from app.flow.prove import place
from app.flow.sweep import Due, Sweep
from app.flow.worker import Worker
from app.store import freezes, requests, services, sweeps
from app.store.leases import Lease
from app.store.sweeps import Swept
from tests.simulator.hosts import SimulatedHosts


class ClaimsByReading(Worker):
    """It looks whether a request is still approved, and marks it as running then, whoever marked it meanwhile."""

    async def _tick(self) -> None:
        with self._logged("tick"):
            now = self._world.clock.now()
            for request_id in self._due(await requests.alive(self._world.db, now), now):
                if request_id not in self._tasks:
                    self._begin(Lease(request_id, self._world.worker, 0))

    async def _work(self, lease: Lease) -> None:
        with self._logged(lease.subject):
            await self._steps(self._world, lease.subject)

    async def _step(self, world: World, request: Request) -> Request:
        if request.state is not State.APPROVED:
            return await super()._step(world, request)
        text = await envelope.approved_text(world.db, request)
        if (stored := await requests.load(world.db, request.id)).state is not State.APPROVED:
            return stored
        try:
            stored = await requests.append(world.db, stored, _start(world, request))
        except Conflict:
            stored = await requests.load(world.db, request.id)
        return await _run(world, stored, await _said(world, request, text)) if stored.state not in ENDED else stored


class ActsBeforeItsCommit(Worker):
    """It sends the warrant while the start is still being written."""

    async def _step(self, world: World, request: Request) -> Request:
        if request.state is not State.APPROVED:
            return await super()._step(world, request)
        text = await envelope.approved_text(world.db, request)
        sending = asyncio.create_task(_said(world, request, text))
        started = await requests.append(world.db, request, _start(world, request))
        return await _run(world, started, await sending)


@dataclass(frozen=True, slots=True)
class TriesAgain(SimulatedHosts):
    """It sends the warrant once more where the line was lost."""

    async def restart(
        self,
        host: Host,
        warrant: str,
        via: Sequence[Host] = (),
        *,
        signatures: Sequence[str] = (),
        serial: int = 0,
    ) -> AsyncIterator[Progress]:
        try:
            async for progress in self.line.run(host, warrant, via, serial):
                yield progress
        except Lost:
            async for progress in self.line.run(host, warrant, via, serial):
                yield progress


@dataclass(frozen=True, slots=True)
class OnlyReads(SimulatedHosts):
    """It takes a warrant that was not spent for one that never can be: what is late still arrives."""

    async def burn(self, host: Host, request_id: str, via: Sequence[Host] = ()) -> Spool:
        spool = await self.result(host, request_id, via)
        return Spool(SpoolState.BURNED) if spool.state is SpoolState.UNSPENT else spool


class LooksOnce(Worker):
    """It looks whether a request may run, marks it as running, and sends it without a second look."""

    async def _step(self, world: World, request: Request) -> Request:
        if request.state is not State.APPROVED or request.manager == "manual" or await _is_held(world, request):
            return await super()._step(world, request)
        text = await envelope.approved_text(world.db, request)
        started = await requests.append(world.db, request, _start(world, request))
        return await _run(world, started, await _said(world, request, text))


class LooksTooLate(Worker):
    """It marks a request as running, or hands it over, whatever holds now, and looks then."""

    async def _step(self, world: World, request: Request) -> Request:
        if request.state is not State.APPROVED:
            return await super()._step(world, request)
        text = await envelope.approved_text(world.db, request)
        if request.manager == "manual":
            return await by_hand.hand_over(world, request)
        started = await requests.append(world.db, request, _start(world, request))
        if await _is_held(world, request):
            return await requests.append(world.db, started, RunRefused(**stamp(world.clock.now()), why="It is held."))
        return await _run(world, started, await _said(world, request, text))


class ExpiresEarly(Worker):
    """It takes what is nearly over for over."""

    async def _step(self, world: World, request: Request) -> Request:
        if request.state is State.APPROVED and request.not_after - world.clock.now() < 30.0:
            return await watch.expire(world, request)
        return await super()._step(world, request)


class TakesSilenceForAChange(Worker):
    """It takes a host that does not answer for one that has changed."""

    async def _step(self, world: World, request: Request) -> Request:
        registry = await services.registry(world.db)
        service = registry.service(request.service)
        if request.state is State.APPROVED and service is not None:
            before, seen = await evidence.of(world.db, request), await prove.look(world, registry, service)
            if before is not None and seen.identity != before.identity:
                return await watch.go_stale(world, request, "The host has changed.", None)
        return await super()._step(world, request)


class HasNoPatience(Worker):
    """It takes what its first look after a run shows for the end."""

    async def _step(self, world: World, request: Request) -> Request:
        limits = replace(world.limits, settle_timeout_seconds=-60.0)
        return await super()._step(replace(world, limits=limits), request)


class SweepsUnleased(Sweep):
    """It sweeps a host whoever sweeps it already."""

    async def _in_turn(self, registry: Registry, due: Due) -> bool:
        looks = await prove.look_all(self._world, registry, due.host)
        await sweeps.note(self._world.db, due.host, Swept(self._world.clock.now(), 0))
        return bool(looks)


async def _is_held(world: World, request: Request) -> bool:
    """Whether a request may not run now, by a freeze or by the clock that counts."""
    is_frozen = await freezes.stopping(world.db, request.host, request.environment) is not None
    return is_frozen or request.not_after <= await world.time()


def _start(world: World, request: Request) -> RunStarted:
    return RunStarted(**stamp(world.clock.now()), digest=request.digest, worker=world.worker)


async def _said(world: World, request: Request, text: str) -> list[Progress]:
    """Send a warrant, and return all that comes back until the line breaks."""
    said: list[Progress] = []
    host, via = place(await services.registry(world.db), request.host)
    with contextlib.suppress(AskfirstError):
        async for progress in world.hosts.restart(host, text, via):
            said.append(progress)  # noqa: PERF401 - what came before the line broke counts
    return said


async def _run(world: World, request: Request, said: list[Progress]) -> Request:
    """Write how a run ended."""
    match said:
        case [*_, Exited(status)]:
            return await execute.ended(world, request, status, "streamed", b"")
    return await execute.lose(world, request, "The line was lost.")
