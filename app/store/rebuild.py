"""What the events that are no request's say must stand in the tables: registry, proposals, freezes, verdicts, people,
tokens, credentials.

Pure, like ``projection``, which does the same for requests: it is fed the log's bodies in order, and reads no table. An
event that it does not know changes nothing here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.core.events import epoch
from app.store.log import canonical, is_late

Row = dict[str, Any]
Rows = dict[tuple[Any, ...], Row]


def canonical_list(items: list[dict[str, Any]]) -> str:
    """Write a list of objects as canonical JSON."""
    return "[" + ",".join(canonical(item).decode() for item in items) + "]"


@dataclass(slots=True)
class Rebuilt:
    """The rows by table and key. Each row holds the columns that the log knows; names and hashes are not among them."""

    registry: Rows = field(default_factory=dict)
    registry_revision: Rows = field(default_factory=lambda: {(1,): {"revision": 0}})
    proposals: Rows = field(default_factory=dict)
    freezes: Rows = field(default_factory=dict)
    verdicts: Rows = field(default_factory=dict)
    people: Rows = field(default_factory=dict)
    roles: Rows = field(default_factory=dict)
    groups: Rows = field(default_factory=dict)
    tokens: Rows = field(default_factory=dict)
    credentials: Rows = field(default_factory=dict)
    late: Rows = field(default_factory=dict)
    latest: float = 0.0

    def see(self, body: Mapping[str, Any]) -> None:
        """Take one event over."""
        at = epoch(body["at"])
        if is_late(at, self.latest):
            self.late[body["seq"],] = {"at": at}
        self.latest = max(at, self.latest)
        if (step := _STEPS.get(body["type"])) is not None:
            step(self, body, body["data"])


def _proposed(rows: Rebuilt, body: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    rows.proposals[data["proposal"],] = {
        "by": body["by"],
        "at": epoch(body["at"]),
        "base_revision": data["base_revision"],
        "changes": canonical_list(data["changes"]),
        "note_text": data["note_text"],
        "state": "waiting",
        "decided_by": None,
        "decided_at": None,
    }


def _changed(rows: Rebuilt, body: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    for each in data["changes"]:
        key = (each["kind"], each["name"])
        if each["after"] is None:
            rows.registry.pop(key, None)
        else:
            rows.registry[key] = {"body": canonical(each["after"]).decode(), "revision": data["revision"]}
        if each["kind"] == "service":
            rows.verdicts.pop((each["name"],), None)
        elif each["kind"] == "host":
            rows.verdicts = {key: row for key, row in rows.verdicts.items() if row["host"] != each["name"]}
    rows.registry_revision[1,] = {"revision": data["revision"]}
    if data["proposal"] is not None:
        _decided(rows, body, data["proposal"], "confirmed")


def _withdrawn(rows: Rebuilt, body: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    _decided(rows, body, data["proposal"], "withdrawn")


def _decided(rows: Rebuilt, body: Mapping[str, Any], proposal: str, state: str) -> None:
    decided = {"state": state, "decided_by": body["by"], "decided_at": epoch(body["at"])}
    rows.proposals.setdefault((proposal,), {}).update(decided)


def _verdict(rows: Rebuilt, body: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    held = {"host": body["host"], "verdict": data["after"], "since": epoch(body["at"])}
    rows.verdicts[body["service"],] = held


def _frozen(rows: Rebuilt, body: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    rows.freezes[data["scope"],] = {
        "by": body["by"],
        "at": epoch(body["at"]),
        "reason_text": data["reason_text"],
    }


def _released(rows: Rebuilt, body: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    rows.freezes.pop((data["scope"],), None)


def _added(rows: Rebuilt, body: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    created = epoch(body["at"])
    rows.people[data["person"],] = {"human": data["human"], "is_enabled": True, "created_at": created}
    _grant(rows, data, created)


def _rights(rows: Rebuilt, body: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    at = epoch(body["at"])
    rows.people.setdefault((data["person"],), {})["is_enabled"] = data["is_enabled"]
    _grant(rows, data, at)
    if not data["is_enabled"]:
        for token in rows.tokens.values():
            if token["person"] == data["person"] and token["revoked_at"] is None:
                token["revoked_at"] = at


def _grant(rows: Rebuilt, data: Mapping[str, Any], at: float) -> None:
    person = data["person"]
    since = {key: row for key, row in rows.groups.items() if key[0] == person}
    rows.roles = {key: row for key, row in rows.roles.items() if key[0] != person}
    rows.groups = {key: row for key, row in rows.groups.items() if key[0] != person}
    rows.roles.update({(person, role): {} for role in data["roles"]})
    rows.groups.update({(person, name): since.get((person, name), {"joined_at": at}) for name in data["groups"]})


def _token_created(rows: Rebuilt, body: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    rows.tokens[data["token"],] = {
        "person": data["person"],
        "scopes": " ".join(data["scopes"]),
        "created_at": epoch(body["at"]),
        "revoked_at": None,
    }


def _token_revoked(rows: Rebuilt, body: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    rows.tokens.setdefault((data["token"],), {})["revoked_at"] = epoch(body["at"])


def _enrolled(rows: Rebuilt, body: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    rows.credentials[data["credential"],] = {
        **{name: data[name] for name in ("person", "kind", "public_key", "fingerprint")},
        "enrolled_at": epoch(body["at"]),
        "confirmed_by": None,
        "confirmed_at": None,
        "usable_at": None,
    }


def _confirmed(rows: Rebuilt, body: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    rows.credentials.setdefault((data["credential"],), {}).update(
        confirmed_by=body["by"], confirmed_at=epoch(body["at"]), usable_at=epoch(data["usable_at"])
    )


def _removed(rows: Rebuilt, body: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    del body
    rows.credentials.pop((data["credential"],), None)


_STEPS: dict[str, Callable[[Rebuilt, Mapping[str, Any], Mapping[str, Any]], None]] = {
    "registry_proposed": _proposed,
    "registry_changed": _changed,
    "proposal_withdrawn": _withdrawn,
    "verdict_changed": _verdict,
    "frozen": _frozen,
    "released": _released,
    "person_added": _added,
    "rights_changed": _rights,
    "token_created": _token_created,
    "token_revoked": _token_revoked,
    "credential_enrolled": _enrolled,
    "credential_confirmed": _confirmed,
    "credential_removed": _removed,
}
