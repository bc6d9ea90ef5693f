"""From the flow's values to the API's models: nothing is decided here, and every foreign text is made visible."""

from collections.abc import Mapping

from app.api import schemas
from app.core import service as claims
from app.core.checklist import Point
from app.core.display import visible
from app.core.errors import Unreachable
from app.core.freshness import Worth
from app.core.level import STOLEN
from app.core.lifecycle import ENDED, Approval, State
from app.core.lifecycle import Request as Asked
from app.core.policy import Assurance
from app.core.registry import Registry
from app.core.verdict import Answer, Code
from app.core.warrant import read as read_warrant
from app.core.warrant import short_digest
from app.flow import evidence
from app.flow.checklist import checklist
from app.flow.evidence import Evidence
from app.flow.ports import World
from app.shapes.model import moment
from app.shapes.verification import verification
from app.ssh.keys import fingerprint, pinned
from app.store import history, listing, people, requests
from app.store.proofs import Proof

_NEXT: Mapping[State, str] = {
    State.OPEN: "The host is asked what really runs there; read again in a moment.",
    State.BLOCKED: "Nothing was run and nobody was asked. Do what verification.next says, then ask again.",
    State.WAITING: "A person has to decide on the page `url`; no token can.",
    State.APPROVED: "It runs as soon as a worker takes it, if the host still agrees.",
    State.RUNNING: "The command is under way; follow its events.",
    State.UNKNOWN: "It may have run. The host is asked what happened. Never ask for it again meanwhile.",
    State.SETTLING: "The command ended; the host is asked whether the service truly came back.",
    State.SUCCEEDED: "Nothing is left to do: the host proved that the service came back.",
    State.FAILED: "The command ran and the service did not come back as it should: read `after`, tell the owner.",
    State.DENIED: "Nothing was run. Read the reason on the page `url` before asking again.",
    State.EXPIRED: "Nothing was run, since nobody decided in time. Ask again if it is still needed.",
    State.CANCELLED: "Nothing was run: it was taken back.",
    State.STALE: "Nothing was run: host or registry are no longer as they were proved. Ask again.",
    State.NOT_RUN: "Nothing was run, and this warrant can never run. Ask again.",
    State.GIVEN_UP: "What it did was never found out. A person looks at the host before anybody asks again.",
}


def service(entry: claims.Service, registry: Registry, proof: Proof | None, worth: Worth) -> schemas.Service:
    """Show a registered service with its last proof, and what that is worth now."""
    host = registry.host(entry.host)
    return schemas.Service(
        name=entry.name,
        host=entry.host,
        environment=host.environment if host else "",
        owner=visible(entry.owner),
        manager=entry.manager,
        unit=entry.unit,
        user=entry.user,
        path=entry.path,
        ports=list(entry.ports),
        checks=[visible(check.label) for check in entry.checks],
        docs=visible(entry.docs, 10_000, "\n"),
        freshness=worth.freshness,
        freshness_why=worth.why,
        proved_at=moment(worth.proved_at) if worth.proved_at else None,
        proof=_proof(proof) if proof else None,
    )


def host(entry: claims.Host, registry: Registry) -> schemas.Host:
    """Show a registered host."""
    return schemas.Host(
        name=entry.name,
        address=entry.address,
        port=entry.port,
        environment=entry.environment,
        level=entry.level,
        stolen_server=STOLEN[entry.level],
        fingerprints=_fingerprints(entry),
        services=[each.name for each in registry.services_on(entry.name)],
    )


def row(entry: listing.Row) -> schemas.RequestRow:
    """Show a request in a list."""
    return schemas.RequestRow(
        id=entry.id,
        short_id=entry.short_id,
        service=entry.service,
        host=entry.host,
        requester=visible(entry.requester),
        state=State(entry.state),
        verdict=entry.verdict,
        need=entry.need,
        asked_at=moment(entry.asked_at),
        changed_at=moment(entry.changed_at),
        outcome=visible(entry.outcome),
    )


