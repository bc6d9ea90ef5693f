"""Watching what waits: what a look (whoever asked for it) and a changed registry mean for a request not run yet.

It probes nothing, never approves and never runs; the most it does is to end a request as stale or expired. Keeps law 9
(silence is never yes) and the waiting half of law 5 (a changed host makes the warrant void at once, not only at the
run).
"""

import contextlib
from dataclasses import replace

from app.core.errors import Conflict, IllegalEvent, Refused
from app.core.events import Expired, WentStale
from app.core.freshness import UNSEEN, is_overtaken
from app.core.lifecycle import RESTING, Request
from app.core.policy import eligibility_refusal, rule_for
from app.core.registry import Registry
from app.flow import evidence as proof
from app.flow.ids import salted, stamp
from app.flow.ports import World
from app.flow.record import record
from app.store import credentials, people, proofs, requests

_NO_EVIDENCE = "The evidence was deleted."


async def expire(world: World, request: Request) -> Request:
    """End a request whose time ran out."""
    return await record(world, request, Expired(**stamp(world.clock.now())))


async def heed(world: World, service: str) -> None:
    """End the service's request as stale where it rests on another identity than the last look saw.

    A look that saw nothing changes nothing, and neither does one that is older than the request's own proof.
    """
    request_id = await requests.alive_of(world.db, service)
    request = await requests.load(world.db, request_id) if request_id else None
    last = await proofs.proof(world.db, service)
    if request is None or request.state not in RESTING or last is None or last.verdict in UNSEEN:
        return
    seen = proof.read(last.findings_json)
    if seen.taken_at > await world.time():
        return  # dated by a clock that was set back since: whether it is newer than the request's proof is not known
    before = await proof.of(world.db, request)
    with contextlib.suppress(Conflict, IllegalEvent):  # somebody decided it, or it began to run, meanwhile
        if before is None:
            await go_stale(world, request, _NO_EVIDENCE, None)
        elif is_overtaken(seen.taken_at, before.taken_at):
            return
        elif seen.verdict.is_verified and seen.identity == before.identity:
            world.news.tell(request.id)
        else:
            await go_stale(world, request, difference(before.identity, seen), replace(seen, claim=before.claim))


async def gone_stale(world: World, request: Request, registry: Registry) -> Request | None:
    """End a request as stale where its evidence is gone, or ``moved`` finds a change; return it then, else None."""
    before = await proof.of(world.db, request)
    why = await moved(world, request, registry, before.claim) if before else _NO_EVIDENCE
    return await go_stale(world, request, why, None) if why else None


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
        if approval.key and await credentials.by_key(world.db, approval.key) is None:
            return "The key that signed a yes was removed."
    return ""


def difference(before: tuple[str, ...], seen: proof.Evidence) -> str:
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
    return await record(world, request, event, texts)
