"""Signing in with a passkey, beside the password. The flow verifies; a session's secret is only in its cookie."""

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from app.core.errors import AskfirstError, Refused
from app.flow import passkeys as flow
from app.identity.passkeys import Place
from app.statuses import status_of
from app.store import sessions
from app.web import forms
from app.web.deps import AnyVisitor, AWorld, local_path
from app.web.pages import Site
from app.web.routes.session import address_of, enter_with, sign_in_page

router = APIRouter()


@router.post("/sign-in/passkey/options")
async def options(request: Request, world: AWorld) -> Response:
    """Tell a browser what to ask of a passkey, whosoever it is."""
    try:
        await forms.read(request, csrf=None)
        return asked(await flow.sign_in_options(world, place_of(request), address_of(request)))
    except AskfirstError as error:
        return told(error)


@router.post("/sign-in/passkey")
async def enter(request: Request, visit: AnyVisitor, world: AWorld) -> Response:
    """Sign somebody in by the passkey that answered, and return to the page they wanted."""
    values = await forms.read(request, "answer", csrf=None, optional=("next",))
    try:
        secret = await flow.sign_in(world, place_of(request), values["answer"], address_of(request))
    except Refused as error:
        problems = {"passkey": f"{error.message} {error.next_step}"}
        kept = {"next": local_path(values["next"] or "/")}
        return await sign_in_page(request, world, kept, problems, status_of(error))
    if visit is not None:
        await sessions.close(world.db, visit.secret)
    return enter_with(request, secret, local_path(values["next"] or "/"))


def place_of(request: Request) -> Place:
    """Return where passkeys belong. Raises Refused where browsers have none for this address."""
    site: Site = request.app.state.site
    if site.place is None:
        raise Refused(
            "Browsers offer passkeys only over https, or at http://localhost.",
            code="no_passkeys",
            next_step="An operator can set ASKFIRST_BASE_URL to such an address.",
        )
    return site.place


def asked(options: str) -> Response:
    """Answer the page's script with what to ask of the browser."""
    return Response(options, media_type="application/json")


def told(error: AskfirstError) -> JSONResponse:
    """Answer the page's script with why not."""
    words = {"code": error.code, "message": error.outside, "next_step": error.next_step}
    return JSONResponse(words, status_of(error))
