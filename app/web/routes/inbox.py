"""The inbox: what waits for the visitor, and what they asked for. It shows only what they may approve now."""

from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from app.core.lifecycle import Request as Asked
from app.core.lifecycle import State
from app.core.policy import Role
from app.core.verdict import Answer
from app.store import freezes, listing, people, requests
from app.web.deps import SignedIn
from app.web.pages import render
from app.web.waiting import for_person
from app.web.words import NEEDS, STATES, Sign

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Item:
    """One waiting request, in the list."""

    request: Asked
    requester: str
    reason: str
    need: Sign


@router.get("/")
async def inbox(request: Request, visit: SignedIn) -> HTMLResponse:
    """Show what waits for the visitor and what became of their own requests."""
    world = visit.world
    frozen = await freezes.current(world.db)
    waiting = await for_person(world, visit.person, frozen)
    held = len(await for_person(world, visit.person, ())) - len(waiting) if frozen else 0
    names = await people.names(world.db)
    texts = await requests.texts(world.db, [each.reason_text for each in waiting])
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
        may_approve=Role.APPROVER in visit.person.roles,
        yours=[(row, STATES[State(row.state)]) for row in yours.rows],
    )
