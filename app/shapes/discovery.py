"""What runs on a host, for programs: each listening port, each thing that runs, and what of it is not registered."""

from pydantic import AwareDatetime, Field

from app.core import facts
from app.core.discovery import Claimed, Port, Running, Standing
from app.core.display import argv, masked, visible
from app.core.facts import Process
from app.core.level import Level
from app.core.service import Service
from app.core.verdict import Code
from app.flow import discover
from app.shapes.model import Model, moment, told


class Listener(Model):
    """One listening port, who runs its process, and which registered service claims the port."""

    port: int
    address: str
    pid: int | None = Field(description="Null where no holder could be seen.")
    user: str
    command: str
    manager: str = Field(
        description="The nearest manager; `none` where nobody runs it, empty where nobody could be seen."
    )
    unit: str | None = Field(description="The manager's own name for it.")
    is_believed: bool = Field(description="Whether the manager's own process and its own list confirm it.")
    evidence: str
    service: str | None = Field(description="The registered service that claims this port.")


class BlindSpot(Model):
    """Something that could not be seen, and why."""

    what: str
    why: str
    about: str = Field(description="The service or manager it is about; empty: the whole host.")


class ClaimJudged(Model):
    """A registered service, and the verdict on its claim by this look."""

    service: str
    verdict: Code


class Suggestion(Model):
    """What an editor could register a thing as. Nothing is registered by it."""

    name: str
    manager: str
    unit: str
    user: str | None
    path: str | None
    ports: list[int]


class Thing(Model):
    """One thing that runs, listening or not: a manager's unit, or a tree of processes that nobody keeps."""

    standing: Standing = Field(description="`system`: it is the machine's own, or only keeps others.")
    manager: str = Field(description="`none` where nobody keeps it, empty where nobody could be seen.")
    unit: str | None = Field(description="The manager's own name for it.")
    is_believed: bool = Field(description="Whether the manager's own process and its own list confirm it.")
    evidence: str
    pid: int | None = Field(description="Its main process; null where none could be seen.")
    user: str
    command: str
    path: str | None = Field(description="The folder that its main process works in.")
    since: AwareDatetime | None = Field(description="When its main process started, by the host's clock.")
    processes: int = Field(description="How many of its processes were looked at.")
    ports: list[int]
    claims: list[ClaimJudged]
    suggestion: Suggestion | None


class Discovery(Model):
    """What runs on a host now, and what of it nobody has registered."""

    host: str
    taken_at: AwareDatetime
    level: str = Field(description="What the host says that its level is.", examples=["enforced"])
    registered_level: Level = Field(description="What the registry says that it is.", examples=["enforced"])
    listeners: list[Listener]
    running: list[Thing]
    lost: list[ClaimJudged] = Field(description="Claims about this host that fit nothing that runs there.")
    blind: list[BlindSpot]


def discovery(found: discover.Discovery) -> Discovery:
    """Show what runs on a host."""
    return Discovery(
        host=found.host.name,
        taken_at=moment(found.at),
        level=visible(found.facts.level),
        registered_level=found.host.level,
        listeners=[_listener(each, port) for each, port in found.listening],
        running=[_thing(each) for each in found.running],
        lost=[_judged(each) for each in found.lost],
        blind=[_blind(each) for each in found.facts.blind],
    )


def _listener(each: Running, port: Port) -> Listener:
    return Listener(
        port=port.port,
        address=visible(port.address),
        pid=each.main.pid if each.main else None,
        user=_user(each.main),
        command=_command(each.main),
        manager=each.manager,
        unit=_unit(each),
        is_believed=each.is_believed,
        evidence=visible(masked(each.evidence)),
        service=each.claims[0].service if each.claims else None,
    )


def _thing(each: Running) -> Thing:
    main = each.main
    return Thing(
        standing=each.standing,
        manager=each.manager,
        unit=_unit(each),
        is_believed=each.is_believed,
        evidence=visible(masked(each.evidence)),
        pid=main.pid if main else None,
        user=_user(main),
        command=_command(main),
        path=visible(main.cwd) if main and main.cwd is not None else None,
        since=told(main.started_at) if main else None,
        processes=len(each.processes),
        ports=sorted({held.port for held in each.ports}),
        claims=[_judged(one) for one in each.claims],
        suggestion=_suggestion(each.claim) if each.claim else None,
    )


def _user(main: Process | None) -> str:
    return visible(main.user) if main else ""


def _command(main: Process | None) -> str:
    return argv(main.argv) if main else ""


def _unit(each: Running) -> str | None:
    return visible(each.unit) if each.unit is not None else None


def _judged(claimed: Claimed) -> ClaimJudged:
    return ClaimJudged(service=claimed.service, verdict=claimed.verdict)


def _suggestion(claim: Service) -> Suggestion:
    return Suggestion(
        name=claim.name,
        manager=claim.manager,
        unit=claim.unit,
        user=claim.user,
        path=claim.path,
        ports=list(claim.ports),
    )


def _blind(each: facts.Blind) -> BlindSpot:
    return BlindSpot(what=visible(each.what), why=visible(each.why), about=visible(each.about))
