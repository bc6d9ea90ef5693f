"""A person's own tokens, for scripts and agents: they ask and read, and approve nothing. The secret is shown once."""

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from app.core.errors import Refused
from app.core.policy import Scope
from app.flow import people as flow
from app.web import forms
from app.web.deps import SignedIn
from app.web.routes.settings import mend, show

router = APIRouter()


@router.post("/settings/tokens")
async def create(request: Request, visit: SignedIn) -> Response:
    """Make a token and show its secret, this once."""
    ticks = tuple(f"scope.{scope}" for scope in Scope)
    values = await forms.read(request, "name", csrf=visit.session.csrf, optional=ticks)
    scopes = [scope for scope, tick in zip(Scope, ticks, strict=True) if values[tick] == "yes"]
    try:
        secret = await flow.create_token(visit.world, visit.person, values["name"], scopes)
    except Refused as error:
        fields = {"bad_token_scope": "scope.ask", "no_name": "name"}
        return await mend(request, visit, error, fields, values=values)
    return await show(request, visit, new_token=secret)


@router.post("/settings/tokens/{token_id}/revoke")
async def revoke(request: Request, visit: SignedIn, token_id: str) -> Response:
    """End a token of the visitor."""
    await forms.read(request, csrf=visit.session.csrf)
    await flow.revoke_token(visit.world, visit.person, token_id)
    return RedirectResponse("/settings?said=revoked", 303)
