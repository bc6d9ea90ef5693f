"""Settling: finding out what a run did, first whether it ran at all, then whether the service truly came back.

It never starts anything. ``reconcile`` burns or reads: the host's own spool answers, and no clock or lease is trusted
for it (law 12). ``settle`` probes until the after-proof is complete or its time is up (law 11).
"""

from dataclasses import replace

from app.core.errors import NotFound, Unreachable
from app.core.events import RunBurned, Settled
from app.core.level import Level
from app.core.lifecycle import Request
from app.core.outcome import Conclusion, Watch
from app.core.registry import Registry
from app.core.run import SpoolState
from app.core.service import Host, Service
from app.core.verdict import Answer, Code, Need, Verdict
from app.core.warrant import read as read_warrant
from app.flow import evidence as proof
from app.flow.execute import ended
from app.flow.ids import salted, stamp
from app.flow.ports import World
from app.flow.prove import Look, look, place, remember
from app.flow.record import record
from app.managers import MANAGERS
from app.ssh.keys import fingerprint, pinned
from app.store import requests, services

_FIRST_WAIT, _LONGEST_WAIT = 0.25, 2.0
_ELSEWHERE = "The registry's entry means something else by now than what ran: nobody has seen that come back."


async def reconcile(world: World, request: Request) -> Request:
    """Burn the warrant or read what became of it. Leaves it unknown where the host does not answer, or is not done."""
    try:
        entry, via = place(await services.registry(world.db), request.host)
        host = await _as_it_ran(world, request, entry)
        if host is None:
            return request
        spool = await world.hosts.burn(host, request.id, via)
    except (Unreachable, NotFound):
        return request
    match spool.state:
        case SpoolState.BURNED:
            request = await record(world, request, RunBurned(**stamp(world.clock.now())))
        case SpoolState.EXITED:
            request = await ended(world, request, spool.exit_status, "read", spool.output)
        case SpoolState.INTERRUPTED:
            request = await ended(world, request, None, "interrupted", spool.output)
    return request


async def _as_it_ran(world: World, request: Request, entry: Host) -> Host | None:
    """Return a way to the spool that the run went to, or None where the registry now means another machine by its name.

    Another machine's spool, and another account's on the same one, knows nothing of this run: it would burn the warrant
    and say that nothing ran. Root's is the same, whether an installed gate uses it or one that came by sudo. So where
    the host's level was changed since, it is asked by the way that it has now if both lead to root's spool; else by the
    way that the run took, which the host may not allow any more: then the run stays unknown until it does.
    """
    before = await proof.of(world.db, request)
    text = await requests.text(world.db, request.warrant or "")
    if before is None or text is None:
        return None
    if read_warrant(text).host_key not in map(fingerprint, pinned(entry)):
        return None
    as_it_ran = replace(entry, user=before.user, sudo=before.sudo, level=before.level)
    if entry.level is before.level:
        return as_it_ran
    is_roots = all(each.sudo or each.level is not Level.OPEN for each in (entry, as_it_ran))
    return entry if is_roots else replace(as_it_ran, certificates=False)


async def settle(world: World, request: Request) -> Request:
    """Probe with growing pauses until the outcome is certain, and write it."""
    registry = await services.registry(world.db)
    service = registry.service(request.service)
    if service is None:
        return await _write(world, request, False, "The service was taken out of the registry.", None)
    text = await requests.text(world.db, request.warrant or "")
    ran = read_warrant(text) if text else None
    if service.host != request.host or (ran and service.manager != ran.manager):
        return await _write(world, request, False, _ELSEWHERE, None)
    before = await proof.of(world.db, request)
    lines = before.identity if before else ()
    watch = Watch.begin(
        service, lines, MANAGERS[service.manager], exit_status=request.exit_status, action=request.action
    )
    patience = world.limits.settle_timeout_seconds + service.settle_seconds
    deadline = world.clock.now() + patience
    wait = _FIRST_WAIT
    while True:
        seen, watch, conclusion = await _observe(world, registry, service, watch)
        now = world.clock.now()
        if ran and seen.verdict.is_verified and seen.verdict.unit != ran.unit:
            return await _write(world, request, False, _ELSEWHERE, seen, lines)
        deadline = min(deadline, now + patience)  # a clock that was set back makes nobody wait for longer
        if conclusion.is_final or now >= deadline:
            return await _write(world, request, conclusion.is_success, conclusion.why, seen, lines)
        await world.clock.sleep(min(wait, max(_FIRST_WAIT, conclusion.look_again_in or wait)))
        wait = min(wait * 1.6, _LONGEST_WAIT)


async def _observe(world: World, registry: Registry, service: Service, watch: Watch) -> tuple[Look, Watch, Conclusion]:
    seen = await look(world, registry, service)
    green = [(each.label, each.is_green, each.seen) for each in seen.checks]
    watch, conclusion = watch.see(seen.at, seen.verdict, seen.identity, green, seen.need.signs)
    return seen, watch, conclusion


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
