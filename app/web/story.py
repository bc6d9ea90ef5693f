"""How far a request is, as five named steps, and what happened to it so far, one line for each event.

Both are read from the request and its events alone; nothing is guessed from the clock. Names and texts are arguments.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.core import events as happened
from app.core.checklist import COMMITTED
from app.core.events import SYSTEM, Event
from app.core.lifecycle import CLICK, RAN, Request, State
from app.core.manager import Action

STEPS = ("Request", "Proof by the host", "Approval", "Run, if still the same")
_ENDED_WELL = frozenset({State.SUCCEEDED})
_ENDED_ILL = frozenset({State.BLOCKED, State.DENIED, State.FAILED, State.NOT_RUN})
_ENDED_ODD = frozenset({State.EXPIRED, State.CANCELLED, State.STALE, State.UNKNOWN, State.GIVEN_UP})
_ICONS = {"done": "ok", "now": "clock", "bad": "x", "odd": "ask", "gone": "ask", "todo": ""}


@dataclass(frozen=True, slots=True)
class Step:
    """One of the five steps: its name, where it stands, and an icon.

    ``where`` is done, now, bad, odd or todo; or gone, where it was done and the log does not tell of it.
    """

    name: str
    where: str
    icon: str
    at: float | None = None

    @property
    def is_current(self) -> bool:
        """Whether the request stands at this step now, or ended at it."""
        return self.where in {"now", "bad", "odd"}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of what happened. ``quote`` is text of a person, host text where ``from_host``."""

    at: float
    tone: str
    words: str
    quote: str = ""


def steps(request: Request, events: Sequence[Event]) -> list[Step]:
    """Return the five steps, with the time at which each was done."""
    names = (*STEPS, "Proof that it came back" if request.action == Action.RESTART else "Proof that it runs on")
    current = _current(request)
    here = "now"
    if request.state in _ENDED_WELL:
        current = len(names)
    elif request.state in _ENDED_ILL:
        here = "bad"
    elif request.state in _ENDED_ODD:
        here = "odd"
    times = _times(request, events)
    where = ["done" if index < current else here if index == current else "todo" for index in range(len(names))]
    # After a restore the log may lack what came before a run.
    where = ["gone" if state == "done" and at is None else state for state, at in zip(where, times, strict=True)]
    return [
        Step(name, state, _ICONS[state], at if state == "done" else None)
        for name, state, at in zip(names, where, times, strict=True)
    ]


def story(
    events: Sequence[Event], names: Mapping[str, str], texts: Mapping[str, str], approvers: int = 1
) -> list[Line]:
    """Return one line for each event, oldest first."""
    lines: list[Line] = []
    yeses = 0
    for event in events:
        yeses += isinstance(event, happened.Approved)
        # Who restarts by hand was not the one who wrote the event.
        about = event.to if isinstance(event, happened.HandedOver) and event.to else event.by
        tone, words, quoted = _line(event, names.get(about, "Somebody"), f"{yeses} of {approvers}")
        lines.append(Line(event.at, tone, words, texts.get(quoted, "") if quoted else ""))
    return lines


def decided_by(events: Sequence[Event], names: Mapping[str, str]) -> tuple[str, str, float] | None:
    """Return what was decided, by whom and when (``approved``, ``Bo``, epoch seconds); None while nothing was."""
    for event in reversed(events):
        match event:
            case happened.Approved():
                return "approved", names.get(event.by, "somebody"), event.at
            case happened.Denied():
                return "denied", names.get(event.by, "somebody"), event.at
            case happened.Cancelled():
                return "cancelled", "Askfirst" if event.by == SYSTEM else names.get(event.by, "somebody"), event.at
    return None


def _current(request: Request) -> int:
    """Return the index of the step that the request stands at, or where it stopped."""
    if request.state in RAN:
        return 4
    if request.started_at is not None or request.state is State.APPROVED:
        return 3
    if request.digest:
        is_enough = len(request.approvals) >= request.approvers
        return 3 if is_enough else 2
    return 1


def _times(request: Request, events: Sequence[Event]) -> list[float | None]:
    last: dict[type[Event], float] = {type(event): event.at for event in events}
    return [
        request.asked_at,
        last.get(happened.Verified),
        last.get(happened.Approved) if len(request.approvals) >= request.approvers else None,
        last.get(happened.RunEnded),
        last.get(happened.Settled),
    ]


def _line(event: Event, name: str, yeses: str) -> tuple[str, str, str]:
    """Return an event's tone, sentence and the commitment of the text that it quotes."""
    match event:
        case happened.Asked():
            said = ", and said that the code is committed and pushed" if COMMITTED in event.said else ""
            return (
                "yes",
                f"{name} asked for a {event.action} of {event.service} on {event.host}{said}",
                event.reason_text,
            )
        case happened.Verified():
            return "yes", "The host proved the claim: VERIFIED. The warrant was written", ""
        case happened.Insisted():
            return "lost", f"{name} gave a stronger reason", event.reason_text
        case happened.Approved():
            what = "passkey" if event.level == "passkey" else "key"
            how = "" if event.level == CLICK else f", with the {what} {event.key}"
            return "yes", f"{name} approved{how} ({yeses})", ""
        case happened.Denied():
            return "no", f"{name} denied it", event.reason_text
        case happened.GivenUp():
            who = "Askfirst" if event.by == SYSTEM else name
            return "lost", f"{who} gave up the search for what it did", event.reason_text
        case happened.RunEnded():
            return *_run_ended(event, name), ""
        case happened.Settled():
            return ("yes", f"Succeeded: {event.why}", "") if event.is_success else ("no", f"Failed: {event.why}", "")
    tone, words = _without_quote(event, name)
    return tone, words, ""


def _without_quote(event: Event, name: str) -> tuple[str, str]:
    match event:
        case happened.Blocked():
            return "no", f"The host did not prove the claim: {event.verdict}"
        case happened.Cancelled():
            return "no", f"{name} cancelled it" if event.by != SYSTEM else "It was cancelled: the service was removed"
        case happened.Expired():
            return "no", "Its time ran out"
        case happened.WentStale():
            return "no", f"It went stale: {event.why}"
        case happened.RunStarted():
            return "yes", "A worker took it, and asked the host to prove it again and run it"
        case happened.HandedOver():
            return "yes", f"Handed over: {name if event.to else 'a person'} restarts it by hand now"
        case happened.RunRefused():
            return "no", f"Nothing was run: {event.why}"
        case happened.RunLost():
            return "lost", f"The run was lost from sight: {event.why}"
        case happened.Restored():
            return "lost", event.why.rstrip(".")
        case happened.RunBurned():
            return "no", "The host burned the warrant: it has not run, and never can"
    return "", event.type


def _run_ended(event: happened.RunEnded, name: str) -> tuple[str, str]:
    if event.how == "by hand":
        return "yes", f"{name} said that it is done by hand"
    if event.how == "time ran out":
        return "lost", "Nobody said in time that it is done; the host is asked what was done"
    if event.exit_status is None:
        return "lost", "The command was interrupted: the host cannot tell how it ended"
    tone = "yes" if event.exit_status == 0 else "no"
    later = ", read from the host's own record" if event.how == "read" else ""
    return tone, f"The command ended with status {event.exit_status}{later}"
