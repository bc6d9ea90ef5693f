"""The worker: looks for requests whose state wants a step, and takes that step, one task a request.

It holds no queue and decides nothing: the store's states are the queue, and each step is a function of the flow. A
worker that dies loses nothing; the next one reads the same states. Keeps law 12 for its own death: a run that nobody
follows is lost.
"""

import asyncio
import contextlib
from collections.abc import Iterator

import structlog

from app.core.errors import AskfirstError, Conflict
from app.core.lifecycle import WANTING_WORK, Request, State
from app.flow import ask, by_hand, execute, settle, watch
from app.flow.ports import World
from app.flow.recheck import recheck
from app.flow.sweep import Sweep
from app.store import requests, services

POLL_SECONDS = 1.0
RECHECK_SECONDS = 30.0
# No proof takes as long; what keeps failing until then is not asked for ever.
OPEN_SECONDS = 900.0
_LOG = structlog.get_logger("askfirst.worker")


class Worker:
    """One worker over one store. ``run`` returns when it is cancelled; runs that it follows become ``unknown``."""

    def __init__(self, world: World) -> None:
        """Start with nothing under way."""
        self._world = world
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._not_before: dict[str, float] = {}
        self._recheck_at: dict[str, float] = {}
        self._orphans: set[str] = set()

    async def run(self) -> None:
        """Take steps until cancelled."""
        sweeping = asyncio.create_task(Sweep(self._world).run(), name="sweep")
        try:
            await self.adopt()
            with self._world.news.listen("work") as next_work:
                while True:
                    await self._tick()
                    await next_work(POLL_SECONDS)
        finally:
            ending = [sweeping, *self._tasks.values()]
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)

    async def adopt(self) -> None:
        """Take over what an earlier worker left: its runs, which nobody follows, and connections worth keeping.

        Only one process serves a store, so that a run which is under way before this worker begins has lost its own.
        """
        self._orphans = set(await requests.wanting(self._world.db, {State.RUNNING}))
        registry = await services.registry(self._world.db)
        for request_id in await requests.wanting(self._world.db, {State.WAITING, State.APPROVED}):
            host = registry.host((await requests.load(self._world.db, request_id)).host)
            if host is not None:
                self._world.hosts.keep(host)

    async def once(self) -> None:
        """Begin every step that is wanted now, and wait until all have been taken."""
        await self._tick()
        await asyncio.gather(*self._tasks.values())

    async def _tick(self) -> None:
        """Begin a step for every request that wants one and has none under way."""
        world = self._world
        now = world.clock.now()
        with self._logged("tick"):
            for request_id in await requests.expired(world.db, now):
                self._begin(request_id, 0.0)
            for request_id in await requests.wanting(world.db, WANTING_WORK):
                self._begin(request_id, self._not_before.get(request_id, 0.0))
            for request_id in await requests.wanting(world.db, {State.WAITING}):
                self._begin(request_id, self._recheck_at.setdefault(request_id, now + RECHECK_SECONDS))

    def _begin(self, request_id: str, not_before: float) -> None:
        if request_id not in self._tasks and self._world.clock.now() >= not_before:
            task = asyncio.create_task(self._work(request_id), name=request_id)
            self._tasks[request_id] = task
            task.add_done_callback(lambda _: self._tasks.pop(request_id, None))

    async def _work(self, request_id: str) -> None:
        """Take steps with one request for as long as each brings it on."""
        with self._logged(request_id):
            request = await requests.load(self._world.db, request_id)
            while True:
                after = await self._step(request)
                if after.state is request.state or after.state not in WANTING_WORK:
                    break
                request = after
            await self._rest(after)

    async def _step(self, request: Request) -> Request:
        """Take the one step that a state wants."""
        world = self._world
        match request.state:
            case State.OPEN if request.asked_at + OPEN_SECONDS <= world.clock.now():
                return await watch.expire(world, request)
            case State.OPEN:
                return await ask.prove(world, request)
            case State.WAITING if request.not_after <= world.clock.now():
                return await watch.expire(world, request)
            case State.WAITING:
                return await recheck(world, request, unless_seen_in=RECHECK_SECONDS)
            case State.APPROVED:
                return await execute.execute(world, request)
            case State.RUNNING if by_hand.is_overdue(request, world.clock.now(), world.limits.by_hand_seconds):
                return await by_hand.end_wait(world, request)
            case State.RUNNING if self._is_forsaken(request):
                return await settle.lose(world, request, "The worker that followed this run is gone.")
            case State.UNKNOWN:
                return await settle.reconcile(world, request)
            case State.SETTLING:
                return await settle.settle(world, request)
        return request

    async def _rest(self, request: Request) -> None:
        """Note when to look at a request again, and let its host's connection go where nothing needs it."""
        now = self._world.clock.now()
        self._recheck_at[request.id] = now + RECHECK_SECONDS
        self._not_before[request.id] = now + POLL_SECONDS
        if request.state is State.WAITING:
            self._not_before.pop(request.id)  # a yes is acted on at once
        if request.state in WANTING_WORK or request.state is State.WAITING:
            return
        self._not_before.pop(request.id, None)
        self._recheck_at.pop(request.id, None)
        self._orphans.discard(request.id)
        if not await requests.alive_on(self._world.db, request.host):
            host = (await services.registry(self._world.db)).host(request.host)
            if host is not None:
                self._world.hosts.release(host)

    def _is_forsaken(self, request: Request) -> bool:
        """Whether nobody follows a run: it is older than this worker, or this worker's own step has failed."""
        if request.is_by_hand:
            return False
        return request.id in self._orphans or request.worker == self._world.worker

    @contextlib.contextmanager
    def _logged(self, what: str) -> Iterator[None]:
        """Write a failed step to the log and go on: the request's state is as it was, and the step comes again."""
        try:
            yield
        except Conflict:
            _LOG.info("somebody else was first", what=what)
        except AskfirstError as error:
            _LOG.warning(error.message, what=what, code=error.code, next=error.next_step)
        except Exception:  # noqa: BLE001 - one broken request must not stop the others
            _LOG.exception("a step failed", what=what)
