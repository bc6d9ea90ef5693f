"""Signing in and out, and the first run. It checks no password; a session's secret is only in its cookie."""

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.core.errors import NotFound, Refused
from app.flow.people import bootstrap, sign_in
from app.flow.ports import World
from app.statuses import status_of
from app.store import people, sessions
from app.web import forms
from app.web.deps import AnyVisitor, AWorld, SignedIn, local_path
from app.web.pages import Site, render

router = APIRouter()
_WEEK = 7 * 86_400
_SETUP_FIELDS = {"bad_email": "email", "password_short": "password", "email_taken": "email"}


@router.get("/sign-in")
async def form(request: Request, visit: AnyVisitor, world: AWorld, next: str = "/") -> Response:
    """Show the sign-in form; who is signed in already goes on."""
    if visit is not None:
        return RedirectResponse(local_path(next), 303)
    return await sign_in_page(request, world, {"next": local_path(next)})


@router.post("/sign-in")
async def enter(request: Request, visit: AnyVisitor, world: AWorld) -> Response:
    """Sign somebody in, with a session of its own, and return to the page they wanted."""
    values = await forms.read(request, "email", "password", csrf=None, optional=("next",))
    try:
        secret = await sign_in(world, values["email"], values["password"], address_of(request))
    except Refused as error:
        problems = {"password": f"{error.message} {error.next_step}"}
        return await sign_in_page(request, world, values, problems, status_of(error))
    if visit is not None:
        await sessions.close(world.db, visit.secret)
    return enter_with(request, secret, local_path(values["next"] or "/"))


@router.get("/sign-out")
async def leave_page(request: Request, visit: AnyVisitor) -> Response:
    """Ask whether to sign out; a link alone ends nothing."""
    if visit is None:
        return RedirectResponse("/sign-in", 303)
    return await render(request, "session/sign_out.html")


@router.post("/sign-out")
async def leave(request: Request, visit: SignedIn) -> Response:
    """End the session."""
    await forms.read(request, csrf=visit.session.csrf)
    await sessions.close(visit.world.db, visit.secret)
    response = RedirectResponse("/sign-in", 303)
    site: Site = request.app.state.site
    response.delete_cookie(site.cookie, path="/", secure=site.is_https, httponly=True, samesite="lax")
    response.headers["clear-site-data"] = '"cache"'
    return response


@router.get("/setup/{secret}")
async def setup_form(request: Request, visit: AnyVisitor, world: AWorld, secret: str) -> HTMLResponse:
    """Show the form of the first run, to whoever holds the link that was printed."""
    del visit
    await _is_first_run(world, secret)
    return await render(request, "session/setup.html", secret=secret, values={}, problems={})


@router.post("/setup/{secret}")
async def setup(request: Request, visit: AnyVisitor, world: AWorld, secret: str) -> Response:
    """Make the first person and sign them in. The link is worthless afterwards."""
    del visit
    await _is_first_run(world, secret)
    values = await forms.read(request, "name", "email", "password", csrf=None)
    try:
        await bootstrap(world, name=values["name"], email=values["email"], password=values["password"])
    except Refused as error:
        if error.code not in _SETUP_FIELDS:
            raise
        problems = {_SETUP_FIELDS[error.code]: f"{error.message} {error.next_step}"}
        return await render(request, "session/setup.html", 422, secret=secret, values=values, problems=problems)
    return enter_with(request, await sign_in(world, values["email"], values["password"], address_of(request)), "/")


def enter_with(request: Request, secret: str, path: str) -> Response:
    """Redirect with a new session's cookie."""
    site: Site = request.app.state.site
    response = RedirectResponse(path, 303)
    response.set_cookie(
        site.cookie, secret, max_age=_WEEK, path="/", secure=site.is_https, httponly=True, samesite="lax"
    )
    return response


def address_of(request: Request) -> str:
    """Return the network address that is asked from; no header changes it, but a trusted proxy's."""
    return request.client.host if request.client else ""


async def sign_in_page(
    request: Request, world: World, values: dict[str, str], problems: dict[str, str] | None = None, status: int = 200
) -> HTMLResponse:
    """Show the forms to sign in by, with what was wrong."""
    site: Site = request.app.state.site
    return await render(
        request,
        "session/sign_in.html",
        status,
        values=values,
        problems=problems or {},
        has_passkeys=site.place is not None,
        is_empty=await people.is_empty(world.db),
    )


async def _is_first_run(world: World, secret: str) -> None:
    if not await people.is_bootstrap_secret(world.db, secret):
        raise NotFound(
            "This link was used already, or never was one.",
            code="no_setup",
            next_step="Sign in. If nobody can, `askfirst user add` on the server makes an admin.",
        )
