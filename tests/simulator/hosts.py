"""The simulated hosts: the little world of ``tests/fakes``, behind a line that delays, breaks, and delivers twice.

What a process asks of a host is a message. It arrives whether or not the process still lives, and what the host does
goes on whether or not anybody hears of it. Raises what the port may raise, and only when the port may.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from app.core.errors import AskfirstError, Lost, Unreachable
from app.core.facts import Facts
from app.core.run import Checked, Differs, Progress, Refusal, Spool
from app.core.service import Check, Host, Service
from tests.fakes.host import FakeHost, Run
from tests.fakes.hosts import FakeHosts
from tests.simulator.clock import SimulatedClock
from tests.simulator.faults import OF_A_PROCESS, Chances, Fault
from tests.simulator.loop import PROCESS, Life, Loop, Process
from tests.simulator.model import Model

T = TypeVar("T")
_TIMEOUT_SECONDS = 20.0


BY_HAND_PORT, BY_HAND_PATH = 6069, "/srv/tftp"
SERVICES = {5050: "pypnm-gui", 8000: "pypnm-api", BY_HAND_PORT: "tftp"}
"""The services of the host, by their ports."""


class WatchedHost(FakeHost):
    """A host whose every effect is told to the model. What a person starts there starts at each boot too."""

    model: Model | None = None
    has_by_hand = False

    def start_by_hand(self) -> None:
        """Start what a person starts, unless it runs."""
        self.has_by_hand = True
        if self.holder(BY_HAND_PORT) is None:
            self.by_hand(BY_HAND_PORT, path=BY_HAND_PATH)

    def stop_by_hand(self) -> None:
        """Stop what a person has started."""
        if process := self.holder(BY_HAND_PORT):
            self.kill(process.pid)

    def reboot(self) -> None:
        if self.model is not None:
            self.model.standing.running.clear()
        FakeHost.reboot(self)
        if self.has_by_hand:
            self.start_by_hand()

    def kill(self, pid: int) -> None:
        self._changes(self.processes[pid].ports, runs=False)
        FakeHost.kill(self, pid)

    def _spawn(self, ppid: int, user: str, argv: tuple[str, ...], cwd: str, ports: tuple[int, ...]) -> int:
        self._changes(ports, runs=True)
        return super()._spawn(ppid, user, argv, cwd, ports)

    def _changes(self, ports: tuple[int, ...], *, runs: bool) -> None:
        if self.model is not None:
            for port in ports:
                self.model.standing.changed(SERVICES[port], runs=runs)

    def spend(self, text: str) -> Run | Differs | Refusal:
        answer = FakeHost.spend(self, text)
        if isinstance(answer, Run) and self.model is not None:
            self.model.runs(text)
        return answer


@dataclass(eq=False, repr=False)
class Line:
    """All that processes ask of the hosts. ``far`` is the process that stands for the hosts."""

    loop: Loop
    chances: Chances
    model: Model
    there: FakeHosts
    far: Process = field(init=False)

    def __post_init__(self) -> None:
        self.far = self.loop.process("hosts")

    async def talk(self, what: str, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Ask a host for one answer."""
        me = _living()
        await asyncio.sleep(self.chances.moment())
        if self.chances.strikes(Fault.SSH_BEFORE, me.name, what):
            raise self._unanswered()
        task = self.loop.start(self.far, self._there(what, me, ask), name=what)
        answer: T | AskfirstError = await _patient(self.loop, task)
        if self.chances.strikes(Fault.SSH_ANSWER, me.name, what):
            raise self._unanswered()
        await asyncio.sleep(self.chances.moment())
        if isinstance(answer, AskfirstError):
            self._unanswered()
            raise answer
        return answer

    def _unanswered(self) -> Unreachable:
        self.model.standing.unanswered = self.model.standing.moment
        return _away()

    async def _there(self, what: str, who: Process, ask: Callable[[], Coroutine[Any, Any, T]]) -> T | AskfirstError:
        self.chances.record.note(who.name, f"> {what}")
        try:
            return await ask()
        except AskfirstError as error:
            return error

    async def run(self, host: Host, warrant: str, via: Sequence[Host], serial: int) -> AsyncIterator[Progress]:
        """Send a warrant, and hear how it goes."""
        me = _living()
        self.chances.record.note(me.name, "> restart")
        self.model.sends(warrant, serial, me.name, is_certified=host.certificates)
        self.chances.aim(me, *OF_A_PROCESS)
        await asyncio.sleep(self.chances.moment())
        if host.name in self.there.down or self.chances.strikes(Fault.SSH_BEFORE, me.name, "restart"):
            raise _away()
        is_sent = self.chances.strikes(Fault.SSH_SENT, me.name, "restart")
        is_late = is_sent and self.chances.strikes(Fault.LATE, me.name)
        if is_sent and not is_late:
            raise _lost()
        heard: asyncio.Queue[Progress | AskfirstError | None] = asyncio.Queue()
        self.loop.start(self.far, self._run_there(host, warrant, via, heard, is_late=is_late), name="restart")
        if is_late:
            raise _lost()
        while (progress := await heard.get()) is not None:
            if isinstance(progress, AskfirstError):
                raise progress
            if self.chances.strikes(Fault.SSH_MIDDLE, me.name, type(progress).__name__):
                raise _lost()
            yield progress
            await asyncio.sleep(self.chances.moment())

    async def _run_there(
        self,
        host: Host,
        warrant: str,
        via: Sequence[Host],
        heard: "asyncio.Queue[Progress | AskfirstError | None]",
        *,
        is_late: bool,
    ) -> None:
        await asyncio.sleep(self.chances.chance.uniform(0.0, 20.0) if is_late else self.chances.moment())
        if self.chances.strikes(Fault.TWICE, host.name):
            self.loop.start(self.far, self._again(host, warrant), name="restart again")
        try:
            async for progress in self.there.restart(host, warrant, via):
                self.chances.record.note(host.name, type(progress).__name__)
                heard.put_nowait(progress)
        except Unreachable:
            heard.put_nowait(_lost())  # it went down when the bytes were on their way: nobody can tell any more
        except AskfirstError as error:
            heard.put_nowait(error)
        heard.put_nowait(None)

    async def _again(self, host: Host, warrant: str) -> None:
        """Deliver the same bytes once more, some time later."""
        await asyncio.sleep(self.chances.chance.uniform(0.0, 3.0))
        self.there.hosts[host.name].spend(warrant)


