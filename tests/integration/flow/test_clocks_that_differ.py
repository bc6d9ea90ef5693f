"""Servers whose clocks differ: what is over ends by the database's clock, not by that of whoever looks at it.

The server's clock is set here as a machine's is; a file has none, so that there is nothing that could differ.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from app.core.errors import Conflict, Refused
from app.core.facts import Facts
from app.core.lifecycle import Request, State
from app.core.policy import Attempt, Role, Via
from app.flow import ask, decide, execute, people, prove
from app.flow.ids import new_id
from app.flow.ports import World
from app.flow.worker import OPEN_SECONDS, RECHECK_SECONDS, Worker
from app.identity.passwords import hash_password
from app.store import people as store
from app.store import requests, services, sessions
from tests.fakes.clock import FakeClock
from tests.fakes.hosts import FakeHosts
from tests.integration.databases import set_clock
from tests.integration.flow.conftest import FIXED, PATH, Stage

pytestmark = [pytest.mark.only("postgresql"), pytest.mark.threat("T1"), pytest.mark.threat("T6")]
TEN_MINUTES = 600.0
WORD = "a long password of dot's"


def time_is(stage: Stage, now: float) -> None:
    """Let the database's clock stand at this time, and the hosts' too."""
    stage.clock.advance(now - stage.clock.now())
    set_clock(stage.url, f"to_timestamp({now})")


def off_by(stage: Stage, seconds: float) -> World:
    """Return the world as a replica has it whose clock differs from the database's by so much."""
    clock = FakeClock(stage.clock.now() + seconds)
    hosts = replace(stage.hosts, clock=clock)  # what it sees is dated by its own clock
    return replace(stage.world, clock=clock, hosts=hosts, worker=f"off by {seconds}")


async def waiting(stage: Stage) -> tuple[Request, float]:
    request = await stage.waiting()
    return request, request.not_after


async def approved(stage: Stage) -> tuple[Request, float]:
    request = await stage.approve(await stage.waiting())
    return request, request.not_after


async def asked(stage: Stage) -> tuple[Request, float]:
    request = await stage.ask()
    return request, request.asked_at + OPEN_SECONDS


async def handed_over(stage: Stage, off: float = 0.0) -> tuple[Request, float]:
    stage.alpha.by_hand(5051)
    await stage.register(replace(stage.alpha.claim(), manager="manual", unit="rbron-by-hand", ports=(5051,)))
    time_is(stage, stage.clock.now())
    request, _ = await approved(stage)
    request = await execute.execute(off_by(stage, off), request)
    return request, request.by_hand_until


Way = Callable[[Stage], Awaitable[tuple[Request, float]]]


@pytest.mark.law(9)
@pytest.mark.parametrize(
    ("way", "then"),
    [
        (asked, State.WAITING),  # it takes the step that is wanted
        (waiting, State.WAITING),
        (handed_over, State.RUNNING),
    ],
)
async def test_a_replica_whose_clock_is_ahead_ends_nothing_before_its_time(stage: Stage, way: Way, then: State) -> None:
    request, over_at = await way(stage)
    time_is(stage, over_at - 1)
    world = off_by(stage, TEN_MINUTES)
    ahead = Worker(world)
    await ahead.once()
    await world.clock.sleep(RECHECK_SECONDS)  # what waits is looked at again
    await ahead.once()
    after = await requests.load(stage.db, request.id)
    assert (after.state, stage.alpha.runs()) == (then, 0)


async def test_a_replica_whose_clock_is_ahead_runs_what_is_in_time(stage: Stage) -> None:
    request, over_at = await approved(stage)
    time_is(stage, over_at - 60)
    after = await execute.execute(off_by(stage, TEN_MINUTES), request)
    assert (after.state, stage.alpha.runs()) == (State.SETTLING, 1)


