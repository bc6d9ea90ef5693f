"""Taking a yes that `askfirst approve` has signed: JSON in, JSON out, and nothing but the signature speaks for anybody.

No cookie and no token belongs here: a request with one is refused, so that neither a browser's session nor an agent's
token can ever stand beside a signature. Keeps law 8.
"""

import json
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from app.core.errors import AskfirstError, Refused
from app.flow import signed
from app.shapes.problem import MEDIA_TYPE, problem
from app.statuses import status_of
from app.web.deps import AWorld
from app.web.routes.session import address_of

router = APIRouter()
_AUTHORITY = ("authorization", "cookie", "proxy-authorization")


@router.post("/requests/{request_id}/signed")
async def approve(request: Request, world: AWorld, request_id: str) -> Response:
    """Write the yes of whoever made the signature."""
    try:
        asked = await signed.approve(world, request_id, await _signature(request), address_of(request))
    except AskfirstError as error:
        return _problem(error)
    counts = {"approvals": len(asked.approvals), "approvers": asked.approvers}
    return JSONResponse({"id": asked.id, "short_id": asked.short_id, "state": str(asked.state), **counts})


def _problem(error: AskfirstError) -> Response:
    status = status_of(error)
    document = problem(status, error.outside, code=error.code, next_step=error.next_step)
    return JSONResponse(document, status, None, MEDIA_TYPE)


async def _signature(request: Request) -> str:
    """Return what was sent as a signature. Raises Refused for anything beside it."""
    if any(name in request.headers for name in _AUTHORITY) or request.url.query:
        raise Refused(
            "Here only a signature counts: a token, a session or a parameter does not belong beside it.",
            code="token",
            next_step="Send the signature alone; `askfirst approve` does.",
        )
    try:
        sent: Any = json.loads(await request.body())
    except (ValueError, RecursionError):
        sent = None
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json" or not isinstance(sent, dict) or set(sent) != {"signature"}:
        raise _unreadable()
    if not isinstance(sent["signature"], str):
        raise _unreadable()
    return sent["signature"]


def _unreadable() -> Refused:
    return Refused(
        "What was sent is not a signature alone.",
        code="unknown_field",
        next_step='Send JSON with the one field "signature", as `askfirst approve` does.',
    )
