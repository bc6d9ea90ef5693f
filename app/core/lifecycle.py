"""The life cycle of a request: one table from state and event to state, and the fold of events into a request.

*Everything* that can change a request's state stands in this file; no row in the table means ``IllegalEvent`` and
nothing changed. It reads no clock and stores nothing; the audit log's events are the truth, and a stored row is only
what ``fold`` returns. Keeps law 9 (five different ends besides the yes) and the table's half of law 6 (one start).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from app.core import events as happened
from app.core.errors import IllegalEvent
from app.core.events import Event


class State(StrEnum):
    """Where a request stands."""

    OPEN = "open"
    BLOCKED = "blocked"
    WAITING = "waiting"
    APPROVED = "approved"
    RUNNING = "running"
    UNKNOWN = "unknown"
    SETTLING = "settling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DENIED = "denied"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    STALE = "stale"
    NOT_RUN = "not_run"
    GIVEN_UP = "given_up"


ASKING = frozenset({State.OPEN, State.WAITING, State.APPROVED})
ACTING = frozenset({State.RUNNING, State.UNKNOWN, State.SETTLING})
ENDED = frozenset(State) - ASKING - ACTING
# The states that want a worker: each has one next step that no person takes.
WANTING_WORK = frozenset({State.OPEN, State.APPROVED}) | ACTING
# A warrant stands and has not begun to run: it can still go stale, or expire.
RESTING = frozenset({State.WAITING, State.APPROVED})
# The command may not be over, so what it prints may still grow.
GROWING = frozenset({State.RUNNING, State.UNKNOWN})
# The two ends of a run that was settled, by a proof taken after it.
SETTLED = frozenset({State.SUCCEEDED, State.FAILED})
# The command has ended, or was cut off.
RAN = SETTLED | {State.SETTLING}
# How strong a yes is: a click, or a signature that anybody can check.
CLICK = "click"
SIGNED = frozenset({"passkey", "key"})


@dataclass(frozen=True, slots=True)
class Approval:
    """One yes that counts. ``signature_text`` and ``key`` are empty for a click."""

    person: str
    human: str
    at: float
    level: str = CLICK
    signature_text: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as its events tell it. Fields that end in ``_text`` are commitments to texts kept apart."""

    id: str
    version: int
    state: State
    service: str
    host: str
    environment: str
    requester: str
    requester_human: str
    reason_text: str
    ticket_text: str
    asked_at: float
    changed_at: float
    registry: int
    action: str = "restart"
    said: tuple[str, ...] = ()
    verdict: str = ""
    need: str = ""
    manager: str = ""
    evidence_text: str = ""
    insisted_text: str = ""
    warrant: str | None = None
    digest: str = ""
    policy: str = ""
    policy_revision: int = 0
    approvers: int = 0
    groups: tuple[tuple[str, ...], ...] = ()
    assurance: int = 0
    plain_keys: bool = False
    not_after: float = 0.0
    approvals: tuple[Approval, ...] = ()
    is_by_hand: bool = False
    by_hand_of: str = ""
    by_hand_until: float = 0.0
    worker: str = ""
    started_at: float | None = None
    exit_status: int | None = None
    output_text: str = ""
    outcome: str = ""
    outcome_text: str = ""

    @property
    def short_id(self) -> str:
        """A name that can be read over a phone, ``R-7F3K``."""
        return short_id(self.id)


_TABLE: dict[tuple[State, type[Event]], State] = {
    (State.OPEN, happened.Blocked): State.BLOCKED,
    (State.OPEN, happened.Verified): State.WAITING,
    (State.OPEN, happened.Cancelled): State.CANCELLED,
    (State.OPEN, happened.Expired): State.EXPIRED,
    (State.OPEN, happened.Restored): State.UNKNOWN,
    (State.WAITING, happened.Insisted): State.WAITING,
    (State.WAITING, happened.Approved): State.WAITING,  # APPROVED once enough people said yes: see _after
    (State.WAITING, happened.Denied): State.DENIED,
    (State.WAITING, happened.Cancelled): State.CANCELLED,
    (State.WAITING, happened.Expired): State.EXPIRED,
    (State.WAITING, happened.WentStale): State.STALE,
    (State.WAITING, happened.Restored): State.UNKNOWN,
    (State.APPROVED, happened.Cancelled): State.CANCELLED,
    (State.APPROVED, happened.Expired): State.EXPIRED,
    (State.APPROVED, happened.WentStale): State.STALE,
    (State.APPROVED, happened.Restored): State.UNKNOWN,
    (State.APPROVED, happened.RunStarted): State.RUNNING,
    (State.APPROVED, happened.HandedOver): State.RUNNING,
    (State.RUNNING, happened.WentStale): State.STALE,
    (State.RUNNING, happened.RunRefused): State.NOT_RUN,
    (State.RUNNING, happened.RunEnded): State.SETTLING,
    (State.RUNNING, happened.RunLost): State.UNKNOWN,
    (State.UNKNOWN, happened.RunBurned): State.NOT_RUN,
    (State.UNKNOWN, happened.RunRefused): State.NOT_RUN,
    (State.UNKNOWN, happened.RunEnded): State.SETTLING,
    (State.UNKNOWN, happened.GivenUp): State.GIVEN_UP,
    (State.SETTLING, happened.Settled): State.SUCCEEDED,  # FAILED where it did not come back: see _after
}