@pytest.mark.law(9)
@pytest.mark.threat("T9")
@pytest.mark.parametrize(("left", "off", "then"), [(1, TEN_MINUTES, None), (0, -TEN_MINUTES, State.NOT_RUN)])
async def test_a_start_that_is_in_the_log_is_called_back_where_it_is_over_by_the_database_s_clock(
    stage: Stage, left: int, off: float, then: State | None
) -> None:
    request, over_at = await approved(stage)
    claimed = await execute._claim(stage.world, request)  # noqa: SLF001 - the moment between the start and the run
    assert claimed is not None
    time_is(stage, over_at - left)
    registry = await services.registry(stage.db)
    held = await execute._called_back(off_by(stage, off), claimed, registry)  # noqa: SLF001 - as above
    assert (held.state if held else None) == then


@pytest.mark.law(9)
@pytest.mark.threat("B8")
@pytest.mark.threat("T7")
@pytest.mark.parametrize(
    ("way", "then"),
    [
        (asked, State.EXPIRED),
        (waiting, State.EXPIRED),
        (approved, State.EXPIRED),
        (handed_over, State.NOT_RUN),
    ],
)
async def test_a_replica_whose_clock_is_late_ends_what_is_over_and_runs_nothing_of_it(
    stage: Stage, way: Way, then: State
) -> None:
    request, over_at = await way(stage)
    time_is(stage, over_at)
    await Worker(off_by(stage, -TEN_MINUTES)).once()
    after = await requests.load(stage.db, request.id)
    assert (after.state, stage.alpha.runs()) == (then, 0)


@pytest.mark.law(9)
async def test_a_late_replica_that_waits_for_a_hand_does_not_wait_for_its_own_clock(stage: Stage) -> None:
    request, over_at = await handed_over(stage)
    time_is(stage, over_at - 60)
    late = off_by(stage, -TEN_MINUTES)
    worker = Worker(late)
    await worker.once()
    time_is(stage, over_at)
    await late.clock.sleep(60)
    await worker.once()
    assert (await requests.load(stage.db, request.id)).state is State.NOT_RUN


class Slow(FakeHosts):
    """Hosts that take so long to look at that a request's time is over meanwhile."""

    pass_time: Callable[[], None]

    async def probe(self, *args: Any, **more: Any) -> Facts:
        seen = await super().probe(*args, **more)
        self.pass_time()
        return seen


@pytest.mark.law(9)
@pytest.mark.parametrize("off", [-TEN_MINUTES, TEN_MINUTES])
async def test_what_is_over_once_the_host_was_looked_at_again_is_not_handed_over(stage: Stage, off: float) -> None:
    stage.alpha.by_hand(5051)
    await stage.register(replace(stage.alpha.claim(), manager="manual", unit="rbron-by-hand", ports=(5051,)))
    request, over_at = await approved(stage)
    hosts = Slow(stage.hosts.clock, stage.hosts.hosts)
    hosts.pass_time = lambda: time_is(stage, over_at)
    time_is(stage, over_at - 1)
    ended = await execute.execute(replace(off_by(stage, off), hosts=hosts), request)
    assert ended.state is State.EXPIRED


async def click(world: World, stage: Stage, request: Request, signed_in_at: float) -> Request:
    """Approve by way of one replica."""
    attempt = Attempt(stage.who["bo"], Via.SESSION, signed_in_at, request.digest)
    return await decide.approve(world, attempt, request.id)


@pytest.mark.law(9)
@pytest.mark.threat("T5")
async def test_a_click_in_time_by_the_database_s_clock_counts_though_a_replica_is_ahead(stage: Stage) -> None:
    request, over_at = await waiting(stage)
    time_is(stage, over_at - 1)
    assert (await click(off_by(stage, TEN_MINUTES), stage, request, over_at - 1)).state is State.APPROVED