@dataclass(frozen=True, slots=True)
class SimulatedHosts:
    """The port, as one process has it. The facts that it takes bear its own clock's time, as the adapter's do."""

    line: Line
    clock: SimulatedClock

    async def probe(
        self,
        host: Host,
        services: Sequence[Service],
        via: Sequence[Host] = (),
        *,
        whole: bool = False,
        git: bool = False,
    ) -> Facts:
        there = self.line.there
        seen = await self.line.talk("probe", lambda: there.probe(host, services, via, whole=whole, git=git))
        return replace(seen, taken_at=self.clock.now())

    async def restart(
        self,
        host: Host,
        warrant: str,
        via: Sequence[Host] = (),
        *,
        signatures: Sequence[str] = (),
        serial: int = 0,
    ) -> AsyncIterator[Progress]:
        async for progress in self.line.run(host, warrant, via, serial):
            yield progress

    async def burn(self, host: Host, request_id: str, via: Sequence[Host] = ()) -> Spool:
        self.line.model.burns(request_id)
        return await self.line.talk("burn", lambda: self.line.there.burn(host, request_id, via))

    async def result(self, host: Host, request_id: str, via: Sequence[Host] = ()) -> Spool:
        return await self.line.talk("result", lambda: self.line.there.result(host, request_id, via))

    async def check(self, host: Host, check: Check, via: Sequence[Host] = ()) -> Checked:
        return await self.line.talk("check", lambda: self.line.there.check(host, check, via))

    def keep(self, host: str) -> None:
        """Do nothing: each talk stands for itself."""

    def release(self, host: str) -> None:
        """Do nothing."""


async def _patient(loop: Loop, task: "asyncio.Task[T | AskfirstError]") -> T | AskfirstError:
    """Wait for an answer as long as the adapter does."""
    done, _ = await asyncio.wait({task}, timeout=_TIMEOUT_SECONDS)
    return task.result() if done else _away()


def _living() -> Process:
    process = PROCESS.get()
    if process.life is Life.BURIED:
        raise _away()
    return process


def _away() -> Unreachable:
    return Unreachable("The host did not answer. Nothing was run.", code="timeout", next_step="Try again.")


def _lost() -> Lost:
    return Lost("The line was lost in the middle of the run.", code="line_lost", next_step="Askfirst finds out.")
