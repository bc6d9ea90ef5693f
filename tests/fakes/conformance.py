"""What every fulfilment of ``flow.ports.Hosts`` has to do: one suite for the fake host, real shells, and the lab.

A class that inherits from it offers a fixture ``place``: a host with one service on it that is proved and can be
restarted. ``HostsThatCanBeCut`` adds what happens when the line breaks at a chosen point.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

import pytest

from app.core.errors import Lost, Unreachable
from app.core.facts import Facts
from app.core.judge import judge
from app.core.run import Differs, Exited, Output, Progress, Refusal, Spool, SpoolState, Started
from app.core.service import Host, Service, TcpCheck
from app.core.verdict import Verdict
from app.core.warrant import Warrant
from app.flow.ports import Hosts
from app.gate.build import expected
from app.managers import MANAGERS
from app.ssh.keys import fingerprint, pinned
from tests.fakes.cut import Cut

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Place(Protocol):
    """A host with a service on it, the way to it, and what can be done to both behind Askfirst's back."""

    @property
    def hosts(self) -> Hosts: ...

    @property
    def host(self) -> Host: ...

    @property
    def service(self) -> Service: ...

    async def replace(self) -> None:
        """Restart the service without Askfirst."""

    async def wait(self) -> None:
        """Let a little time go by on the host."""

    def cut(self, point: Cut) -> None:
        """Break the line once, at a point of the next talk."""


async def probe(place: Place) -> Facts:
    return await place.hosts.probe(place.host, [place.service])


def verdict_on(place: Place, facts: Facts) -> Verdict:
    return judge(place.service, facts, MANAGERS, expected(place.host.level), place.host.level)


async def proof(place: Place) -> tuple[Facts, Verdict]:
    """Probe until the claim is proved: a service that has just been restarted takes a while to listen."""
    for _ in range(600):
        facts = await probe(place)
        verdict = verdict_on(place, facts)
        if verdict.is_verified:
            return facts, verdict
        await place.wait()
    raise AssertionError("the service was never proved")


async def warrant_for(place: Place) -> Warrant:
    """The warrant that the flow would write now, once the service is up."""
    facts, verdict = await proof(place)
    command = MANAGERS[place.service.manager].restart(place.service, verdict.unit, facts)
    return Warrant(
        id="".join(secrets.choice(_ALPHABET) for _ in range(26)),
        service=place.service.name,
        host=place.host.name,
        host_key=fingerprint(pinned(place.host)[0]),
        manager=place.service.manager,
        unit=verdict.unit,
        action="restart",
        argv=command.argv,
        argv_user=command.user,
        identity=facts.identity[place.service.name],
        requester="ada@example.org",
        reason="conformance",
        policy="test 1",
        not_after=4_000_000_000,
        evidence="sha256:none",
    )


async def run(place: Place, warrant: Warrant) -> list[Progress]:
    """Run a warrant to its end, and return all that was said."""
    return [progress async for progress in place.hosts.restart(place.host, warrant.text())]


async def ended(place: Place, warrant: Warrant) -> Spool:
    """Wait until the command is known to have ended."""
    for _ in range(600):
        spool = await place.hosts.result(place.host, warrant.id)
        if spool.state is not SpoolState.RUNNING:
            return spool
        await place.wait()
    raise AssertionError("the command never ended")


def printed(said: list[Progress]) -> bytes:
    """Put the pieces of the output together, and check that none is missing or there twice."""
    whole = b""
    for piece in said:
        if isinstance(piece, Output):
            assert piece.offset == len(whole)
            whole += piece.data
    return whole


