"""Reconciling: finding out what a run did that nobody follows any more, or whether it ran at all.

It never starts anything, and proves nothing of the service: ``settle`` does. ``reconcile`` burns or reads: the host's
own spool answers, and no clock or lease is trusted for it (law 12). ``give_up`` ends what no host will ever tell: an
admin says so, and nothing is called success by that.
"""

from dataclasses import replace

from app.core.errors import Conflict, NotFound, Refused, Unreachable
from app.core.events import GivenUp, RunBurned
from app.core.level import Level
from app.core.lifecycle import Request, State
from app.core.policy import Person, Role
from app.core.run import Spool, SpoolState
from app.core.service import Host
from app.core.warrant import read as read_warrant
from app.flow import by_hand
from app.flow import evidence as proof
from app.flow.ask import REASON_BYTES, words
from app.flow.execute import ended
from app.flow.ids import salted, stamp
from app.flow.ports import World
from app.flow.prove import place
from app.flow.record import record
from app.managers import MANAGERS
from app.ssh.keys import is_pinned
from app.store import output, requests, services


async def reconcile(world: World, request: Request) -> Request:
    """Burn the warrant or read what became of it. Leaves it unknown where the host does not answer, or is not done."""
    spool = await _burned_or_read(world, request)
    if spool is None:
        return request
    match spool.state:
        case SpoolState.BURNED if await _is_by_hand(world, request):
            # A spool knows nothing of what a person did.
            request = await by_hand.end_restored(world, request)
        case SpoolState.BURNED:
            request = await record(world, request, RunBurned(**stamp(world.clock.now())))
        case SpoolState.EXITED:
            request = await _ended(world, request, spool.exit_status, "read", spool.output)
        case SpoolState.INTERRUPTED:
            request = await _ended(world, request, None, "interrupted", spool.output)
    return request


async def give_up(world: World, who: Person, request_id: str, reason: str) -> Request:
    """End the search for what a run did, where its host cannot be asked: an admin may, and says why.

    Raises Refused, or Conflict ``host_answers`` where the host, asked once more, tells what it did or that it goes on.
    """
    request = await requests.load(world.db, request_id)
    if refusal := give_up_refusal(request, who):
        raise refusal
    text = salted(words(reason, "reason", REASON_BYTES))
    if spool := await _burned_or_read(world, request):
        goes_on = spool.state is SpoolState.RUNNING
        raise Conflict(
            "The host answers: the command is still running there." if goes_on else "The host answers again.",
            code="host_answers",
            next_step="Nothing is to be given up: what it did is read there, and shown on the request's page.",
        )
    event = GivenUp(**stamp(world.clock.now(), who.id), reason_text=text.commitment)
    return await record(world, request, event, (text,))


def give_up_refusal(request: Request, who: Person) -> Refused | None:
    """Say why this person cannot end the search, or None where they can."""
    if request.state is not State.UNKNOWN:
        return Conflict(
            f"This request is {request.state}: nothing of it is being looked for.",
            code="too_late",
            next_step="Open the request again: it shows what holds now.",
        )
    if Role.ADMIN not in who.roles:
        return Refused(
            "Only an admin gives up the search for what a run did.",
            code="not_admin",
            next_step="Ask an admin, who looks at the host first.",
        )
    return None


async def _ended(world: World, request: Request, status: int | None, how: str, printed: bytes) -> Request:
    """Write the end that the host tells of; before it, for whoever follows, what was printed and not streamed."""
    await output.append(world.db, request.id, 0, printed)
    return await ended(world, request, status, how, printed)


async def _burned_or_read(world: World, request: Request) -> Spool | None:
    """Burn the warrant or read what became of it; None where the host does not answer, or is another by now."""
    try:
        entry, via = place(await services.registry(world.db), request.host)
        host = await _as_it_ran(world, request, entry)
        return await world.hosts.burn(host, request.id, via) if host else None
    except (Unreachable, NotFound):
        return None


async def _is_by_hand(world: World, request: Request) -> bool:
    """Whether a person restarts it: the warrant has no command, or where there is none yet, so says the registry."""
    if request.warrant is None:
        service = (await services.registry(world.db)).service(request.service)
        return service is None or MANAGERS[service.manager].is_by_hand
    text = await requests.text(world.db, request.warrant)
    return text is None or not read_warrant(text).argv


async def _as_it_ran(world: World, request: Request, entry: Host) -> Host | None:
    """Return a way to the spool that the run went to, or None where the registry now means another machine by its name.

    Another machine's spool, and another account's on the same one, knows nothing of this run: it would burn the warrant
    and say that nothing ran. Root's is the same, whether an installed gate uses it or one that came by sudo. So where
    the host's level was changed since, it is asked by the way that it has now if both lead to root's spool; else by the
    way that the run took, which the host may not allow any more: then the run stays unknown until it does. Where an
    older state of the log has no warrant that says where it went, its host is the one by that name.
    """
    if request.warrant is None:
        return entry
    before = await proof.of(world.db, request)
    text = await requests.text(world.db, request.warrant)
    if before is None or text is None:
        return None
    if not is_pinned(entry, read_warrant(text).host_key):
        return None
    as_it_ran = replace(entry, user=before.user, sudo=before.sudo, level=before.level)
    if entry.level is before.level:
        return as_it_ran
    is_roots = all(each.sudo or each.level is not Level.OPEN for each in (entry, as_it_ran))
    return entry if is_roots else replace(as_it_ran, certificates=False)
