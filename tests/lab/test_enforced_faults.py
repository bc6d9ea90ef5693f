"""A host with the kit: the line is cut, the worker killed, the host rebooted, each before, during and after the exec.

Nine combinations, each a row of the table that is printed at the end: never two runs, never a lost result, each settled
by the host's own spool through the door's burn. How often something ran is told by the host alone. Nothing here hopes
to be quick enough: the gate, or the command, stands still on the host until the test has done its harm.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from app.core.errors import Unreachable
from app.core.lifecycle import Request, State
from app.core.service import HttpCheck
from app.flow.replica import replica
from app.gate.kit import LIB
from tests.lab.flow_world import UNIT, Scene, another_world, aside, runs, scene, spool, when
from tests.lab.hosts import Lab, LabHost
from tests.lab.kitted import Fitted, as_open, fit, unfit

HOLD = "srv/hold"
GUI = replace(UNIT, checks=(HttpCheck("http://127.0.0.1:5054/health"),))
# The gate asks systemctl for the identity before it spends the warrant: it waits for that until `gate` is gone. The
# unit, told to stop, does so once `slow` is gone: until then its restart is under way.
MAKE_SLOW = f"""set -e
mkdir -p /{HOLD} /etc/systemd/system/gui-5054.service.d
cat >/usr/local/sbin/systemctl <<'X'
#!/bin/sh
while [ -e /{HOLD}/gate ]; do : >/{HOLD}/asked; sleep 0.1; done
exec /usr/bin/systemctl "$@"
X
chmod 755 /usr/local/sbin/systemctl
cat >/etc/systemd/system/gui-5054.service.d/slow.conf <<'X'
[Service]
TimeoutStopSec=300
ExecStop=+/bin/sh -c 'while [ -e /{HOLD}/slow ]; do : >/{HOLD}/stopping; sleep 0.1; done'
X
systemctl daemon-reload
"""
NOT_RUN = ["run_started", "run_lost", "run_burned"]
READ = ["run_started", "run_lost", "run_ended", "settled"]
HEARD = ["run_started", "run_ended", "settled"]
TABLE: list[tuple[str, str, str, int]] = []


@pytest.fixture(scope="module")
def delta(lab: Lab) -> Iterator[LabHost]:
    with lab.lend("delta", "systemd") as host:
        host.run(MAKE_SLOW)
        yield host


@pytest.fixture
async def stage(delta: LabHost, tmp_path: Path) -> AsyncIterator[Scene]:
    """A store of its own for each test, and one kit for all."""
    async with scene(delta, tmp_path, GUI) as made:
        if (delta.root / LIB.lstrip("/") / "gate").exists():
            await made.register(GUI, host=Fitted().entry(delta))
        else:
            await fit(made, GUI)
        yield made
    let_go(delta, "slow", "gate")
    delta.mend()


def hold(host: LabHost, what: str) -> None:
    for mark in ("asked", "stopping"):
        (host.root / HOLD / mark).unlink(missing_ok=True)
    (host.root / HOLD / what).touch()


def let_go(host: LabHost, *what: str) -> None:
    for name in what:
        (host.root / HOLD / name).unlink(missing_ok=True)


def has_stopped_at(host: LabHost, mark: str) -> bool:
    """Whether the gate (`asked`) or the command (`stopping`) stands still now."""
    return (host.root / HOLD / mark).exists()


def has_ended(host: LabHost, request: Request) -> bool:
    return any(name.endswith(".exit") for name in spool(host, request.id))


@dataclass
class One:
    """One request that will be harmed at one point."""

    stage: Scene
    request: Request

    async def settled(self, how: str, state: State, *stories: list[str], ran: int) -> Request:
        request = await self.stage.until(self.request, seconds=150)
        told = (await self.stage.story(request))[3:]
        begun = runs(self.stage.lab, request.id)
        TABLE.append((how, f"{request.state}: {' '.join(told)}", request.outcome, begun))
        assert (request.state, begun) == (state, ran), request.outcome
        assert told in stories
        return request

    @asynccontextmanager
    async def followed_by_another(self) -> AsyncIterator[None]:
        """The server is started again, and goes on: it knows nothing but the store."""
        url = self.stage.url
        async with another_world(url, self.stage.lab, "two") as world, replica(world, url, works=True):
            yield


async def approved(stage: Scene) -> One:
    return One(stage, await stage.approved(GUI))


def power_cycle(host: LabHost, *held: str) -> None:
    """Pull the plug, and let what stood still go before it boots: nothing of the host's own may wait for it."""
    host.power_off()
    let_go(host, *held)
    host.boot()


