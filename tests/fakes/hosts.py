"""The port to all hosts, answered by little worlds. Fulfils ``flow.ports.Hosts``; raises what SSH raises, when it does.

``cut_at`` breaks the line at a point, once per host; a host that ``is_down`` answers nothing; one whose ``key_changed``
is refused. What a command does goes on whether or not anybody listens. ``sent`` notes each warrant that reached a
host: which, with how many signatures, under which number.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from app.core.checks import judge_http, judge_json, judge_tcp, no_answer
from app.core.errors import HostKeyChanged, Lost, Unreachable
from app.core.facts import Facts
from app.core.run import Checked, Exited, Output, Progress, Spool, Started
from app.core.service import Check, Host, HttpCheck, JsonCheck, Service, TcpCheck
from tests.fakes.clock import FakeClock
from tests.fakes.cut import Cut
from tests.fakes.host import FakeHost, Run


@dataclass(slots=True)
class FakeHosts:
    """Some hosts by name, with what goes wrong between us and them."""

    clock: FakeClock
    hosts: dict[str, FakeHost] = field(default_factory=dict)
    cut_at: dict[str, Cut] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)
    key_changed: set[str] = field(default_factory=set)
    kept: set[str] = field(default_factory=set)
    probes: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    sent: list[tuple[str, tuple[str, ...], int]] = field(default_factory=list)

    def add(self, name: str = "alpha", environment: str = "production") -> FakeHost:
        """Make a host that runs nothing yet."""
        self.hosts[name] = FakeHost(name, self.clock, environment)
        return self.hosts[name]

    async def probe(
        self,
        host: Host,
        services: Sequence[Service],
        via: Sequence[Host] = (),
        *,
        whole: bool = False,
        git: bool = False,
    ) -> Facts:
        there = await self._reach(host, via)
        self.probes.append((host.name, tuple(service.name for service in services)))
        if self._breaks(host, Cut.AFTER_INPUT):
            raise _unreachable(host, "connection_lost")
        return there.probe(services, self.clock.now(), git=git)

    async def restart(
        self,
        host: Host,
        warrant: str,
        via: Sequence[Host] = (),
        *,
        signatures: Sequence[str] = (),
        serial: int = 0,
    ) -> AsyncIterator[Progress]:
        there = await self._reach(host, via)
        self.sent.append((host.name, tuple(signatures), serial))
        if self._breaks(host, Cut.AFTER_INPUT):
            raise _lost(host)
        run = there.spend(warrant)
        if not isinstance(run, Run):
            yield run
            return
        yield Started()
        if self._breaks(host, Cut.AFTER_START):
            raise _lost(host)
        half = len(run.output) // 2
        for offset, data in ((0, run.output[:half]), (half, run.output[half:])):
            if data:
                yield Output(offset, data)
        boot = there.boot
        await self.clock.sleep(max(0.0, run.ends_at - self.clock.now()))
        if there.boot != boot or host.name in self.down or self._breaks(host, Cut.BEFORE_EXIT):
            raise _lost(host)
        yield Exited(run.exit_status)

    async def burn(self, host: Host, request_id: str, via: Sequence[Host] = ()) -> Spool:
        there = await self._reach(host, via)
        if self._breaks(host, Cut.AFTER_INPUT):
            raise _unreachable(host, "connection_lost")
        return there.burn(request_id)

    async def result(self, host: Host, request_id: str, via: Sequence[Host] = ()) -> Spool:
        there = await self._reach(host, via)
        if self._breaks(host, Cut.AFTER_INPUT):
            raise _unreachable(host, "connection_lost")
        return there.result(request_id)

    async def check(self, host: Host, check: Check, via: Sequence[Host] = ()) -> Checked:
        there = await self._reach(host, via)
        match check:
            case TcpCheck(port):
                return judge_tcp(check) if there.holder(port) else no_answer(check, "nothing accepts connections there")
            case HttpCheck(url) | JsonCheck(url):
                process = there.holder(_port_of(url))
                if process is None:
                    return no_answer(check, "nothing accepts connections there")
                if isinstance(check, HttpCheck):
                    return judge_http(check, process.status)
                return judge_json(check, process.status, process.serves.encode())

    def keep(self, host: str) -> None:
        self.kept.add(host)

    def release(self, host: str) -> None:
        self.kept.discard(host)

    async def close(self) -> None:
        self.kept.clear()

    async def _reach(self, host: Host, via: Sequence[Host]) -> FakeHost:
        await asyncio.sleep(0)  # others get their turn, as they do while a network answers
        for each in (*via, host):
            if each.name in self.key_changed:
                raise HostKeyChanged(
                    f"{each.name} shows another host key than the pinned one.",
                    next_step="Find out why, on its console.",
                )
            if each.name in self.down or each.name not in self.hosts:
                raise _unreachable(each, "timeout")
        if self._breaks(host, Cut.BEFORE_SESSION):
            raise _unreachable(host, "connection_lost")
        return self.hosts[host.name]

    def _breaks(self, host: Host, point: Cut) -> bool:
        if self.cut_at.get(host.name) is not point:
            return False
        del self.cut_at[host.name]
        return True


def _unreachable(host: Host, code: str) -> Unreachable:
    return Unreachable(f"{host.name} did not answer. Nothing was run.", code=code, next_step="Try again.")


def _lost(host: Host) -> Lost:
    return Lost(
        f"{host.name} was lost in the middle of the run. It may have run.",
        code="line_lost",
        next_step="Do not restart it by hand: Askfirst finds out.",
    )


def _port_of(url: str) -> int:
    authority = url.removeprefix("http://").split("/", 1)[0]
    return int(authority.rsplit(":", 1)[1]) if ":" in authority else 80
