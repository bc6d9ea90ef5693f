"""What the API takes and gives, as pydantic models; they are the contract that /openapi.json describes.

They hold no rule besides form: what may be asked, seen or cancelled is decided in the flow. Unknown fields are refused.
Text that came from a host or a person is made visible before it gets here (law 13), so it is safe in a terminal too.
"""

from typing import Annotated, Literal

from pydantic import AwareDatetime, ConfigDict, Field, StringConstraints

from app.core.checklist import Certainty
from app.core.freshness import Freshness
from app.core.level import Level
from app.core.lifecycle import State
from app.core.verdict import Answer, Code
from app.shapes.model import Model
from app.shapes.verification import Askable, Verification

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,40}$")]
Sayable = Literal["committed"]


class Point(Model):
    """One point of a request's checklist. `said` is somebody's word, which is no proof."""

    name: str = Field(examples=["committed"])
    question: str = Field(examples=["Is the code committed and pushed?"])
    certainty: Certainty
    text: str


class Proof(Model):
    """The last look at a service, as far as there is one since its entry last changed."""

    verdict: Code
    need: Answer
    at: AwareDatetime
    held: Code | None = Field(description="The verdict that holds: a single look that saw nothing changes none.")
    held_since: AwareDatetime | None


class Service(Model):
    """A registered service: the claim, and its last proof."""

    name: str = Field(examples=["pypnm-gui"])
    host: str = Field(examples=["alpha"])
    environment: str = Field(examples=["production"])
    owner: str = Field(examples=["lab-team"])
    manager: str = Field(examples=["supervisor"])
    unit: str = Field(examples=["lab:pypnm-gui"])
    user: str | None = Field(examples=["rbron"])
    path: str | None = Field(examples=["/opt/pypnm-gui-lab"])
    ports: list[int] = Field(examples=[[5050]])
    checks: list[str] = Field(examples=[["tftp.server is 172.22.147.18"]])
    docs: str
    freshness: Freshness = Field(description="What the last proof is worth now; a look that saw nothing is no proof.")
    freshness_why: str = Field(description="Why, in a sentence; empty where it is fresh.", examples=[""])
    proved_at: AwareDatetime | None = Field(description="When a look last saw it; null where none has.")
    proof: Proof | None


class ServiceList(Model):
    """All registered services, by name."""

    revision: int = Field(description="The registry's revision.")
    services: list[Service]


class Host(Model):
    """A registered host. Its keys are shown as fingerprints."""

    name: str = Field(examples=["alpha"])
    address: str = Field(examples=["10.0.0.5"])
    port: int = Field(examples=[22])
    environment: str = Field(examples=["production"])
    level: Level = Field(description="What the host itself refuses, whoever asks.", examples=["enforced"])
    stolen_server: str = Field(description="What whoever took the Askfirst server could still do on this host.")
    fingerprints: list[str] = Field(examples=[["SHA256:QmXo4n0h…"]])
    services: list[str] = Field(examples=[["pypnm-gui"]])


class HostList(Model):
    """All registered hosts, by name."""

    revision: int = Field(description="The registry's revision.")
    hosts: list[Host]


class Ask(Model):
    """A question: may this service be restarted? The argv comes from the manager, never from here."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [{"service": "pypnm-gui", "reason": "TFTP fix 6ed8c30 is pulled, the process is older"}]
        },
    )
    service: Name = Field(description="The exact name of a registered service.")
    reason: Annotated[str, StringConstraints(min_length=1, max_length=4096)]
    ticket: Annotated[str, StringConstraints(max_length=200)] = ""
    action: Askable = Field(
        "restart", description="What is asked for; `offers` of a verification names what is gentler."
    )
    said: Annotated[list[Sayable], Field(max_length=8)] = Field(
        [], description="Points of the checklist that you say are so. They are logged as said, not as proved."
    )


class Approval(Model):
    """One yes that counts, by a click, or signed: ``key`` is then its fingerprint."""

    name: str
    at: AwareDatetime
    level: str = Field(examples=["passkey"])
    key: str


class Warrant(Model):
    """The exact text that is approved and run, with its SHA-256."""

    digest: str
    short_digest: str = Field(examples=["7F3K-92QD"])
    text: str


class Insist(Model):
    """A stronger reason, where the host shows no sign that a restart is called for."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=4096)]


class ByHand(Model):
    """A person restarts it, and says so on the page; at `until` the host is asked in any case."""

    person: str
    until: AwareDatetime | None


class RequestRow(Model):
    """A request in a list."""

    id: str
    short_id: str = Field(examples=["R-7F3K"])
    service: str
    host: str
    requester: str
    state: State
    verdict: str
    need: str
    asked_at: AwareDatetime
    changed_at: AwareDatetime
    outcome: str


class RequestPage(Model):
    """Requests, newest first. Send `before` again to get the next page; null on the last."""

    requests: list[RequestRow]
    before: int | None


class Request(Model):
    """One request as it stands now. `has_ended` true means that nothing more happens to it."""

    id: str
    short_id: str = Field(examples=["R-7F3K"])
    version: int = Field(description="The number of events so far.")
    state: State
    has_ended: bool
    next: str = Field(description="What happens or is to be done next, in a sentence.")
    service: str
    host: str
    environment: str
    action: str = Field(examples=["restart"])
    requester: str
    reason: str
    stronger_reason: str
    said: list[str] = Field(description="What the requester said is so; nothing has proved it.")
    ticket: str
    asked_at: AwareDatetime
    changed_at: AwareDatetime
    verification: Verification | None = Field(description="What the host proved, before anybody was asked.")
    warrant: Warrant | None
    approvers: int = Field(description="How many have to say yes.")
    assurance: str = Field(description="What a yes has to be; empty until that is known.", examples=["click"])
    groups: list[list[str]] = Field(description="Of each of these lists, one group has to be an approver's.")
    approvals: list[Approval]
    not_after: AwareDatetime | None
    started_at: AwareDatetime | None
    exit_status: int | None
    outcome: str
    after: Verification | None = Field(description="What the host proved after the run.")
    gone: list[str] = Field(description="Identity lines of before the run that are no more after it.")
    checklist: list[Point]
    by_hand: ByHand | None = Field(description="Who restarts it by hand, where nothing is run.")
    url: str = Field(description="The page on which a person decides.")


class AuditEntry(Model):
    """One event of the audit log. Free text and output are not in it, only commitments to them."""

    seq: int
    at: AwareDatetime
    type: str
    by: str
    by_name: str
    request: str | None
    version: int | None
    service: str | None
    host: str | None
    data: dict[str, object]
    hash: str


class AuditPage(Model):
    """Events, newest first. Send `before` again to get the next page; null on the last."""

    entries: list[AuditEntry]
    before: int | None


class Happened(Model):
    """An event of a request, in its stream."""

    version: int
    type: str = Field(examples=["verified"])
    at: AwareDatetime
    by: str


class Printed(Model):
    """Lines that the command printed, masked and made visible."""

    first: int = Field(description="The number of the first line, counted from 1.")
    lines: list[str]


class Ended(Model):
    """The last item of a stream: how the request ended."""

    state: State
    outcome: str
