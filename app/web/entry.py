"""Registry entries as form fields and back. The rules are the registry's own; here text only becomes values.

A field that is no value at all (a port that is no number) is a problem by itself; every other problem comes from
``core.registry.problems``, asked about the registry with the entry in it, and is led to the field that it is in.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.core.duration import seconds_of, span_of
from app.core.level import Level
from app.core.policy import Assurance, Policy
from app.core.registry import Entry, Kind, Registry, problems, with_entry
from app.core.service import Check, Host, HttpCheck, JsonCheck, Problem, Service, TcpCheck
from app.managers import MANAGERS

KINDS: Mapping[str, Kind] = {"hosts": "host", "services": "service", "policies": "policy"}
FIELDS: Mapping[Kind, tuple[str, ...]] = {
    "host": ("name", "address", "environment", "port", "user", "jump", "level", "host_keys"),
    "service": (
        *("name", "host", "owner", "manager", "unit", "args", "user", "path", "ports", "config", "settle", "docs"),
    ),
    "policy": ("subject", "of", "approvers", "groups", "assurance", "expires"),
}
_WRITTEN_OUT = frozenset({"args", "ports", "settle"})
TICKS: Mapping[Kind, tuple[str, ...]] = {
    "host": ("sudo", "certificates"),
    "service": ("start",),
    "policy": ("plain_keys",),
}
ROWS = r"check\.(1?\d)\.(kind|target|field|expected)"
MOST_ROWS = 20


@dataclass(slots=True)
class Reading:
    """Reads fields into values; ``wrong`` holds what is no value, by field."""

    values: Mapping[str, str]
    wrong: dict[str, str] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """Return a field, trimmed."""
        return self.values.get(name, "").strip()

    def number(self, name: str, value: str, default: int = 0) -> int:
        """Return a whole number, the default where nothing is written."""
        if not value:
            return default
        if not re.fullmatch(r"\d{1,9}", value, re.ASCII):
            self.wrong[name] = f"{value[:40]!a} is no whole number"
            return default
        return int(value)

    def seconds(self, name: str, default: float) -> float:
        """Return a duration such as 5s or 15m, in seconds."""
        written = self.text(name)
        if not written:
            return default
        read = seconds_of(written)
        if read is None:
            self.wrong[name] = "write a duration such as 5s or 15m"
            return default
        return read

    def words(self, name: str) -> tuple[str, ...]:
        """Return the words of a list, cut at blanks and commas."""
        return tuple(self.text(name).replace(",", " ").split())


def read(kind: Kind, values: Mapping[str, str]) -> tuple[Entry, dict[str, str]]:
    """Return the entry that a form describes, and what in it is no value at all."""
    reading = Reading(values)
    match kind:
        case "host":
            return _host(reading), reading.wrong
        case "service":
            return _service(reading), reading.wrong
        case "policy":
            return _policy(reading), reading.wrong


def wrong_with(registry: Registry, kind: Kind, entry: Entry) -> dict[str, str]:
    """Say what is wrong with the registry once it holds this entry, by the form's fields."""
    found: dict[str, str] = {}
    for of_kind, name, problem in problems(with_entry(registry, kind, entry.name, entry), MANAGERS):
        if (of_kind, name) == (kind, entry.name):
            found.setdefault(_form_field(kind, problem, entry), problem.message)
        else:
            found.setdefault("", f"{of_kind} {name}: {problem.field}: {problem.message}")
    return found


def values_of(entry: Entry) -> dict[str, str]:
    """Return the fields of a form that describe an entry."""
    match entry:
        case Host():
            return {
                **{name: getattr(entry, name) or "" for name in ("name", "address", "environment", "user", "jump")},
                "port": str(entry.port),
                "sudo": "yes" if entry.sudo else "",
                "level": entry.level.value,
                "certificates": "yes" if entry.certificates else "",
                "host_keys": "\n".join(entry.host_keys),
            }
        case Service():
            return {
                **{name: getattr(entry, name) or "" for name in FIELDS["service"] if name not in _WRITTEN_OUT},
                "args": " ".join(entry.args),
                "ports": ", ".join(str(port) for port in entry.ports),
                "settle": span_of(entry.settle_seconds),
                "start": "yes" if entry.start else "",
                **_row_values(entry.checks),
            }
        case Policy():
            return {
                "subject": "environment" if entry.environment else "service",
                "of": entry.environment or entry.service or "",
                "approvers": str(entry.approvers),
                "groups": ", ".join(entry.groups),
                "assurance": entry.assurance.name.lower(),
                "expires": span_of(entry.expires_seconds),
                "plain_keys": "yes" if entry.plain_keys else "",
            }


