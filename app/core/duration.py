"""A duration as people write it in the registry's file, in forms and in settings, and as seconds."""

import re

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)(ms|s|m|h)")


def seconds_of(text: str) -> float | None:
    """Read a duration such as ``500ms``, ``5s``, ``15m`` or ``1h``; None where it is none."""
    match = _DURATION.fullmatch(text)
    return float(match[1]) * _SECONDS[match[2]] if match else None


def span_of(seconds: float) -> str:
    """Write a duration so that ``seconds_of`` reads it."""
    for unit in ("h", "m", "s"):
        if seconds >= _SECONDS[unit] and seconds % _SECONDS[unit] == 0:
            return f"{int(seconds // _SECONDS[unit])}{unit}"
    return f"{round(seconds * 1000)}ms"
