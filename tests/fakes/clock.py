"""A clock that goes only when it is told to, or slept on."""

import asyncio


class FakeClock:
    """Fulfils ``flow.ports.Clock``. Sleeping takes no real time."""

    def __init__(self, now: float = 1_770_000_000.0) -> None:
        self._now = now
        self.slept: list[float] = []

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._now += max(0.0, seconds)
        await asyncio.sleep(0)  # let the others run, as a real sleep does
