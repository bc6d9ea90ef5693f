"""Settings: the freeze, and the visitor's own account: look, password, sessions. The flow holds every rule."""

from collections.abc import Mapping

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.core.errors import Refused
from app.flow import freeze as switch
from app.flow.people import prove_again, set_password, sign_in
from app.store import freezes, people, services, sessions, tokens
from app.web import forms
from app.web.deps import SignedIn
from app.web.keyring import keyring
from app.web.pages import KEYS_COOKIE, THEME_COOKIE, THEMES, Site, Visit, render, scope_words
from app.web.routes.session import address_of, enter_with

router = APIRouter()
_YEAR = 365 * 86_400


@router.get("/settings")
async def page(request: Request, visit: SignedIn) -> HTMLResponse:
    """Show the switch and the visitor's own account."""
    return await show(request, visit)


@router.post("/settings/freeze")
async def freeze(request: Request, visit: SignedIn) -> Response:
    """Stop every run within a scope."""
    values = await forms.read(request, "scope", "reason", csrf=visit.session.csrf)
    try:
        await switch.freeze(visit.world, visit.person, values["scope"], values["reason"])
    except Refused as error:
        fields = {
            "reason_empty": "reason",
            "reason_too_long": "reason",
            "already_frozen": "scope",
            "bad_scope": "scope",
        }
        status = 409 if error.code == "already_frozen" else 422
        return await mend(request, visit, error, fields, values=values, status=status)
    return RedirectResponse("/settings?said=frozen", 303)


@router.post("/settings/release")
async def release(request: Request, visit: SignedIn) -> Response:
    """Let runs within a scope go on."""
    values = await forms.read(request, "scope", "reason", csrf=visit.session.csrf)
    try:
        await switch.release(visit.world, visit.person, values["scope"], values["reason"])
    except Refused as error:
        name = f"release-{values['scope']}"
        return await mend(request, visit, error, {"reason_empty": name, "reason_too_long": name}, values=values)
    return RedirectResponse("/settings?said=released", 303)


@router.post("/settings/look")
async def look(request: Request, visit: SignedIn) -> Response:
    """Keep the visitor's choice of light or dark, and whether single keys do anything."""
    values = await forms.read(request, "theme", optional=("keys",), csrf=visit.session.csrf)
    chosen = values["theme"] if values["theme"] in THEMES else "system"
    response = RedirectResponse("/settings?said=saved", 303)
    site: Site = request.app.state.site
    for name, value in ((THEME_COOKIE, chosen), (KEYS_COOKIE, "on" if values["keys"] else "off")):
        response.set_cookie(name, value, max_age=_YEAR, path="/", secure=site.is_https, httponly=True, samesite="lax")
    return response


@router.post("/settings/password")
async def password(request: Request, visit: SignedIn) -> Response:
    """Change the visitor's own password; every other session of theirs ends."""
    values = await forms.read(request, "current", "new", csrf=visit.session.csrf)
    world, person = visit.world, visit.person
    try:
        await prove_again(world, visit.secret, person, values["current"])
        await set_password(world, person, person.id, values["new"], visit.secret)
    except Refused as error:
        fields = {"password_wrong": "current", "throttled": "current", "password_short": "new"}
        return await mend(request, visit, error, fields)
    account = await people.by_id(world.db, person.id)
    email = account.email if account else ""
    secret = await sign_in(world, email, values["new"], address_of(request))
    return enter_with(request, secret, "/settings?said=password")


@router.post("/settings/sessions")
async def end_sessions(request: Request, visit: SignedIn) -> Response:
    """End every session of the visitor, this one too."""
    await forms.read(request, csrf=visit.session.csrf)
    await sessions.close_all(visit.world.db, visit.person.id)
    return RedirectResponse("/sign-in", 303)


async def show(
    request: Request,
    visit: Visit,
    status: int = 200,
    *,
    problems: Mapping[str, str] | None = None,
    values: Mapping[str, str] | None = None,
    new_token: str = "",
) -> HTMLResponse:
    """Render the settings, with what is to be mended."""
    db = visit.world.db
    registry = await services.registry(db)
    places = sorted({host.environment for host in registry.hosts})
    scopes = [("all", "everything")]
    scopes += [(f"environment:{each}", scope_words(f"environment:{each}")) for each in places]
    scopes += [(f"host:{host.name}", scope_words(f"host:{host.name}")) for host in registry.hosts]
    site: Site = request.app.state.site
    return await render(
        request,
        "settings/settings.html",
        status,
        keyring=await keyring(visit, site.place),
        base_url=site.base_url,
        frozen=[(each, scope_words(each.scope)) for each in await freezes.current(db)],
        scopes=scopes,
        may_freeze=switch.freeze_refusal(visit.person) is None,
        account=await people.by_id(db, visit.person.id),
        tokens=await tokens.of_person(db, visit.person.id),
        themes=THEMES,
        new_token=new_token,
        problems=problems or {},
        values=values or {},
    )


async def mend(
    request: Request,
    visit: Visit,
    error: Refused,
    fields: Mapping[str, str],
    *,
    values: Mapping[str, str] | None = None,
    status: int = 422,
) -> HTMLResponse:
    """Render the settings with a refusal at its field. Raises the refusal where its code has none."""
    if error.code not in fields:
        raise error
    problems = {fields[error.code]: f"{error.message} {error.next_step}"}
    return await show(request, visit, status, problems=problems, values=values)
