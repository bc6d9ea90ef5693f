"""What the tests of the store write: the events of a request's life."""

import base64
import hashlib
from dataclasses import replace
from itertools import count
from typing import Any

from app.core.commitment import Text
from app.core.credential import Credential
from app.core.events import Approved, Asked, Blocked, Cancelled, Denied, RunStarted, Verified
from app.core.lifecycle import Request
from app.core.policy import Kind, Policy, Role
from app.core.registry import Registry, difference
from app.core.service import Host, Service
from app.store import credentials, freezes, people, requests, services, tokens
from app.store.engine import Database
from app.store.log import Tx, body_for

NOW = 1769508900.25
_numbers = count(1)
REASON = Text(b"0123456789abcdef", "TFTP fix 6ed8c30 is pulled, the process is older")


def fresh_id() -> str:
    return f"e{next(_numbers):06}"


def asked(service: str = "pypnm-gui", **other: Any) -> Asked:
    event = Asked(
        id=fresh_id(),
        at=NOW,
        by="ada",
        service=service,
        host="alpha",
        environment="production",
        requester="ada",
        requester_human="ada",
        reason_text=REASON.commitment,
        ticket_text="",
        registry=1,
    )
    return replace(event, **other)


def verified(**other: Any) -> Verified:
    event = Verified(
        id=fresh_id(),
        at=NOW + 1,
        by="askfirst",
        need="NEEDED",
        evidence_text="sha256:evidence",
        warrant_text="sha256:warrant",
        digest="d1",
        manager="supervisor",
        policy="production",
        policy_revision=1,
        approvers=1,
        groups=(("lab-team",),),
        assurance=1,
        not_after=NOW + 900,
    )
    return replace(event, **other)


def approved(by: str = "bo", **other: Any) -> Approved:
    return replace(Approved(id=fresh_id(), at=NOW + 2, by=by, human=by, digest="d1", level="click"), **other)


def denied(by: str = "bo") -> Denied:
    return Denied(id=fresh_id(), at=NOW + 2, by=by, reason_text="")


def blocked() -> Blocked:
    return Blocked(
        id=fresh_id(), at=NOW + 1, by="askfirst", verdict="WRONG_MANAGER", need="UNSURE", evidence_text="sha256:e"
    )


def cancelled() -> Cancelled:
    return Cancelled(id=fresh_id(), at=NOW + 2, by="ada")


def run_started(worker: str = "w1") -> RunStarted:
    return RunStarted(id=fresh_id(), at=NOW + 3, by="askfirst", digest="d1", worker=worker)


async def ask(db: Database, request_id: str = "", event: Asked | None = None) -> Request:
    texts = [REASON]
    return await requests.create(
        db, request_id or f"01REQ{fresh_id()}", event or asked(), texts, key=None, key_digest=""
    )


async def waiting(db: Database, request_id: str = "", event: Asked | None = None, **other: Any) -> Request:
    return await requests.append(db, await ask(db, request_id, event), verified(**other))


async def note(db: Database, event_id: str = "", at: float = NOW) -> int:
    """Write an event that is nobody's projection."""

    async def change(tx: Tx) -> int:
        return await tx.record(body_for("noted", {}, event_id=event_id or fresh_id(), at=at, by="ada"))

    return await db.write(change)


def key(credential_id: str, person: str = "ada", **other: Any) -> Credential:
    """An SSH key that is as good as any: its letters are made of its id."""
    blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + hashlib.sha256(credential_id.encode()).digest()
    line = f"ssh-ed25519 {base64.b64encode(blob).decode()}"
    return replace(Credential(credential_id, person, Kind.PLAIN, "desk", line, 0, NOW), **other)


async def keys(db: Database) -> None:
    """Let Ada have a key that may approve, one that waits and one that is gone."""
    for name in ("k1", "k2", "k3"):
        await credentials.enrol(db, key(name), by="ada", event_id=f"enrol {name}")
    await credentials.confirm(db, "k1", by="bo", at=NOW + 5, usable_at=NOW + 65, event_id="confirm k1")
    await credentials.remove(db, "k3", by="ada", at=NOW + 6, event_id="remove k3")


async def everything(db: Database) -> None:
    """Write something of every kind that the log knows."""
    await people.add(
        db,
        person_id="ada",
        name="Ada",
        email="ada@example.org",
        roles=[Role.ADMIN, Role.EDITOR],
        groups=["lab-team"],
        password_hash=None,
        event_id="p1",
        by="setup",
        at=NOW,
    )
    rights: dict[str, Any] = {"roles": [Role.ADMIN], "groups": ["lab-team", "night"], "is_enabled": True}
    await people.set_rights(db, "ada", **rights, event_id="p2", by="ada", at=NOW + 60)
    await tokens.create(db, "ada", "ci", ["ask"], token_id="t1", event_id="t1", by="ada", at=NOW)
    await tokens.create(db, "ada", "ci", ["read"], token_id="t2", event_id="t2", by="ada", at=NOW)
    await tokens.revoke(db, "t2", event_id="t3", by="ada", at=NOW)
    await keys(db)
    host = Host("alpha", "10.0.0.5", "production", ("ssh-ed25519 AAAA",))
    service = Service("gui", "alpha", "lab-team", "supervisor", "lab:gui", ports=(5050,))
    wanted = Registry((host,), (service,), (Policy(environment="production", groups=("lab-team",)),))
    changes = difference(Registry(), wanted)
    await services.apply(db, changes, base_revision=0, event_id="r1", by="ada", at=NOW)
    less = difference(wanted, Registry((host,)))
    proposal: dict[str, Any] = {"base_revision": 1, "by": "ada", "at": NOW}
    await services.propose(db, less, proposal_id="pr1", note="why", event_id="r2", **proposal)
    await services.propose(db, less, proposal_id="pr2", event_id="r3", **proposal)
    await services.withdraw(db, "pr2", event_id="r4", by="bo", at=NOW)
    await freezes.freeze(db, "host:alpha", reason="calm", event_id="f1", by="ada", at=NOW)
    request = await waiting(db, "01A")
    await requests.append(db, request, approved())
    await waiting(db, "01B", asked("other"))
