"""Errors as problem documents (RFC 9457): their status, and what a program does next.

A document has a stable ``code``, a ``detail`` for people and a ``next`` sentence; ``errors`` lists the fields that do
not fit. No traceback, no internal name and nothing of what was sent is in it.
"""

from http import HTTPStatus

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.core.display import visible
from app.core.errors import AskfirstError
from app.shapes.problem import MEDIA_TYPE, FieldError, problem
from app.statuses import status_of

_LOG = structlog.get_logger("askfirst.api")

_WAIT_SECONDS = {429: "5", 503: "5"}
_NEXT = {
    401: "Send the header Authorization: Bearer with a live token; its owner makes one on the page Settings.",
    404: "Read /openapi.json for the addresses that there are.",
    405: "Read /openapi.json for the methods of this address.",
}


def install(app: FastAPI) -> None:
    """Answer errors with problem documents."""
    app.add_exception_handler(AskfirstError, _ours)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, AskfirstError)  # noqa: S101 - it is registered for nothing else
    status = status_of(error)
    if status >= 500:
        _LOG.error(error.message, code=error.code, path=request.url.path, cause=repr(error.__cause__))
    return _answer(status, error.outside, code=error.code, next_step=error.next_step)


async def _http(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for nothing else
    status = HTTPStatus(error.status_code)
    answer = _answer(
        status,
        f"{status.description or status.phrase}.",
        code=status.phrase.lower().replace(" ", "_").replace("-", "_"),
        next_step=_NEXT.get(status, "Read /openapi.json, and try again."),
    )
    answer.headers.update(error.headers or {})
    return answer


async def _invalid(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, RequestValidationError)  # noqa: S101 - it is registered for nothing else
    fields = [
        FieldError(field=visible(".".join(str(part) for part in each["loc"]), 200), message=str(each["msg"]))
        for each in error.errors()
    ]
    return _answer(
        422,
        "Something of what was sent does not fit.",
        code="invalid",
        next_step="Mend each field named in errors; /openapi.json describes them.",
        fields=fields[:50],
    )


def _answer(
    status: int, detail: str, *, code: str, next_step: str, fields: list[FieldError] | None = None
) -> JSONResponse:
    document = problem(status, detail, code=code, next_step=next_step, fields=fields)
    headers = {"Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status in _WAIT_SECONDS:
        headers["Retry-After"] = _WAIT_SECONDS[status]
    return JSONResponse(document, status, headers, MEDIA_TYPE)
