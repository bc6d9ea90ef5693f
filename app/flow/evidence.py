"""The evidence of a request: what the judge saw, written once as canonical JSON and read back for pages.

It judges nothing. Every other string that came from a host is masked before it is written, since a secret that was
never stored cannot leak (law 13). The warrant names the commitment of this text, so the evidence cannot be exchanged
under a yes.
"""

import contextlib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import rfc8785

from app.core.display import masked
from app.core.errors import Refused
from app.core.facts import Facts
from app.core.gentler import Offer, offers
from app.core.level import Level
from app.core.lifecycle import Request
from app.core.manager import Action, Command, Manager, Offered
from app.core.policy import Rule
from app.core.run import Checked
from app.core.service import Host, Service
from app.core.verdict import Answer, Code, Finding, Need, Sign, Verdict
from app.store import requests
from app.store.engine import Database


@dataclass(frozen=True, slots=True)
class Touched:
    """A process that a restart would touch. ``started_at`` is in epoch seconds by the host's clock."""

    pid: int
    user: str
    command: str
    started_at: float
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that an approver is shown. ``claim`` is a digest of the registry's entries that it rests on.

    ``user``, ``sudo`` and ``level`` are how the host was reached: each account has a spool of its own, and root one.
    ``commands`` is what the claim's manager offers, for a claim that was proved. ``committed`` is whether the code is
    pushed. ``gone`` are, of a proof after a run, the identity lines of before that are no more.
    """

    taken_at: float
    verdict: Verdict
    need: Need
    identity: tuple[str, ...] = ()
    touched: tuple[Touched, ...] = ()
    checks: tuple[Checked, ...] = ()
    claim: str = ""
    user: str = ""
    sudo: bool = False
    level: Level = Level.OPEN
    commands: tuple[Offered, ...] = ()
    committed: Finding | None = None
    gone: tuple[str, ...] = ()

    def text(self) -> str:
        """Write it, in the one way there is. Identity lines stand as the warrant has them, byte for byte."""
        lines = {"identity": list(self.identity), "gone": list(self.gone)}
        return rfc8785.dumps({**_plain(asdict(self)), **lines}).decode()


def claim_digest(service: Service, host: Host, rule: Rule) -> str:
    """Name the registry's entries that a request rests on, without the revision: other entries may change freely."""
    terms = {**asdict(rule), "revision": 0}
    return hashlib.sha256(rfc8785.dumps(_plain([asdict(service), asdict(host), terms]))).hexdigest()


def read(text: str) -> Evidence:
    """Read what ``Evidence.text`` wrote."""
    raw: dict[str, Any] = json.loads(text)
    verdict, need = raw["verdict"], raw["need"]
    return Evidence(
        taken_at=raw["taken_at"],
        verdict=Verdict(
            code=Code(verdict["code"]),
            findings=tuple(_finding(each) for each in verdict["findings"]),
            next_step=verdict["next_step"],
            unit=verdict["unit"],
            pids=tuple(verdict["pids"]),
            near=tuple(verdict["near"]),
        ),
        need=Need(Answer(need["answer"]), tuple(Sign(**each) for each in need["signs"]), tuple(need["looked_for"])),
        identity=tuple(raw["identity"]),
        touched=tuple(Touched(**{**each, "ports": tuple(each["ports"])}) for each in raw["touched"]),
        checks=tuple(Checked(**each) for each in raw["checks"]),
        claim=raw["claim"],
        user=raw["user"],
        sudo=raw["sudo"],
        level=Level(raw.get("level", Level.OPEN)),
        commands=tuple(Offered(**{**each, "argv": tuple(each["argv"])}) for each in raw.get("commands", ())),
        committed=_finding(raw["committed"]) if raw.get("committed") else None,
        gone=tuple(raw.get("gone", ())),
    )


async def of(db: Database, request: Request) -> Evidence | None:
    """Return the evidence of a request, None before there is any or after it was deleted."""
    text = await requests.text(db, request.evidence_text) if request.evidence_text else None
    return read(text) if text else None


async def of_outcome(db: Database, request: Request) -> Evidence | None:
    """Return the proof that a run, or a stale end, rests on; None where there is none."""
    text = await requests.text(db, request.outcome_text) if request.outcome_text else None
    return read(text) if text else None


def touched(pids: Sequence[int], facts: Facts) -> tuple[Touched, ...]:
    """List the processes that stand or fall with the main processes, as far as the probe saw them."""
    roots = set(pids)
    members = [each for each in facts.processes.values() if roots & {above.pid for above in facts.chain(each.pid)}]
    return tuple(
        Touched(
            pid=each.pid,
            user=each.user,
            command=masked(" ".join(each.argv))[:300],
            started_at=each.started_at,
            ports=tuple(sorted({listener.port for listener in facts.listeners if each.pid in listener.pids})),
        )
        for each in sorted(members, key=lambda process: process.pid)
    )


def offered(service: Service, verdict: Verdict, facts: Facts, manager: Manager) -> tuple[Offered, ...]:
    """List what a manager offers for a claim that was proved: a restart, gentler ones, and a start where it is allowed.

    What the manager refuses is not offered.
    """
    asked = (service, verdict.unit, facts)
    made: dict[Action, Command] = {}
    with contextlib.suppress(Refused):
        made[Action.RESTART] = manager.restart(*asked)
    with contextlib.suppress(Refused):
        made |= manager.gentler(*asked)
    if service.start:
        with contextlib.suppress(Refused):
            made[Action.START] = manager.start(*asked)
    return tuple(Offered(action, command.argv, command.user) for action, command in sorted(made.items()))


def gentler(proof: Evidence) -> tuple[Offer, ...]:
    """List what would do instead of a restart, by a proof."""
    return offers({each.action: each.argv for each in proof.commands}, proof.need.signs)


def _finding(raw: dict[str, Any]) -> Finding:
    return Finding(**{**raw, "code": Code(raw["code"]) if raw["code"] else None})


def _plain(value: Any) -> Any:
    """Make JSON of dataclass leaves; every string is masked and free of lone surrogates."""
    match value:
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case str():
            return masked(str(value)).encode("utf-8", "backslashreplace").decode()
    return value