class HostsConformance:
    """What holds while the line holds."""

    async def test_a_probe_proves_a_right_claim(self, place: Place) -> None:
        verdict = verdict_on(place, await probe(place))
        assert verdict.is_verified, [finding for finding in verdict.findings if finding.agrees is not True]

    async def test_identity_begins_with_the_boot_and_names_the_process(self, place: Place) -> None:
        facts = await probe(place)
        lines = facts.identity[place.service.name]
        assert lines[0].startswith("boot ")
        (process,) = [line.split(" ") for line in lines if line.startswith("process ")]
        assert facts.processes[int(process[1])].start == int(process[2])

    @pytest.mark.law(2)
    async def test_a_probe_changes_nothing_that_a_probe_sees(self, place: Place) -> None:
        first, second = await probe(place), await probe(place)
        assert first.identity == second.identity
        ports = place.service.ports  # the rest of the host lives its own life
        listening = [tuple(each for each in facts.listeners if each.port in ports) for facts in (first, second)]
        assert listening[0] == listening[1] != ()

    async def test_a_run_is_streamed_to_its_end(self, place: Place) -> None:
        warrant = await warrant_for(place)
        said = await run(place, warrant)
        assert isinstance(said[0], Started)
        assert said[-1] == Exited(0)
        assert all(isinstance(piece, Output) for piece in said[1:-1])
        assert printed(said) == (await place.hosts.result(place.host, warrant.id)).output

    async def test_a_run_makes_a_new_incarnation_and_changes_nothing_else(self, place: Place) -> None:
        warrant = await warrant_for(place)
        await run(place, warrant)
        after = (await warrant_for(place)).identity
        mark = MANAGERS[place.service.manager].mark
        assert not set(mark(after)) & set(mark(warrant.identity))
        assert after[0] == warrant.identity[0]
        assert len(after) == len(warrant.identity)

    @pytest.mark.law(6)
    async def test_a_spent_warrant_is_refused_and_its_result_stays(self, place: Place) -> None:
        warrant = await warrant_for(place)
        said = await run(place, warrant)
        assert [type(each) for each in await run(place, warrant)] == [Refusal]
        spool = await place.hosts.result(place.host, warrant.id)
        assert spool == Spool(SpoolState.EXITED, 0, printed(said))
        assert await place.hosts.burn(place.host, warrant.id) == spool

    @pytest.mark.law(6)
    async def test_of_fifty_who_run_one_warrant_at_once_exactly_one_does(self, place: Place) -> None:
        warrant = await warrant_for(place)
        said = await asyncio.gather(*(run(place, warrant) for _ in range(50)))
        first = [each[0] for each in said]
        assert sum(isinstance(each, Started) for each in first) == 1
        assert sum(isinstance(each, Refusal) for each in first) == 49

    @pytest.mark.law(5)
    @pytest.mark.threat("C7")
    async def test_a_service_that_was_replaced_is_not_restarted(self, place: Place) -> None:
        warrant = await warrant_for(place)
        await place.replace()
        now = await warrant_for(place)
        (said,) = await run(place, warrant)
        assert said == Differs(now.identity)
        assert (await place.hosts.result(place.host, warrant.id)).state is SpoolState.UNSPENT
        assert (await warrant_for(place)).identity == now.identity

    @pytest.mark.law(5)
    async def test_a_changed_identity_line_is_not_run(self, place: Place) -> None:
        warrant = await warrant_for(place)
        forged = replace(warrant, identity=(*warrant.identity[:-1], f"{warrant.identity[-1]}0"))
        assert await run(place, forged) == [Differs(warrant.identity)]

    async def test_what_is_no_warrant_is_refused(self, place: Place) -> None:
        warrant = await warrant_for(place)
        for text in ("nonsense\n", warrant.text().replace("action restart", "action stop"), warrant.text()[:-40]):
            said = [each async for each in place.hosts.restart(place.host, text)]
            assert [type(each) for each in said] == [Refusal]
        assert (await place.hosts.result(place.host, warrant.id)).state is SpoolState.UNSPENT

    @pytest.mark.law(5)
    @pytest.mark.threat("C10")
    async def test_a_warrant_for_another_host_or_key_is_not_run_here(self, place: Place) -> None:
        warrant = await warrant_for(place)
        for other in (replace(warrant, host="another"), replace(warrant, host_key="SHA256:another")):
            assert [type(each) for each in await run(place, other)] == [Refusal]
        assert (await place.hosts.result(place.host, warrant.id)).state is SpoolState.UNSPENT

    @pytest.mark.law(9)
    async def test_a_warrant_that_is_over_by_the_host_s_clock_is_not_run(self, place: Place) -> None:
        warrant = await warrant_for(place)
        (refusal,) = await run(place, replace(warrant, not_after=1_500_000_000))
        assert isinstance(refusal, Refusal)
        assert "the warrant held until 2017-07-14T02:40:00Z, and this host's clock says 20" in refusal.why
        assert (await place.hosts.result(place.host, warrant.id)).state is SpoolState.UNSPENT

    @pytest.mark.law(12)
    async def test_a_burned_warrant_never_runs(self, place: Place) -> None:
        warrant = await warrant_for(place)
        assert (await place.hosts.result(place.host, warrant.id)).state is SpoolState.UNSPENT
        assert await place.hosts.burn(place.host, warrant.id) == Spool(SpoolState.BURNED)
        assert await place.hosts.burn(place.host, warrant.id) == Spool(SpoolState.BURNED)
        assert [type(each) for each in await run(place, warrant)] == [Refusal]
        assert (await warrant_for(place)).identity == warrant.identity

    @pytest.mark.law(12)
    async def test_who_stops_listening_does_not_stop_the_command(self, place: Place) -> None:
        warrant = await warrant_for(place)
        progress = place.hosts.restart(place.host, warrant.text())
        assert isinstance(await anext(progress), Started)
        await progress.aclose()  # type: ignore[attr-defined]
        spool = await ended(place, warrant)
        assert (spool.state, spool.exit_status) == (SpoolState.EXITED, 0)
        assert not set(_processes(await warrant_for(place))) & set(_processes(warrant))

    async def test_a_check_sees_what_the_host_sees(self, place: Place) -> None:
        (port, *_) = place.service.ports
        assert (await place.hosts.check(place.host, TcpCheck(port))).is_green
        assert not (await place.hosts.check(place.host, TcpCheck(1))).is_green
        for check in place.service.checks:
            assert (await place.hosts.check(place.host, check)).is_green, check

    async def test_keeping_and_releasing_may_be_said_at_any_time(self, place: Place) -> None:
        place.hosts.release(place.host.name)
        place.hosts.keep(place.host.name)
        place.hosts.keep(place.host.name)
        await probe(place)
        place.hosts.release(place.host.name)
        await probe(place)


