"""Pinning a host's key: fetch what answers at its address, show what to compare it with, and pin what the editor ticks.

Nothing is trusted by being fetched; a pinned key is a change of the registry like any other, so a second editor
confirms it."""

from collections.abc import Sequence
from dataclasses import replace

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from app.core.errors import AskfirstError, Unreachable
from app.core.policy import Role
from app.core.registry import with_entry
from app.core.service import Host
from app.flow.named import host_named
from app.ssh.scan import ScannedKey, scan
from app.store import services
from app.web import forms
from app.web.deps import SignedIn, may_read
from app.web.pages import Visit, render
from app.web.routes.hosts import pinned_prints
from app.web.routes.registry import finish

router = APIRouter()
_ROWS = r"(key|pin)\.\d"


@router.get("/registry/hosts/{name}/keys")
async def page(request: Request, visit: SignedIn, name: str) -> HTMLResponse:
    """Show what is pinned."""
    return await _page(request, visit, await _host(visit, name))


@router.post("/registry/hosts/{name}/keys/fetch")
async def fetch(request: Request, visit: SignedIn, name: str) -> HTMLResponse:
    """Fetch the keys that answer at the host's address, to compare."""
    await forms.read(request, csrf=visit.session.csrf)
    host = await _host(visit, name)
    try:
        found = await _fetch(host)
    except Unreachable as error:
        return await _page(request, visit, host, trouble=error)
    return await _page(request, visit, host, found=found)


@router.post("/registry/hosts/{name}/keys")
async def pin(request: Request, visit: SignedIn, name: str) -> Response:
    """Pin the keys that were ticked, in place of those that were pinned before."""
    values = await forms.read(request, csrf=visit.session.csrf, many=(_ROWS,))
    host = await _host(visit, name)
    chosen = tuple(
        values[f"key.{row}"] for row in range(10) if values.get(f"pin.{row}") == "yes" and f"key.{row}" in values
    )
    if not chosen:
        return await _page(request, visit, host, problem="Tick each key that you have compared. Nothing was pinned.")
    registry = await services.registry(visit.world.db)
    return await finish(
        visit, with_entry(registry, "host", name, replace(host, host_keys=chosen)), f"/registry/hosts/{name}/keys"
    )


async def _fetch(host: Host) -> Sequence[ScannedKey]:
    if host.jump is not None:
        raise Unreachable(
            f"{host.name} is reached by way of {host.jump}, and a key is fetched directly only.",
            next_step="Run cat /etc/ssh/ssh_host_ed25519_key.pub on the host, and paste the line into its form.",
        )
    return await scan(host)


async def _page(
    request: Request,
    visit: Visit,
    host: Host,
    *,
    found: Sequence[ScannedKey] = (),
    trouble: AskfirstError | None = None,
    problem: str = "",
) -> HTMLResponse:
    pinned = pinned_prints(host)
    return await render(
        request,
        "registry/keys.html",
        503 if trouble else 422 if problem else 200,
        host=host,
        pinned=pinned,
        found=[(key, f"/etc/ssh/ssh_host_{key.kind.lower()}_key.pub") for key in found],
        has_fetched=bool(found),
        is_other=bool(found) and bool(pinned) and not any(key.fingerprint in pinned for key in found),
        trouble=trouble,
        problem=problem,
    )


async def _host(visit: Visit, name: str) -> Host:
    may_read(visit.person, Role.EDITOR)
    return host_named(await services.registry(visit.world.db), name)