@pytest.mark.law(6)
@pytest.mark.law(12)
@pytest.mark.threat("D11")
@pytest.mark.threat("T11")
async def test_before_the_exec_a_cut_line_burns_the_warrant(stage: Scene) -> None:
    one = await approved(stage)
    hold(stage.lab, "gate")
    async with stage.working():
        await when(lambda: has_stopped_at(stage.lab, "asked"))
        assert await asyncio.to_thread(stage.lab.hang_up) >= 1
        await stage.until(one.request, State.UNKNOWN, State.NOT_RUN)
        # The burn takes no identity, so it need not wait: the gate that stands still finds the warrant spent.
        await stage.until(one.request)
        let_go(stage.lab, "gate")
    await no_gate(stage.lab)
    await one.settled("before the exec, the line cut", State.NOT_RUN, NOT_RUN, ran=0)


@pytest.mark.law(6)
@pytest.mark.law(12)
async def test_before_the_exec_a_killed_worker_leaves_a_warrant_that_the_next_one_burns(stage: Scene) -> None:
    one = await approved(stage)
    hold(stage.lab, "gate")
    with stage.worker_process():
        await when(lambda: has_stopped_at(stage.lab, "asked"))
    async with one.followed_by_another():
        await stage.until(one.request)
    let_go(stage.lab, "gate")
    await no_gate(stage.lab)
    await one.settled("before the exec, the worker killed", State.NOT_RUN, NOT_RUN, ran=0)


@pytest.mark.law(12)
async def test_before_the_exec_a_rebooted_host_has_run_nothing_and_never_will(stage: Scene) -> None:
    one = await approved(stage)
    hold(stage.lab, "gate")
    async with stage.working():
        await when(lambda: has_stopped_at(stage.lab, "asked"))
        await aside(lambda: power_cycle(stage.lab, "gate"))
        await one.settled("before the exec, the host rebooted", State.NOT_RUN, NOT_RUN, ran=0)


@pytest.mark.law(12)
@pytest.mark.threat("D19")
async def test_during_the_run_a_cut_line_loses_neither_run_nor_result(stage: Scene) -> None:
    one = await approved(stage)
    hold(stage.lab, "slow")
    async with stage.working():
        await when(lambda: has_stopped_at(stage.lab, "stopping"))
        assert await asyncio.to_thread(stage.lab.hang_up) >= 1
        await stage.until(one.request, State.UNKNOWN)
        let_go(stage.lab, "slow")
        request = await one.settled("during the run, the line cut", State.SUCCEEDED, READ, ran=1)
    assert request.exit_status == 0


@pytest.mark.law(10)
@pytest.mark.law(12)
async def test_during_the_run_a_killed_worker_is_followed_by_one_that_reads(stage: Scene) -> None:
    one = await approved(stage)
    hold(stage.lab, "slow")
    with stage.worker_process():
        await when(lambda: has_stopped_at(stage.lab, "stopping"))
    let_go(stage.lab, "slow")
    async with one.followed_by_another():
        request = await one.settled("during the run, the worker killed", State.SUCCEEDED, READ, ran=1)
    assert request.exit_status == 0


