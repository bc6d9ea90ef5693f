"""The line is cut, the worker is killed, the host is rebooted: before the run, during it and after. Never two runs.

How often something ran is told by the host alone: its manager's own count of starts, and the spool, read from its disk.
What was lost on the way is never guessed: the spool is burned or read. Nothing here hopes to be quick enough: the
command, or the gate before it, stands still on the host until the test has done its harm, however busy the machine is.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from app.core.lifecycle import Request, State
from app.core.service import Service, TcpCheck
from tests.lab.flow_world import PLAIN, UNIT, Scene, another_world, aside, runs, scene, spool, standing, starts, when
from tests.lab.hosts import Lab, LabHost

# A folder of the host's disk: what lies in it can be put there and taken away while the host's line is cut.
HOLD = "srv/hold"
# Told to stop, it does so once `slow` is gone: until then its restart is under way.
SLOW = replace(PLAIN, name="slow", unit="slow", ports=(8100,), checks=(TcpCheck(8100),))
MAKE_SLOW = f"""
mkdir -p /{HOLD}
docker run -d --stop-timeout 300 --name slow -v /{HOLD}:/hold -p 8100:8000 pypnm-api:lab sh -c '
  trap "while [ -e /hold/slow ]; do sleep 0.1; done; exit" TERM
  httpd -f -p 8000 -h /www &
  wait'
"""
# The gate asks systemctl for the identity before it spends the warrant: it waits for that until `gate` is gone.
MAKE_GATE_SLOW = f"""
cat >/usr/local/sbin/systemctl <<'X'
#!/bin/sh
while [ -e /{HOLD}/gate ]; do : >/{HOLD}/asked; sleep 0.1; done
exec /usr/bin/systemctl "$@"
X
chmod 755 /usr/local/sbin/systemctl
"""
NOT_RUN = ["run_started", "run_lost", "run_burned"]
HEARD = ["run_started", "run_ended", "settled"]
READ = ["run_started", "run_lost", "run_ended", "settled"]
TABLE: list[tuple[str, str, str, int]] = []


@pytest.fixture(scope="module")
def bravo(lab: Lab) -> LabHost:
    host = standing(lab)
    host.run(f"set -e\n{MAKE_SLOW}\n{MAKE_GATE_SLOW}")
    return host


def hold(host: LabHost, what: str) -> None:
    """Have the host's `slow` container, or its gate, stand still."""
    (host.root / HOLD / "asked").unlink(missing_ok=True)
    (host.root / HOLD / what).touch()


def let_go(host: LabHost, *what: str) -> None:
    for name in what:
        (host.root / HOLD / name).unlink(missing_ok=True)


def gate_waits(host: LabHost) -> bool:
    """Whether the gate has the warrant, and stands still before it has compared the identity."""
    return (host.root / HOLD / "asked").exists()


@dataclass
class Line:
    """One request whose line will be cut, and how often its service had been started before."""

    stage: Scene
    service: Service
    request: Request
    count: int

    async def settled(self, when_cut: str, state: State, *stories: list[str], ran: int) -> Request:
        """The request ends like this; the host says how often its command ran; and the table is told."""
        request = await self.stage.until(self.request)
        told = (await self.stage.story(request))[3:]
        host = self.stage.lab
        begun, started = runs(host, request.id), starts(host, self.service) - self.count
        TABLE.append((when_cut, f"{request.state}: {' '.join(told)}", request.outcome, begun))
        assert request.state is state, request.outcome
        assert told in stories, request.outcome
        assert (begun, started) == (ran, ran)
        return request


