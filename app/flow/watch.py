"""Watching what waits: whether a proof still holds, and whether what a yes rests on is still so.

It never approves and never runs; the most it does is to end a request as stale or expired. Keeps law 9 (silence is
never yes) and the waiting half of law 5 (a changed host makes the warrant void at once, not only at the run).
"""

from app.core.errors import Refused
from app.core.events import Expired, WentStale
from app.core.lifecycle import Request, State
from app.core.policy import eligibility_refusal, rule_for
from app.core.registry import Registry
from app.core.verdict import Code
from app.flow import evidence as proof
from app.flow.ids import salted, stamp
from app.flow.ports import World
from app.flow.prove import Look, look, remember
from app.store import people, requests, services

_NOT_SEEN = frozenset({Code.UNREACHABLE, Code.BLIND})


async def expire(world: World, request: Request) -> Request:
    """End a request whose time ran out."""
    request = await requests.append(world.db, request, Expired(**stamp(world.clock.now())))
    return _ended(world, request)


async def recheck(world: World, request: Request) -> Request:
    """Take the proof again; a difference makes the request stale. A host that does not answer now changes nothing."""
    before = await proof.of(world.db, request)
    registry = await services.registry(world.db)
    if before is None or (reason := await moved(world, request, registry, before.claim)):
        return await go_stale(world, request, reason if before else "The evidence was deleted.", None)
    service = registry.service(request.service)
    assert service is not None  # noqa: S101 - moved() has looked
    seen = await look(world, registry, service)
    now = seen.evidence(before.claim)
    await remember(world, seen)
    if seen.verdict.code in _NOT_SEEN:
        return request
    if seen.verdict.is_verified and now.identity == before.identity:
        world.news.tell(request.id)
        return request
    return await go_stale(world, request, difference(before.identity, seen), now)


async def moved(world: World, request: Request, registry: Registry, claim: str) -> str:
    """Say what of the registry, the policy or the approvers no longer is as it was, or nothing."""
    service = registry.service(request.service)
    host = registry.host(request.host)
    if service is None or host is None:
        return "The service or its host was taken out of the registry."
    try:
        rule = rule_for(service, host, registry.policies, registry.revision)
    except Refused as error:
        return error.message
    if proof.claim_digest(service, host, rule) != claim:
        return "The registry's entry, its host or its policy was changed."
    for approval in request.approvals:
        account = await people.by_id(world.db, approval.person)
        if account is None or eligibility_refusal(request, account.person):
            return "Somebody who said yes may not approve this any more."
    return ""


def difference(before: tuple[str, ...], seen: Look) -> str:
    """Say in a sentence how the host differs from what was proved."""
    gone = [line for line in before if line not in seen.identity]
    come = [line for line in seen.identity if line not in before]
    if not gone and not come:
        return f"The host no longer proves the claim: {seen.verdict.code}."
    was, now = gone[0] if gone else "nothing", come[0] if come else "nothing"
    return f"The host changed: it was «{was}», it is «{now}»."


async def go_stale(world: World, request: Request, why: str, seen: proof.Evidence | None) -> Request:
    """End a request as stale, with what was seen."""
    texts = (salted(seen.text()),) if seen else ()
    commitment = texts[0].commitment if texts else ""
    event = WentStale(**stamp(world.clock.now()), why=why, evidence_text=commitment)
    return _ended(world, await requests.append(world.db, request, event, texts))


def _ended(world: World, request: Request) -> Request:
    if request.state in {State.STALE, State.EXPIRED}:
        world.news.tell(request.id)
    return request
