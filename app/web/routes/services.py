"""Services: the list with each one's last proof, and the page of one claim. “Verify now” asks the host only."""

from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.core.lifecycle import ENDED, State
from app.core.policy import Role
from app.core.service import Service
from app.flow import evidence
from app.flow.ask import named
from app.flow.limits import probes
from app.flow.prove import look, remember
from app.managers import MANAGERS
from app.store import listing, services
from app.store.services import Proof
from app.web import forms
from app.web.card import proof_of
from app.web.deps import SignedIn
from app.web.pages import render
from app.web.strip import DAYS, strip_of
from app.web.words import STATES, Sign

router = APIRouter()
FRESH_SECONDS = 86_400.0
_MOST_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One service in the list: its claim, its last proof, and what that is worth now."""

    service: Service
    environment: str
    proof: Proof | None
    sign: Sign


def sign_of(proof: Proof | None, now: float) -> Sign:
    """Say what a last proof is worth: fresh, stale, wrong, or none at all."""
    if proof is None:
        return Sign("Never proved", "ask", "past")
    if proof.verdict != "VERIFIED":
        return (
            Sign("Wrong", "barred", "no")
            if proof.verdict not in {"UNREACHABLE", "BLIND"}
            else Sign("Unseen", "ask", "lost")
        )
    return Sign("Fresh", "shield", "yes") if now - proof.at <= FRESH_SECONDS else Sign("Stale", "past", "wait")


@router.get("/services")
async def every(request: Request, visit: SignedIn, q: str = "") -> HTMLResponse:
    """List the services, or those that a search fits."""
    db = visit.world.db
    registry, proofs = await services.registry(db), await services.proofs(db)
    environments = {host.name: host.environment for host in registry.hosts}
    now = visit.world.clock.now()
    entries = [
        Entry(each, environments.get(each.host, ""), proofs.get(each.name), sign_of(proofs.get(each.name), now))
        for each in registry.services
        if _fits(each, environments.get(each.host, ""), q)
    ]
    return await render(
        request,
        "services/list.html",
        entries=entries,
        total=len(registry.services),
        q=q,
        may_edit=Role.EDITOR in visit.person.roles,
    )


@router.get("/services/{name}")
async def one(request: Request, visit: SignedIn, name: str) -> HTMLResponse:
    """Show one claim with its last proof and its history."""
    db, now = visit.world.db, visit.world.clock.now()
    registry, proofs = await services.registry(db), await services.proofs(db)
    service = named(registry, name)
    proof = proofs.get(name)
    past = listing.Filter(service=name, since=now - DAYS * 86_400)
    rows = (await listing.page(db, past, limit=_MOST_ROWS)).rows
    recent = await listing.page(db, listing.Filter(service=name), limit=8)
    alive = next((row for row in recent.rows if State(row.state) not in ENDED), None)
    return await render(
        request,
        "services/one.html",
        service=service,
        host=registry.host(service.host),
        manager=MANAGERS.get(service.manager),
        proof=proof_of(evidence.read(proof.findings_json)) if proof else None,
        sign=sign_of(proof, now),
        strip=strip_of(rows, now),
        recent=[(row, STATES[State(row.state)]) for row in recent.rows],
        alive=alive,
        may_ask=Role.REQUESTER in visit.person.roles,
        may_edit=Role.EDITOR in visit.person.roles,
    )


@router.post("/services/{name}/verify")
async def verify(request: Request, visit: SignedIn, name: str) -> Response:
    """Probe the host and judge the claim now."""
    await forms.read(request, csrf=visit.session.csrf)
    registry = await services.registry(visit.world.db)
    service = named(registry, name)
    async with probes.turn(service.host, visit.person.id):
        seen = await look(visit.world, registry, service)
    await remember(visit.world, seen)
    return RedirectResponse(f"/services/{name}?said=proved", 303)


def _fits(service: Service, environment: str, q: str) -> bool:
    words = (service.name, service.host, service.owner, service.manager, service.unit, environment)
    return all(any(part in word.lower() for word in words) for part in q.lower().split())
