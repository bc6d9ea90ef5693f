"""The inbox: what waits for the visitor, what changed of their services, and what they asked for.

It shows only what they may approve now. A notice stays until its reader says that it was seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse

from app.core.lifecycle import Request as Asked
from app.core.lifecycle import State
from app.core.policy import Role
from app.core.verdict import Answer, Code
from app.flow import evidence
from app.store import freezes, listing, notices, people, proofs, requests
from app.store.notices import Notice
from app.store.proofs import Proof
from app.web import forms
from app.web.deps import SignedIn
from app.web.lately import lowered_for
from app.web.pages import render
from app.web.waiting import for_person
from app.web.words import NEEDS, STATES, VERDICTS, Sign

router = APIRouter()
_NEXT = {True: "Nothing is to be done: the host proves the claim again.", False: "Open it and verify it now."}


@dataclass(frozen=True, slots=True)
class Item:
    """One waiting request, in the list."""

    request: Asked
    requester: str
    reason: str
    need: Sign


@dataclass(frozen=True, slots=True)
class Told:
    """One notice, in the list: what held before and what holds now, each as a sign, and what to do next."""

    notice: Notice
    was: Sign
    now: Sign
    next_step: str


@router.get("/")
async def inbox(request: Request, visit: SignedIn) -> HTMLResponse:
    """Show what waits for the visitor and what became of their own requests."""
    world = visit.world
    frozen = await freezes.current(world.db)
    waiting = await for_person(world, visit.person, frozen)
    held = len(await for_person(world, visit.person, ())) - len(waiting) if frozen else 0
    names = await people.names(world.db)
    texts = await requests.texts(world.db, [each.reason_text for each in waiting])
    known = await proofs.proofs(world.db)
    yours = await listing.page(world.db, listing.Filter(requester=visit.person.id), limit=10)
    return await render(
        request,
        "inbox/inbox.html",
        waiting=[
            Item(
                each,
                names.get(each.requester, each.requester),
                texts.get(each.reason_text, ""),
                NEEDS[Answer(each.need)],
            )
            for each in waiting
        ],
        held=held,
        lowered=await lowered_for(world, visit.person, names),
        may_approve=Role.APPROVER in visit.person.roles,
        told=[_told(each, known) for each in await notices.of(world.db, visit.person.id)],
        yours=[(row, STATES[State(row.state)]) for row in yours.rows],
    )


@router.post("/notices/seen")
async def seen(request: Request, visit: SignedIn) -> RedirectResponse:
    """Take away the notices that the visitor was shown; what changed after the page was made stays."""
    form = await forms.read(request, "up_to", csrf=visit.session.csrf, optional=("service",))
    up_to = int(form["up_to"]) if form["up_to"].isdecimal() and len(form["up_to"]) < 19 else 0
    await notices.seen(visit.world.db, visit.person.id, up_to, form["service"])
    return RedirectResponse("/?said=seen", 303)


def _told(notice: Notice, known: Mapping[str, Proof]) -> Told:
    last = known.get(notice.service)
    shown = evidence.read(last.findings_json) if last and last.verdict == notice.verdict else None
    next_step = shown.verdict.next_step if shown else ""
    return Told(notice, _sign(notice.was), _sign(notice.verdict), next_step or _NEXT[notice.verdict == Code.VERIFIED])


def _sign(verdict: str) -> Sign:
    if not verdict:
        return Sign("Not known", "ask", "past")
    reading = VERDICTS[Code(verdict)]
    return Sign(verdict, reading.icon, reading.tone)
