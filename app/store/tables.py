"""The tables as SQLModel classes, by noun. It holds no query; constraints and triggers stand in the migrations.

Three kinds of table. ``audit`` with ``audit_head`` is the truth, and ``texts`` what its commitments name. A
*projection* is written in the same transaction as its event and can be rebuilt from the log: requests, decisions,
registry, proposals, freezes, verdicts, people, roles, groups, credentials, late. The rest may be lost or deleted
without a lie: words, keys, sessions, challenges, the live output of runs, last proofs, sweeps, leases, notices. Times
are epoch seconds, except ``audit.at``, which is the log's text.
"""

from sqlmodel import Field, SQLModel


class AuditRow(SQLModel, table=True):
    """One event. All but ``seq``, ``body``, ``prev`` and ``hash`` is generated from ``body`` by the database itself."""

    __tablename__ = "audit"
    seq: int = Field(primary_key=True)
    body: bytes
    prev: bytes
    hash: bytes
    event_id: str
    type: str
    at: str
    by: str
    request: str | None
    version: int | None
    service: str | None
    host: str | None


class AuditHead(SQLModel, table=True):
    """The one row that says where the log ends."""

    __tablename__ = "audit_head"
    id: int = Field(primary_key=True)
    seq: int
    hash: bytes
    latest: float


class LateRow(SQLModel, table=True):
    """An event dated well before one that was there already: rare, and needed to search by time exactly."""

    __tablename__ = "late"
    seq: int = Field(primary_key=True)
    at: float


class TextRow(SQLModel, table=True):
    """A text that events name by its commitment. Deleting it leaves the log whole."""

    __tablename__ = "texts"
    commitment: str = Field(primary_key=True)
    salt: bytes
    body: bytes


class RequestRow(SQLModel, table=True):
    """What lists and workers need of a request. ``seq`` is that of its first event; pages are keyed by it."""

    __tablename__ = "requests"
    id: str = Field(primary_key=True)
    seq: int
    short: str
    version: int
    state: str
    is_open: bool
    service: str
    host: str
    environment: str
    requester: str
    requester_human: str
    verdict: str
    need: str
    outcome: str
    asked_at: float
    changed_at: float
    not_after: float


class DecisionRow(SQLModel, table=True):
    """One person's yes or no. ``seq`` is the request's, so that a list by approver is keyed as the others are."""

    __tablename__ = "decisions"
    request: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    person: str
    human: str | None
    answer: str
    at: float
    seq: int


class WordRow(SQLModel, table=True):
    """One word of a request's reasons, for search."""

    __tablename__ = "words"
    word: str = Field(primary_key=True)
    seq: int = Field(primary_key=True)


class KeyRow(SQLModel, table=True):
    """An idempotency key and what was asked with it."""

    __tablename__ = "keys"
    requester: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    digest: str
    request: str


class OutputRow(SQLModel, table=True):
    """A piece of what a run printed, while it runs."""

    __tablename__ = "output"
    request: str = Field(primary_key=True)
    position: int = Field(primary_key=True)
    data: bytes


class EntryRow(SQLModel, table=True):
    """One entry of the registry, as canonical JSON."""

    __tablename__ = "registry"
    kind: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    body: str
    revision: int


class RevisionRow(SQLModel, table=True):
    """The registry's revision: one row."""

    __tablename__ = "registry_revision"
    id: int = Field(primary_key=True)
    revision: int


class ProposalRow(SQLModel, table=True):
    """Changes of the registry that wait for a second editor, or what became of them."""

    __tablename__ = "proposals"
    id: str = Field(primary_key=True)
    by: str
    at: float
    base_revision: int
    changes: str
    note_text: str
    state: str
    decided_by: str | None
    decided_at: float | None


class ProofRow(SQLModel, table=True):
    """The last look at a service, and what ``core.freshness.Seen`` keeps of those before."""

    __tablename__ = "proofs"
    service: str = Field(primary_key=True)
    host: str
    verdict: str
    need: str
    at: float
    findings: str
    proved: str
    proved_at: float
    unseen: int
    unseen_since: float


class VerdictRow(SQLModel, table=True):
    """The verdict that holds of a service, and since when."""

    __tablename__ = "verdicts"
    service: str = Field(primary_key=True)
    host: str
    verdict: str
    since: float


