"""Asking: a request is opened, the host proves the claim, and only then is there a warrant for anybody to decide on.

It approves nothing and runs nothing. Keeps law 3: a request that is not verified ends here, and no approver sees it.
"""

from collections.abc import Sequence
from dataclasses import replace

from app.core.checklist import SAYABLE
from app.core.commitment import Text
from app.core.digest import sha256_hex
from app.core.errors import Refused
from app.core.events import Asked, Blocked, Cancelled, Insisted, Verified
from app.core.gentler import ASKABLE
from app.core.lifecycle import Request, State
from app.core.manager import Action, Command
from app.core.policy import Person, Role, Rule, rule_for
from app.core.registry import Registry
from app.core.service import Host, Service
from app.core.verdict import Code, Finding
from app.core.warrant import Warrant, digest_of
from app.flow import pace
from app.flow.evidence import Evidence, claim_digest
from app.flow.ids import new_id, salted, stamp
from app.flow.named import service_named
from app.flow.ports import World
from app.flow.prove import Look, look, remember
from app.flow.record import record
from app.managers import MANAGERS
from app.ssh.keys import fingerprint, pinned
from app.store import people, requests, services

REASON_BYTES = 4096
TICKET_BYTES = 200


async def ask(
    world: World,
    who: Person,
    service: str,
    reason: str,
    *,
    ticket: str = "",
    key: str | None = None,
    action: str = Action.RESTART,
    said: Sequence[str] = (),
) -> Request:
    """Open a request. Raises Refused, NotFound, or Conflict where one for this service is under way already.

    ``action`` is a restart or something gentler; ``said`` are the points of the checklist that the requester ticks.
    """
    if Role.REQUESTER not in who.roles or not who.is_enabled:
        raise Refused(
            f"{who.name} may not request restarts.",
            code="not_requester",
            next_step="An admin can give the role requester on the page People.",
        )
    reason = words(reason, "reason", REASON_BYTES)
    ticket = words(ticket, "ticket", TICKET_BYTES, may_be_empty=True)
    _known(action, said)
    registry = await services.registry(world.db)
    claim = service_named(registry, service)
    host = registry.host(claim.host)
    if host is not None:
        rule_for(claim, host, registry.policies, registry.revision)
    await pace.check(world, who, claim.name, key)
    now = await world.time()
    texts = (salted(reason), salted(ticket))
    asked = Asked(
        id=new_id(now),
        at=now,
        by=who.id,
        service=claim.name,
        host=claim.host,
        environment=host.environment if host else "",
        requester=who.id,
        requester_human=who.human,
        reason_text=texts[0].commitment,
        ticket_text=texts[1].commitment,
        registry=registry.revision,
        action=action,
        said=tuple(sorted(set(said))),
    )
    body = sha256_hex(f"{who.id}\n{claim.name}\n{reason}\n{ticket}\n{action}\n{' '.join(asked.said)}")
    request = await requests.create(world.db, new_id(now), asked, texts, key=key, key_digest=body)
    world.news.tell("work")
    return request


async def prove(world: World, request: Request) -> Request:
    """Let the host prove an open request: it is waiting with a warrant afterwards, or blocked with every finding."""
    registry = await services.registry(world.db)
    service, host = registry.service(request.service), registry.host(request.host)
    rule = _rule(registry, service, host)
    if service is None or rule is None:
        return await record(world, request, Cancelled(**stamp(world.clock.now())))
    seen = await look(world, registry, service, git=True)
    evidence = seen.evidence(claim_digest(service, seen.host, rule))
    proof = salted(evidence.text())
    try:
        warrant = await _warrant(world, request, seen, rule, proof) if seen.verdict.is_verified else None
    except Refused as error:
        warrant, evidence = None, _unwritable(evidence, error)
    request = await (
        _block(world, request, evidence)
        if warrant is None
        else _wait(world, request, seen, rule, warrant=warrant, evidence=evidence, proof=proof)
    )
    # Only what waits can be ended by a look that overtook ours: it is heeded here, and followers hear of it once.
    await remember(world, seen)
    world.news.tell(request.id)
    return request


async def insist(world: World, who: Person, request_id: str, reason: str) -> Request:
    """Take the requester's stronger reason where the host shows no sign that a restart is called for."""
    reason = words(reason, "reason", REASON_BYTES)
    request = await requests.load(world.db, request_id)
    if refusal := insist_refusal(request, who):
        raise refusal
    text = salted(reason)
    event = Insisted(**stamp(world.clock.now(), who.id), reason_text=text.commitment)
    return await record(world, request, event, (text,))


def insist_refusal(request: Request, who: Person) -> Refused | None:
    """Say why this person cannot add a reason to this request, or None where they can while it waits."""
    if who.human != request.requester_human:
        return Refused(
            "Only who asked can add a reason.",
            code="not_requester",
            next_step="Ask them, or make a request of your own.",
        )
    return None


def _known(action: str, said: Sequence[str]) -> None:
    if action not in ASKABLE:
        raise Refused(
            f"Nothing like {action[:40]!a} can be asked for.",
            code="no_such_action",
            next_step=f"Ask for one of {', '.join(ASKABLE)}.",
        )
    odd = [each for each in said if each not in SAYABLE]
    if odd:
        raise Refused(
            f"{odd[0][:40]!a} is not on the checklist.",
            code="not_sayable",
            next_step=f"What may be said is: {', '.join(SAYABLE)}.",
        )


