"""Settling: finding out, once a command has ended, whether the service truly came back.

It never starts anything. It probes until the after-proof is complete or its time is up (law 11).
"""

from app.core.events import Settled
from app.core.lifecycle import Request
from app.core.outcome import Conclusion, Watch
from app.core.registry import Registry
from app.core.service import Service
from app.core.verdict import Answer, Code, Need, Verdict
from app.core.warrant import Warrant
from app.core.warrant import read as read_warrant
from app.flow import evidence as proof
from app.flow.ids import salted, stamp
from app.flow.ports import World
from app.flow.prove import Look, look, remember
from app.managers import MANAGERS
from app.ssh.keys import is_pinned
from app.store import requests, services

_FIRST_WAIT, _LONGEST_WAIT = 0.25, 2.0
_ELSEWHERE = "The registry's entry means something else by now than what ran: nobody has seen that come back."
_NO_BEFORE = "What ran before is not known any more: nothing shows that what runs now is new."


async def settle(world: World, request: Request) -> Request:
    """Probe with growing pauses until the outcome is certain, and write it."""
    registry = await services.registry(world.db)
    service = registry.service(request.service)
    if service is None:
        return await _write(world, request, False, "The service was taken out of the registry.", None)
    text = await requests.text(world.db, request.warrant or "")
    ran = read_warrant(text) if text else None
    if service.host != request.host or (ran and not _is_what_ran(registry, service, ran)):
        return await _write(world, request, False, _ELSEWHERE, None)
    before = await proof.of(world.db, request)
    if before is None:
        return await _write(world, request, False, _NO_BEFORE, await look(world, registry, service))
    lines = before.identity
    watch = Watch.begin(
        service, lines, MANAGERS[service.manager], exit_status=request.exit_status, action=request.action
    )
    patience = world.limits.settle_timeout_seconds + service.settle_seconds
    deadline = world.clock.monotonic() + patience
    wait = _FIRST_WAIT
    while True:
        seen, watch, conclusion = await _observe(world, registry, service, watch)
        if ran and seen.verdict.is_verified and seen.verdict.unit != ran.unit:
            return await _write(world, request, False, _ELSEWHERE, seen, lines)
        if conclusion.is_final or world.clock.monotonic() >= deadline:
            return await _write(world, request, conclusion.is_success, conclusion.why, seen, lines)
        await world.clock.sleep(min(wait, max(_FIRST_WAIT, conclusion.look_again_in or wait)))
        wait = min(wait * 1.6, _LONGEST_WAIT)


async def _observe(world: World, registry: Registry, service: Service, watch: Watch) -> tuple[Look, Watch, Conclusion]:
    """Look once more. When, is told by a clock that nobody sets: how long it stayed is no matter of the time of day."""
    began = world.clock.monotonic()
    seen = await look(world, registry, service)
    took = world.clock.monotonic() - began
    green = [(each.label, each.is_green, each.seen) for each in seen.checks]
    watch, conclusion = watch.see(began, seen.verdict, seen.identity, green, seen.need.signs, took=took)
    return seen, watch, conclusion


def _is_what_ran(registry: Registry, service: Service, ran: Warrant) -> bool:
    """Whether the entry still means the manager and the machine of the warrant: one by that name with that key."""
    host = registry.host(service.host)
    is_same_machine = host is not None and is_pinned(host, ran.host_key)
    return is_same_machine and service.manager == ran.manager


async def _write(  # noqa: PLR0917 - what a Settled holds
    world: World, request: Request, is_success: bool, why: str, seen: Look | None, before: tuple[str, ...] = ()
) -> Request:
    shown = seen.evidence(before=before) if seen else _nothing(world)
    text = salted(shown.text())
    event = Settled(**stamp(world.clock.now()), is_success=is_success, why=why, evidence_text=text.commitment)
    request = await requests.append(world.db, request, event, (text,))
    if seen is not None:
        await remember(world, seen)
    world.news.tell(request.id)
    return request


def _nothing(world: World) -> proof.Evidence:
    verdict = Verdict(Code.UNREACHABLE, (), "An editor adds the service to the registry again.")
    return proof.Evidence(world.clock.now(), verdict, Need(Answer.UNSURE))
