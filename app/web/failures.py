"""Errors as pages: a sentence for each status, and a page with what happened and what to do next.

No traceback and no internal name reaches a reader; the log has them. Errors of paths under ``/api/`` go to the handlers
that were there before these: programs are told in their own way.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Scope

from app.core.errors import AskfirstError
from app.statuses import status_of
from app.web.deps import SignInFirst, visitor
from app.web.pages import render

Handler = Callable[[Request, Any], Awaitable[Response]]

_HEADS = {
    400: "That could not be read",
    401: "Sign in first",
    403: "That is not allowed",
    404: "There is no such page",
    405: "That is not possible here",
    408: "That took too long",
    409: "Somebody was first, or it no longer fits",
    413: "That is too much",
    422: "Something in it does not fit",
    429: "Too many at once",
    500: "Something went wrong",
    502: "The host did not answer as it should",
    503: "Not now",
}
_LOG = structlog.get_logger("askfirst.web")


def install(app: FastAPI) -> None:
    """Show errors as pages, except to programs."""
    for kind, handler in (
        (AskfirstError, _show),
        (HTTPException, _show_http),
        (RequestValidationError, _show_invalid),
    ):
        app.add_exception_handler(kind, _for_people(handler, app.exception_handlers.get(kind)))
    app.add_exception_handler(SignInFirst, _to_sign_in)


async def tell(scope: Scope, error: AskfirstError) -> ASGIApp:
    """Return the response to an error that no route has caught."""
    request = Request(scope)
    handler: Handler = request.app.exception_handlers[AskfirstError]
    return await handler(request, error)


def _for_people(handler: Handler, others: Any) -> Handler:
    async def choose(request: Request, error: Exception) -> Response:
        is_program = request.url.path.startswith("/api/") and others is not None
        response: Response = await (others if is_program else handler)(request, error)
        return response

    return choose


async def _show(request: Request, error: AskfirstError) -> Response:
    status = status_of(error)
    if status >= 500:
        _LOG.error(error.message, code=error.code, path=request.url.path, cause=repr(error.__cause__))
    return await _page(request, status, error.outside, error.next_step)


async def _show_http(request: Request, error: HTTPException) -> Response:
    if error.status_code == 404:
        return await _page(request, 404, "Nothing is at this address.", "Begin at the inbox, or look in the history.")
    if error.status_code == 405:
        return await _page(request, 405, "This address takes no such request.", "Use the buttons of the pages.")
    return await _page(request, error.status_code, "The request was not understood.", "Begin at the inbox.")


async def _show_invalid(request: Request, error: RequestValidationError) -> Response:
    del error  # it repeats what was sent
    return await _page(request, 422, "Something in the address does not fit.", "Begin at the inbox.")


async def _to_sign_in(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, SignInFirst)  # noqa: S101 - it is registered for nothing else
    return RedirectResponse(f"/sign-in?next={error.path}", 303)


async def _page(request: Request, status: int, message: str, next_step: str) -> Response:
    if status >= 500:
        request.state.visit = None  # the page must not need what may have failed
    elif not hasattr(request.state, "visit"):
        await visitor(request)
    head = _HEADS.get(status, "Something went wrong")
    return await render(request, "failures/failure.html", status, head=head, message=message, next_step=next_step)
