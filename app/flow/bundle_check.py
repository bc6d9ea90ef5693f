"""Checking a request's evidence bundle with nothing but the file: no store, no network, and no trust in who made it.

Each point is ``ok``, ``broken``, or ``withheld`` where a text was deleted: what is not seen does not agree. Checked:

- the rows: each hash follows from its bytes and the hash before; where two rows are neighbours, one follows the other;
- the events: they are one request's, and the life cycle allows them in this order;
- the texts: each is the one that its commitment names;
- the warrant: it is written in the one way, and its digest is the one that was approved;
- every yes: by another human than the requester, and, where it is a signature, over this warrant, by a key that this
  person had enrolled and not removed, and somebody had confirmed before, each human and each key once.

What it cannot see is whether these rows stand in the log: their numbers and hashes are there to be compared with it, or
with an anchor of it. Nor whose an address is: no row names one, so that they are the bundle's own words. A click leaves
nothing that could be checked far from the log, and the report says so.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Any

from app.core import lifecycle
from app.core.commitment import Text
from app.core.display import visible
from app.core.errors import AskfirstError, NotFound, Refused
from app.core.events import epoch, event_of
from app.core.lifecycle import CLICK, RAN, Approval, Request
from app.core.policy import Kind
from app.core.sshsig import NAMESPACE
from app.core.warrant import digest_of
from app.core.warrant import read as read_warrant
from app.flow.bundle import VERSION, named
from app.identity.sshkeys import verify
from app.store.bundle import LogRow
from app.store.log import body_in, canonical, link

_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, RecursionError)


class State(StrEnum):
    """What came of one point."""

    OK = "ok"
    BROKEN = "broken"
    WITHHELD = "withheld"


@dataclass(frozen=True, slots=True)
class Point:
    """One point that was checked, what came of it, and a sentence."""

    what: str
    state: State
    words: str


@dataclass(frozen=True, slots=True)
class Signed:
    """One signature, ready for ``ssh-keygen -Y verify``: who signed, the allowed-signers line, the armored text."""

    principal: str
    line: str
    armored: str


@dataclass(slots=True)
class Report:
    """What was found, in the order in which it was checked; and what ssh-keygen can check besides."""

    request: str
    points: list[Point] = field(default_factory=list)
    warrant: str = ""
    signed: list[Signed] = field(default_factory=list)

    def say(self, what: str, fault: str, words: str) -> None:
        """Add a point: broken where there is a fault, else ok."""
        self.points.append(Point(what, State.BROKEN if fault else State.OK, fault or words))

    @property
    def state(self) -> State:
        """The worst of all points; of none it is broken."""
        states = {point.state for point in self.points}
        worst = next((each for each in (State.BROKEN, State.WITHHELD) if each in states), State.OK)
        return worst if states else State.BROKEN


def check(content: str) -> Report:
    """Check a bundle's file. Raises NotFound where it is no bundle that this version reads."""
    try:
        bundle = json.loads(content)
        is_known = bundle["askfirst-bundle"] == VERSION
        rows, keys = ([_row(each) for each in bundle[name]] for name in ("rows", "keys"))
        texts = {str(name): _text(each) for name, each in bundle["texts"].items()}
        mails, report = dict(bundle["mails"]), Report(str(bundle["request"]))
    except _UNREADABLE as error:
        raise _no_bundle() from error
    if not is_known:
        raise _no_bundle()
    report.say("rows", _chained(sorted([*rows, *keys], key=lambda row: row.seq)), f"{len(rows) + len(keys)} hold")
    request = _folded(report, rows) if report.state is State.OK else None
    if request is not None:
        kept = _texts(report, rows, texts)
        _warrant(report, request, kept)
        try:
            _yeses(report, request, kept, keys, mails)
        except _UNREADABLE:
            report.say("keys", "What tells of the signers' keys is not what Askfirst writes.", "")
    return report


def _text(raw: Mapping[str, Any]) -> Text:
    return Text(bytes.fromhex(raw["salt"]), str(raw["body"]))


def _row(raw: Mapping[str, Any]) -> LogRow:
    return LogRow(int(raw["seq"]), str(raw["body"]).encode(), bytes.fromhex(raw["prev"]), bytes.fromhex(raw["hash"]))


def _chained(rows: Sequence[LogRow]) -> str:
    """Say what is wrong with the rows, or nothing."""
    for row in rows:
        try:
            body = body_in(row.body)
            is_exact = canonical(body) == row.body and body["seq"] == row.seq
        except (*_UNREADABLE, AskfirstError):
            is_exact = False
        if not is_exact:
            return f"The bytes of row {row.seq} are not those of an event."
        if row.hash != link(row.prev, row.body):
            return f"The hash of row {row.seq} does not follow from its bytes."
    for before, after in pairwise(rows):
        if after.seq == before.seq or (after.seq == before.seq + 1 and after.prev != before.hash):
            return f"Row {after.seq} does not follow row {before.seq}."
    return ""


def _folded(report: Report, rows: Sequence[LogRow]) -> Request | None:
    try:
        bodies = [body_in(row.body) for row in rows]
        is_one = all(each["request"] == report.request for each in bodies)
        in_order = [each["version"] for each in bodies] == list(range(1, len(bodies) + 1))
        request = lifecycle.fold(report.request, [event_of(each) for each in bodies])
    except (*_UNREADABLE, AskfirstError):
        report.say("events", "These events cannot have happened to one request.", "")
        return None
    is_rising = all(before.seq < after.seq for before, after in pairwise(rows))
    fault = "" if is_one and in_order and is_rising else "These are not all events of this request, in their order."
    done = f"{request.action} of {request.service} on {request.host}: {request.state}"
    report.say("events", fault, f"{len(rows)}, of a {done}")
    return request


