"""A manual service: a person restarts it by hand; Askfirst proves before, waits, and proves after.

It runs nothing. Named is whoever asked, who said why; that somebody else did it is in the log all the same, since the
word that it is done bears its own name. A word is no proof: the host is asked next. Keeps law 9 for the wait: where
nobody says anything in time the host is asked too, and where the old process still runs, nothing was restarted.
"""

from app.core.display import span
from app.core.errors import Refused
from app.core.events import HandedOver, RunEnded, RunRefused
from app.core.lifecycle import Request, State
from app.core.policy import Person, Role
from app.core.verdict import NOT_SEEN, Code
from app.flow import evidence as proof
from app.flow.ids import stamp
from app.flow.ports import World
from app.flow.prove import look
from app.flow.recheck import recheck
from app.flow.record import record
from app.managers import MANAGERS
from app.store import freezes, proofs, requests, services


async def hand_over(world: World, request: Request) -> Request:
    """Ask the person named to restart it, until a time.

    As before a run the host is looked at once more, and what is not the same is stale. Where it cannot be seen now, the
    request stays as it is; what was frozen before the hand-over was written ends by what the host shows.
    """
    request = await recheck(world, request)
    if request.state is not State.APPROVED or not await _is_proved(world, request):
        return request
    until = await world.time() + world.limits.by_hand_seconds
    event = HandedOver(**stamp(world.clock.now()), digest=request.digest, to=request.requester, until=until)
    request = await record(world, request, event)
    if freezes.sentence(await freezes.current(world.db), request.host, request.environment):
        return await find_out(world, request, "A freeze was set the moment before it was handed over")
    return request


async def say_done(world: World, who: Person, request_id: str) -> Request:
    """Take the word of the person who restarted it."""
    request = await requests.load(world.db, request_id)
    if refusal := done_refusal(request, who):
        raise refusal
    event = RunEnded(**stamp(world.clock.now(), who.id), exit_status=None, how="by hand", output_text="")
    return await record(world, request, event)


def done_refusal(request: Request, who: Person) -> Refused | None:
    """Say why this person's word that it is done does not count, or None where it does."""
    if not request.is_by_hand or request.state is not State.RUNNING:
        return Refused(
            "Nobody is restarting this by hand now.",
            code="not_by_hand",
            next_step="Open the request: it shows its state.",
        )
    if not who.roles & {Role.REQUESTER, Role.APPROVER}:
        return Refused("You take no part in restarts.", code="not_requester", next_step="Ask whoever restarted it.")
    return None


def is_overdue(request: Request, now: float, most_seconds: float) -> bool:
    """Whether nobody has said in time that it is done."""
    until = request.by_hand_until or (request.started_at or 0.0) + most_seconds
    return request.is_by_hand and request.state is State.RUNNING and now >= until


async def end_wait(world: World, request: Request) -> Request:
    """End a wait that took too long, as ``find_out`` does."""
    waited = span(world.clock.now() - (request.started_at or request.changed_at))
    return await find_out(world, request, f"Nobody said within {waited} that it was restarted")


async def find_out(world: World, request: Request, because: str) -> Request:
    """Ask the host what a person did: not run where the old process is seen to run on, else the after-proof decides.

    ``because`` begins the sentence that says why the host was asked.
    """
    if await _runs_on(world, request):
        why = f"{because}, and what ran before still runs."
        return await record(world, request, RunRefused(**stamp(world.clock.now()), why=why))
    event = RunEnded(**stamp(world.clock.now()), exit_status=None, how="time ran out", output_text="")
    return await record(world, request, event)


async def _is_proved(world: World, request: Request) -> bool:
    """Whether the last look at the service saw it, and proved it."""
    last = await proofs.proof(world.db, request.service)
    return last is not None and last.verdict == Code.VERIFIED


async def _runs_on(world: World, request: Request) -> bool:
    registry = await services.registry(world.db)
    service, before = registry.service(request.service), await proof.of(world.db, request)
    if service is None or before is None:
        return False
    seen = await look(world, registry, service)
    mark = MANAGERS[service.manager].mark
    return seen.verdict.code not in NOT_SEEN and bool(set(mark(seen.identity)) & set(mark(before.identity)))
