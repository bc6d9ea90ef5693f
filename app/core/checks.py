"""How the answer of a service's check is judged: green or not, with a sentence that shows the value seen.

It connects to nothing (``ssh`` asks, through the host's own connection) and follows no redirect. What cannot be read is
never green. Keeps law 13: what a service answered is shown capped, masked and visible.
"""

import json
from collections.abc import Iterable
from typing import Any, NoReturn

from app.core.display import masked, visible
from app.core.run import Checked
from app.core.service import Check, HttpCheck, JsonCheck, TcpCheck

# More of an answer than this is not read: whoever asks reads one byte more, so that a cut is noticed.
BODY_BYTES = 1 << 20
_VALUE_CAP = 120


class _Unreadable(ValueError):
    """A document that has no single reading, or no such field; its text is the sentence to show."""


def no_answer(check: Check, why: str) -> Checked:
    """Judge a check that got no answer: refused, timed out, cut off."""
    return Checked(check.label, is_green=False, seen=f"no answer: {visible(masked(why), 200)}")


def judge_tcp(check: TcpCheck) -> Checked:
    """Judge a connection that was accepted."""
    return Checked(check.label, is_green=True, seen=f"{check.address}:{check.port} accepts connections")


def judge_http(check: HttpCheck, status: int) -> Checked:
    """Judge an HTTP status."""
    is_green = status == check.status
    return Checked(
        check.label, is_green, f"status {status}" if is_green else f"status {status}, expected {check.status}"
    )


def judge_json(check: JsonCheck, status: int, body: bytes) -> Checked:
    """Judge a JSON answer: status 2xx, and the field written exactly as the registry expects it."""
    if not 200 <= status <= 299:
        return Checked(check.label, is_green=False, seen=f"status {status}, expected a JSON answer")
    try:
        value = json_field(_document(body), check.field)
    except _Unreadable as unreadable:
        return Checked(check.label, is_green=False, seen=str(unreadable))
    name, shown = visible(check.field, 200), visible(masked(value), _VALUE_CAP)
    is_green = value == check.equals
    expected = "" if is_green else f", expected {visible(check.equals, _VALUE_CAP)}"
    return Checked(check.label, is_green, f"{name} is {shown}{expected}")


def json_field(document: Any, path: str) -> str:
    """Return the text of a value by its dotted path (``servers.0.name``). Raises ValueError with a sentence to show.

    A number is the text that the answer writes it as, so that 1.0 is not 1; true, false and null are those words.
    """
    value = document
    walked: list[str] = []
    for step in path.split("."):
        match value:
            case dict() if step in value:
                value = value[step]
            case list() if step.isascii() and step.isdigit() and int(step[:9]) < len(value):
                value = value[int(step[:9])]
            case _:
                where = visible(".".join(walked), 200) or "the answer"
                raise _Unreadable(f"{where} has no {visible(step, 100)}")
        walked.append(step)
    return _text(value, visible(path, 200))


def _text(value: Any, name: str) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case list():
            raise _Unreadable(f"{name} is a list of {len(value):,}, not a single value")
        case dict():
            raise _Unreadable(f"{name} is an object, not a single value")
    return str(value)


def _document(body: bytes) -> Any:
    if len(body) > BODY_BYTES:
        raise _Unreadable(f"the answer is longer than {BODY_BYTES >> 20} MiB, and was not read")
    try:
        # Numbers stay as they are written: nothing is rounded, and a huge one costs nothing.
        return json.loads(
            body.decode("utf-8-sig"),
            parse_float=str,
            parse_int=str,
            parse_constant=_not_json,
            object_pairs_hook=_each_key_once,
        )
    except _Unreadable:
        raise
    except RecursionError:
        raise _Unreadable("the answer is nested too deep, and was not read") from None
    except ValueError:
        raise _Unreadable(f"the answer is not JSON: {visible(masked(body[:80].decode('utf-8', 'replace')))}") from None


def _each_key_once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _Unreadable(f"the answer writes {visible(key, 100)} twice in one object")
        found[key] = value
    return found


def _not_json(word: str) -> NoReturn:
    raise _Unreadable(f"the answer is not JSON: it holds {word}")
