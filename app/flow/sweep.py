"""The sweep: every host is looked at once in each interval, for all its services in one probe, without anybody asking.

It asks nobody, changes nothing on a host (law 2) and decides nothing: when a host is due says ``core.cadence``, what a
look means says ``prove.remember``, as for any other look. So that it is in nobody's way:

- a person who wants to look at a host comes first: the sweep there ends at once and comes again later;
- a service that is being proved, restarted or settled for a request is left to that request;
- a host is never swept twice at a time, by however many workers, and only so many hosts are at once; those that gave no
  answer the last time take half of these places at most, so that a site which is down does not hold up the others;
- each host has a time of its own to answer in. One that takes longer is left, and tried again after half an interval.

The store holds when each host was last swept, written when its sweep has ended: whoever starts anew goes on from there.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from app.core import cadence
from app.core.errors import AskfirstError
from app.core.registry import Registry
from app.core.verdict import Code
from app.flow.limits import Probes, probes
from app.flow.ports import Limits, World
from app.flow.prove import Look, look_at, remember
from app.store import leases, requests, services, sweeps
from app.store.sweeps import Swept

_SHORTEST_WAIT, _LONGEST_WAIT = 0.2, 5.0
# A host that was left to somebody else is tried again then.
_GAVE_WAY_SECONDS = 15.0
# Above the probe's own time: its checks. What takes longer hangs somewhere that no timeout of its own reaches.
_CHECKS_SECONDS = 40.0
# What keeping it may take. The lease of a sweep is not renewed.
_SLACK_SECONDS = 30.0
_LOG = structlog.get_logger("askfirst.sweep")


@dataclass(frozen=True, slots=True)
class Due:
    """A host that is to be swept, since when, and its last sweep."""

    host: str
    at: float
    last: Swept | None

    @property
    def is_doubtful(self) -> bool:
        """Whether it gave no answer the last time."""
        return self.last is not None and self.last.misses > 0


class Sweep:
    """One worker's sweeping over one store. ``run`` returns when it is cancelled; a sweep cut off so comes again."""

    def __init__(self, world: World, turns: Probes = probes) -> None:
        """Start with nothing under way. ``turns`` are those of the people who look at hosts by this process."""
        self._world = world
        self._turns = turns
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._doubtful: set[str] = set()
        self._not_before: dict[str, float] = {}
        self._began_at = 0.0

    async def run(self) -> None:
        """Sweep until cancelled; at once over where the interval is 0."""
        if not self._world.limits.sweep_every_seconds:
            return
        try:
            while True:
                seconds = await self._safely()
                await asyncio.sleep(seconds)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def tick(self) -> float:
        """Begin the sweeps that are due and have a place; return in how many seconds to look again."""
        world, now = self._world, self._world.clock.now()
        registry = await services.registry(world.db)
        due = await self._due(registry, now)
        gap = cadence.gap(len(registry.hosts), world.limits.sweep_every_seconds)
        for each in due:
            wait = self._began_at + gap - now
            if 0.0 < wait <= gap:  # more than that is a clock that was set back
                return min(wait, _LONGEST_WAIT)
            if self._has_place(each):
                self._begin(registry, each)
        return max(_SHORTEST_WAIT, min(gap, _LONGEST_WAIT))

    async def rest(self) -> None:
        """Wait until all that are under way have ended."""
        await asyncio.gather(*self._tasks.values())

    async def _safely(self) -> float:
        try:
            return await self.tick()
        except AskfirstError as error:
            _LOG.warning(error.message, code=error.code, next=error.next_step)
        except Exception:  # noqa: BLE001 - a fault here must not end all sweeping
            _LOG.exception("the sweep failed")
        return _LONGEST_WAIT

    async def _due(self, registry: Registry, now: float) -> list[Due]:
        """List the hosts that are due and free: those that answered the last time first, then who waits longest."""
        world, every = self._world, self._world.limits.sweep_every_seconds
        known = await sweeps.every(world.db)
        found = []
        for host in {service.host for service in registry.services}:
            last = known.get(host)
            misses = last.misses if last else 0
            at = cadence.due_at(host, last.at if last else None, every, now, misses=misses)
            if at <= now and host not in self._tasks and not self._is_put_off(host, now):
                found.append(Due(host, at, last))
        return sorted(found, key=lambda each: (each.is_doubtful, each.at, cadence.place(each.host, every)))

    def _has_place(self, due: Due) -> bool:
        most = self._world.limits.sweep_hosts_at_once
        if due.is_doubtful and len(self._doubtful) >= max(1, most // 2):
            return False
        return len(self._tasks) < most

    def _begin(self, registry: Registry, due: Due) -> None:
        self._began_at = self._world.clock.now()
        if due.is_doubtful:
            self._doubtful.add(due.host)
        task = asyncio.create_task(self._sweep(registry, due), name=due.host)
        self._tasks[due.host] = task
        task.add_done_callback(lambda _: self._over(due.host))

    def _over(self, host: str) -> None:
        self._tasks.pop(host, None)
        self._doubtful.discard(host)

    def _is_put_off(self, host: str, now: float) -> bool:
        """Whether a host is to be left alone for a moment; a time further off is from before the clock was set back."""
        return now < self._not_before.get(host, 0.0) <= now + self._world.limits.sweep_every_seconds

    async def _sweep(self, registry: Registry, due: Due) -> None:
        """Look at one host, keep what was seen, and note that it was swept."""
        host, put_off = due.host, _GAVE_WAY_SECONDS
        try:
            if await self._in_turn(registry, due):
                put_off = 0.0
        except AskfirstError as error:
            _LOG.warning(error.message, host=host, code=error.code, next=error.next_step)
        except TimeoutError:
            put_off = self._world.limits.sweep_every_seconds / 2
            _LOG.warning("a sweep took too long: nothing of it was kept", host=host, again_in=put_off)
        except Exception:  # noqa: BLE001 - one broken host must not stop the others
            put_off = self._world.limits.sweep_every_seconds / 2
            _LOG.exception("a sweep failed", host=host)
        self._not_before[host] = self._world.clock.now() + put_off

    async def _in_turn(self, registry: Registry, due: Due) -> bool:
        """Sweep a host unless another worker does, or a person wants to look; say whether it was swept, by whomever."""
        db, now, host = self._world.db, self._world.clock.now, due.host
        seconds = lease_seconds(self._world.limits)
        got = await leases.take(db, [f"sweep {host}"], self._world.worker, now=now(), seconds=seconds)
        if not got:
            return False
        try:
            if (await sweeps.every(db)).get(host) != due.last:
                return True
            world = replace(self._world, db=leases.fenced(db, got[0], now))
            looks = await self._turns.between(host, lambda: self._look(world, registry, host))
            if looks:
                await asyncio.gather(*(remember(world, each) for each in looks))
                await sweeps.note(world.db, host, self._swept(due, looks))
            return bool(looks)
        finally:
            await leases.give_back(db, got[0])

    async def _look(self, world: World, registry: Registry, host: str) -> list[Look]:
        """Look at every service of a host that nothing is being done with."""
        taken = await requests.under_way(world.db, host)
        free = [each for each in registry.services_on(host) if each.name not in taken]
        async with asyncio.timeout(world.limits.probe_timeout_seconds + _CHECKS_SECONDS):
            return await look_at(world, registry, free)

    def _swept(self, due: Due, looks: Sequence[Look]) -> Swept:
        misses = due.last.misses if due.last else 0
        is_miss = any(each.verdict.code is Code.UNREACHABLE for each in looks)
        verdicts = Counter(str(each.verdict.code) for each in looks)
        late = round(self._world.clock.now() - due.at, 1) if due.at else None  # a first sweep is never late
        _LOG.info("swept", host=due.host, late=late, **verdicts)
        return Swept(self._world.clock.now(), misses + 1 if is_miss else 0)


def lease_seconds(limits: Limits) -> float:
    """Return for how long a host is taken: as long as a sweep of it may last."""
    return max(limits.lease_seconds, limits.probe_timeout_seconds + _CHECKS_SECONDS + _SLACK_SECONDS)