def row_count(values: Mapping[str, str]) -> int:
    """Return how many rows of checks to show: those in use and two empty ones."""
    used = [int(name.split(".")[1]) for name in values if name.startswith("check.") and name.endswith(".kind")]
    return min(MOST_ROWS, max(used, default=-1) + 3)


def _host(reading: Reading) -> Host:
    level = reading.text("level") or "open"
    if level not in set(Level):
        reading.wrong["level"] = "one of open, enforced, sealed"
    return Host(
        name=reading.text("name"),
        address=reading.text("address"),
        environment=reading.text("environment"),
        host_keys=tuple(" ".join(line.split()) for line in reading.text("host_keys").splitlines() if line.strip()),
        port=reading.number("port", reading.text("port"), 22),
        user=reading.text("user") or "askfirst",
        sudo=reading.text("sudo") == "yes",
        jump=reading.text("jump") or None,
        level=Level(level) if level in set(Level) else Level.OPEN,
        certificates=reading.text("certificates") == "yes",
    )


def _service(reading: Reading) -> Service:
    return Service(
        **{name: reading.text(name) for name in ("name", "host", "owner", "manager", "unit")},
        user=reading.text("user") or None,
        path=reading.text("path") or None,
        ports=tuple(reading.number("ports", port) for port in reading.words("ports")),
        config=reading.text("config") or None,
        args=tuple(reading.text("args").split()),
        settle_seconds=reading.seconds("settle", 5.0),
        start=reading.text("start") == "yes",
        checks=tuple(check for row in range(MOST_ROWS) if (check := _check(reading, row))),
        docs=reading.values.get("docs", "").replace("\r\n", "\n").strip(),
    )


def _policy(reading: Reading) -> Policy:
    is_service = reading.text("subject") == "service"
    of = reading.text("of") or None
    assurance = reading.text("assurance").upper()
    if assurance not in Assurance.__members__:
        reading.wrong["assurance"] = "one of click, passkey, sealed"
    return Policy(
        environment=None if is_service else of,
        service=of if is_service else None,
        approvers=reading.number("approvers", reading.text("approvers"), 1),
        groups=reading.words("groups"),
        assurance=Assurance.__members__.get(assurance, Assurance.CLICK),
        expires_seconds=int(reading.seconds("expires", 900.0)),
        plain_keys=reading.text("plain_keys") == "yes",
    )


def _check(reading: Reading, row: int) -> Check | None:
    kind, target, path, expected = (
        reading.text(f"check.{row}.{name}") for name in ("kind", "target", "field", "expected")
    )
    match kind:
        case "tcp":
            address, _, port = target.rpartition(":")
            number = reading.number(f"check.{row}.target", port)
            return TcpCheck(number, address) if address else TcpCheck(number)
        case "http":
            return HttpCheck(target, reading.number(f"check.{row}.expected", expected, 200))
        case "json":
            return JsonCheck(target, path, expected)
    if target or path or expected:
        reading.wrong[f"check.{row}.kind"] = "choose what kind of check this is, or empty the row"
    return None


def _row_values(checks: tuple[Check, ...]) -> dict[str, str]:
    values: dict[str, str] = {}
    for row, check in enumerate(checks):
        names = ("kind", "target", "field", "expected")
        values |= {f"check.{row}.{name}": cell for name, cell in zip(names, _cells(check), strict=True)}
    return values


def _cells(check: Check) -> tuple[str, str, str, str]:
    match check:
        case TcpCheck(port, address):
            return "tcp", f"{address}:{port}", "", ""
        case HttpCheck(url, status):
            return "http", url, "", str(status)
        case JsonCheck(url, path, equals):
            return "json", url, path, equals


def _form_field(kind: Kind, problem: Problem, entry: Entry) -> str:
    head, _, rest = problem.field.partition(".")
    if kind == "policy" and head in {"environment", "service"}:
        return "of"
    if head != "checks" or not isinstance(entry, Service):
        return head
    row, _, last = rest.partition(".")
    cell = {"url": "target", "port": "target", "address": "target", "status": "expected", "equals": "expected"}
    name = last.rpartition(".")[2]
    return f"check.{row}.{cell.get(name, name)}"
