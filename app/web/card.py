"""The evidence card: everything that an approver decides on, read from the warrant's own text and its evidence.

What is shown is parsed from the bytes that the digest covers, so that the two cannot differ (law 5); the evidence is
taken only if it is the text that the warrant names. It decides nothing. Host text stays as it is here, and becomes
visible and escaped in the template (law 13)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.core.manager import Action, Manager
from app.core.verdict import Finding, Need
from app.core.warrant import Warrant, read, short_digest
from app.flow.evidence import Evidence, Touched
from app.web.words import NEEDS, VERDICTS, Reading, Sign


@dataclass(frozen=True, slots=True)
class Row:
    """One aspect: claimed beside observed. ``kind`` is differs, unseen-row or agrees."""

    aspect: str
    claimed: str
    observed: str
    kind: str
    icon: str
    spoken: str
    next_step: str


@dataclass(frozen=True, slots=True)
class Card:
    """The warrant, word for word, with what it means for the host."""

    text: str
    warrant: Warrant
    digest: str
    manager: str
    main: Touched | None
    touched: tuple[Touched, ...]
    ports: tuple[int, ...]

    @property
    def is_by_hand(self) -> bool:
        """Whether a person restarts it, since there is no command."""
        return not self.warrant.argv

    @property
    def is_gentler(self) -> bool:
        """Whether no process is to be ended by it."""
        return self.warrant.action not in {Action.RESTART, Action.START}

    @property
    def argv_rest(self) -> str:
        """The command's words after the first."""
        return " ".join(self.warrant.argv[1:])


@dataclass(frozen=True, slots=True)
class Proof:
    """The judge's answer for people: rows with disagreements first, then what was not seen, then what agrees."""

    verdict: str
    reading: Reading
    rows: tuple[Row, ...]
    next_step: str
    near: tuple[str, ...]
    taken_at: float
    agreeing: int
    need: Need
    need_sign: Sign
    evidence: Evidence

    @property
    def failing(self) -> tuple[Row, ...]:
        """The rows that do not agree."""
        return tuple(row for row in self.rows if row.kind != "agrees")


def card_of(text: str, evidence: Evidence | None, managers: Mapping[str, Manager]) -> Card:
    """Read a warrant's text into a card. Raises Refused where the text is no warrant."""
    warrant = read(text)
    touched = evidence.touched if evidence else ()
    pids = evidence.verdict.pids if evidence else ()
    manager = managers.get(warrant.manager)
    return Card(
        text=text,
        warrant=warrant,
        digest=short_digest(warrant.digest),
        manager=manager.label if manager else warrant.manager,
        main=next((each for each in touched if each.pid in pids), None),
        touched=touched,
        ports=tuple(sorted({port for each in touched for port in each.ports})),
    )


def proof_of(evidence: Evidence) -> Proof:
    """Put a verdict and a need in the order in which people should read them."""
    rows = rows_of(evidence.verdict.findings)
    return Proof(
        verdict=evidence.verdict.code,
        reading=VERDICTS[evidence.verdict.code],
        rows=rows,
        next_step=evidence.verdict.next_step,
        near=evidence.verdict.near,
        taken_at=evidence.taken_at,
        agreeing=sum(row.kind == "agrees" for row in rows),
        need=evidence.need,
        need_sign=NEEDS[evidence.need.answer],
        evidence=evidence,
    )


def rows_of(findings: Sequence[Finding]) -> tuple[Row, ...]:
    """Order findings: what differs, what could not be seen, what agrees."""
    order = {False: 0, None: 1, True: 2}
    return tuple(_row(each) for each in sorted(findings, key=lambda each: order[each.agrees]))


def _row(finding: Finding) -> Row:
    kind, icon, spoken = {
        True: ("agrees", "ok", "agrees"),
        False: ("differs", "x", "differs"),
        None: ("unseen-row", "ask", "could not be seen"),
    }[finding.agrees]
    return Row(finding.aspect, finding.claimed, finding.observed, kind, icon, spoken, finding.next_step)
