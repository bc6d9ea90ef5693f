"""The responses that /openapi.json promises besides success, each a problem document with an example."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from app.api.schemas import Ended, Happened, Printed
from app.shapes.problem import MEDIA_TYPE, FieldError, Problem

_DESCRIPTION = """Nothing is restarted before the host itself has proved what runs there, and a human has clicked.

Scripts and agents ask, look and follow here; a person decides, on the page of the request. A refusal is a problem
document with a stable `code` and what to do in `next`. Times are UTC. A body is at most 64 KiB; no field may be sent
twice."""
_REF = "#/components/schemas/Problem"
_WHY: dict[int, tuple[str, str, str, str]] = {
    400: ("The address or the body is ambiguous.", "sent_twice", "'service' was sent twice.", "Send each field once."),
    401: ("There is no live token.", "no_token", "This needs a token.", "Send the header Authorization: Bearer af_…"),
    403: (
        "A rule said no.",
        "scope",
        "This token is not scoped to ask.",
        "Its owner makes one with the scope ask on the page Settings.",
    ),
    404: (
        "There is no such thing.",
        "no_such_service",
        "There is no service 'gui' in the registry.",
        "Did you mean pypnm-gui?",
    ),
    408: ("It took too long to send, or to search.", "too_slow", "This took too long.", "Narrow it, and try again."),
    409: (
        "Somebody else was first, or it no longer fits.",
        "already_asked",
        "Request 01JF3W6V9Q0Z7E5M2T8X4K1B6N for pypnm-gui is waiting already.",
        "Follow R-1B6N, or cancel it first.",
    ),
    413: ("The body is larger than 64 KiB.", "too_large", "This is too large.", "Send less; link to the rest."),
    422: ("Something does not fit.", "invalid", "Something of what was sent does not fit.", "Mend each field named."),
    429: ("Too much at once.", "too_many", "There are too many probes at once.", "Wait until some have been answered."),
    500: (
        "An invariant of Askfirst fell; nothing runs.",
        "broken",
        "The log is broken.",
        "Run `askfirst audit verify`.",
    ),
    502: (
        "The host showed another key than the pinned one; nothing was sent to it.",
        "host_key_changed",
        "alpha showed another key.",
        "Find out why before anything is pinned.",
    ),
    503: ("Not now; nothing was changed.", "unreachable", "alpha gave no answer.", "Try again in a moment."),
}
_ALWAYS = (400, 401, 403, 422, 500, 503)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what a route answers besides success: these statuses, and those of every route."""
    return {status: _reply(status) for status in sorted({*statuses, *_ALWAYS})}


def describe(app: FastAPI) -> None:
    """Add to /openapi.json what its responses refer to by name: the problem document, and the items of a stream."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        document = plain()
        document["info"]["description"] = _DESCRIPTION
        components = document.setdefault("components", {}).setdefault("schemas", {})
        for model in (Problem, FieldError, Happened, Printed, Ended):
            shape = model.model_json_schema(ref_template="#/components/schemas/{model}")
            shape.pop("$defs", None)
            components[model.__name__] = shape
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend it


def _reply(status: int) -> dict[str, Any]:
    description, code, detail, next_step = _WHY[status]
    example = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "next": next_step,
    }
    return {"description": description, "content": {MEDIA_TYPE: {"schema": {"$ref": _REF}, "example": example}}}