@pytest.mark.law(9)
@pytest.mark.threat("T5")
async def test_a_click_that_is_too_late_by_the_database_s_clock_ends_the_request_though_a_replica_is_late(
    stage: Stage,
) -> None:
    request, over_at = await waiting(stage)
    time_is(stage, over_at)
    with pytest.raises(Conflict, match="expired"):
        await click(off_by(stage, -TEN_MINUTES), stage, request, over_at)
    assert (await requests.load(stage.db, request.id)).state is State.EXPIRED


@pytest.mark.threat("T5")
@pytest.mark.parametrize("off", [-TEN_MINUTES, 0, TEN_MINUTES])
async def test_how_old_a_sign_in_is_goes_by_the_database_s_clock(stage: Stage, off: float) -> None:
    request, over_at = await waiting(stage)
    time_is(stage, over_at - 10)
    most = stage.world.limits.step_up_seconds
    with pytest.raises(Refused) as refused:
        await click(off_by(stage, off), stage, request, stage.clock.now() - most - 1)
    assert refused.value.code == "step_up_required"
    assert (await click(off_by(stage, off), stage, request, stage.clock.now() - most + 1)).state is State.APPROVED


@pytest.mark.parametrize("off", [-TEN_MINUTES, TEN_MINUTES])
async def test_whoever_sets_a_time_sets_it_by_the_database_s_clock(stage: Stage, off: float) -> None:
    start = stage.clock.now() + 1
    time_is(stage, start)
    request = await ask.ask(off_by(stage, off), stage.who["ada"], "pypnm-gui", "The fix is pulled.")
    assert request.asked_at == start
    request = await ask.prove(off_by(stage, off), request)
    assert request.not_after == start + 900


@pytest.mark.parametrize("off", [-TEN_MINUTES, TEN_MINUTES])
async def test_whoever_hands_over_sets_the_time_by_the_database_s_clock(stage: Stage, off: float) -> None:
    _, until = await handed_over(stage, off)
    assert until == stage.clock.now() + stage.world.limits.by_hand_seconds


@pytest.mark.threat("T5")
@pytest.mark.parametrize("off", [-TEN_MINUTES, TEN_MINUTES])
async def test_when_somebody_signed_in_is_written_by_the_database_s_clock(stage: Stage, off: float) -> None:
    now = stage.clock.now()
    await store.add(
        stage.db,
        person_id="p-dot",
        name="Dot",
        email="dot@example.org",
        roles=frozenset({Role.APPROVER}),
        groups=("lab-team",),
        password_hash=hash_password(WORD),
        by="setup",
        at=now,
        event_id=new_id(now),
    )
    time_is(stage, now + 1)
    world = off_by(stage, off)
    secret = await people.sign_in(world, "dot@example.org", WORD, "192.0.2.1")
    session = await sessions.person_of(stage.db, secret, stage.clock.now())
    assert session is not None
    assert session.signed_in_at == now + 1
    time_is(stage, now + 20)
    await people.prove_again(world, secret, session.person, WORD)
    again = await sessions.person_of(stage.db, secret, stage.clock.now())
    assert again is not None
    assert again.signed_in_at == now + 20


@pytest.mark.threat("C13")
@pytest.mark.parametrize("off", [-30.0, 30.0])
async def test_a_look_is_as_old_as_it_is_whatever_the_clock_of_whoever_looked(stage: Stage, off: float) -> None:
    """Else a look of before is taken for a newer one, and a request goes stale though nothing has changed since."""
    time_is(stage, stage.clock.now())
    registry = await services.registry(stage.db)
    (service,) = registry.services
    for world in (off_by(stage, off), stage.world):
        seen = await prove.look(world, registry, service)
        assert seen.at == stage.clock.now()
    await prove.remember(stage.world, await prove.look(off_by(stage, off), registry, service))
    stage.alpha.replace("lab:pypnm-gui")
    stage.alpha.pull(PATH, FIXED)
    time_is(stage, stage.clock.now() + 10)
    request = await stage.waiting()
    assert (await requests.load(stage.db, request.id)).state is State.WAITING
