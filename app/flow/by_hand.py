"""A manual service: a person restarts it by hand; Askfirst proves before, waits, and proves after.

It runs nothing. Named is whoever asked, who said why; that somebody else did it is in the log all the same, since the
word that it is done bears its own name. A word is no proof: the host is asked next. Keeps law 9 for the wait: where
nobody says anything in time the host is asked too, and where the old process still runs, nothing was restarted.
"""

from app.core.display import span
from app.core.errors import Refused
from app.core.events import GivenUp, HandedOver, RunEnded, RunRefused
from app.core.lifecycle import Request, State
from app.core.policy import Person, Role
from app.core.verdict import NOT_SEEN, Code
from app.flow import evidence as proof
from app.flow.ids import salted, stamp
from app.flow.ports import World
from app.flow.prove import look
from app.flow.recheck import recheck
from app.flow.record import begin, record
from app.flow.watch import expire
from app.managers import MANAGERS
from app.store import proofs, requests, services


async def hand_over(world: World, request: Request) -> Request:
    """Ask the person named to restart it, until a time.

    As before a run the host is looked at once more, and what is not the same is stale. Where it cannot be seen now, or
    a freeze came first, the request stays as it is. What was over before the hand-over was written is called back.
    """
    request = await recheck(world, request)
    if request.state is not State.APPROVED or not await _is_proved(world, request):
        return request
    now = await world.time()
    if request.not_after <= now:
        return await expire(world, request)
    until = now + world.limits.by_hand_seconds
    event = HandedOver(**stamp(now), digest=request.digest, to=request.requester, until=until)
    handed = await begin(world, request, event)
    return await _called_back(world, handed) if handed else request


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
    """End a wait that took too long: not run where the old process is seen to run on, else the after-proof decides."""
    if await _runs_on(world, request):
        began = request.started_at or request.changed_at
        waited = span((request.by_hand_until or await world.time()) - began)
        return await _not_restarted(world, request, f"Nobody said within {waited} that it was restarted")
    event = RunEnded(**stamp(world.clock.now()), exit_status=None, how="time ran out", output_text="")
    return await record(world, request, event)


async def end_restored(world: World, request: Request) -> Request:
    """End what a person may have done since an older state of the log, of which no host keeps a record.

    It is not run where the old process is seen to run on, and given up where it does not: whether anybody said yes is
    in no log. Where the host cannot be seen, it stays unknown.
    """
    runs_on = await _runs_on(world, request)
    if runs_on is None:
        return request
    if runs_on:
        return await _not_restarted(world, request, "An older state of the database was put back")
    text = salted("A person may have restarted it since, of which no host keeps a record.")
    return await record(world, request, GivenUp(**stamp(world.clock.now()), reason_text=text.commitment), (text,))


async def _called_back(world: World, request: Request) -> Request:
    """Look once more, now that the hand-over is in the log; where somebody was as quick as that, it goes on."""
    if await world.time() < request.not_after or not await _runs_on(world, request):
        return request
    return await _not_restarted(world, request, "It expired the moment before it was handed over")


async def _not_restarted(world: World, request: Request, because: str) -> Request:
    why = f"{because}, and what ran before still runs."
    return await record(world, request, RunRefused(**stamp(world.clock.now()), why=why))


async def _is_proved(world: World, request: Request) -> bool:
    """Whether the last look at the service saw it, and proved it."""
    last = await proofs.proof(world.db, request.service)
    return last is not None and last.verdict == Code.VERIFIED


async def _runs_on(world: World, request: Request) -> bool | None:
    """Whether what was proved is seen to run on; None where the host cannot be seen."""
    registry = await services.registry(world.db)
    service, before = registry.service(request.service), await proof.of(world.db, request)
    if service is None or before is None:
        return False
    seen = await look(world, registry, service)
    mark = MANAGERS[service.manager].mark
    return None if seen.verdict.code in NOT_SEEN else bool(set(mark(seen.identity)) & set(mark(before.identity)))
