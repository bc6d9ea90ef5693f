"""Drift: a verdict that changes is an event and a notice, and a request that rests on what is gone ends at once."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import pytest
from structlog.testing import capture_logs

from app.core.facts import Facts
from app.core.lifecycle import State
from app.core.policy import Role
from app.core.service import Host, Service
from app.flow import ask, evidence, prove
from app.flow.discover import discover
from app.flow.sweep import Sweep
from app.flow.worker import RECHECK_SECONDS, Worker
from app.store import history, notices, people, proofs, requests, services
from app.store.verify import verify
from tests.fakes.hosts import FakeHosts
from tests.integration.databases import raw
from tests.integration.flow.conftest import Stage

GUI = "lab:pypnm-gui"


async def look(stage: Stage) -> prove.Look:
    """Have somebody look at the service, as a page, the API or a command does."""
    registry = await services.registry(stage.db)
    seen = await prove.look(stage.world, registry, registry.services[0])
    await prove.remember(stage.world, seen)
    return seen


async def discovered(stage: Stage) -> None:
    """Have somebody look at the whole host."""
    await discover(stage.world, "alpha", keep=True)


async def swept(stage: Stage) -> None:
    """Have the sweep look at it, now."""
    stage.world = replace(stage.world, limits=replace(stage.world.limits, sweep_every_seconds=900.0))
    stage.clock.advance(900)
    sweep = Sweep(stage.world)
    await sweep.tick()
    await sweep.rest()


async def changes(stage: Stage) -> list[tuple[str, str]]:
    """Return what the log holds of the service, oldest first."""
    page = await history.page(stage.db, history.Filter(type="verdict_changed", service="pypnm-gui"))
    return [(each.data["before"], each.data["after"]) for each in reversed(page.rows)]


def stop(stage: Stage) -> None:
    stage.alpha.kill(stage.alpha.programs[GUI].pid or 0)


async def test_a_changed_verdict_is_one_event_with_what_holds_and_a_notice_and_the_log_rebuilds_it(
    stage: Stage,
) -> None:
    await look(stage)
    assert await notices.of(stage.db, stage.who["bo"].id) == []
    stage.clock.advance(60)
    stop(stage)
    with capture_logs() as logs:
        await swept(stage)
    assert await changes(stage) == [("", "VERIFIED"), ("VERIFIED", "DOWN")]
    held = (await proofs.proofs(stage.db))["pypnm-gui"]
    assert (held.held, held.since) == ("DOWN", stage.clock.now())
    told = await notices.of(stage.db, stage.who["bo"].id)
    assert [(each.service, each.was, each.verdict, each.changes) for each in told] == [
        ("pypnm-gui", "VERIFIED", "DOWN", 1)
    ]
    line = next(each for each in logs if each["event"] == "verdict changed")
    assert (line["before"], line["after"], line["host"], line["told"]) == ("VERIFIED", "DOWN", "alpha", 3)
    assert (await verify(stage.db)).is_whole


async def test_a_row_that_says_another_verdict_holds_is_found(stage: Stage) -> None:
    await look(stage)
    raw(stage.url, "UPDATE verdicts SET verdict = 'DOWN'")
    report = await verify(stage.db)
    assert report.differences == ["verdicts pypnm-gui: verdict is 'DOWN', the log says 'VERIFIED'"]


@pytest.mark.parametrize("kind", ["the claim", "its host", "nothing of it"])
async def test_what_held_of_another_claim_is_forgotten_in_the_log_s_own_reading_too(stage: Stage, kind: str) -> None:
    await look(stage)
    claim = (await services.registry(stage.db)).services[0]
    if kind == "the claim":
        await stage.register(replace(claim, docs="moved"))
    elif kind == "nothing of it":
        await stage.register(claim, replace(claim, name="other", unit="lab:other", ports=()))
    else:
        stage.alpha.environment = "lab"
        await stage.register(claim)
    held = (await proofs.proofs(stage.db)).get("pypnm-gui")
    assert (held is not None) is (kind == "nothing of it")
    assert (await verify(stage.db)).is_whole


async def test_those_in_the_owner_s_group_and_the_editors_are_told_and_nobody_else(stage: Stage) -> None:
    await stage.add("owner", roles=frozenset({Role.REQUESTER}), groups=("lab-team",))
    await stage.add("editor", roles=frozenset({Role.EDITOR}), groups=())
    await stage.add("other", roles=frozenset({Role.APPROVER}), groups=("web-team",))
    await stage.add("admin", roles=frozenset({Role.ADMIN}), groups=())
    gone = await stage.add("gone", groups=("lab-team",))
    rights = {"roles": gone.roles, "groups": ["lab-team"], "is_enabled": False}
    made_by = {"by": "setup", "at": stage.clock.now(), "event_id": "e-gone"}
    await people.set_rights(stage.db, gone.id, **rights, **made_by)  # type: ignore[arg-type]
    stop(stage)
    await look(stage)
    told = {name for name, who in stage.who.items() if await notices.of(stage.db, who.id)}
    assert told == {"ada", "bo", "cy", "owner", "editor"}


async def test_what_flaps_is_one_notice_with_a_count_until_it_is_seen(stage: Stage) -> None:
    bo = stage.who["bo"].id
    await look(stage)
    for _ in range(3):
        stage.clock.advance(60)
        stop(stage)
        await look(stage)
        stage.clock.advance(60)
        stage.alpha.start(GUI)
        await look(stage)
    [notice] = await notices.of(stage.db, bo)
    assert (notice.was, notice.verdict, notice.changes) == ("VERIFIED", "VERIFIED", 6)
    assert notice.at == stage.clock.now()
    await notices.seen(stage.db, bo, notice.seq)
    assert await notices.of(stage.db, bo) == []
    assert len(await notices.of(stage.db, stage.who["ada"].id)) == 1
    stage.clock.advance(60)
    stop(stage)
    await look(stage)
    [again] = await notices.of(stage.db, bo)
    assert (again.was, again.verdict, again.changes) == ("VERIFIED", "DOWN", 1)


async def test_what_changes_between_the_page_and_the_click_is_not_taken_for_seen(stage: Stage) -> None:
    bo = stage.who["bo"].id
    stop(stage)
    await look(stage)
    [shown] = await notices.of(stage.db, bo)
    stage.clock.advance(60)
    stage.alpha.start(GUI)
    await look(stage)
    await notices.seen(stage.db, bo, shown.seq, "pypnm-gui")
    assert [each.changes for each in await notices.of(stage.db, bo)] == [2]


async def test_one_sweep_without_an_answer_is_no_change_and_two_in_a_row_are(stage: Stage) -> None:
    await look(stage)
    stage.hosts.down.add("alpha")
    await swept(stage)
    assert await changes(stage) == [("", "VERIFIED")]
    kept = (await proofs.proofs(stage.db))["pypnm-gui"]
    assert (kept.verdict, kept.held, kept.seen.proved) == ("UNREACHABLE", "VERIFIED", "VERIFIED")
    await swept(stage)
    assert await changes(stage) == [("", "VERIFIED"), ("VERIFIED", "UNREACHABLE")]
    stage.hosts.down.clear()
    await swept(stage)
    assert await changes(stage) == [("", "VERIFIED"), ("VERIFIED", "UNREACHABLE"), ("UNREACHABLE", "VERIFIED")]
    assert (await verify(stage.db)).is_whole


async def test_another_host_key_is_no_line_that_is_down_and_holds_at_once(stage: Stage) -> None:
    await look(stage)
    stage.clock.advance(60)
    stage.hosts.key_changed.add("alpha")
    await look(stage)
    assert (await changes(stage))[-1] == ("VERIFIED", "HOST_KEY_CHANGED")


@pytest.mark.law(5)
@pytest.mark.parametrize("by", [look, discovered, swept])
@pytest.mark.parametrize("state", [State.WAITING, State.APPROVED])
async def test_a_request_whose_identity_changed_is_stale_with_the_look_that_sees_it(
    stage: Stage, by: Callable[[Stage], Awaitable[object]], state: State
) -> None:
    request = await stage.waiting()
    if state is State.APPROVED:
        request = await stage.approve(request)
    stage.clock.advance(60)
    stage.alpha.replace(GUI)
    before = len(stage.hosts.probes)
    await by(stage)
    after = await requests.load(stage.db, request.id)
    assert (after.state, len(stage.hosts.probes) - before) == (State.STALE, 1)
    assert "it was «process " in after.outcome
    proof = await evidence.of_outcome(stage.db, after)
    assert proof is not None
    assert proof.identity != ()
    assert stage.alpha.runs() == 0


@pytest.mark.law(5)
async def test_a_service_that_went_down_makes_its_request_stale_at_once(stage: Stage) -> None:
    request = await stage.waiting()
    stage.clock.advance(60)
    stop(stage)
    await look(stage)
    assert (await requests.load(stage.db, request.id)).state is State.STALE


async def test_a_look_that_sees_the_same_or_nothing_leaves_the_request_as_it_is(stage: Stage) -> None:
    request = await stage.waiting()
    await look(stage)
    stage.hosts.down.add("alpha")
    for _ in range(3):
        stage.clock.advance(61)
        await look(stage)
    assert await requests.load(stage.db, request.id) == request


@dataclass(slots=True)
class Slow(FakeHosts):
    """Hosts of which the first answer is long on its way: meanwhile something happens."""

    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def probe(
        self,
        host: Host,
        services: Sequence[Service],
        via: Sequence[Host] = (),
        *,
        whole: bool = False,
        git: bool = False,
    ) -> Facts:
        found = await FakeHosts.probe(self, host, services, via, whole=whole, git=git)
        if self.meanwhile is not None:
            first, self.meanwhile = self.meanwhile, None
            await first()
        return found


async def test_a_look_that_saw_more_than_the_proof_on_its_way_ends_the_request_with_it(stage: Stage) -> None:
    slow = Slow(stage.clock, stage.hosts.hosts)
    stage.world = replace(stage.world, hosts=slow)

    async def meanwhile() -> None:
        stage.clock.advance(1)
        stage.alpha.replace(GUI)
        await look(stage)

    asked = await stage.ask()
    slow.meanwhile = meanwhile
    await ask.prove(stage.world, asked)
    assert (await requests.load(stage.db, asked.id)).state is State.STALE


async def test_a_look_that_is_older_than_the_request_s_own_proof_and_came_late_ends_nothing(stage: Stage) -> None:
    registry = await services.registry(stage.db)
    early = await prove.look(stage.world, registry, registry.services[0])
    stage.clock.advance(1)
    stage.alpha.replace(GUI)
    request = await stage.waiting()
    raw(stage.url, "DELETE FROM proofs")  # as between the request's own proof and its last look's row
    await prove.remember(stage.world, early)
    assert (await requests.load(stage.db, request.id)).state is State.WAITING


async def test_two_looks_at_once_end_it_once(stage: Stage) -> None:
    request = await stage.waiting()
    stage.clock.advance(60)
    stage.alpha.replace(GUI)
    await asyncio.gather(*(look(stage) for _ in range(4)))
    events = await requests.events(stage.db, request.id)
    assert [each.type for each in events].count("went_stale") == 1


async def test_the_worker_s_own_timer_makes_no_second_probe_where_somebody_has_just_looked(stage: Stage) -> None:
    request = await stage.waiting()
    worker = Worker(stage.world)
    await worker.once()
    stage.clock.advance(RECHECK_SECONDS)
    await look(stage)
    probes = len(stage.hosts.probes)
    await worker.once()
    assert len(stage.hosts.probes) == probes
    stage.clock.advance(RECHECK_SECONDS)
    await worker.once()
    assert len(stage.hosts.probes) == probes + 1
    assert (await requests.load(stage.db, request.id)).state is State.WAITING


async def test_the_worker_s_own_timer_does_not_take_a_look_that_saw_nothing_for_one(stage: Stage) -> None:
    await stage.waiting()
    worker = Worker(stage.world)
    await worker.once()
    stage.clock.advance(RECHECK_SECONDS)
    stage.hosts.down.add("alpha")
    await look(stage)
    stage.hosts.down.clear()
    probes = len(stage.hosts.probes)
    await worker.once()
    assert len(stage.hosts.probes) == probes + 1
