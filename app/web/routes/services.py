"""Services: the list with each one's last proof, and the page of one claim. “Verify now” asks the host only."""

from collections import Counter
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.core.freshness import Freshness, Worth
from app.core.lifecycle import ENDED, State
from app.core.policy import Role
from app.core.service import Service
from app.flow import evidence
from app.flow.freshness import worth_of
from app.flow.limits import probes
from app.flow.named import service_named
from app.flow.ports import World
from app.flow.prove import look, remember
from app.managers import MANAGERS
from app.store import history, listing, proofs, services
from app.store.proofs import Proof
from app.web import forms
from app.web.card import proof_of
from app.web.deps import SignedIn
from app.web.freshness import SIGNS, sign_of
from app.web.pages import render
from app.web.strip import DAYS, strip_of
from app.web.words import STATES, Sign

router = APIRouter()
_MOST_ROWS = 2_000
_MOST_TURNS = 6


@dataclass(frozen=True, slots=True)
class Entry:
    """One service in the list: its claim, its last proof, and what that is worth now."""

    service: Service
    environment: str
    proof: Proof | None
    worth: Worth
    sign: Sign


@router.get("/services")
async def every(request: Request, visit: SignedIn, q: str = "", freshness: str = "") -> HTMLResponse:
    """List the services, or those that a search fits and that are so fresh; trouble comes first."""
    registry, known = await services.registry(visit.world.db), await proofs.proofs(visit.world.db)
    environments = {host.name: host.environment for host in registry.hosts}
    entries = [
        _entry(visit.world, each, environments.get(each.host, ""), known.get(each.name))
        for each in registry.services
        if _fits(each, environments.get(each.host, ""), q)
    ]
    counts = Counter(each.worth.freshness for each in entries)
    wanted = next((each for each in Freshness if each == freshness), None)
    return await render(
        request,
        "services/list.html",
        entries=sorted((each for each in entries if wanted in {None, each.worth.freshness}), key=_trouble_first),
        kinds=[(each, SIGNS[each], counts[each]) for each in Freshness],
        wanted=wanted,
        fitting=len(entries),
        total=len(registry.services),
        q=q,
        may_edit=Role.EDITOR in visit.person.roles,
    )


@router.get("/services/{name}")
async def one(request: Request, visit: SignedIn, name: str) -> HTMLResponse:
    """Show one claim with its last proof and its history."""
    db, now = visit.world.db, visit.world.clock.now()
    registry, known = await services.registry(db), await proofs.proofs(db)
    service = service_named(registry, name)
    proof = known.get(name)
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
        sign=sign_of(visit.world, proof),
        worth=worth_of(visit.world, proof),
        held=proof,
        turns=await _turns(visit.world, name),
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
    service = service_named(registry, name)
    async with probes.turn(service.host, visit.person.id):
        seen = await look(visit.world, registry, service, git=True)
    await remember(visit.world, seen)
    return RedirectResponse(f"/services/{name}?said=proved", 303)


def _entry(world: World, service: Service, environment: str, proof: Proof | None) -> Entry:
    return Entry(service, environment, proof, worth_of(world, proof), sign_of(world, proof))


def _trouble_first(entry: Entry) -> tuple[int, str]:
    return list(Freshness).index(entry.worth.freshness), entry.service.name


async def _turns(world: World, name: str) -> list[history.Entry]:
    """Return the last changes of a service's verdict, newest first."""
    wanted = history.Filter(type="verdict_changed", service=name)
    return list((await history.page(world.db, wanted, limit=_MOST_TURNS)).rows)


def _fits(service: Service, environment: str, q: str) -> bool:
    words = (service.name, service.host, service.owner, service.manager, service.unit, environment)
    return all(any(part in word.lower() for word in words) for part in q.lower().split())