class NoticeRow(SQLModel, table=True):
    """What changed of a service and one person has not seen: from what, to what, how often, and the last event."""

    __tablename__ = "notices"
    person: str = Field(primary_key=True)
    service: str = Field(primary_key=True)
    host: str
    was: str
    verdict: str
    changes: int
    seq: int
    at: float


class SweepRow(SQLModel, table=True):
    """When a host was last swept, and how many sweeps in a row got no answer."""

    __tablename__ = "sweeps"
    host: str = Field(primary_key=True)
    at: float
    misses: int


class LeaseRow(SQLModel, table=True):
    """Who takes the next step with a request or a host, until when by the database's clock; ``fence`` counts takers."""

    __tablename__ = "leases"
    subject: str = Field(primary_key=True)
    worker: str
    fence: int
    until: float


class FreezeRow(SQLModel, table=True):
    """A freeze that holds now."""

    __tablename__ = "freezes"
    scope: str = Field(primary_key=True)
    by: str
    at: float
    reason_text: str


class PersonRow(SQLModel, table=True):
    """An account. ``human`` is the same for every account of one human being."""

    __tablename__ = "people"
    id: str = Field(primary_key=True)
    human: str
    name: str
    email: str
    is_enabled: bool
    password_hash: str | None
    created_at: float


class RoleRow(SQLModel, table=True):
    """One role of a person."""

    __tablename__ = "roles"
    person: str = Field(primary_key=True)
    role: str = Field(primary_key=True)


class GroupRow(SQLModel, table=True):
    """One person's membership in a group, and since when."""

    __tablename__ = "groups"
    person: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    joined_at: float


class BootstrapRow(SQLModel, table=True):
    """The digest of the one-time secret of the first run: one row, gone after its use."""

    __tablename__ = "bootstrap"
    id: int = Field(primary_key=True)
    digest: str


class SessionRow(SQLModel, table=True):
    """A signed-in browser, by the digest of its secret."""

    __tablename__ = "sessions"
    digest: str = Field(primary_key=True)
    person: str
    opened_at: float
    seen_at: float
    signed_in_at: float


class CredentialRow(SQLModel, table=True):
    """A key that somebody enrolled. The log knows all but its name, its counter and when it was last used."""

    __tablename__ = "credentials"
    id: str = Field(primary_key=True)
    person: str
    kind: str
    name: str
    public_key: str
    fingerprint: str
    counter: int
    enrolled_at: float
    confirmed_by: str | None
    confirmed_at: float | None
    usable_at: float | None
    used_at: float | None


class ChallengeRow(SQLModel, table=True):
    """What a browser was asked to sign and has not answered: its digest, what for, and by whom."""

    __tablename__ = "challenges"
    digest: str = Field(primary_key=True)
    purpose: str
    bound_to: str
    made_at: float


class AttemptRow(SQLModel, table=True):
    """Failed sign-ins, by the digest of an e-mail address or a network address."""

    __tablename__ = "attempts"
    key: str = Field(primary_key=True)
    failures: int
    last_at: float


class TokenRow(SQLModel, table=True):
    """A token, by the digest of its secret."""

    __tablename__ = "tokens"
    id: str = Field(primary_key=True)
    digest: str
    person: str
    name: str
    scopes: str
    created_at: float
    revoked_at: float | None


_TABLES = SQLModel.metadata.tables
AUDIT = _TABLES["audit"]
AUDIT_HEAD = _TABLES["audit_head"]
LATE = _TABLES["late"]
TEXTS = _TABLES["texts"]
REQUESTS = _TABLES["requests"]
DECISIONS = _TABLES["decisions"]
WORDS = _TABLES["words"]
KEYS = _TABLES["keys"]
OUTPUT = _TABLES["output"]
REGISTRY = _TABLES["registry"]
REVISION = _TABLES["registry_revision"]
PROPOSALS = _TABLES["proposals"]
PROOFS = _TABLES["proofs"]
VERDICTS = _TABLES["verdicts"]
NOTICES = _TABLES["notices"]
SWEEPS = _TABLES["sweeps"]
FREEZES = _TABLES["freezes"]
PEOPLE = _TABLES["people"]
ROLES = _TABLES["roles"]
GROUPS = _TABLES["groups"]
BOOTSTRAP = _TABLES["bootstrap"]
SESSIONS = _TABLES["sessions"]
CREDENTIALS = _TABLES["credentials"]
CHALLENGES = _TABLES["challenges"]
ATTEMPTS = _TABLES["attempts"]
TOKENS = _TABLES["tokens"]
