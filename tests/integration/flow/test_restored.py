"""An older state of the database is put back: nothing runs twice, the log tells of it, somebody has to look first."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.errors import Refused
from app.core.lifecycle import State
from app.flow import anchoring, freeze
from app.flow.ports import News
from app.main import SystemClock
from app.store import freezes, requests
from app.store.anchor import Anchor
from app.store.backup import backup, restore
from app.store.engine import Database, open_database
from app.store.verify import verify
from tests.integration.databases import Databases, raw
from tests.integration.flow.conftest import Stage


@pytest.fixture
def anchor(tmp_path: Path) -> Path:
    return tmp_path / "anchor"


@asynccontextmanager
async def restored(
    stage: Stage, kept: Path, databases: Databases, anchor: Path, *, told: bool = True
) -> AsyncIterator[Stage]:
    """The same hosts and people over what a backup holds, in another database of the same kind.

    Where it is not ``told``, it was put back by other means.
    """

    async def say_so(db: Database) -> int:
        return await anchoring.recovered(db, anchor, "The disk died.", stage.clock.now()) if told else 0

    url = databases.place()
    databases.create(url)
    await restore(kept, url, say_so)
    db = await open_database(url)
    try:
        yield replace(stage, url=url, world=replace(stage.world, db=db, news=News(), worker="two"))
    finally:
        await db.close()
        databases.drop(url)


@pytest.mark.law(6)
@pytest.mark.threat("F6")
@pytest.mark.threat("T19")
async def test_what_ran_since_the_backup_is_not_run_again(
    stage: Stage, databases: Databases, anchor: Path, tmp_path: Path
) -> None:
    approved = await stage.approve(await stage.waiting())
    await backup(stage.url, tmp_path / "kept")
    assert (await stage.work(approved)).state is State.SUCCEEDED
    await Anchor(anchor).mark(stage.db, stage.clock.now())
    async with restored(stage, tmp_path / "kept", databases, anchor, told=False) as back:
        with pytest.raises(Refused) as refused:
            async with anchoring.anchored(back.world, anchor, 60):
                pass
        assert refused.value.code == "log_shorter"
        assert await anchoring.recovered(back.db, anchor, "The disk died.", stage.clock.now()) > 0
        await Anchor(anchor).check(back.db)
        held = await back.work(await requests.load(back.db, approved.id))
        assert (held.state, stage.alpha.runs()) == (State.APPROVED, 1)
        await freeze.release(back.world, stage.who["cy"], "all", "Looked at.")
        stage.clock.advance(2)
        after = await back.work(held)
        assert (after.state, stage.alpha.runs()) == (State.SUCCEEDED, 1), after.outcome  # as the host's record tells
        assert (await verify(back.db)).is_whole


@pytest.mark.law(6)
@pytest.mark.threat("T19")
async def test_a_host_that_looks_as_before_refuses_by_its_own_record_and_tells_what_came_of_it(
    stage: Stage, databases: Databases, anchor: Path, tmp_path: Path
) -> None:
    approved = await stage.approve(await stage.waiting())
    await backup(stage.url, tmp_path / "kept")
    stage.alpha.next_exit = 3  # the command ends without a new process
    assert (await stage.work(approved)).state is State.FAILED
    async with restored(stage, tmp_path / "kept", databases, anchor) as back:
        await freeze.release(back.world, stage.who["cy"], "all", "Looked at.")
        after = await back.work(await requests.load(back.db, approved.id))
        for _ in range(5):
            stage.clock.advance(3)
            after = await back.work(after)
        assert (after.state, stage.alpha.runs()) == (State.FAILED, 1), after.outcome


async def test_a_denial_that_the_backup_has_not_is_held_by_the_freeze(
    stage: Stage, databases: Databases, anchor: Path, tmp_path: Path
) -> None:
    approved = await stage.approve(await stage.waiting())
    await backup(stage.url, tmp_path / "kept")
    await freeze.freeze(stage.world, stage.who["cy"], "host:alpha", "An incident.")
    async with restored(stage, tmp_path / "kept", databases, anchor) as back:
        assert [each.scope for each in await freezes.current(back.db)] == ["all"]
        await back.work(await requests.load(back.db, approved.id))
        assert stage.alpha.runs() == 0


@pytest.mark.threat("F6")
@pytest.mark.threat("T19")
async def test_a_recovery_forgives_marks_though_the_clock_is_behind_theirs(
    stage: Stage, databases: Databases, anchor: Path, tmp_path: Path
) -> None:
    """The machine that takes over may be late, or the one that marked was early."""
    await backup(stage.url, tmp_path / "kept")
    await stage.waiting()
    await Anchor(anchor).mark(stage.db, stage.clock.now() + 86_400)
    async with restored(stage, tmp_path / "kept", databases, anchor) as back:
        await Anchor(anchor).check(back.db)


@pytest.mark.threat("T16")
async def test_the_log_is_anchored_while_a_server_runs_and_at_its_end(stage: Stage, anchor: Path) -> None:
    async with anchoring.anchored(replace(stage.world, clock=SystemClock()), anchor, 60):
        await asyncio.sleep(0)
        await stage.waiting()
    ((end,),) = raw(stage.url, "SELECT seq FROM audit_head")
    assert Anchor(anchor).marks()
    assert anchor.read_text().splitlines()[-1].startswith(f"{end} ")


@pytest.mark.threat("T16")
async def test_an_anchor_that_cannot_be_written_stops_nothing(stage: Stage, tmp_path: Path) -> None:
    nowhere = tmp_path / "gone" / "anchor"
    async with anchoring.anchored(replace(stage.world, clock=SystemClock()), nowhere, 60):
        assert (await stage.run(await stage.waiting())).state is State.SUCCEEDED
    assert not nowhere.exists()
