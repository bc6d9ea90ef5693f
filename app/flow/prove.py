"""Looking: one probe of a host, the judge, the checks and the need, for one service or for all of a host.

It changes nothing anywhere (law 2) and asks nobody. A host that cannot be reached is a verdict, not an exception.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import structlog

from app.core.checklist import pushed
from app.core.errors import Unreachable
from app.core.events import iso
from app.core.facts import Facts
from app.core.judge import judge, unreachable
from app.core.need import assess
from app.core.registry import MOST_JUMPS, Registry
from app.core.run import Checked
from app.core.service import Host, Service
from app.core.verdict import Answer, Finding, Need, Verdict
from app.flow import watch
from app.flow.evidence import Evidence, offered, touched
from app.flow.named import host_named
from app.flow.ports import World
from app.gate.build import expected
from app.managers import MANAGERS
from app.store import proofs

_LOG = structlog.get_logger("askfirst.proof")


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of one service at one time. ``facts`` is None where the host gave no answer."""

    service: Service
    host: Host
    verdict: Verdict
    need: Need
    facts: Facts | None
    checks: tuple[Checked, ...]
    at: float

    @property
    def identity(self) -> tuple[str, ...]:
        """The identity lines that the gate printed for this service."""
        return self.facts.identity.get(self.service.name, ()) if self.facts else ()

    def evidence(self, claim: str = "", before: Sequence[str] = ()) -> Evidence:
        """Return what is stored of it and shown to people; ``before`` are the identity lines before a run."""
        proved = self.facts if self.verdict.is_verified else None
        return Evidence(
            taken_at=self.at,
            verdict=self.verdict,
            need=self.need,
            identity=self.identity,
            touched=touched(self.verdict.pids, self.facts) if self.facts else (),
            checks=self.checks,
            claim=claim,
            user=self.host.user,
            sudo=self.host.sudo,
            level=self.host.level,
            commands=offered(self.service, self.verdict, proved, MANAGERS[self.service.manager]) if proved else (),
            committed=self._pushed(),
            gone=tuple(line for line in before if line not in self.identity),
        )

    def _pushed(self) -> Finding | None:
        if self.facts is None:
            return None
        return pushed(self.facts.code.get(self.service.name), self.service.path, self.facts.now)


def place(registry: Registry, name: str) -> tuple[Host, tuple[Host, ...]]:
    """Return a host and the jump hosts before it, the first hop first. Raises NotFound."""
    host = host_named(registry, name)
    via: list[Host] = []
    hop = host
    while hop.jump is not None and len(via) < MOST_JUMPS:
        hop = host_named(registry, hop.jump)
        via.insert(0, hop)
    return host, tuple(via)


async def look(world: World, registry: Registry, service: Service, *, git: bool = False) -> Look:
    """Probe and judge one service now; ``git`` asks besides whether its code is pushed, which only a request shows."""
    return (await look_at(world, registry, [service], git=git))[0]


async def look_all(world: World, registry: Registry, host: str) -> list[Look]:
    """Probe a host once, and judge every service that claims to run there."""
    return await look_at(world, registry, registry.services_on(host))


async def look_at(world: World, registry: Registry, services: Sequence[Service], *, git: bool = False) -> list[Look]:
    """Probe the one host of these services once, and judge each."""
    if not services:
        return []
    host, via = place(registry, services[0].host)
    try:
        facts = await dated(world, await world.hosts.probe(host, services, via, git=git))
    except Unreachable as error:
        at = await world.time()
        return [_unseen(host, service, error, at) for service in services]
    return await look_in(world, host, via, services, facts)


async def dated(world: World, facts: Facts) -> Facts:
    """Date facts by the database's clock, so that the looks of different replicas are in their order."""
    now = world.clock.now()
    return replace(facts, taken_at=facts.taken_at + (await world.db.clock(now) - now))


async def look_in(
    world: World, host: Host, via: Sequence[Host], services: Sequence[Service], facts: Facts
) -> list[Look]:
    """Judge services by facts that were taken for them, and make their checks."""
    return list(await asyncio.gather(*(_judged(world, host, via, service, facts) for service in services)))


async def remember(world: World, seen: Look) -> None:
    """Keep a look as the service's last one, say so where its verdict changed, and end what rests on something else."""
    shown, name = seen.evidence(), seen.service.name
    turn = await proofs.record_proof(world.db, name, seen.verdict.code, seen.need.answer, seen.at, shown.text())
    if turn is not None:
        level = logging.INFO if seen.verdict.is_verified else logging.WARNING
        _LOG.log(level, "verdict changed", **{**asdict(turn), "at": iso(turn.at)}, next=seen.verdict.next_step)
        world.news.tell("work")
    await watch.heed(world, name)


async def run_checks(world: World, host: Host, via: Sequence[Host], service: Service) -> tuple[Checked, ...]:
    """Make a service's checks side by side, through the SSH connection."""
    return tuple(
        await asyncio.gather(*(_check(world, host, via, service, index) for index in range(len(service.checks))))
    )


async def _judged(world: World, host: Host, via: Sequence[Host], service: Service, facts: Facts) -> Look:
    verdict = judge(service, facts, MANAGERS, expected(host.level), host.level)
    checks = await run_checks(world, host, via, service) if verdict.is_verified else ()
    need = assess(service, facts, MANAGERS, [(each.label, each.is_green, each.seen) for each in checks])
    return Look(service, host, verdict, need, facts, checks, facts.taken_at)


async def _check(world: World, host: Host, via: Sequence[Host], service: Service, index: int) -> Checked:
    check = service.checks[index]
    try:
        return await world.hosts.check(host, check, via)
    except Unreachable as error:
        return Checked(check.label, is_green=False, seen=error.message)


def _unseen(host: Host, service: Service, error: Unreachable, at: float) -> Look:
    verdict = unreachable(service, error)
    return Look(service, host, verdict, Need(Answer.UNSURE), None, (), at)