async def request(world: World, asked: Asked, base_url: str) -> schemas.Request:
    """Show a request whole, with the texts that its events name."""
    db = world.db
    texts = await requests.texts(db, filter(None, (asked.reason_text, asked.ticket_text, asked.insisted_text)))
    names = await people.names(db)
    before, after = await evidence.of(db, asked), await evidence.of_outcome(db, asked)
    warrant = await requests.text(db, asked.warrant) if asked.warrant else None
    listed = checklist(asked, before, after, read_warrant(warrant) if warrant else None, names)
    return schemas.Request(
        id=asked.id,
        short_id=asked.short_id,
        version=asked.version,
        state=asked.state,
        has_ended=asked.state in ENDED,
        next=_next(asked, before),
        service=asked.service,
        host=asked.host,
        environment=asked.environment,
        action=asked.action,
        requester=visible(names.get(asked.requester, asked.requester)),
        reason=visible(texts.get(asked.reason_text, ""), 4096, "\n"),
        stronger_reason=visible(texts.get(asked.insisted_text, ""), 4096, "\n"),
        said=list(asked.said),
        ticket=visible(texts.get(asked.ticket_text, "")),
        asked_at=moment(asked.asked_at),
        changed_at=moment(asked.changed_at),
        verification=verification(asked.service, before) if before else None,
        warrant=_warrant(asked, warrant),
        approvers=asked.approvers,
        assurance=Assurance(asked.assurance).name.lower() if asked.assurance else "",
        groups=[list(groups) for groups in asked.groups],
        approvals=[_approval(each, names) for each in asked.approvals],
        not_after=moment(asked.not_after) if asked.not_after else None,
        started_at=moment(asked.started_at) if asked.started_at is not None else None,
        exit_status=asked.exit_status,
        outcome=visible(asked.outcome),
        after=verification(asked.service, after) if after else None,
        gone=[visible(line) for line in after.gone] if after else [],
        checklist=[_point(each) for each in listed],
        by_hand=_by_hand(asked, names),
        url=f"{base_url}/requests/{asked.id}",
    )


def entry(one: history.Entry) -> schemas.AuditEntry:
    """Show an event of the audit log."""
    return schemas.AuditEntry(
        seq=one.seq,
        at=moment(one.at),
        type=one.type,
        by=one.by,
        by_name=visible(one.by_name),
        request=one.request,
        version=one.version,
        service=one.service,
        host=one.host,
        data=dict(one.data),
        hash=one.hash,
    )


def _proof(last: Proof) -> schemas.Proof:
    return schemas.Proof(
        verdict=Code(last.verdict),
        need=Answer(last.need),
        at=moment(last.at),
        held=Code(last.held) if last.held else None,
        held_since=moment(last.since) if last.held else None,
    )


def _fingerprints(entry: claims.Host) -> list[str]:
    try:
        return [fingerprint(key) for key in pinned(entry)] if entry.host_keys else []
    except Unreachable:
        return ["not a key"]


def _approval(yes: Approval, names: Mapping[str, str]) -> schemas.Approval:
    name = visible(names.get(yes.person, yes.person))
    return schemas.Approval(name=name, at=moment(yes.at), level=yes.level, key=yes.key)


def _point(point: Point) -> schemas.Point:
    text = visible(point.text)
    return schemas.Point(name=point.name, question=point.question, certainty=point.certainty, text=text)


def _next(asked: Asked, before: Evidence | None) -> str:
    if asked.is_by_hand and asked.state is State.RUNNING:
        return "A person restarts it by hand, and says on the page `url` that it is done. Nothing is run."
    if asked.state is State.WAITING and before and before.need.answer is Answer.NOT_NEEDED and not asked.insisted_text:
        return f"The host shows no sign of need: give a stronger reason (`insist`). {_NEXT[asked.state]}"
    return _NEXT[asked.state]


def _by_hand(asked: Asked, names: Mapping[str, str]) -> schemas.ByHand | None:
    if not asked.is_by_hand:
        return None
    until = moment(asked.by_hand_until) if asked.by_hand_until else None
    return schemas.ByHand(person=visible(names.get(asked.by_hand_of, asked.by_hand_of)), until=until)


def _warrant(asked: Asked, text: str | None) -> schemas.Warrant | None:
    if text is None:
        return None
    return schemas.Warrant(digest=asked.digest, short_digest=short_digest(asked.digest), text=text)
