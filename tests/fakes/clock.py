"""A clock that goes only when it is told to, or slept on, and that can be set besides."""

import asyncio


class FakeClock:
    """Fulfils ``flow.ports.Clock``. Sleeping takes no real time."""

    def __init__(self, now: float = 1_770_000_000.0) -> None:
        self._now = now
        self._passed = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._passed

    def advance(self, seconds: float) -> None:
        """Let so much time pass."""
        self._now += seconds
        self._passed += seconds

    def set(self, seconds: float) -> None:
        """Set it forward or back by so much, in no time."""
        self._now += seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(max(0.0, seconds))
        await asyncio.sleep(0)  # let the others run, as a real sleep does
