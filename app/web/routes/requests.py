"""Requests: asking for a restart, the page of one request, and its raw output."""

import secrets

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from app.core.checklist import SAYABLE
from app.core.errors import Conflict, NotFound, Refused
from app.core.manager import Action
from app.flow import evidence, printed
from app.flow.ask import ask
from app.store import proofs, requests, services
from app.web import forms
from app.web.card import Proof, proof_of
from app.web.deps import SignedIn
from app.web.pages import Visit, render
from app.web.show import show

router = APIRouter()
# Which field a refusal of the flow belongs to.
_FIELDS = {
    "reason_empty": "reason",
    "reason_too_long": "reason",
    "ticket_too_long": "ticket",
    "no_such_service": "service",
}


@router.get("/requests/new")
async def new(request: Request, visit: SignedIn, service: str = "") -> HTMLResponse:
    """Show the form that asks for a restart."""
    return await _form(request, visit, {"service": service, "key": secrets.token_hex(16)})


@router.post("/requests/new")
async def create(request: Request, visit: SignedIn) -> Response:
    """Ask for a restart. The same form sent twice is one request."""
    values = await forms.read(
        request, "service", "reason", "key", csrf=visit.session.csrf, optional=("ticket", "action", *SAYABLE)
    )
    try:
        asked = await ask(
            visit.world,
            visit.person,
            values["service"].strip(),
            values["reason"],
            ticket=values["ticket"],
            key=values["key"][:64],
            action=values["action"] or Action.RESTART,
            said=[name for name in SAYABLE if values[name]],
        )
    except Conflict as error:
        if error.code not in {"already_asked", "denied_lately"}:
            raise
        return await _form(request, visit, values, {"service": f"{error.message} {error.next_step}"}, 409)
    except (Refused, NotFound) as error:
        if error.code not in _FIELDS:
            raise
        return await _form(request, visit, values, {_FIELDS[error.code]: f"{error.message} {error.next_step}"}, 422)
    return RedirectResponse(f"/requests/{asked.id}", 303)


@router.get("/requests/{request_id}")
async def one(request: Request, visit: SignedIn, request_id: str) -> Response:
    """Show one request. A short id such as R-7F3K leads to the whole one."""
    asked = await requests.load(visit.world.db, request_id)
    if asked.id != request_id:
        return RedirectResponse(f"/requests/{asked.id}", 303)
    return await show(request, visit, asked)


@router.get("/requests/{request_id}/output")
async def output(visit: SignedIn, request_id: str) -> Response:
    """Give the output as plain text, also while it grows."""
    asked = await requests.load(visit.world.db, request_id)
    lines = await printed.whole(visit.world, asked)
    return PlainTextResponse("".join(f"{line}\n" for line in lines))


async def _form(
    request: Request, visit: Visit, values: dict[str, str], problems: dict[str, str] | None = None, status: int = 200
) -> HTMLResponse:
    registry = await services.registry(visit.world.db)
    known = await proofs.proofs(visit.world.db)
    chosen = registry.service(values["service"])
    proof: Proof | None = None
    if chosen and chosen.name in known:
        proof = proof_of(evidence.read(known[chosen.name].findings_json))
    return await render(
        request,
        "requests/new.html",
        status,
        services=registry.services,
        chosen=chosen,
        proof=proof,
        offers=evidence.gentler(proof.evidence) if proof else (),
        committed=proof.evidence.committed if proof else None,
        sayable=SAYABLE,
        values=values,
        problems=problems or {},
    )
