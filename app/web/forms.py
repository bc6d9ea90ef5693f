"""Reading a posted form: exactly the fields that a page has, each once, as text.

It converts nothing and judges no value. A field too many is refused, so that nobody can post a state, a verdict or an
approver into a form that has no such field; a field twice is refused, since two readers could take different ones.
"""

import hmac
import re
from collections.abc import Iterable
from urllib.parse import parse_qsl

from starlette.requests import Request

from app.core.errors import Refused

_MOST_FIELDS = 300
_TYPE = "application/x-www-form-urlencoded"
CSRF = "csrf"


async def read(
    request: Request, *names: str, csrf: str | None, optional: Iterable[str] = (), many: Iterable[str] = ()
) -> dict[str, str]:
    """Return the fields of a form; those that are ``optional`` and missing are empty.

    ``csrf`` is the session's token, None on a page for visitors without one. A name of ``many`` is a pattern for fields
    of which there may be any number (rows, boxes to tick). Raises Refused.
    """
    fields = await _fields(request)
    if csrf is not None and not hmac.compare_digest(fields.pop(CSRF, "").encode(), csrf.encode()):
        raise Refused(
            "This page was made for another session, so nothing was done.",
            code="csrf",
            next_step="Go back, reload the page and try again.",
        )
    allowed, patterns = {*names, *optional}, [re.compile(pattern) for pattern in many]
    unknown = [name for name in fields if name not in allowed and not any(p.fullmatch(name) for p in patterns)]
    if unknown:
        raise _refused(f"The form has no field {unknown[0][:60]!a}; nothing was done.", "unknown_field")
    missing = [name for name in names if name not in fields]
    if missing:
        raise _refused(f"The field {missing[0]} is missing; nothing was done.", "missing_field")
    return {**dict.fromkeys(optional, ""), **fields}


async def _fields(request: Request) -> dict[str, str]:
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    body = await request.body()
    if kind != _TYPE and body:
        raise _refused("A page sends its form as plain fields; this was something else.", "unreadable_form")
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError as error:
        raise _refused("The form could not be read: it is no list of fields.", "unreadable_form") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _refused("A field was sent twice, so nothing was done.", "duplicate_field")
    return fields


def _refused(message: str, code: str) -> Refused:
    return Refused(message, code=code, next_step="Go back, reload the page and try again.")