@pytest.mark.law(11)
@pytest.mark.law(12)
@pytest.mark.threat("T11")
async def test_during_the_run_a_rebooted_host_has_no_exit_status_and_the_proof_after_it_decides(stage: Scene) -> None:
    one = await approved(stage)
    hold(stage.lab, "slow")
    async with stage.working():
        await when(lambda: has_stopped_at(stage.lab, "stopping"))
        await aside(lambda: power_cycle(stage.lab, "slow"))
        # The unit is enabled, so that the boot itself started it: nobody ran the warrant a second time.
        # Either it was cut off, or systemctl lost its bus a moment before the end and said so: that may still be heard.
        request = await one.settled("during the run, the host rebooted", State.SUCCEEDED, READ, HEARD, ran=1)
    assert request.exit_status in {None, 1}


@pytest.mark.law(12)
async def test_after_the_run_a_cut_line_is_settled_by_what_the_host_kept(stage: Scene) -> None:
    one = await approved(stage)
    async with stage.working():
        await ended_unheard(one)
        stage.lab.hang_up()
        stage.lab.mend()
        # What lay in the cut line may still arrive once it is mended, before the news that it was hung up.
        request = await one.settled("after the run, the line cut", State.SUCCEEDED, READ, HEARD, ran=1)
    assert request.exit_status == 0


@pytest.mark.law(12)
@pytest.mark.threat("T13")
async def test_after_the_run_a_killed_worker_leaves_a_result_that_the_next_one_reads(stage: Scene) -> None:
    one = await approved(stage)
    with stage.worker_process():
        await ended_unheard(one)
    stage.lab.mend()
    async with one.followed_by_another():
        request = await one.settled("after the run, the worker killed", State.SUCCEEDED, READ, ran=1)
    assert request.exit_status == 0


@pytest.mark.law(12)
@pytest.mark.threat("T13")
async def test_after_the_run_a_rebooted_host_still_has_the_result(stage: Scene) -> None:
    one = await approved(stage)
    async with stage.working():
        await ended_unheard(one)
        await aside(lambda: power_cycle(stage.lab))
        stage.lab.mend()
        request = await one.settled("after the run, the host rebooted", State.SUCCEEDED, READ, HEARD, ran=1)
    assert request.exit_status == 0


@pytest.mark.law(12)
async def test_a_run_on_the_open_host_is_read_through_the_door_once_the_kit_is_there(stage: Scene) -> None:
    """Both gates spend in root's one spool; and by a registry that does not know of the kit nothing is burned."""
    unfit(stage.lab)
    await stage.register(GUI)
    one = await approved(stage)
    hold(stage.lab, "slow")
    async with stage.working():
        await when(lambda: has_stopped_at(stage.lab, "stopping"))
        assert await asyncio.to_thread(stage.lab.hang_up) >= 1
        await stage.until(one.request, State.UNKNOWN)
    let_go(stage.lab, "slow")
    await when(lambda: has_ended(stage.lab, one.request))
    entry = await fit(stage, GUI)
    await stage.register(GUI, host=as_open(entry))
    with pytest.raises(Unreachable) as refused:
        await stage.world.hosts.burn(as_open(entry), one.request.id)
    assert refused.value.code == "has_kit"
    async with stage.working():
        await stage.register(GUI, host=entry)
        await one.settled("during the run, the line cut, then the kit set up", State.SUCCEEDED, READ, ran=1)


def test_how_each_combination_was_settled_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print("\n\n a host with the kit: when, and what broke           runs  settled")
        for how, settled, outcome, ran in TABLE:
            print(f" {how:<52}{ran:<6}{settled}\n{'':59}{outcome[:150]}")
    assert all(ran <= 1 for _, _, _, ran in TABLE)
    assert len(TABLE) >= 10


async def ended_unheard(one: One) -> None:
    """The command has ended, and the line was cut before anybody could hear of it."""
    lab = one.stage.lab
    hold(lab, "slow")
    await when(lambda: has_stopped_at(lab, "stopping"))
    lab.cut()
    let_go(lab, "slow")
    await when(lambda: has_ended(lab, one.request))


async def no_gate(host: LabHost) -> None:
    """Wait until no gate stands still any more, so that what it would do is done."""
    idle = "! pgrep -f '^/bin/sh /usr/local/sbin/systemctl' >/dev/null && ! pgrep -f askfirst/gate >/dev/null"
    await when(lambda: host.run(idle, check=False).status == 0)
