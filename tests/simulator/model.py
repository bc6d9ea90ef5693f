"""What has to be true at every moment of a simulated world, checked after each commit and each effect on a host.

It trusts none of the code under test: it reads the log by a connection of its own, chains the hashes itself, and holds
its own account of what was sent to the hosts and what ran there. The fold of the events is the life cycle's.

- A warrant is sent to its host once at most, and runs there once at most.
- Whatever is sent, runs or is burned has a committed start in the log, of the same digest.
- Nobody's yes is for their own request; nobody counts twice; no more than one start in a request.
- Nothing follows an end.
- What was acknowledged is in the log, and what was refused is not.
- The log is a chain without a gap, and each request's row is what its events say.

What has to be true of freezes, of time, of what is done by hand and of sweeps stands in ``rules``.
"""

import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from app.core import lifecycle
from app.core.errors import AskfirstError
from app.core.events import Approved, Event, HandedOver, RunStarted, Settled, Verified, event_of
from app.core.lifecycle import ENDED, State
from app.core.warrant import digest_of
from app.core.warrant import read as read_warrant
from app.store import projection
from app.store.log import FIRST, body_in, link
from tests.simulator.faults import Record
from tests.simulator.rules import Rules
from tests.simulator.standing import Standing, Told

SETUP = "setup"
RAN = frozenset({State.SUCCEEDED, State.FAILED})
_NEW = "SELECT seq, body, prev, hash, request FROM audit WHERE seq > ? ORDER BY seq"
_HEAD = "SELECT seq, hash FROM audit_head"


