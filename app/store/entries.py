"""Registry entries as JSON objects, in the audit log and in rows, and back again. It checks nothing: the registry does.

One host, as it is written (canonical JSON; a service and a policy are written alike, field by field)::

    {"address":"10.0.0.5","environment":"production","host_keys":[],"jump":null,"name":"alpha","port":22,…}
"""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from app.core.errors import Broken
from app.core.level import Level
from app.core.policy import Assurance, Policy
from app.core.registry import Change, Entry, Kind
from app.core.service import Check, Host, HttpCheck, JsonCheck, Service, TcpCheck

_KINDS: dict[str, type[Entry]] = {"host": Host, "service": Service, "policy": Policy}
_CHECKS: dict[str, type[TcpCheck | HttpCheck | JsonCheck]] = {"tcp": TcpCheck, "http": HttpCheck, "json": JsonCheck}
_CHECK_NAMES = {kind: name for name, kind in _CHECKS.items()}
_UNSAID: dict[str, object] = {"args": (), "level": Level.OPEN, "certificates": False, "plain_keys": False}


def entry_dict(entry: Entry) -> dict[str, Any]:
    """Write an entry as a JSON object."""
    written = asdict(entry)
    if isinstance(entry, Service):
        written["checks"] = [{_CHECK_NAMES[type(check)]: asdict(check)} for check in entry.checks]
    # What is as it is without being said is left out, so that it is written as by versions that knew of none.
    for name, unsaid in _UNSAID.items():
        if name in written and written[name] == unsaid:
            del written[name]
    return written


def entry_of(kind: Kind, written: Mapping[str, Any]) -> Entry:
    """Read an entry back. Raises Broken for a field or a check that this version does not know."""
    known = {each.name for each in fields(_KINDS[kind])}
    if not set(written) <= known:
        raise _unknown(f"{kind} with {', '.join(sorted(set(written) - known))}")
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in written.items()
    }
    if kind == "service":
        values["checks"] = tuple(_check(check) for check in values["checks"])
        values["settle_seconds"] = float(values["settle_seconds"])
    if kind == "host":
        values["level"] = Level(values.get("level", Level.OPEN))
    if kind == "policy":
        values["assurance"] = Assurance(values["assurance"])
    return _KINDS[kind](**values)


def change_dict(change: Change) -> dict[str, Any]:
    """Write a change as a JSON object."""
    before, after = (None if entry is None else entry_dict(entry) for entry in (change.before, change.after))
    return {"kind": change.kind, "name": change.name, "before": before, "after": after}


def change_of(written: Mapping[str, Any]) -> Change:
    """Read a change back."""
    kind = written["kind"]
    before, after = (None if written[side] is None else entry_of(kind, written[side]) for side in ("before", "after"))
    return Change(kind, written["name"], before, after)


def _check(written: Mapping[str, Any]) -> Check:
    ((name, values),) = written.items()
    if name not in _CHECKS:
        raise _unknown(f"check {name}")
    return _CHECKS[name](**values)


def _unknown(what: str) -> Broken:
    return Broken(
        f"The registry holds a {what}, which this version does not know.",
        code="unknown_entry",
        next_step="Start the version that wrote it, or a newer one.",
    )
