"""An older state of the database is put back: nothing runs twice, the log tells of it, somebody has to look first."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.errors import Refused
from app.core.lifecycle import State
from app.core.run import Spool, SpoolState
from app.core.service import Host
from app.flow import anchoring, ask, printed
from app.flow.bundle import make, written
from app.flow.bundle_check import check
from app.flow.following import follow
from app.flow.ports import News
from app.flow.prove import look, remember
from app.flow.worker import Worker
from app.main import SystemClock
from app.store import freezes, requests, services
from app.store.anchor import Anchor
from app.store.backup import backup, restore
from app.store.engine import Database, open_database
from app.store.verify import verify
from app.web.story import steps
from tests.fakes.hosts import FakeHosts
from tests.integration.databases import Databases, is_file, raw, set_clock
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
    if not is_file(url):
        set_clock(url, "NULL")
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
        after = await back.work(await requests.load(back.db, approved.id))
        assert (after.state, stage.alpha.runs()) == (State.SUCCEEDED, 1), after.outcome  # as the host's record tells
        assert (await verify(back.db)).is_whole


@pytest.mark.law(12)
@pytest.mark.threat("T19")
@pytest.mark.parametrize("seen", ["in time", "too late", "by a sweep"])
async def test_what_waited_in_the_older_state_and_ran_since_ends_as_its_host_tells(
    stage: Stage, databases: Databases, anchor: Path, tmp_path: Path, seen: str
) -> None:
    waiting = await stage.waiting()
    await backup(stage.url, tmp_path / "kept")
    assert (await stage.run(waiting)).state is State.SUCCEEDED
    async with restored(stage, tmp_path / "kept", databases, anchor) as back:
        if seen == "too late":
            stage.clock.advance(3600)
        if seen == "by a sweep":
            registry = await services.registry(back.db)
            await remember(back.world, await look(back.world, registry, registry.services[0]))
        after = await back.work(await requests.load(back.db, waiting.id))
        assert (after.state, after.exit_status, stage.alpha.runs()) == (State.SUCCEEDED, 0, 1), after.outcome
        told = [event.type for event in await requests.events(back.db, waiting.id)]
        assert told == ["asked", "verified", "restored", "run_ended", "settled"]
        assert (await verify(back.db)).is_whole


@pytest.mark.law(6)
@pytest.mark.threat("T19")
async def test_a_run_since_that_brought_no_new_process_is_read_from_the_host_s_record_and_has_failed(
    stage: Stage, databases: Databases, anchor: Path, tmp_path: Path
) -> None:
    approved = await stage.approve(await stage.waiting())
    await backup(stage.url, tmp_path / "kept")
    stage.alpha.next_exit = 3  # the command ends without a new process
    assert (await stage.work(approved)).state is State.FAILED
    async with restored(stage, tmp_path / "kept", databases, anchor) as back:
        after = await back.work(await requests.load(back.db, approved.id))
        assert (after.state, after.exit_status, stage.alpha.runs()) == (State.FAILED, 3, 1), after.outcome


@pytest.mark.law(12)
@pytest.mark.threat("T19")
@pytest.mark.parametrize("state", [State.OPEN, State.WAITING, State.APPROVED])
async def test_what_has_not_run_since_is_burned_on_its_host_and_never_will(
    stage: Stage, databases: Databases, anchor: Path, tmp_path: Path, state: State
) -> None:
    """Also a yes of the older state: somebody may have denied or revoked since, and the backup does not hold it."""
    asked = await stage.ask() if state is State.OPEN else await stage.waiting()
    asked = await stage.approve(asked) if state is State.APPROVED else asked
    await backup(stage.url, tmp_path / "kept")
    async with restored(stage, tmp_path / "kept", databases, anchor) as back:
        stage.hosts.down.add("alpha")
        held = await back.work(await requests.load(back.db, asked.id))
        assert held.state is State.UNKNOWN, "a host that does not answer has not said that nothing ran"
        stage.hosts.down.clear()
        stage.clock.advance(10)
        after = await back.work(held)
        assert (after.state, stage.alpha.runs()) == (State.NOT_RUN, 0)
        assert stage.alpha.spool[asked.id].state is SpoolState.BURNED
        assert [each.scope for each in await freezes.current(back.db)] == ["all"]


@pytest.mark.law(11)
@pytest.mark.threat("T19")
async def test_a_run_since_whose_proof_the_backup_has_not_is_told_and_is_no_success(
    stage: Stage, databases: Databases, anchor: Path, tmp_path: Path
) -> None:
    asked = await stage.ask()
    await backup(stage.url, tmp_path / "kept")
    assert (await stage.run(await ask.prove(stage.world, asked))).state is State.SUCCEEDED
    async with restored(stage, tmp_path / "kept", databases, anchor) as back:
        after = await back.work(await requests.load(back.db, asked.id))
        assert (after.state, after.exit_status, stage.alpha.runs()) == (State.FAILED, 0, 1)
        assert "nothing shows that what runs now is new" in after.outcome


@pytest.mark.law(9)
@pytest.mark.law(12)
@pytest.mark.threat("T19")
@pytest.mark.parametrize("in_state", [State.OPEN, State.WAITING])
@pytest.mark.parametrize("is_gone", [True, False])
async def test_what_a_person_may_have_done_since_is_given_up_unless_the_old_process_runs_on(
    stage: Stage, databases: Databases, anchor: Path, tmp_path: Path, *, in_state: State, is_gone: bool
) -> None:
    """No host keeps a record of it, and no log tells whether somebody said yes: it is never called a success."""
    old = stage.alpha.by_hand(5051)
    await stage.register(replace(stage.alpha.claim(), manager="manual", unit="rbron-by-hand", ports=(5051,)))
    asked = await (stage.waiting() if in_state is State.WAITING else stage.ask())
    await backup(stage.url, tmp_path / "kept")
    if is_gone:
        stage.alpha.kill(old)
        stage.alpha.by_hand(5051)
    async with restored(stage, tmp_path / "kept", databases, anchor) as back:
        after = await back.work(await requests.load(back.db, asked.id))
        was_seen = in_state is State.WAITING and not is_gone
        assert after.state is (State.NOT_RUN if was_seen else State.GIVEN_UP), after.outcome


@pytest.mark.law(12)
@pytest.mark.threat("T19")
async def test_what_a_person_may_have_done_since_stays_unknown_while_the_host_cannot_be_seen(
    stage: Stage, databases: Databases, anchor: Path, tmp_path: Path
) -> None:
    stage.alpha.by_hand(5051)
    await stage.register(replace(stage.alpha.claim(), manager="manual", unit="rbron-by-hand", ports=(5051,)))
    waiting = await stage.waiting()
    await backup(stage.url, tmp_path / "kept")
    async with restored(stage, tmp_path / "kept", databases, anchor) as back:
        world = replace(back.world, hosts=Burning(stage.clock, stage.hosts.hosts))
        after = await back.work(await requests.load(back.db, waiting.id), Worker(world))
        assert after.state is State.UNKNOWN


class Burning(FakeHosts):
    """Hosts that burn what they are told to, and then answer nothing more."""

    async def burn(self, host: Host, request_id: str, via: Sequence[Host] = ()) -> Spool:
        self.down.clear()
        spool = await super().burn(host, request_id, via)
        self.down.add(host.name)
        return spool


@pytest.mark.threat("T19")
async def test_what_is_not_in_the_log_after_a_restore_is_said_so_and_the_output_is_shown(
    stage: Stage, databases: Databases, anchor: Path, tmp_path: Path
) -> None:
    waiting = await stage.waiting()
    await backup(stage.url, tmp_path / "kept")
    await stage.run(waiting)
    async with restored(stage, tmp_path / "kept", databases, anchor) as back:
        after = await back.work(await requests.load(back.db, waiting.id))
        report = check(written(await make(back.db, after.id)))
        assert (report.state, [point.what for point in report.points if point.state == "withheld"]) == (
            "withheld",
            ["yes"],
        )
        events = await requests.events(back.db, after.id)
        assert [step.where for step in steps(after, events)] == ["done", "done", "gone", "done", "done"]
        shown = await printed.of(back.world, after)
        assert shown.is_shown
        (told,) = [seen async for seen in follow(back.world, after.id, 1, 1.0)]
        assert told.lines == list(shown.lines) != []
        assert told.next_line == shown.next_line


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
