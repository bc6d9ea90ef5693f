"""The clocks of a simulated world: each process has one, and it may be wrong by what it was set forward or back."""

import asyncio

from tests.fakes.clock import FakeClock
from tests.simulator.loop import Loop


class SimulatedClock(FakeClock):
    """A clock of one machine: the loop's time, and how far it is off."""

    def __init__(self, loop: Loop, start: float) -> None:
        super().__init__(start)
        self._loop = loop
        self._set_at = -1.0
        self.off = 0.0

    def now(self) -> float:
        return self._now + self._loop.time() + self.off

    def monotonic(self) -> float:
        return self._loop.time()

    def set(self, off: float) -> None:
        """Let it be off by so much from now on."""
        self.off, self._set_at = off, self._loop.time()

    def is_steady(self, seconds: float) -> bool:
        """Whether nobody has set it in so many seconds."""
        return self._set_at < 0.0 or self._loop.time() - self._set_at > seconds

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
