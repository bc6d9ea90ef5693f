"""The worker: looks for requests whose state wants a step, and takes that step, one task a request.

It holds no queue and decides nothing: the store's states are the queue, and each step is a function of the flow. Any
number of workers may serve one store: each step is taken under a lease, which spares the others the same work, and
without which nothing of it can be written. A worker that dies loses nothing: its leases run out, and the next one reads
the same states. Keeps law 12 for such a death: a run whose lease can be had is followed by nobody, and is lost.
What is over is so by the database's clock, which all workers share; a worker's own only says how long it pauses.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import structlog

from app.core.errors import AskfirstError, Conflict
from app.core.lifecycle import ENDED, RESTING, WANTING_WORK, Request, State
from app.flow import ask, by_hand, execute, settle, watch
from app.flow.ports import World
from app.flow.recheck import recheck
from app.flow.reconcile import reconcile
from app.flow.sweep import Sweep
from app.store import leases, requests
from app.store.leases import Lease
from app.store.requests import Alive

POLL_SECONDS = 1.0
RECHECK_SECONDS = 30.0
# What a step did not bring on is tried again after one second, then two, then four, then every five.
_LONGEST_PAUSE = 5.0
# No proof takes as long; what keeps failing until then is not asked for ever.
OPEN_SECONDS = 900.0
_LOG = structlog.get_logger("askfirst.worker")


@dataclass(slots=True)
class Pause:
    """Until when a request is left alone, as long as it stands at this version, and how often it was tried there."""

    version: int
    since: float
    until: float
    tries: int = 1

    def holds(self, now: float) -> bool:
        """Whether it is not over. One that began later than now is from before the clock was set back."""
        return self.since <= now < self.until


class Worker:
    """One worker over one store. ``run`` returns once it is stopped and has ended its steps, or is cancelled."""

    def __init__(self, world: World) -> None:
        """Start with nothing under way."""
        self._world = world
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._leases: dict[str, Lease] = {}
        self._pauses: dict[str, Pause] = {}
        self._kept: set[str] = set()
        self._is_stopping = False

    async def run(self) -> None:
        """Take steps until stopped or cancelled; a step that is cut off leaves its request to the next worker."""
        beside = [asyncio.create_task(Sweep(self._world).run()), asyncio.create_task(self._keep_renewing())]
        try:
            with self._logged("adopt"):
                await self.adopt()
            with self._world.news.listen("work") as next_work:
                while not self._is_stopping:
                    await self._tick()
                    await next_work(POLL_SECONDS)
            beside[0].cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        finally:
            ending = [*beside, *self._tasks.values()]
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)

    def stop(self) -> None:
        """Begin nothing new: ``run`` returns once the steps under way have ended."""
        self._is_stopping = True
        self._world.news.tell("work")

    async def adopt(self) -> None:
        """Keep the connections to the hosts on which a request waits, so that a click needs no new one."""
        for each in await requests.alive(self._world.db, self._world.clock.now()):
            if each.state in RESTING:
                self._world.hosts.keep(each.host)
                self._kept.add(each.host)

    async def once(self) -> None:
        """Begin every step that is wanted now, and wait until all have been taken."""
        await self._tick()
        await asyncio.gather(*self._tasks.values())

    async def renew(self) -> None:
        """Make what is held last longer, and end the steps whose lease is lost: nothing of theirs would be taken."""
        world = self._world
        held = list(self._leases.values())
        lost = await leases.renew(world.db, held, now=world.clock.now(), seconds=world.limits.lease_seconds)
        for lease in lost:
            if self._leases.get(lease.subject) == lease:
                _LOG.warning("a lease ran out in the middle of a step", what=lease.subject)
                self._tasks[lease.subject].cancel()

    async def _keep_renewing(self) -> None:
        while True:
            await asyncio.sleep(self._world.limits.lease_seconds / 3)
            with self._logged("renew"):
                await self.renew()

    async def _tick(self) -> None:
        """Begin a step for every request that wants one and that nobody has under way."""
        world, limits = self._world, self._world.limits
        with self._logged("tick"):
            now = world.clock.now()
            alive = await requests.alive(world.db, now)
            await self._let_go(alive)
            due = [each for each in self._due(alive, now) if each not in self._tasks]
            if not due:
                return
            held = await leases.held(world.db, now)
            free = [each for each in due if each not in held][: max(0, limits.steps_at_once - len(self._tasks))]
            for lease in await leases.take(world.db, free, world.worker, now=now, seconds=limits.lease_seconds):
                if self._is_stopping:
                    await leases.give_back(world.db, lease)
                else:
                    self._begin(lease)

    def _due(self, alive: Iterable[Alive], now: float) -> list[str]:
        """List what wants a step now: what has run out first, then what wants work, then what is to be seen again."""
        order: tuple[list[str], list[str], list[str]] = ([], [], [])
        for each in alive:
            if each.state in RESTING and each.not_after <= each.seen_at:
                order[0].append(each.id)
            elif each.state is State.WAITING:
                pause = self._pauses.setdefault(each.id, Pause(each.version, now, now + RECHECK_SECONDS))
                if not pause.holds(now):
                    order[2].append(each.id)
            elif not self._is_paused(each, now):
                order[1].append(each.id)
        return [*order[0], *order[1], *order[2]]

    def _is_paused(self, each: Alive, now: float) -> bool:
        pause = self._pauses.get(each.id)
        return pause is not None and pause.version == each.version and pause.holds(now)

    def _begin(self, lease: Lease) -> None:
        self._leases[lease.subject] = lease
        task = asyncio.create_task(self._work(lease), name=lease.subject)
        self._tasks[lease.subject] = task
        task.add_done_callback(lambda _: self._over(lease))

    def _over(self, lease: Lease) -> None:
        self._tasks.pop(lease.subject, None)
        self._leases.pop(lease.subject, None)

    async def _work(self, lease: Lease) -> None:
        """Take the steps that one request wants, under its lease, and give that back."""
        world = replace(self._world, db=leases.fenced(self._world.db, lease, self._world.clock.now))
        is_over = False
        try:
            with self._logged(lease.subject):
                is_over = await self._steps(world, lease.subject)
        finally:
            with self._logged(lease.subject):
                await leases.give_back(self._world.db, lease)
        if is_over:
            with self._logged(lease.subject):
                await self._let_go(await requests.alive(self._world.db, self._world.clock.now()))

    async def _steps(self, world: World, request_id: str) -> bool:
        """Take steps for as long as each brings the request on; say whether it has ended."""
        request = await requests.load(world.db, request_id)
        self._kept.add(request.host)
        try:
            while request.state in WANTING_WORK or request.state is State.WAITING:
                before, request = request, await self._step(world, request)
                if request.state is before.state or (self._is_stopping and request.state is State.APPROVED):
                    break
        finally:
            self._rest(request)
        return request.state in ENDED

    async def _step(self, world: World, request: Request) -> Request:
        """Take the one step that a state wants."""
        match request.state:
            case State.OPEN | State.WAITING if await _is_over(world, request):
                return await watch.expire(world, request)
            case State.OPEN:
                return await ask.prove(world, request)
            case State.WAITING:
                return await recheck(world, request, unless_seen_in=RECHECK_SECONDS)
            case State.APPROVED:
                return await execute.execute(world, request)
            case State.RUNNING if not request.is_by_hand:
                return await execute.lose(world, request, "The worker that followed this run is gone.")
            case State.RUNNING if by_hand.is_overdue(request, await world.time(), world.limits.by_hand_seconds):
                return await by_hand.end_wait(world, request)
            case State.UNKNOWN:
                return await reconcile(world, request)
            case State.SETTLING:
                return await settle.settle(world, request)
        return request

    def _rest(self, request: Request) -> None:
        """Note when to look at a request again, where nothing happens to it until then."""
        now, before = self._world.clock.now(), self._pauses.get(request.id)
        tries = before.tries + 1 if before is not None and before.version == request.version else 1
        until = now + min(POLL_SECONDS * 2 ** min(tries - 1, 8), _LONGEST_PAUSE)
        if request.state is State.WAITING:
            until = now + RECHECK_SECONDS
        elif request.is_by_hand and request.state is State.RUNNING:
            until = max(until, min(request.by_hand_until, now + RECHECK_SECONDS))
        self._pauses[request.id] = Pause(request.version, now, until, tries)

    async def _let_go(self, alive: Iterable[Alive]) -> None:
        """Forget what has ended, by whomever, and let the connections go that nothing needs any more."""
        world, rows = self._world, list(alive)
        if ended := self._pauses.keys() - {each.id for each in rows}:
            for request_id in ended:
                del self._pauses[request_id]
            await leases.forget(world.db, ended)
        if unused := self._kept - {each.host for each in rows}:
            self._kept -= unused
            for host in unused:
                world.hosts.release(host)

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


async def _is_over(world: World, request: Request) -> bool:
    """Whether the time in which it could be proved, or decided on, has run out."""
    until = request.asked_at + OPEN_SECONDS if request.state is State.OPEN else request.not_after
    return until <= await world.time()
