"""A real host that changes behind our back is seen by the sweep alone, within its interval, and nobody clicked.

No worker runs here, so that its own look at what waits cannot be what sees it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.lifecycle import State
from app.flow.sweep import Sweep
from app.store import history, notices, proofs, requests, sweeps
from tests.lab.flow_world import UNIT, Scene, aside, scene, starts
from tests.lab.hosts import LabHost

EVERY = 10.0
CLAIM = replace(UNIT, checks=())


@asynccontextmanager
async def sweeping(stage: Scene) -> AsyncIterator[None]:
    """A sweep in this process, ended at the end of the block."""
    limits = replace(stage.world.limits, sweep_every_seconds=EVERY, sweep_grace_seconds=30.0)
    stage.world = replace(stage.world, limits=limits)
    task = asyncio.create_task(Sweep(stage.world).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def became(seen: Callable[[], Awaitable[bool]], seconds: float = 90) -> None:
    """Wait until the store says so."""
    async with asyncio.timeout(seconds):
        while not await seen():  # noqa: ASYNC110 - what happens is in the store, which tells nobody
            await asyncio.sleep(0.1)


@pytest.mark.law(5)
async def test_what_changes_behind_our_back_is_seen_within_the_interval_and_what_waits_is_stale(
    new_host: Callable[..., LabHost], tmp_path: Path
) -> None:
    host = new_host("drift", "systemd")
    async with scene(host, tmp_path, CLAIM) as stage, sweeping(stage):

        async def holds(verdict: str) -> bool:
            proof = (await proofs.proofs(stage.world.db)).get(CLAIM.name)
            return proof is not None and proof.held == verdict

        await became(lambda: holds("VERIFIED"))
        for act in ("systemctl restart gui-5054", "echo '# by hand' >>/etc/systemd/system/gui-5054.service"):
            request = await stage.waiting(CLAIM)
            assert request.state is State.WAITING
            await aside(lambda act=act: host.run(act))  # type: ignore[misc]
            changed_at, count = stage.world.clock.now(), starts(host, CLAIM)
            stale = await stage.until(request, State.STALE)
            assert "it was «" in stale.outcome, stale.outcome
            assert stale.changed_at - changed_at <= EVERY + stage.world.limits.probe_timeout_seconds
            assert starts(host, CLAIM) == count
        await aside(lambda: host.run("systemctl stop gui-5054"))
        await became(lambda: holds("DOWN"))
        page = await history.page(stage.world.db, history.Filter(type="verdict_changed"))
        last, *passing, first = [(each.data["before"], each.data["after"]) for each in page.rows]
        assert (first, last) == (("", "VERIFIED"), ("VERIFIED", "DOWN"))
        # The sweep may have looked while a unit that was restarted had no port yet.
        assert set(passing) <= {("VERIFIED", "WRONG_PORT"), ("WRONG_PORT", "VERIFIED")}
        told = await notices.of(stage.world.db, stage.who["bo"].id)
        assert [(each.was, each.verdict, each.changes) for each in told] == [("VERIFIED", "DOWN", 1 + len(passing))]
        assert set(await sweeps.every(stage.world.db)) == {"alpha"}
        assert await requests.wanting(stage.world.db, {State.WAITING}) == []
