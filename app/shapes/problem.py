"""A refusal or a fault, for programs: a problem document (RFC 9457) with a stable ``code`` and what to do in ``next``.

Which status an error has stands in ``app.statuses``.
"""

from http import HTTPStatus
from typing import Literal

from pydantic import Field

from app.core.display import visible
from app.shapes.model import Model

MEDIA_TYPE = "application/problem+json"


class FieldError(Model):
    """One field that does not fit, and why."""

    field: str = Field(examples=["body.reason"])
    message: str = Field(examples=["Field required"])


class Problem(Model):
    """A problem document (RFC 9457). `code` is stable; `next` says what to do."""

    type: Literal["about:blank"] = "about:blank"
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["There is no service 'gui' in the registry."])
    code: str = Field(examples=["no_such_service"])
    next: str = Field(examples=["Did you mean pypnm-gui?"])
    errors: list[FieldError] | None = Field(None, description="The fields that do not fit, where it is about fields.")


def problem(
    status: int, detail: str, *, code: str, next_step: str, fields: list[FieldError] | None = None
) -> dict[str, object]:
    """Return the document as it is sent: ``errors`` is in it only where it is about fields."""
    shape = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=visible(detail, keep="\n"),
        code=code,
        next=visible(next_step, keep="\n"),
        errors=fields,
    )
    return shape.model_dump(exclude_none=True)
