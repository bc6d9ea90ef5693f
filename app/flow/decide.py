"""Deciding: a human's yes or no to one warrant, and taking a request back.

It runs nothing. ``core.policy.approval_refusal`` is the one guard, and ``approve`` is the only function that writes an
approval. Keeps law 5 (the yes names a digest), law 7 and law 8.
"""

from dataclasses import replace

from app.core.errors import Conflict, Refused
from app.core.events import Approved, Cancelled, Denied
from app.core.lifecycle import ASKING, CLICK, ENDED, Request, State
from app.core.policy import Attempt, Kind, Person, Role, Via, approval_refusal, eligibility_refusal
from app.core.verdict import Code
from app.flow import evidence
from app.flow.ask import REASON_BYTES, words
from app.flow.ids import salted, stamp
from app.flow.ports import World
from app.flow.recheck import recheck
from app.flow.record import record
from app.flow.watch import expire, moved
from app.store import freezes, people, proofs, requests, services
from app.store.people import Account


async def approve(world: World, attempt: Attempt, request_id: str) -> Request:
    """Write one human's yes, if the guard lets it through. Raises Refused with the guard's own reason."""
    request = await requests.load(world.db, request_id)
    attempt = replace(attempt, person=await _as_stored(world, attempt.person))
    await _guard(world, attempt, request)
    request = await _with_fresh_proof(world, request)
    await _guard(world, attempt, request)
    proof = attempt.proof
    signature = salted(proof.signature) if proof else None
    event = Approved(
        **stamp(await world.time(), attempt.person.id),
        human=attempt.person.human,
        digest=attempt.digest,
        level=CLICK if proof is None else "passkey" if proof.kind is Kind.PASSKEY else "key",
        signature_text=signature.commitment if signature else "",
        key=proof.key if proof else "",
    )
    return await record(world, request, event, (signature,) if signature else ())


async def deny(world: World, who: Person, via: Via, request_id: str, *, digest: str, reason: str) -> Request:
    """Write one approver's no. It needs the same right as a yes, and ends the request."""
    request = await requests.load(world.db, request_id)
    who = await _as_stored(world, who)
    if via is not Via.SESSION:
        raise Refused("A token cannot deny.", code="token", next_step="A person opens the request's page.")
    if refusal := eligibility_refusal(request, who):
        raise refusal
    if request.state is State.WAITING and digest != request.digest:
        raise Conflict(
            "The no names another warrant than this one.", code="digest_differs", next_step="Open the request again."
        )
    text = salted(words(reason, "reason", REASON_BYTES))
    event = Denied(**stamp(world.clock.now(), who.id), reason_text=text.commitment)
    return await record(world, request, event, (text,))


async def cancel(world: World, who: Person, request_id: str) -> Request:
    """Take a request back before it runs: the requester may, and an admin."""
    request = await requests.load(world.db, request_id)
    if refusal := cancel_refusal(request, who):
        raise refusal
    return await record(world, request, Cancelled(**stamp(world.clock.now(), who.id)))


def cancel_refusal(request: Request, who: Person) -> Refused | None:
    """Say why this person cannot take this request back, or None where they can."""
    if who.human != request.requester_human and Role.ADMIN not in who.roles:
        return Refused(
            "Only who asked, or an admin, can cancel this.",
            code="not_requester",
            next_step="An approver can deny it instead.",
        )
    if request.state not in ASKING:
        return Conflict(
            f"This request is {request.state}; it can no longer be cancelled.",
            code="too_late",
            next_step="Nothing needs to be done; its page shows how it ended."
            if request.state in ENDED
            else "It is under way; its page shows what is known of it.",
        )
    return None


async def could_approve(world: World, request: Request) -> list[tuple[Account, Refused | None]]:
    """List everybody with whether they could approve this, and why not."""
    return [(each, eligibility_refusal(request, each.person)) for each in await people.everyone(world.db)]


async def refusal_for(world: World, attempt: Attempt, request: Request) -> Refused | None:
    """Say what the guard would say now; pages show it instead of a button that fails."""
    frozen = await freezes.stopping(world.db, request.host, request.environment)
    return approval_refusal(
        request,
        attempt,
        now=await world.time(),
        frozen=frozen,
        step_up_seconds=world.limits.step_up_seconds,
    )


async def _guard(world: World, attempt: Attempt, request: Request) -> None:
    if refusal := await refusal_for(world, attempt, request):
        if refusal.code == "expired":
            await expire(world, request)
        raise refusal


async def _with_fresh_proof(world: World, request: Request) -> Request:
    """Take the proof again where the last one is old, or saw something else, or the registry has moved."""
    proof = (await proofs.proofs(world.db)).get(request.service)
    before = await evidence.of(world.db, request)
    registry = await services.registry(world.db)
    if (
        before is not None
        and proof is not None
        and await world.time() - proof.at <= world.limits.proof_max_age_seconds
        and evidence.read(proof.findings_json).identity == before.identity
        and proof.verdict == Code.VERIFIED
        and not await moved(world, request, registry, before.claim)
    ):
        return request
    return await recheck(world, request)


async def _as_stored(world: World, who: Person) -> Person:
    """Read the person again: what a session remembers may be older than a change of roles."""
    account = await people.by_id(world.db, who.id)
    return account.person if account else replace(who, is_enabled=False)
