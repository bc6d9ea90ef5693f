"""What happened to a request, as frozen values, and the way they are written into the audit log and read back.

It does not say which event may follow which (``lifecycle`` does) and writes nothing (``store.log`` does). Free text,
host output and personal data are never in an event: a field that ends in ``_text`` is a salted commitment,
``sha256:…``, to a text that is kept apart and may be deleted. Keeps law 10 by giving every effect an event that can
be written before it.

Times are epoch seconds, rounded to milliseconds when written; ``by`` is a person's id, or ``askfirst`` itself.
"""

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, ClassVar

from app.core.errors import Broken

SYSTEM = "askfirst"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened. ``id`` is made by whoever writes it, so that a lost acknowledgement can be settled."""

    type: ClassVar[str] = ""
    id: str
    at: float
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Event):
    """Somebody asks for a restart. ``requester_human`` is the human who answers for it (an agent's owner).

    ``action`` is ``restart``, or what the manager does more gently; ``said`` names what the requester ticked of what
    no host can tell: it was said, and is not proved.
    """

    type: ClassVar[str] = "asked"
    service: str
    host: str
    environment: str
    requester: str
    requester_human: str
    reason_text: str
    ticket_text: str
    registry: int
    action: str = "restart"
    said: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked(Event):
    """The host did not prove the claim: it ends here, and nobody is asked."""

    type: ClassVar[str] = "blocked"
    verdict: str
    need: str
    evidence_text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified(Event):
    """The host proved the claim, and the warrant is written."""

    type: ClassVar[str] = "verified"
    need: str
    evidence_text: str
    warrant_text: str
    digest: str
    manager: str
    policy: str
    policy_revision: int
    approvers: int
    groups: tuple[tuple[str, ...], ...]
    assurance: int
    not_after: float
    plain_keys: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Insisted(Event):
    """The requester gave the stronger reason that a restart without a sign of need asks for."""

    type: ClassVar[str] = "insisted"
    reason_text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved(Event):
    """One human's yes to one digest: ``level`` is ``click``, or what signed it, ``passkey`` or ``key``.

    Of a signature ``signature_text`` names the armored SSH signature, which is kept apart, and ``key`` the fingerprint
    of the key that made it; of a click both are empty.
    """

    type: ClassVar[str] = "approved"
    human: str
    digest: str
    level: str
    signature_text: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied(Event):
    """One approver's no, with a reason."""

    type: ClassVar[str] = "denied"
    reason_text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled(Event):
    """The requester (or an admin) took it back before it ran."""

    type: ClassVar[str] = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired(Event):
    """Its time ran out. Silence is never yes."""

    type: ClassVar[str] = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class WentStale(Event):
    """The host no longer shows what was proved, or what the yes rests on has changed. Nothing was run."""

    type: ClassVar[str] = "went_stale"
    why: str
    evidence_text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """One worker claims the run. Committed before anything is sent to the host."""

    type: ClassVar[str] = "run_started"
    digest: str
    worker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOver(Event):
    """A manual service: the person named (``to``, an id) now restarts it by hand, until a time (0: none was set)."""

    type: ClassVar[str] = "handed_over"
    digest: str
    to: str = ""
    until: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded(Event):
    """The command ended, or is known to have been cut off: ``exit_status`` is None where the host cannot tell it.

    ``how`` is ``streamed`` (seen to the end), ``read`` (from the gate's spool, later), ``interrupted``, ``by hand`` (a
    person said so) or ``time ran out`` (nobody did).
    """

    type: ClassVar[str] = "run_ended"
    exit_status: int | None
    how: str
    output_text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRefused(Event):
    """The gate or the connection refused before the warrant was spent for a run, or what was to be restarted runs on.

    Nothing was run.
    """

    type: ClassVar[str] = "run_refused"
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLost(Event):
    """The line, or the worker, was lost after the run was claimed: it may have run."""

    type: ClassVar[str] = "run_lost"
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBurned(Event):
    """The gate burned the warrant: it has not run and never can."""

    type: ClassVar[str] = "run_burned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored(Event):
    """An older state of the log was put back, in which this had not run: since then it may have."""

    type: ClassVar[str] = "restored"
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp(Event):
    """The search for what a run did is ended: by an admin, whose host cannot be asked any more, or by Askfirst itself.

    That is where a person may have restarted it by hand, of which no host keeps a record.
    """

    type: ClassVar[str] = "given_up"
    reason_text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled(Event):
    """The after-proof: ``is_success`` only for a new process, stable, with its checks green."""

    type: ClassVar[str] = "settled"
    is_success: bool
    why: str
    evidence_text: str


# With slots, dataclass makes each class a second time; until it is collected the first one is a subclass too.
KINDS: dict[str, type[Event]] = {kind.type: kind for kind in Event.__subclasses__() if "__slots__" in vars(kind)}
_ENVELOPE = frozenset({"id", "at", "by"})


def body_of(event: Event, request: str, version: int) -> dict[str, Any]:
    """Write an event as the JSON object that the audit log keeps."""
    data = {key: value for key, value in asdict(event).items() if key not in _ENVELOPE}
    return {
        "type": event.type,
        "id": event.id,
        "at": iso(event.at),
        "by": event.by,
        "request": request,
        "version": version,
        "data": data,
    }


def event_of(body: Mapping[str, Any]) -> Event:
    """Read an event back. Raises Broken for a type or a field that this version does not know.

    A field with a default may be missing: the event is older than the field.
    """
    kind = KINDS.get(str(body.get("type")))
    data = dict(body.get("data", {}))
    names = {each.name: each.default is MISSING for each in fields(kind) if each.name not in _ENVELOPE} if kind else {}
    missing = [name for name, is_needed in names.items() if is_needed and name not in data]
    if kind is None or missing or not set(data) <= set(names):
        raise Broken(
            f"The log holds an event {body.get('type')!r} that this version does not know.",
            code="unknown_event",
            next_step="Start the version that wrote it, or a newer one.",
        )
    if "groups" in data:
        data["groups"] = tuple(tuple(group) for group in data["groups"])
    if "said" in data:
        data["said"] = tuple(data["said"])
    return kind(id=body["id"], at=epoch(body["at"]), by=body["by"], **data)


def iso(at: float) -> str:
    """Write epoch seconds as UTC with milliseconds, ``2026-01-27T10:15:00.250Z``."""
    return datetime.fromtimestamp(round(at, 3), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def epoch(text: str) -> float:
    """Read what ``iso`` wrote."""
    return datetime.fromisoformat(text).timestamp()
