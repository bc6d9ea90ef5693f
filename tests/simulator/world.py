"""One simulated world: a database server, a host, some replicas, and what befalls them.

It starts and ends processes and hosts; what people do there is in ``people``, and one whole run in ``run``.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from app.core.errors import AskfirstError
from app.core.lifecycle import ENDED
from app.flow.limits import Probes
from app.flow.ports import Limits, News
from app.flow.ports import World as Flow
from app.flow.replica import DRAIN_SECONDS
from app.flow.sweep import Sweep
from app.flow.worker import Worker
from app.store import leases
from tests.fakes.hosts import FakeHosts
from tests.simulator.clock import SimulatedClock
from tests.simulator.driver import Server
from tests.simulator.faults import OF_A_PROCESS, Chances, Fault, Record
from tests.simulator.hosts import Line, SimulatedHosts, WatchedHost
from tests.simulator.loop import Life, Loop, Process
from tests.simulator.model import SETUP, Model
from tests.simulator.standing import LEASE_SECONDS, Standing
from tests.simulator.store import SERVERS, database
from tests.simulator.template import START, build

T = TypeVar("T")
_LIMITS = Limits(
    settle_timeout_seconds=20.0,
    run_timeout_seconds=30.0,
    by_hand_seconds=20.0,
    lease_seconds=LEASE_SECONDS,
    probe_timeout_seconds=5.0,
)


@dataclass(frozen=True, slots=True)
class Planted:
    """What a world is built with instead of the real thing, to see that the simulator would find it wrong."""

    worker: type[Worker] = Worker
    hosts: type[SimulatedHosts] = SimulatedHosts
    sweep: type[Sweep] = Sweep


@dataclass(eq=False, repr=False)
class Replica:
    """One process of Askfirst: a worker, a sweep beside it, and the world that people reach through it."""

    process: Process
    clock: SimulatedClock
    world: Flow
    worker: Worker
    turns: Probes = field(default_factory=Probes)
    is_draining: bool = False

    @property
    def is_up(self) -> bool:
        return self.process.life is Life.RUNS


@dataclass(eq=False, repr=False)
class Stage:
    """The world. ``services`` are those that somebody asks for; without ``sweep_seconds`` nobody sweeps.

    ``replicas`` are those that were started, dead ones too.
    """

    chance: Random
    record: Record
    file: Path
    is_served: bool
    planted: Planted
    services: tuple[str, ...] = ("pypnm-gui",)
    sweep_seconds: float = 0.0
    chances: Chances = field(init=False)
    loop: Loop = field(init=False)
    server: Server = field(init=False)
    model: Model = field(init=False)
    hosts: FakeHosts = field(init=False)
    line: Line = field(init=False)
    alpha: WatchedHost = field(init=False)
    replicas: list[Replica] = field(default_factory=list)
    _started: int = 0

    def __post_init__(self) -> None:
        self.loop = Loop(self.chance, self._strike)  # type: ignore[abstract]  # it needs no sockets
        self.record.now = self.loop.time
        self.chances = Chances(self.chance, self.record, is_served=self.is_served)
        self.server = SERVERS[0] = Server(self.loop, self.chances, self.file, self.is_served, START, self._committed)
        standing = Standing(self.server.raw(is_reader=True), self.server.now, self.is_served)
        self.model = Model(standing.raw, self.record, standing)
        self.model.committed(SETUP)
        clock = SimulatedClock(self.loop, START)
        self.hosts = FakeHosts(clock)
        self.alpha = build(self.hosts, WatchedHost("alpha", clock))
        self.alpha.model = self.model
        self.line = Line(self.loop, self.chances, self.model, self.hosts)

    # Processes.

    def start(self) -> Replica:
        """Start a replica."""
        self._started += 1
        name = f"w{self._started}"
        process = self.loop.process(name)
        process.fuse = self.chances.turns_until(*OF_A_PROCESS)
        clock = self.model.standing.clocks[name] = SimulatedClock(self.loop, START)
        db = database(self.model, is_served=self.is_served)
        world = Flow(db, self.planted.hosts(self.line, clock), clock, News(), limits=_LIMITS, worker=name)
        replica = Replica(process, clock, world, self.planted.worker(world))
        self.replicas.append(replica)
        self.record.note(name, "starts")
        self.loop.start(process, self._serve(replica), name="worker")
        return replica

    async def _serve(self, replica: Replica) -> None:
        """Work as a replica does; a start that fails is tried again by whoever starts processes."""
        try:
            if not self.is_served:
                await leases.clear(replica.world.db)
        except AskfirstError:
            self.kill(replica)
            return
        if self.sweep_seconds:
            self.loop.start(replica.process, self._sweep(replica), name="sweep")
        try:
            await replica.worker.run()
        except Exception as error:  # noqa: BLE001 - whatever it is, a worker must not end by itself
            self.record.breaks("a worker goes on", f"{type(error).__name__}: {error}")
        if not replica.process.is_dead and not replica.is_draining:
            self.record.breaks("a worker goes on", "it ended")

    async def _sweep(self, replica: Replica) -> None:
        """Sweep beside the worker, by the turns of the people who look through this process."""
        limits = replace(replica.world.limits, sweep_every_seconds=self.sweep_seconds)
        await self.planted.sweep(replace(replica.world, limits=limits), replica.turns).run()

    def up(self) -> list[Replica]:
        return [each for each in self.replicas if each.is_up]

    def kill(self, replica: Replica, fault: Fault = Fault.KILL) -> None:
        """End a process at once: none of its code runs any more."""
        self.record.fault(fault, replica.process.name)
        replica.process.life = Life.KILLED
        self.server.forget(replica.process)
        self.loop.call_later(self.chance.uniform(0.2, 8.0), self._replace, context=self.server.here)

    def stop(self, replica: Replica) -> None:
        """Let a process stand still for a while."""
        self.record.fault(Fault.STOP, replica.process.name)
        replica.process.life = Life.STOPPED
        self.loop.call_later(self.chance.uniform(0.5, 25.0), self._go_on, replica, context=self.server.here)

    def drain(self, replica: Replica) -> None:
        """End a process politely, as SIGTERM does; it is killed where it takes too long."""
        self.record.fault(Fault.DRAIN, replica.process.name)
        replica.is_draining = True
        self.loop.start(replica.process, self._drain(replica), name="drain")

    async def _drain(self, replica: Replica) -> None:
        """Begin nothing new, let the steps under way end for a while, cut off the rest, and be gone."""
        replica.worker.stop()
        working = {each for each in replica.process.tasks if each.get_name() in {"worker", "sweep"}}
        for each in working:
            if each.get_name() == "sweep":
                each.cancel()
        await asyncio.wait(working, timeout=DRAIN_SECONDS)
        for each in working:
            each.cancel()
        await asyncio.wait(working)
        replica.process.life = Life.KILLED
        self.server.forget(replica.process)
        self._replace()

    def _replace(self) -> None:
        if not self.loop.is_over:
            self.start()

    def _go_on(self, replica: Replica) -> None:
        if replica.process.life is Life.STOPPED:
            replica.process.life = Life.RUNS
            replica.process.fuse = self.chances.turns_until(*OF_A_PROCESS)

    def _strike(self, process: Process) -> None:
        """Strike a process in the middle of what it does."""
        replica = next(each for each in self.replicas if each.process is process)
        if self.chances.is_over:
            return
        match self.chances.one_of(*OF_A_PROCESS):
            case Fault.KILL:
                self.kill(replica)
            case Fault.STOP:
                self.stop(replica)
            case Fault.DRAIN:
                self.drain(replica)

    # The rest of the world.

    def befall(self) -> None:
        """Let something happen to the world, or nothing."""
        at_a_moment = (Fault.AWAY, Fault.DOWN, Fault.REBOOT, Fault.REPLACED, Fault.CLOCK)
        for fault in at_a_moment:
            if self.chances.strikes(fault, "world"):
                self._befall(fault)

    def _befall(self, fault: Fault) -> None:
        seconds = self.chance.uniform(0.5, 12.0)
        match fault:
            case Fault.AWAY:
                self.server.go_away()
                self.loop.call_later(seconds, self.server.come_back, context=self.server.here)
            case Fault.DOWN:
                self.hosts.down.add("alpha")
                self.loop.call_later(seconds, self.hosts.down.discard, "alpha", context=self.server.here)
            case Fault.REBOOT:
                self.alpha.reboot()
            case Fault.REPLACED:
                self._another(self.chance.choice(self.services))
            case Fault.CLOCK:
                self._jump()

    def _another(self, service: str) -> None:
        """Put another process in the place of a service's."""
        if service == "tftp":
            self.alpha.stop_by_hand()
            self.alpha.start_by_hand()
        else:
            self.alpha.replace(f"lab:{service}")

    def _jump(self) -> None:
        if up := self.up():
            clock = self.chance.choice(up).clock
            clock.set(clock.off + self.chance.choice((-3600.0, -120.0, -5.0, 5.0, 120.0, 3600.0)))

    async def chaos(self) -> None:
        """Let things happen until the world is healed."""
        while not self.chances.is_over:
            await asyncio.sleep(self.chance.uniform(0.0, 2.0))
            self.befall()

    def frozen(self) -> list[str]:
        """Return the scopes that are frozen."""
        return [scope for (scope,) in self.model.raw.execute("SELECT scope FROM freezes ORDER BY scope").fetchall()]

    def is_at_rest(self) -> bool:
        """Whether every request has ended."""
        return all(each.request.state in ENDED for each in self.model.told.values())

    def heal(self) -> None:
        """End all faults: what is broken is mended, and what is dead is replaced."""
        self.record.note("world", "heals")
        self.chances.is_over = True
        self.server.come_back()
        self.hosts.down.clear()
        for replica in self.replicas:
            replica.clock.set(0.0)
            self._go_on(replica)
            replica.process.fuse = -1
        if not self.up():
            self.start()

    def in_the_world(self, name: str, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run something that no fault befalls, to its end."""
        return self.loop.run(self.loop.process(name), coroutine)

    def close(self) -> None:
        """Let go of everything; what falls down then says nothing."""
        self.record.is_closed = True
        self.loop.bury(self.server.hang_up)
        self.server.close()
        self.model.raw.close()

    def _committed(self, who: str) -> None:
        self.model.committed(who)
