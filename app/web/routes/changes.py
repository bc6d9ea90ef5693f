"""Changes of the registry that wait for a second editor: what differs, and confirm or withdraw."""

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.core.policy import Role
from app.core.registry import Change, Entry
from app.flow import registry as flow
from app.store import people, services
from app.store.entries import entry_dict
from app.store.services import Proposal
from app.web import forms
from app.web.deps import SignedIn, may_read
from app.web.pages import Visit, render

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that differs."""

    field: str
    before: str
    after: str


@router.get("/changes/{proposal_id}")
async def one(request: Request, visit: SignedIn, proposal_id: str) -> HTMLResponse:
    """Show what would change, field by field."""
    return await _page(request, visit, await services.proposal(visit.world.db, proposal_id))


@router.post("/changes/{proposal_id}/confirm")
async def confirm(request: Request, visit: SignedIn, proposal_id: str) -> Response:
    """Apply the change, as a second editor."""
    await forms.read(request, csrf=visit.session.csrf)
    await flow.confirm(visit.world, visit.person, proposal_id)
    return RedirectResponse(f"/changes/{proposal_id}?said=applied", 303)


@router.post("/changes/{proposal_id}/withdraw")
async def withdraw(request: Request, visit: SignedIn, proposal_id: str) -> Response:
    """Take the change back, or turn it down."""
    await forms.read(request, csrf=visit.session.csrf)
    await flow.withdraw(visit.world, visit.person, proposal_id)
    return RedirectResponse(f"/changes/{proposal_id}?said=withdrawn", 303)


def differences(change: Change) -> list[Difference]:
    """List the fields that differ between an entry before and after."""
    before, after = _flat(change.before), _flat(change.after)
    names = [*before, *(name for name in after if name not in before)]
    return [
        Difference(name, before.get(name, ""), after.get(name, ""))
        for name in names
        if before.get(name, "") != after.get(name, "")
    ]


async def _page(request: Request, visit: Visit, proposal: Proposal) -> HTMLResponse:
    may_read(visit.person, Role.EDITOR, Role.AUDITOR, Role.ADMIN)
    db = visit.world.db
    registry = await services.registry(db)
    proposer = await people.by_id(db, proposal.by)
    is_own = proposer is None or proposer.person.human == visit.person.human
    return await render(
        request,
        "changes/one.html",
        proposal=proposal,
        parts=[(change, differences(change)) for change in proposal.changes],
        names=await people.names(db),
        is_waiting=proposal.state == "waiting",
        is_own=is_own,
        has_moved=registry.revision != proposal.base_revision,
        may_edit=Role.EDITOR in visit.person.roles,
    )


def _flat(entry: Entry | None) -> dict[str, str]:
    if entry is None:
        return {}
    return {name: _text(value) for name, value in entry_dict(entry).items() if value not in (None, "", [], ())}


def _text(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return "\n".join(_text(item) for item in value)
        case dict():
            return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    return str(value)
