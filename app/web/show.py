"""The page of one request: everything on it, gathered once, for whoever looks.

It decides nothing: whether this person may approve is asked of the guard, and its own sentence is shown where they
may not. What else they may do is asked of the flow, which refuses it by the same functions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fastapi import Request as HttpRequest
from starlette.responses import HTMLResponse

from app.core.errors import Refused
from app.core.events import Event
from app.core.lifecycle import ACTING, ASKING, ENDED, SETTLED, Request, State
from app.core.manager import Action
from app.core.policy import Assurance, Attempt, Person, Role, Via, groups_in_words
from app.core.verdict import Answer
from app.flow import evidence, printed
from app.flow.ask import insist_refusal
from app.flow.by_hand import done_refusal
from app.flow.checklist import checklist
from app.flow.decide import cancel_refusal, could_approve, refusal_for
from app.flow.evidence import Touched
from app.flow.reconcile import give_up_refusal
from app.identity.passkeys import Place
from app.managers import MANAGERS
from app.store import people, proofs, requests
from app.web.card import Card, card_of, proof_of
from app.web.lately import remarks
from app.web.pages import Site, Visit, render
from app.web.story import Line, steps, story
from app.web.times import span
from app.web.words import ASSURANCES, BY_HAND, CERTAINTIES, GENTLER, STATES, YES, Sign
from app.web.yes import Way, signed_with, way

_NEXT = {
    State.OPEN: "The host is asked to prove the claim",
    State.APPROVED: "A worker takes it, and the host proves it once more",
    State.RUNNING: "The command ends",
    State.UNKNOWN: "The host is asked what became of it",
    State.SETTLING: "The host proves that it came back",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """A line on top of the page that answers what was just done."""

    head: str
    words: str = ""
    tone: str = "no"
    icon: str = "warn"


@dataclass(frozen=True, slots=True)
class Change:
    """What of one kind of identity lines is no more after a run, and what came instead."""

    kind: str
    gone: list[str]
    come: list[str]


@dataclass(frozen=True, slots=True)
class View:
    """What this person may do with the request, and the sentences that say so."""

    may_decide: bool = False
    asks_password: bool = False
    signed_in_ago: str = ""
    why_not: Refused | None = None
    could_words: str = ""
    says: str = ""
    approved_words: str = ""
    groups: str = ""
    assurance: str = ""
    a_yes_is: str = ""
    is_click: bool = True
    way: Way = field(default_factory=Way)
    yeses: tuple[tuple[str, str, float], ...] = ()
    may_cancel: bool = False
    may_insist: bool = False
    may_say_done: bool = False
    may_give_up: bool = False
    by_hand: str = ""
    may_edit: bool = False
    may_ask: bool = False
    is_live: bool = False
    refreshes: bool = False
    what_next: str = ""
    proved_again_at: float | None = None
    run_took: str = ""
    main_before: Touched | None = None
    main_after: Touched | None = None


async def show(
    http: HttpRequest,
    visit: Visit,
    request: Request,
    status: int = 200,
    *,
    notice: Notice | None = None,
    problems: Mapping[str, str] | None = None,
    values: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """Render the page of a request as it stands now."""
    db = visit.world.db
    events = await requests.events(db, request.id)
    before, after = await evidence.of(db, request), await evidence.of_outcome(db, request)
    names = await people.names(db)
    texts = await requests.texts(db, _commitments(request, events))
    proof = proof_of(before) if before else None
    text = texts.get(request.warrant or "")
    card = card_of(text, before, MANAGERS) if text else None
    return await render(
        http,
        "requests/show.html",
        status,
        request=request,
        sign=_sign(request),
        names=names,
        reason=texts.get(request.reason_text, ""),
        ticket=texts.get(request.ticket_text, ""),
        insisted=texts.get(request.insisted_text, ""),
        card=card,
        proof=proof,
        after=proof_of(after) if after else None,
        steps=steps(request, events),
        story_lines=_story(request, events, names, texts),
        output=await printed.of(visit.world, request),
        view=await _view(visit, _place(http), request, card, before, after, names),
        points=[
            (point, CERTAINTIES[point.certainty])
            for point in checklist(request, before, after, card.warrant if card else None, names)
        ],
        changed=_changed(request, before, after),
        remarks=await remarks(visit.world, request, names) if request.state in ASKING else (),
        notice=notice,
        problems=problems or {},
        values=values or {},
    )


def _sign(request: Request) -> Sign:
    if request.is_by_hand and request.state is State.RUNNING:
        return BY_HAND
    sign = STATES[request.state]
    if request.action == Action.RESTART or request.state not in GENTLER:
        return sign
    return replace(sign, next_step=GENTLER[request.state])


def _changed(request: Request, before: evidence.Evidence | None, after: evidence.Evidence | None) -> list[Change]:
    """Pair the identity lines that a run has ended with those that came instead, by their kind."""
    if before is None or after is None or request.state not in SETTLED:
        return []
    gone, come = _by_kind(after.gone), _by_kind(line for line in after.identity if line not in before.identity)
    return [Change(kind, gone.get(kind, []), come.get(kind, [])) for kind in dict.fromkeys((*gone, *come))]


def _by_kind(lines: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in lines:
        kind, _, rest = line.partition(" ")
        found.setdefault(kind, []).append(rest)
    return found


def _story(request: Request, events: list[Event], names: Mapping[str, str], texts: Mapping[str, str]) -> list[Line]:
    return story(events, names, texts, request.approvers)


def _commitments(request: Request, events: list[Event]) -> list[str]:
    wanted = [request.warrant, request.ticket_text]
    wanted += [getattr(event, "reason_text", "") for event in events]
    return [each for each in wanted if each]


def _place(http: HttpRequest) -> Place | None:
    site: Site = http.app.state.site
    return site.place


async def _view(  # noqa: PLR0917 - what a page is made of
    visit: Visit,
    place: Place | None,
    request: Request,
    card: Card | None,
    before: evidence.Evidence | None,
    after: evidence.Evidence | None,
    names: Mapping[str, str],
) -> View:
    person = visit.person
    is_handed_over = request.is_by_hand and request.state is State.RUNNING
    is_waiting = request.state is State.WAITING
    may: dict[str, Any] = await _deciding(visit, place, request, card) if is_waiting and card else {}
    needs_reason = before is not None and before.need.answer is Answer.NOT_NEEDED and not request.insisted_text
    may_give_up = give_up_refusal(request, person) is None
    may_insist = is_waiting and needs_reason and insist_refusal(request, person) is None
    proved = (await proofs.proofs(visit.world.db)).get(request.service)
    is_newer = proved is not None and before is not None and proved.seen.proved_at > before.taken_at + 1
    took = request.changed_at - request.started_at if request.started_at else 0.0
    return View(
        **may,
        approved_words=_approved(request, card),
        groups=groups_in_words(request.groups),
        assurance=ASSURANCES[Assurance(request.assurance)] if request.assurance else "",
        a_yes_is=YES[Assurance(request.assurance)] if request.assurance else "",
        yeses=tuple((names.get(yes.person, "somebody"), signed_with(yes), yes.at) for yes in request.approvals),
        may_cancel=cancel_refusal(request, person) is None,
        may_insist=may_insist,
        may_say_done=done_refusal(request, person) is None,
        may_give_up=may_give_up,
        by_hand=names.get(request.by_hand_of or request.requester, "somebody") if is_handed_over else "",
        may_edit=Role.EDITOR in person.roles,
        may_ask=Role.REQUESTER in person.roles,
        is_live=request.state not in ENDED,
        # Without JavaScript a page reloads by itself, except under somebody who is writing on it.
        refreshes=request.state not in ENDED and not may.get("may_decide") and not may_insist and not may_give_up,
        what_next=_what_next(request),
        proved_again_at=proved.seen.proved_at if proved and is_newer and is_waiting else None,
        run_took=span(took) if request.state in SETTLED else "",
        main_before=_main(before),
        main_after=_main(after),
    )


async def _deciding(visit: Visit, place: Place | None, request: Request, card: Card) -> dict[str, Any]:
    """Say whether the visitor may decide now and how, or why not and who could."""
    session = visit.session
    attempt = Attempt(visit.person, Via.SESSION, session.signed_in_at, request.digest)
    refusal = await refusal_for(visit.world, attempt, request)
    if refusal is not None and refusal.code == "needs_signature":
        found = await way(visit.world, place, visit.person, request, card.text)
        return {"may_decide": True, "is_click": False, "way": found, "says": _says(request, card)}
    if refusal is None or refusal.code == "step_up_required":
        age = await visit.world.time() - session.signed_in_at
        return {
            "may_decide": True,
            "asks_password": refusal is not None,
            "signed_in_ago": span(age),
            "says": _says(request, card),
        }
    able = [each.person for each, no in await could_approve(visit.world, request) if no is None]
    return {"why_not": refusal, "could_words": _could(able, visit.person)}


def _could(able: list[Person], reader: Person) -> str:
    names = [person.name for person in able if person.id != reader.id]
    if not names:
        return "Nobody else can either: an admin adds an approver to the group."
    shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    return f"{shown} can."


def _says(request: Request, card: Card) -> str:
    missing = request.approvers - len(request.approvals) - 1
    if missing > 0:
        people_word = "person has" if missing == 1 else "people have"
        return f"Yours would be yes number {len(request.approvals) + 1}; {missing} more {people_word} to say yes too."
    if card.is_by_hand:
        return "Approving runs nothing: a person restarts it by hand, and the host then has to prove that it came back."
    if request.action != Action.RESTART:
        return (
            f"Approving runs this {request.action} once, now, if the host still shows the same processes. No process is"
            " ended by it; should another one run afterwards, it has failed."
        )
    return "Approving runs this once, now, if the host still shows the same processes. Anything else, and it stops."


def _approved(request: Request, card: Card | None) -> str:
    if card is not None and card.is_by_hand:
        return "Approved. A person restarts it by hand; Askfirst runs nothing."
    if request.state is State.APPROVED:
        return "Approved. It runs once, as soon as the host has shown the same processes again."
    if request.state is State.UNKNOWN:
        return "It may have run. The host's own record decides; it is never sent a second time."
    return "This runs once, and never again." if request.state in ACTING else ""


def _what_next(request: Request) -> str:
    if request.state is State.WAITING:
        missing = request.approvers - len(request.approvals)
        return (
            f"{missing} of {groups_in_words(request.groups)} {'approves' if missing == 1 else 'approve'}, or one denies"
        )
    if request.is_by_hand and request.state is State.RUNNING:
        return "Whoever restarts it says that it is done, or the time for it runs out"
    return _NEXT.get(request.state, "")


def _main(seen: evidence.Evidence | None) -> Touched | None:
    if seen is None:
        return None
    return next((each for each in seen.touched if each.pid in seen.verdict.pids), None)