@pytest.fixture
async def stage(bravo: LabHost, tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(bravo, tmp_path, SLOW, UNIT) as made:
        yield made
    let_go(bravo, "slow", "gate")
    bravo.mend()


async def line(stage: Scene, service: Service) -> Line:
    count = starts(stage.lab, service)
    return Line(stage, service, await stage.approved(service), count)


@pytest.mark.law(12)
async def test_a_host_that_is_gone_before_the_run_was_not_asked_to_run(stage: Scene) -> None:
    """Once over the connection that was kept since the question, once by a worker that has none."""
    for how, url in (("the kept connection", None), ("a new connection", stage.url)):
        one = await line(stage, UNIT)
        stage.lab.cut()
        if url is None:
            async with stage.working():
                await stage.until(one.request)
        else:
            async with another_world(url, stage.lab, "two") as world, stage.working(world):
                await stage.until(one.request)
        stage.lab.mend()
        await one.settled(f"before the exec, {how} cut", State.NOT_RUN, ["run_started", "run_refused"], ran=0)
        assert spool(stage.lab, one.request.id) == []


@pytest.mark.law(6)
@pytest.mark.law(12)
@pytest.mark.threat("D11")
async def test_a_line_lost_before_the_exec_burns_the_warrant_though_the_gate_on_the_host_goes_on(stage: Scene) -> None:
    one = await line(stage, UNIT)
    hold(stage.lab, "gate")
    async with stage.working():
        await when(lambda: gate_waits(stage.lab))
        assert await asyncio.to_thread(stage.lab.hang_up) >= 1
        await stage.until(one.request)
    let_go(stage.lab, "gate")
    await gate_has_gone(stage.lab)
    await one.settled("before the exec, hung up", State.NOT_RUN, NOT_RUN, ran=0)
    assert spool(stage.lab, one.request.id) == [one.request.id]


@pytest.mark.law(12)
@pytest.mark.threat("D19")
async def test_a_line_lost_during_the_run_loses_neither_the_run_nor_its_result(stage: Scene) -> None:
    one = await line(stage, SLOW)
    hold(stage.lab, "slow")
    async with stage.working():
        await when(lambda: runs(stage.lab, one.request.id) == 1)
        assert await asyncio.to_thread(stage.lab.hang_up) >= 1
        await stage.until(one.request, State.UNKNOWN)
        let_go(stage.lab, "slow")
        request = await one.settled("during the run, hung up", State.SUCCEEDED, READ, ran=1)
    assert request.exit_status == 0
    assert await stage.printed(request) == "slow\n"


@pytest.mark.law(12)
async def test_a_line_that_was_only_silent_for_a_while_was_not_lost(stage: Scene) -> None:
    one = await line(stage, SLOW)
    hold(stage.lab, "slow")
    async with stage.working():
        await when(lambda: runs(stage.lab, one.request.id) == 1)
        stage.lab.cut()
        await asyncio.sleep(2)
        stage.lab.mend()
        let_go(stage.lab, "slow")
        await one.settled(
            "during the run, silent for 2 s", State.SUCCEEDED, ["run_started", "run_ended", "settled"], ran=1
        )


@pytest.mark.law(12)
async def test_a_line_lost_after_the_command_ended_is_settled_by_what_the_host_kept(stage: Scene) -> None:
    one = await line(stage, SLOW)
    hold(stage.lab, "slow")
    async with stage.working():
        await when(lambda: runs(stage.lab, one.request.id) == 1)
        stage.lab.cut()
        let_go(stage.lab, "slow")
        await when(lambda: any(name.endswith(".exit") for name in spool(stage.lab, one.request.id)))
        # It cannot know yet; it may have given the silent line up.
        assert (await stage.load(one.request)).state in {State.RUNNING, State.UNKNOWN}
        stage.lab.hang_up()
        stage.lab.mend()
        # What lay in the cut line may still arrive once it is mended, before the news that it was hung up.
        request = await one.settled("after the end, cut and hung up", State.SUCCEEDED, READ, HEARD, ran=1)
    assert request.exit_status == 0


@pytest.mark.law(6)
@pytest.mark.law(12)
@pytest.mark.threat("G1")
async def test_a_worker_killed_before_the_exec_leaves_a_warrant_that_is_burned(stage: Scene) -> None:
    one = await line(stage, UNIT)
    hold(stage.lab, "gate")
    with stage.worker_process():
        await when(lambda: gate_waits(stage.lab))
    async with stage.working():
        await stage.until(one.request)
    let_go(stage.lab, "gate")
    await gate_has_gone(stage.lab)
    await one.settled("before the exec, worker killed", State.NOT_RUN, NOT_RUN, ran=0)


@pytest.mark.law(10)
@pytest.mark.law(12)
async def test_a_worker_killed_in_mid_run_is_followed_by_one_that_reads_and_does_not_repeat(stage: Scene) -> None:
    one = await line(stage, SLOW)
    hold(stage.lab, "slow")
    with stage.worker_process():
        await when(lambda: runs(stage.lab, one.request.id) == 1)
    let_go(stage.lab, "slow")
    async with stage.working():
        request = await one.settled("during the run, worker killed", State.SUCCEEDED, READ, ran=1)
    assert await stage.printed(request) == "slow\n"


@pytest.mark.law(12)
@pytest.mark.threat("T20")
async def test_a_worker_cancelled_while_it_streams_is_as_one_that_was_killed(stage: Scene) -> None:
    one = await line(stage, SLOW)
    hold(stage.lab, "slow")
    async with stage.working() as worker:
        await when(lambda: runs(stage.lab, one.request.id) == 1)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        assert (await stage.load(one.request)).state is State.RUNNING
    let_go(stage.lab, "slow")
    async with another_world(stage.url, stage.lab, "two") as world, stage.working(world):
        await one.settled("during the run, worker cancelled", State.SUCCEEDED, READ, ran=1)


@pytest.mark.law(11)
@pytest.mark.law(12)
async def test_a_host_rebooted_in_mid_run_has_not_succeeded_and_runs_nothing_again(stage: Scene) -> None:
    """Its container has no restart policy, so that after the reboot nothing runs; nobody starts it a second time."""
    stage.world = replace(stage.world, limits=replace(stage.world.limits, settle_timeout_seconds=2))
    one = await line(stage, SLOW)
    hold(stage.lab, "slow")
    async with stage.working():
        await when(lambda: runs(stage.lab, one.request.id) == 1)
        await aside(stage.lab.reboot)
        request = await stage.until(one.request, seconds=150)
    one.count = 0  # Docker's own count began anew with the host
    assert starts(stage.lab, SLOW) == 0
    story = (await stage.story(request))[3:]
    TABLE.append(("during the run, host rebooted", f"{request.state}: {' '.join(story)}", request.outcome, 1))
    assert (request.state, story) == (State.FAILED, READ), request.outcome
    assert (request.exit_status, runs(stage.lab, request.id)) == (None, 1)
    stage.lab.replay("incident")


def test_how_each_combination_was_settled_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print("\n\n when and how the line was lost        runs  settled")
        for when_cut, how, outcome, ran in TABLE:
            print(f" {when_cut:<38}{ran:<6}{how}\n{'':45}{outcome[:150]}")
    assert all(ran <= 1 for _, _, _, ran in TABLE)


async def gate_has_gone(host: LabHost) -> None:
    """Wait until no gate waits any more on the host for its slow systemctl, so that what it would do is done."""
    idle = "! pgrep -f '^/bin/sh /usr/local/sbin/systemctl' >/dev/null"
    await when(lambda: host.run(idle, check=False).status == 0)
    await asyncio.sleep(1)