def words(text: str, what: str, most: int, *, may_be_empty: bool = False) -> str:
    """Return a text that a person wrote, trimmed. Raises Refused where it is empty or too long."""
    text = text.replace("\r\n", "\n").strip()
    if len(text.encode("utf-8", "surrogatepass")) > most:
        raise Refused(
            f"The {what} is longer than {most} bytes.",
            code=f"{what}_too_long",
            next_step="Shorten it; link to the rest.",
        )
    if not text and not may_be_empty:
        raise Refused(f"The {what} is empty.", code=f"{what}_empty", next_step=f"Say in a sentence: {what}.")
    return text.encode("utf-8", "replace").decode()


async def _block(world: World, request: Request, evidence: Evidence) -> Request:
    text = salted(evidence.text())
    event = Blocked(
        **stamp(world.clock.now()),
        verdict=evidence.verdict.code,
        need=evidence.need.answer,
        evidence_text=text.commitment,
    )
    return await requests.append(world.db, request, event, (text,))


def _unwritable(evidence: Evidence, error: Refused) -> Evidence:
    """Turn a proof that no warrant can be made of into one that blocks, and says why."""
    # What the manager does not offer is as a name that it does not know; anything else could not be seen.
    agrees, code = (False, Code.NO_SUCH_UNIT) if error.code == "not_offered" else (None, Code.BLIND)
    why = Finding("action", evidence.verdict.unit, error.message, agrees, code, error.next_step)
    verdict = replace(
        evidence.verdict, code=code, findings=(*evidence.verdict.findings, why), next_step=error.next_step
    )
    return replace(evidence, verdict=verdict)


async def _warrant(world: World, request: Request, seen: Look, rule: Rule, proof: Text) -> Warrant:
    """Make the warrant. Raises Refused where it cannot be written."""
    action, command = _command(seen, request.action)
    texts = await requests.texts(world.db, [request.reason_text])
    account = await people.by_id(world.db, request.requester)
    warrant = Warrant(
        id=request.id,
        service=request.service,
        host=request.host,
        host_key=fingerprint(pinned(seen.host)[0]),
        manager=seen.service.manager,
        unit=seen.verdict.unit,
        action=action,
        argv=command.argv,
        argv_user=command.user,
        identity=seen.identity,
        requester=account.email if account else request.requester,
        reason=texts.get(request.reason_text, ""),
        policy=f"{rule.name} {rule.revision}",
        not_after=int(await world.time() + rule.expires_seconds),
        evidence=proof.commitment,
    )
    warrant.text()
    _in_table(warrant, seen)
    return warrant


def _in_table(warrant: Warrant, seen: Look) -> None:
    """Raise Refused where the host's own table lacks this: nobody need be asked for what the host then refuses."""
    entry = (warrant.service, warrant.manager, warrant.unit, warrant.action, warrant.argv_user, *warrant.argv)
    permitted = seen.facts.permitted if seen.facts else None
    if warrant.argv and permitted is not None and " ".join(entry) not in permitted:
        raise Refused(
            f"The kit on {warrant.host} does not list this {warrant.action} of {warrant.service}, and would refuse it.",
            code="not_in_table",
            next_step=f"Print the kit again (`askfirst host kit {warrant.host}`); the host's administrator runs it.",
        )


async def _wait(
    world: World, request: Request, seen: Look, rule: Rule, *, warrant: Warrant, evidence: Evidence, proof: Text
) -> Request:
    text = salted(warrant.text())
    event = Verified(
        **stamp(world.clock.now()),
        need=evidence.need.answer,
        evidence_text=proof.commitment,
        warrant_text=text.commitment,
        digest=digest_of(text.body),
        manager=seen.service.manager,
        policy=rule.name,
        policy_revision=rule.revision,
        approvers=await pace.approvers(world, request.service, rule),
        groups=rule.groups,
        assurance=rule.assurance,
        plain_keys=rule.plain_keys,
        not_after=float(warrant.not_after),
    )
    request = await requests.append(world.db, request, event, (proof, text))
    if request.state is State.WAITING:
        world.hosts.keep(seen.host.name)
    return request


def _rule(registry: Registry, service: Service | None, host: Host | None) -> Rule | None:
    """Return the rule, or None where the service, its host or its policy was taken out after somebody asked."""
    if service is None or host is None:
        return None
    try:
        return rule_for(service, host, registry.policies, registry.revision)
    except Refused:
        return None


def _command(seen: Look, asked: str) -> tuple[Action, Command]:
    """Return what the manager is told. Raises Refused for a gentler action that it does not have for this unit now."""
    assert seen.facts is not None  # noqa: S101 - a verified look has facts
    manager = MANAGERS[seen.service.manager]
    if asked != Action.RESTART:
        ways = manager.gentler(seen.service, seen.verdict.unit, seen.facts) if seen.verdict.pids else {}
        if asked in ways:
            return Action(asked), ways[Action(asked)]
        has = ", ".join([*ways, "start" if not seen.verdict.pids else Action.RESTART])
        raise Refused(
            f"{manager.label} offers no {asked} of {seen.verdict.unit} now; it offers: {has}.",
            code="not_offered",
            next_step=f"Ask for one of these instead: {has}.",
        )
    if not seen.verdict.pids:
        return Action.START, manager.start(seen.service, seen.verdict.unit, seen.facts)
    return Action.RESTART, manager.restart(seen.service, seen.verdict.unit, seen.facts)
