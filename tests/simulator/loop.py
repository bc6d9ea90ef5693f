"""An event loop with simulated time, in which whole processes run side by side, and can be killed or stopped.

It opens nothing, waits for nothing real and has no thread: when nothing is ready, time jumps to the next timer. What
belongs to which process is told by the context that a callback runs in, so that the code under test needs to know
nothing of it. Callbacks of one process run in the order in which asyncio promises them; between the processes the next
one is chosen by chance, from a seed. A killed process runs no more of its code, not even what stands in a ``finally``.
"""

import asyncio
import heapq
import sys
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")


_MOST_TURNS = 60_000


class Life(StrEnum):
    """What a process is doing."""

    RUNS = "runs"
    STOPPED = "stopped"
    KILLED = "killed"
    BURIED = "buried"


@dataclass(eq=False)
class Process:
    """One process. ``fuse`` is after how many of its turns ``at_the_end_of_the_fuse`` is called, once."""

    name: str
    life: Life = Life.RUNS
    fuse: int = -1
    ready: deque["Turn"] = field(default_factory=deque)
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    @property
    def is_dead(self) -> bool:
        return self.life in {Life.KILLED, Life.BURIED}


PROCESS: ContextVar[Process] = ContextVar("process")


class Turn:
    """One callback that is to run. Fulfils what asyncio asks of its handles."""

    __slots__ = ("_at", "args", "callback", "context", "is_cancelled")

    def __init__(self, callback: Callable[..., Any], args: tuple[Any, ...], context: Context, at: float) -> None:
        self.callback, self.args, self.context, self._at = callback, args, context, at
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True

    def cancelled(self) -> bool:
        return self.is_cancelled

    def when(self) -> float:
        return self._at


class Stuck(Exception):
    """Nothing is ready and no timer is set, so that what is awaited never comes; or it goes round and round."""


class Loop(asyncio.AbstractEventLoop):
    """The loop. ``turns`` counts what has run; ``unhandled`` is what nobody caught."""

    def __init__(self, chance: Random, at_the_end_of_the_fuse: Callable[[Process], None]) -> None:
        self._chance = chance
        self._blow = at_the_end_of_the_fuse
        self._now = 0.0
        self._numbers = count()
        self._timers: list[tuple[float, int, Turn]] = []
        self._processes: list[Process] = []
        self.turns = 0
        self.is_over = False
        self.unhandled: list[str] = []

    def process(self, name: str) -> Process:
        """Begin a process."""
        process = Process(name)
        self._processes.append(process)
        return process

    def start(self, process: Process, coroutine: Coroutine[Any, Any, T], name: str = "") -> asyncio.Task[T]:
        """Run a coroutine in a process."""
        context = Context()
        context.run(PROCESS.set, process)
        return self.create_task(coroutine, name=name or process.name, context=context)

    def run(self, process: Process, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, and all else until then."""
        hooks = sys.get_asyncgen_hooks()
        asyncio._set_running_loop(self)  # noqa: SLF001 - the documented way for a loop to say that it runs
        sys.set_asyncgen_hooks(finalizer=self._finish)
        try:
            task = self.start(process, coroutine)
            while not task.done():
                self._turn()
            return task.result()
        finally:
            sys.set_asyncgen_hooks(*hooks)
            asyncio._set_running_loop(None)  # noqa: SLF001

    def bury(self, hang_up: Callable[[], None]) -> None:
        """Let go of all that still runs, so that nothing is left for the interpreter to warn about.

        Whatever a process asks for from now on fails at once, and ``hang_up`` ends what it waits for.
        """
        asyncio._set_running_loop(self)  # noqa: SLF001
        self.is_over, self.turns = True, 0
        try:
            for process in self._processes:
                process.life, process.fuse = Life.BURIED, -1
            self.start(self.process("end"), _now(hang_up))
            self._timers.clear()
            self._empty()
            for _ in range(20):
                for task in [each for process in self._processes for each in process.tasks]:
                    task.cancel()
                self._empty()
        except Stuck:
            return  # it goes round and round even now
        finally:
            asyncio._set_running_loop(None)  # noqa: SLF001

    def _empty(self) -> None:
        """Run what is ready, and set no clock forward."""
        while any(process.ready for process in self._processes):
            self._turn()

    def _turn(self) -> None:
        """Run one callback."""
        while self._timers and self._timers[0][0] <= self._now:
            self._admit(heapq.heappop(self._timers)[2])
        process = self._next()
        if process is None:
            if not self._timers:
                raise Stuck
            self._now = self._timers[0][0]
            return
        turn = process.ready.popleft()
        if turn.is_cancelled:
            return
        self.turns += 1
        if self.turns > _MOST_TURNS:
            raise Stuck
        process.fuse -= 1
        if process.fuse == 0:
            process.ready.appendleft(turn)
            self._blow(process)
            return
        turn.context.run(turn.callback, *turn.args)

    def _next(self) -> Process | None:
        able = [each for each in self._processes if each.ready and (self.is_over or each.life is Life.RUNS)]
        if len(able) > 1:
            return able[int(self._chance.random() * len(able))]
        return able[0] if able else None

    def _admit(self, turn: Turn) -> None:
        turn.context[PROCESS].ready.append(turn)

    def _finish(self, generator: Any) -> None:
        """Close an asynchronous generator that nobody reads any more, as a loop does for as long as it runs."""
        if asyncio._get_running_loop() is self:  # noqa: SLF001 - the documented way to ask without an error
            self.create_task(generator.aclose())

    # What asyncio asks of a loop.

    def time(self) -> float:
        return self._now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: object = None, context: Context | None = None
    ) -> asyncio.Task[T]:
        context = copy_context() if context is None else context
        task = asyncio.Task(coro, loop=self, name=str(name or "task"), context=context)
        tasks = context[PROCESS].tasks
        tasks.add(task)  # a task that only a dead process knows must not be collected in the middle of a run
        task.add_done_callback(tasks.discard, context=context)
        return task

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Turn:
        turn = Turn(callback, args, context or copy_context(), self._now)
        self._admit(turn)
        return turn

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Turn:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Turn:
        turn = Turn(callback, args, context or copy_context(), when)
        heapq.heappush(self._timers, (when, next(self._numbers), turn))
        return turn

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.unhandled.append(f"{context.get('message')}: {context.get('exception')!r}")


async def _now(deed: Callable[[], None]) -> None:
    deed()
