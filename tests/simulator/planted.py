"""Four bugs that are planted on purpose, each as another worker or another port in place of the real one.

Nothing of Askfirst is patched: a world is built with these instead, as ``main`` builds it with the real ones.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from app.core.errors import AskfirstError, Conflict, Lost
from app.core.events import RunStarted
from app.core.lifecycle import ENDED, Request, State
from app.core.run import Exited, Progress, Spool, SpoolState
from app.core.service import Host
from app.flow import envelope, execute
from app.flow.ids import stamp
from app.flow.ports import World
from app.flow.prove import place
from app.flow.worker import Worker
from app.store import requests, services
from app.store.leases import Lease
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