@dataclass(repr=False)
class Model:
    """The account. ``raw`` is a connection of its own to the database."""

    raw: sqlite3.Connection
    record: Record
    standing: Standing
    rules: Rules = field(init=False)
    told: dict[str, Told] = field(default_factory=dict)
    sent: Counter[str] = field(default_factory=Counter)
    ran: Counter[str] = field(default_factory=Counter)
    hashes: dict[int, bytes] = field(default_factory=dict)
    _seq: int = 0
    _hash: bytes = FIRST

    def __post_init__(self) -> None:
        self.rules = Rules(self.record, self.standing)

    # The log.

    def committed(self, who: str) -> None:
        """Read what is new in the log, and hold it against the rules."""
        touched: dict[str, Told] = {}
        self.standing.moment += 1
        if self.standing.read() and who != SETUP:
            self.rules.sweeps(who)
        for seq, body, prev, hashed, request in self.raw.execute(_NEW, (self._seq,)).fetchall():
            if seq != self._seq + 1 or prev != self._hash or hashed != link(prev, body):
                self.record.breaks("the log is a chain without a gap", f"row {seq}, by {who}")
            self._seq, self._hash, self.hashes[seq] = seq, hashed, hashed
            if request is not None:
                touched[request] = self._happened(request, seq, body_in(body), who)
            elif (event := body_in(body))["type"] in {"frozen", "released"}:
                self.standing.switched(event["type"], event["data"]["scope"])
        if self.raw.execute(_HEAD).fetchone() != (self._seq, self._hash):
            self.record.breaks("the head is the log's last row", f"at row {self._seq}")
        for told in touched.values():
            self._compare(told)

    def acknowledged(self, written: list[tuple[int, bytes]]) -> None:
        """Hold a write that a caller was told of against the log."""
        for seq, hashed in written:
            if self.hashes.get(seq) != hashed:
                self.record.breaks("what was acknowledged is in the log", f"row {seq}")

    def refused(self, written: list[tuple[int, bytes]], error: AskfirstError) -> None:
        """Hold a write that a caller was told is not there against the log."""
        for seq, hashed in written:
            if self.hashes.get(seq) == hashed:
                self.record.breaks("what was refused is not in the log", f"row {seq}: {error.code}")

    def _happened(self, request_id: str, seq: int, body: dict[str, Any], who: str) -> Told:
        event = event_of(body)
        told = self.told.get(request_id)
        self.record.note(who, f"= {event.type}", request_id[-4:])
        if told is None:
            told = Told(lifecycle.begin(request_id, event), seq, self.standing.moment)
            self.rules.asks(told, self.told.values())
            self.told[request_id] = told
            return told
        if told.request.state in ENDED:
            self.record.breaks("nothing follows an end", f"{event.type} after {told.request.state}")
        self._weigh(told, seq, event)
        self.rules.happens(told, event, who)
        try:
            told.request = lifecycle.apply(told.request, event)
        except AskfirstError as error:
            self.record.breaks("every event fits the one before", error.message)
        if body["version"] != told.request.version:
            self.record.breaks("every event fits the one before", f"{event.type} as version {body['version']}")
        return told

    def _weigh(self, told: Told, seq: int, event: Event) -> None:
        match event:
            case Verified():
                told.proved = self.standing.moment
            case Approved():
                others = {told.request.requester_human, *(each.human for each in told.request.approvals)}
                if event.human in others or event.digest != told.request.digest:
                    self.record.breaks("a yes is another human's, to this warrant", event.human)
            case RunStarted():
                told.started.append((seq, event))
                if len(told.started) > 1 or event.digest != told.request.digest:
                    self.record.breaks("one start of one warrant", f"{len(told.started)} starts")
            case HandedOver() if event.digest != told.request.digest:
                self.record.breaks("one start of one warrant", "another is handed over")
            case Settled(is_success=True, evidence_text=commitment):
                wanted = "SELECT 1 FROM texts WHERE commitment = ?"
                if self.raw.execute(wanted, (commitment,)).fetchone() is None:
                    self.record.breaks("a success has its proof", commitment)

    def _compare(self, told: Told) -> None:
        expected = projection.row_of(told.request, told.first)
        wanted = f"SELECT {', '.join(expected)} FROM requests WHERE id = ?"  # noqa: S608 - our own names
        found = self.raw.execute(wanted, (told.request.id,)).fetchone()
        if found is None or dict(zip(expected, found, strict=True)) != expected:
            self.record.breaks("the row is what the events say", f"{found} instead of {tuple(expected.values())}")

    # The hosts.

    def sends(self, text: str, serial: int, who: str, *, is_certified: bool) -> None:
        """Take note that a process sends a warrant."""
        request_id = read_warrant(text).id
        self.sent[request_id] += 1
        if self.sent[request_id] > 1:
            self.record.breaks("a warrant is sent once", f"{self.sent[request_id]} times, now by {who}")
        if self._has_start(request_id, "sent", digest_of(text)):
            told = self.told[request_id]
            if serial != (told.started[0][0] if is_certified else 0):
                self.record.breaks("a run bears its number in the log", f"{serial}")
            self.rules.sends(told, who)

    def runs(self, text: str) -> None:
        """Take note that a host runs a warrant."""
        request_id = read_warrant(text).id
        self.ran[request_id] += 1
        if self.ran[request_id] > 1:
            self.record.breaks("a warrant runs once", f"{self.ran[request_id]} times")
        self._has_start(request_id, "run", digest_of(text))

    def burns(self, request_id: str) -> None:
        """Take note that a host is asked to burn a warrant."""
        self._has_start(request_id, "burned", None)

    def _has_start(self, request_id: str, what: str, digest: str | None) -> bool:
        told = self.told.get(request_id)
        started = told.started if told else []
        if not started or digest not in {None, started[0][1].digest}:
            self.record.breaks("log, then act", f"{what} without a start in the log")
            return False
        return True

    # The end.

    def ended(self) -> None:
        """Hold how each request ended against what the hosts have done."""
        for told in self.told.values():
            request, ran = told.request, self.ran[told.request.id]
            if request.state not in ENDED:
                self.record.breaks("every request comes to an end", f"{request.state}, {ran} runs")
            elif ran != (1 if request.state in RAN and not request.is_by_hand else 0):
                self.record.breaks("an end is true", f"{request.state} ({request.outcome}), {ran} runs")