class HostsThatCanBeCut(HostsConformance):
    """What holds when the line breaks: nothing runs twice, nothing is lost, and each side says what it knows."""

    @pytest.mark.law(12)
    async def test_cut_before_a_session_nothing_ran(self, place: Place) -> None:
        warrant = await warrant_for(place)
        await self.disconnect(place)
        place.cut(Cut.BEFORE_SESSION)
        with pytest.raises(Unreachable):
            await run(place, warrant)
        assert (await place.hosts.result(place.host, warrant.id)).state is SpoolState.UNSPENT
        assert isinstance((await run(place, warrant))[-1], Exited)

    @pytest.mark.law(12)
    async def test_cut_after_the_warrant_was_sent_it_is_lost_and_can_be_burned(self, place: Place) -> None:
        warrant = await warrant_for(place)
        place.cut(Cut.AFTER_INPUT)
        with pytest.raises(Lost):
            await run(place, warrant)
        assert await place.hosts.burn(place.host, warrant.id) == Spool(SpoolState.BURNED)
        assert (await warrant_for(place)).identity == warrant.identity

    @pytest.mark.law(12)
    @pytest.mark.threat("D19")
    @pytest.mark.parametrize("point", [Cut.AFTER_START, Cut.BEFORE_EXIT])
    async def test_cut_while_it_runs_it_is_lost_and_its_result_is_not(self, place: Place, point: Cut) -> None:
        warrant = await warrant_for(place)
        place.cut(point)
        with pytest.raises(Lost):
            await run(place, warrant)
        assert (await place.hosts.burn(place.host, warrant.id)).state in {SpoolState.RUNNING, SpoolState.EXITED}
        spool = await ended(place, warrant)
        assert (spool.state, spool.exit_status) == (SpoolState.EXITED, 0)
        assert place.service.unit.encode() in spool.output
        assert not set(_processes(await warrant_for(place))) & set(_processes(warrant))

    async def test_cut_in_any_other_talk_nothing_ran(self, place: Place) -> None:
        warrant = await warrant_for(place)
        talks: tuple[Callable[[], Awaitable[object]], ...] = (
            lambda: probe(place),
            lambda: place.hosts.burn(place.host, warrant.id),
            lambda: place.hosts.result(place.host, warrant.id),
        )
        for talk in talks:
            place.cut(Cut.AFTER_INPUT)
            with pytest.raises(Unreachable) as failed:
                await talk()
            assert failed.value.code == "connection_lost"
        assert isinstance((await run(place, warrant))[-1], Exited)  # none of the burns had arrived

    async def disconnect(self, place: Place) -> None:
        """Leave no connection open, so that none can be replaced by a new one."""


def _processes(warrant: Warrant) -> tuple[str, ...]:
    return tuple(line for line in warrant.identity if line.startswith("process "))
