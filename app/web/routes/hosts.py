"""Hosts: the list, and the page of one host with what is claimed there and a map of what truly runs.

“Look now” probes the host once, changes nothing on it, and draws what it saw; the map is not stored.
"""

from collections.abc import Iterable, Mapping

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from app.core.errors import AskfirstError, Unreachable
from app.core.level import RAISE, STOLEN
from app.core.policy import Role
from app.core.service import Host
from app.core.verdict import Finding
from app.flow.discover import discover
from app.flow.evidence import read
from app.flow.limits import probes
from app.flow.named import host_named
from app.managers import MANAGERS
from app.ssh.keys import fingerprint, pinned
from app.statuses import status_of
from app.store import freezes, proofs, services
from app.store.proofs import Proof
from app.web import forms
from app.web.deps import SignedIn
from app.web.drawing import pictures
from app.web.freshness import sign_of
from app.web.hostmap import Map, map_of
from app.web.pages import Visit, render

router = APIRouter()


@router.get("/hosts")
async def every(request: Request, visit: SignedIn) -> HTMLResponse:
    """List the hosts with their services."""
    db = visit.world.db
    registry, known = await services.registry(db), await proofs.proofs(db)
    rows = [
        (host, [(each, sign_of(visit.world, known.get(each.name))) for each in registry.services_on(host.name)])
        for host in registry.hosts
    ]
    return await render(request, "hosts/list.html", rows=rows, may_edit=Role.EDITOR in visit.person.roles)


@router.get("/hosts/{name}")
async def one(request: Request, visit: SignedIn, name: str) -> HTMLResponse:
    """Show one host and what is claimed to run there."""
    return await _page(request, visit, name)


@router.post("/hosts/{name}/look")
async def look(request: Request, visit: SignedIn, name: str) -> HTMLResponse:
    """Probe the host now: prove each service claimed there, and draw what runs."""
    await forms.read(request, csrf=visit.session.csrf)
    host_named(await services.registry(visit.world.db), name)
    try:
        async with probes.turn(name, visit.person.id):
            seen = await discover(visit.world, name, keep=True)
    except Unreachable as error:
        return await _page(request, visit, name, trouble=error)
    return await _page(request, visit, name, drawn=map_of(seen, MANAGERS, may_edit=Role.EDITOR in visit.person.roles))


async def _page(
    request: Request, visit: Visit, name: str, *, drawn: Map | None = None, trouble: AskfirstError | None = None
) -> HTMLResponse:
    db = visit.world.db
    registry, known = await services.registry(db), await proofs.proofs(db)
    host = host_named(registry, name)
    return await render(
        request,
        "hosts/one.html",
        200 if trouble is None else status_of(trouble),
        host=host,
        keys=pinned_prints(host),
        entries=[
            (each, known.get(each.name), sign_of(visit.world, known.get(each.name)))
            for each in registry.services_on(name)
        ],
        frozen=await freezes.stopping(db, name, host.environment),
        stolen=STOLEN[host.level],
        raising=RAISE[host.level].format(host=host.name),
        gate=_strange_gate([each for each in known.values() if each.host == name]),
        drawn=drawn,
        pictures=pictures(drawn) if drawn and drawn.groups else (),
        trouble=trouble,
        may_edit=Role.EDITOR in visit.person.roles,
    )


def _strange_gate(proofs: Iterable[Proof]) -> Finding | None:
    """Return what the last look said of a gate of another level or version than registered; None where it is ours."""
    last = max(proofs, key=lambda each: each.at, default=None)
    findings = read(last.findings_json).verdict.findings if last else ()
    return next((each for each in findings if each.aspect == "gate"), None)


def pinned_prints(host: Host) -> Mapping[str, str]:
    """Return each pinned key's kind by its fingerprint; a line that is no key by itself."""
    try:
        return {fingerprint(key): key.get_algorithm() for key in pinned(host)} if host.host_keys else {}
    except Unreachable:
        return dict.fromkeys(host.host_keys, "no key")
