"""What the tests of the pure ring start from: the incident's service, a request in each state, an event of a kind."""

from dataclasses import replace

from app.core import events
from app.core.events import Event
from app.core.lifecycle import Request, State, fold
from app.core.policy import Person, Role
from app.core.service import Host, Service
from app.core.warrant import Warrant

ID = "01JF3W6V9Q0Z7E5M2T8X4K1B6N"
ASKED_AT = 1_769_508_000.0
NOT_AFTER = ASKED_AT + 900

HOST = Host(name="alpha", address="10.0.0.5", environment="production", host_keys=("ssh-ed25519 AAAAC3Nz",), sudo=True)
SERVICE = Service(
    name="pypnm-gui",
    host="alpha",
    owner="lab-team",
    manager="supervisor",
    unit="lab:pypnm-gui",
    user="rbron",
    path="/opt/pypnm-gui-lab",
    ports=(5050,),
)
WARRANT = Warrant(
    id=ID,
    service="pypnm-gui",
    host="alpha",
    host_key="SHA256:QmXo4n0h",
    manager="supervisor",
    unit="lab:pypnm-gui",
    action="restart",
    argv=("supervisorctl", "restart", "lab:pypnm-gui"),
    argv_user="root",
    identity=(
        "boot 6f0c2a9e",
        "process 4711 8812345 rbron /opt/pypnm-gui-lab",
        "program lab:pypnm-gui RUNNING",
    ),
    requester="ada@example.org",
    reason="TFTP fix 6ed8c30 is pulled, the process is older",
    policy="production 7",
    not_after=1_769_508_900,
    evidence="sha256:9f86d081884c7d65",
)
DIGEST = WARRANT.digest


def person(name: str = "bo", **changes: object) -> Person:
    """An approver of lab-team who joined long before anything was asked."""
    plain = Person(
        id=f"p-{name}",
        name=name.capitalize(),
        human=f"h-{name}",
        roles=frozenset({Role.APPROVER}),
        groups={"lab-team": ASKED_AT - 86_400},
    )
    return replace(plain, **changes)  # type: ignore[arg-type]  # whatever a test names is a field


def event(kind: type[Event], at: float = ASKED_AT + 1, **changes: object) -> Event:
    """An event of a kind, with fields that fit the request of these samples."""
    plain = next(each for each in EVENTS if type(each) is kind)
    return replace(plain, id=f"e-{kind.type}-{at}", at=at, **changes)  # type: ignore[arg-type]


_BASE = {"id": "e-1", "at": ASKED_AT, "by": "p-ada"}
EVENTS: tuple[Event, ...] = (
    events.Asked(
        **_BASE,  # type: ignore[arg-type]
        service="pypnm-gui",
        host="alpha",
        environment="production",
        requester="p-ada",
        requester_human="h-ada",
        reason_text="sha256:reason",
        ticket_text="sha256:ticket",
        registry=7,
        action="reload",
        said=("committed",),
    ),
    events.Blocked(**_BASE, verdict="NO_SUCH_UNIT", need="UNSURE", evidence_text="sha256:evidence"),  # type: ignore[arg-type]
    events.Verified(
        **_BASE,  # type: ignore[arg-type]
        need="NEEDED",
        evidence_text="sha256:evidence",
        warrant_text="sha256:warrant",
        digest=DIGEST,
        manager="supervisor",
        policy="production",
        policy_revision=7,
        approvers=1,
        groups=(("lab-team",),),
        assurance=1,
        not_after=NOT_AFTER,
    ),
    events.Insisted(**_BASE, reason_text="sha256:stronger"),  # type: ignore[arg-type]
    events.Approved(**{**_BASE, "by": "p-bo"}, human="h-bo", digest=DIGEST, level="click"),  # type: ignore[arg-type]
    events.Denied(**_BASE, reason_text="sha256:no"),  # type: ignore[arg-type]
    events.Cancelled(**_BASE),  # type: ignore[arg-type]
    events.Expired(**_BASE),  # type: ignore[arg-type]
    events.WentStale(**_BASE, why="The unit file was edited.", evidence_text=""),  # type: ignore[arg-type]
    events.RunStarted(**_BASE, digest=DIGEST, worker="w-1"),  # type: ignore[arg-type]
    events.HandedOver(**_BASE, digest=DIGEST, to="p-ada", until=NOT_AFTER),  # type: ignore[arg-type]
    events.RunEnded(**_BASE, exit_status=0, how="streamed", output_text="sha256:output"),  # type: ignore[arg-type]
    events.RunRefused(**_BASE, why="spent"),  # type: ignore[arg-type]
    events.RunLost(**_BASE, why="The line was lost."),  # type: ignore[arg-type]
    events.RunBurned(**_BASE),  # type: ignore[arg-type]
    events.Restored(**_BASE, why="An older state was put back."),  # type: ignore[arg-type]
    events.GivenUp(**_BASE, reason_text="sha256:gone"),  # type: ignore[arg-type]
    events.Settled(**_BASE, is_success=True, why="A new process.", evidence_text="sha256:after"),  # type: ignore[arg-type]
)

# The shortest way into each state.
_WAITING: tuple[type[Event], ...] = (events.Asked, events.Verified)
_RUNNING = (*_WAITING, events.Approved, events.RunStarted)
WAYS: dict[State, tuple[type[Event], ...]] = {
    State.OPEN: (events.Asked,),
    State.BLOCKED: (events.Asked, events.Blocked),
    State.WAITING: _WAITING,
    State.APPROVED: (*_WAITING, events.Approved),
    State.RUNNING: _RUNNING,
    State.UNKNOWN: (*_RUNNING, events.RunLost),
    State.SETTLING: (*_RUNNING, events.RunEnded),
    State.SUCCEEDED: (*_RUNNING, events.RunEnded, events.Settled),
    State.FAILED: (*_RUNNING, events.RunEnded, events.Settled),
    State.DENIED: (*_WAITING, events.Denied),
    State.EXPIRED: (*_WAITING, events.Expired),
    State.CANCELLED: (*_WAITING, events.Cancelled),
    State.STALE: (*_WAITING, events.WentStale),
    State.NOT_RUN: (*_RUNNING, events.RunRefused),
    State.GIVEN_UP: (*_RUNNING, events.RunLost, events.GivenUp),
}


def history(state: State) -> list[Event]:
    """The events that lead to a state, a second apart."""
    kinds = WAYS[state]
    last = {"is_success": False} if state is State.FAILED else {}
    return [
        event(kind, ASKED_AT + number, **(last if number == len(kinds) - 1 else {}))
        for number, kind in enumerate(kinds)
    ]


def request_in(state: State, **changes: object) -> Request:
    """A request in a state."""
    return replace(fold(ID, history(state)), **changes)  # type: ignore[arg-type]