def _texts(report: Report, rows: list[LogRow], texts: Mapping[str, Text]) -> dict[str, str]:
    """Hold each text to its commitment; return those that are there."""
    wanted = named(rows)
    false = [name for name in wanted if name in texts and texts[name].commitment != name]
    fault = f"{len(false)} are not what their commitments name." if false else ""
    report.say("texts", fault, f"{len(wanted)} are named, and none is another than its commitment names")
    withheld = [name for name in wanted if name not in texts]
    if withheld:
        words = f"{len(withheld)} of {len(wanted)} were deleted; the log still names them"
        report.points.append(Point("texts", State.WITHHELD, words))
    return {name: texts[name].body for name in wanted if name in texts and name not in false}


def _warrant(report: Report, request: Request, texts: Mapping[str, str]) -> None:
    if request.warrant is None:
        return
    text = texts.get(request.warrant)
    if text is None:
        report.points.append(Point("warrant", State.WITHHELD, "Its text is not here, so no signature can be checked."))
        return
    try:
        warrant = read_warrant(text)
        is_its_own = (warrant.id, warrant.evidence) == (request.id, request.evidence_text)
        fault = "" if is_its_own and digest_of(text) == request.digest else "It is not the text that was approved."
    except (AskfirstError, ValueError):
        fault = "It is no warrant."
    report.say("warrant", fault, f"its digest is {request.digest}")
    if not fault:
        report.warrant = text


def _yeses(
    report: Report, request: Request, texts: Mapping[str, str], keys: Sequence[LogRow], mails: Mapping[str, str]
) -> None:
    if request.state in RAN and len(request.approvals) < max(request.approvers, 1):
        words = "An older state of the log was put back: it does not tell who said yes to what ran since."
        report.points.append(Point("yes", State.WITHHELD, words))
    for each in request.approvals:
        name = str(mails.get(each.person, each.person))
        # The log names a person; whose address that is stands in no row.
        what = f"yes of {each.person}" + (f", says the bundle {visible(name, 200)}" if name != each.person else "")
        if each.human == request.requester_human or each.person == request.requester:
            report.say(what, "It is the requester's own.", "")
        elif each.level == CLICK:
            report.say(what, "", "a click: the log alone tells of it, and no signature")
        elif each.signature_text not in texts or not report.warrant:
            report.points.append(Point(what, State.WITHHELD, "Its signature, or what it is over, is not here."))
        else:
            _signature(report, what, each, texts[each.signature_text], (_principal(name, each.person), keys))


def _signature(report: Report, what: str, yes: Approval, armored: str, about: tuple[str, Sequence[LogRow]]) -> None:
    principal, keys = about
    try:
        signature = verify(armored, report.warrant)
    except Refused as error:
        report.say(what, error.message, "")
        return
    kinds = list(_enrolled(yes, signature.public_key, keys))
    fault = ""
    if signature.fingerprint != yes.key:
        fault = "It is signed by another key than the log says."
    elif not kinds:
        fault = "The log does not show that this person had enrolled this key, and that somebody had confirmed it."
    elif kinds[0] != Kind.PLAIN and not signature.is_user_verified:
        fault = "The key did not find out who touched it."
    report.say(what, fault, f"signed with the {kinds[0] if kinds else 'key'} {yes.key}")
    if not fault:
        line = f'{principal} namespaces="{NAMESPACE}" {signature.public_key}\n'
        report.signed.append(Signed(principal, line, signature.armored))


def _enrolled(yes: Approval, public_key: str, keys: Sequence[LogRow]) -> Iterator[str]:
    """Yield the kind of the key, where it was this person's, confirmed before the yes, and not removed since."""
    bodies = [body_in(row.body) for row in keys]
    own = [each for each in bodies if each["data"].get("fingerprint") == yes.key and epoch(each["at"]) <= yes.at]
    last = max((at for at, each in enumerate(own) if each["type"] == "credential_removed"), default=-1)
    own = own[last + 1 :]
    vouched = [each["data"] for each in own if each["type"] == "credential_confirmed"]
    usable = {each["credential"] for each in vouched if epoch(each["usable_at"]) <= yes.at}
    for data in (each["data"] for each in own if each["type"] == "credential_enrolled"):
        if (data["person"], data["public_key"]) == (yes.person, public_key) and data["credential"] in usable:
            yield str(data["kind"])


def _principal(name: str, person: str) -> str:
    """Return the name by which ssh-keygen knows a signer: the mail address where it can be one word of its file."""
    is_word = name.isascii() and all(letter.isalnum() or letter in "@._%+-" for letter in name)
    if is_word and name[:1].isalnum():
        return name
    # Nothing vouches for what stands in a file: it becomes a word of a command that somebody is told to run.
    return person if person.isascii() and person.isalnum() else "signer"


def _no_bundle() -> NotFound:
    return NotFound(
        "This is no evidence bundle that this version reads.",
        code="no_bundle",
        next_step="Make one with `askfirst audit bundle ID`.",
    )