def short_id(request_id: str) -> str:
    """Return the short name of a request's id."""
    return f"R-{request_id[-4:]}"


def begin(request_id: str, event: Event) -> Request:
    """Begin a request with its first event. Raises IllegalEvent for any event but Asked."""
    if not isinstance(event, happened.Asked):
        raise _illegal("a request that does not exist", event)
    return Request(
        id=request_id,
        version=1,
        state=State.OPEN,
        service=event.service,
        host=event.host,
        environment=event.environment,
        requester=event.requester,
        requester_human=event.requester_human,
        reason_text=event.reason_text,
        ticket_text=event.ticket_text,
        asked_at=event.at,
        changed_at=event.at,
        registry=event.registry,
        action=event.action,
        said=event.said,
    )


def apply(request: Request, event: Event) -> Request:
    """Return the request after the event. Raises IllegalEvent, with nothing changed, where the table has no row."""
    target = _TABLE.get((request.state, type(event)))
    if target is None or not _fits(request, event):
        raise _illegal(f"a request that is {request.state}", event)
    after = replace(request, state=target, version=request.version + 1, changed_at=event.at)
    return _after(after, event)


def fold(request_id: str, events: Iterable[Event]) -> Request:
    """Rebuild a request from its events, in the order of their versions. Raises IllegalEvent where they do not fit."""
    iterator = iter(events)
    first = next(iterator, None)
    if first is None:
        raise IllegalEvent(f"Request {request_id} has no events.", next_step="Run `askfirst audit verify`.")
    request = begin(request_id, first)
    for event in iterator:
        request = apply(request, event)
    return request


def _fits(request: Request, event: Event) -> bool:
    """Hold what the table cannot: a yes or a start must name this warrant, and a yes comes from another human."""
    match event:
        case happened.Approved(human=human, digest=digest):
            said = {approval.human for approval in request.approvals} | {request.requester_human}
            is_new = human not in said and _is_strong(request, event)
            return digest == request.digest and is_new and event.at < request.not_after
        case happened.RunStarted(digest=digest) | happened.HandedOver(digest=digest):
            return digest == request.digest and event.at < request.not_after
    return True


def _is_strong(request: Request, event: happened.Approved) -> bool:
    """Whether a yes is as strong as the request's assurance: above a click only a signature counts, each key once."""
    if event.level == CLICK:
        return request.assurance <= 1 and not event.signature_text and not event.key
    used = {approval.key for approval in request.approvals}
    return event.level in SIGNED and bool(event.signature_text and event.key) and event.key not in used


def _after(request: Request, event: Event) -> Request:
    """Take over what an event carries."""
    match event:
        case happened.Blocked():
            return replace(request, verdict=event.verdict, need=event.need, evidence_text=event.evidence_text)
        case happened.Verified():
            return _verified(request, event)
        case happened.Insisted():
            return replace(request, insisted_text=event.reason_text)
        case happened.Approved():
            yes = Approval(event.by, event.human, event.at, event.level, event.signature_text, event.key)
            given = (*request.approvals, yes)
            state = State.APPROVED if len(given) >= request.approvers else State.WAITING
            return replace(request, approvals=given, state=state)
        case happened.Denied():
            return replace(request, outcome="denied")
        case happened.WentStale():
            return replace(request, outcome=event.why, outcome_text=event.evidence_text)
        case happened.RunStarted():
            return replace(request, worker=event.worker, started_at=event.at)
        case happened.HandedOver():
            after = replace(request, is_by_hand=True, started_at=event.at)
            return replace(after, by_hand_of=event.to, by_hand_until=event.until)
        case happened.RunEnded():
            return replace(request, exit_status=event.exit_status, output_text=event.output_text, outcome=event.how)
        case happened.RunLost() | happened.RunRefused() | happened.Restored():
            return replace(request, outcome=event.why)
        case happened.Settled():
            state = State.SUCCEEDED if event.is_success else State.FAILED
            return replace(request, state=state, outcome=event.why, outcome_text=event.evidence_text)
    return request


def _verified(request: Request, event: happened.Verified) -> Request:
    return replace(
        request,
        verdict="VERIFIED",
        need=event.need,
        manager=event.manager,
        evidence_text=event.evidence_text,
        warrant=event.warrant_text,
        digest=event.digest,
        policy=event.policy,
        policy_revision=event.policy_revision,
        approvers=event.approvers,
        groups=event.groups,
        assurance=event.assurance,
        plain_keys=event.plain_keys,
        not_after=event.not_after,
    )


def _illegal(where: str, event: Event) -> IllegalEvent:
    return IllegalEvent(
        f"'{event.type}' cannot happen to {where}.", next_step="Open the request again: it shows what holds now."
    )
