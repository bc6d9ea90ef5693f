"""Discovery on the incident's host: all that listens is told under who keeps it, and what is suggested is proved."""

import asyncio
from dataclasses import dataclass, replace

import pytest

from app.core.discovery import Running, Standing
from app.core.registry import Registry, problems
from app.core.service import Service
from app.core.verdict import Code
from app.flow.discover import Discovery, discovered
from app.flow.ports import Limits, News, World
from app.flow.prove import Look, look_in
from app.main import SystemClock
from app.managers import MANAGERS
from app.ssh.gate import SshHosts
from app.store.engine import Database
from tests.lab.flow_world import GUI, UNIT, claim, pinned
from tests.lab.hosts import LabHost
from tests.lab.truth import HELD, Held
from tests.lab.world import World as Seen
from tests.lab.world import changes, world

WRONG = claim("pypnm-gui-backend", "systemd", "pypnm-gui-backend.service", 5050, user="root", path="/opt/pypnm/PyPNM")
CLAIMS = (GUI, UNIT, WRONG)


@dataclass(frozen=True)
class Outcome:
    """One look around, the claims that it suggested as an editor would have registered them, and their proofs."""

    found: Discovery
    suggested: tuple[Service, ...]
    looks: dict[str, Look]
    before: Seen
    after: Seen


@pytest.fixture(scope="module")
def outcome(alpha: LabHost) -> Outcome:
    host = pinned(alpha)

    async def look() -> tuple[Discovery, tuple[Service, ...], list[Look]]:
        hosts = SshHosts(alpha.key_path, answer_seconds=20)
        try:
            facts = await hosts.probe(host, CLAIMS, whole=True)
            found = discovered(Registry((host,), CLAIMS, ()), host, facts)
            claims = tuple(replace(each.claim, owner="lab-team") for each in found.running if each.claim)
            facts = await hosts.probe(host, claims)
            nothing: Database = None  # type: ignore[assignment]  # looking needs no store
            one = World(nothing, hosts, SystemClock(), News(), Limits(), "one")
            return found, claims, await look_in(one, host, (), claims, facts)
        finally:
            await hosts.close()

    before = world(alpha)
    found, claims, looks = asyncio.run(look())
    return Outcome(found, claims, {each.service.name: each for each in looks}, before, world(alpha))


def by_port(found: Discovery) -> dict[int, Running]:
    return {port.port: each for each, port in found.listening}


def test_everything_that_listens_on_the_host_is_listed(alpha: LabHost, outcome: Outcome) -> None:
    """The host's own word for it, by another program than the gate's."""
    lines = alpha.run("ss -Hltn").out.splitlines()
    listening = {int(line.split()[3].rpartition(":")[2]) for line in lines}
    assert {each.port for each in HELD} < listening
    assert set(by_port(outcome.found)) == listening


@pytest.mark.law(1)
@pytest.mark.parametrize("held", HELD, ids=lambda held: str(held.port))
def test_each_port_is_told_under_who_keeps_it(outcome: Outcome, held: Held) -> None:
    one = by_port(outcome.found)[held.port]
    # A script restarts, and keeps nothing: what it started is nobody's.
    assert one.manager == {"script": "none"}.get(held.manager, held.manager), one.evidence
    assert one.main
    assert one.main.started_at > 0


def test_what_is_supervised_and_listens_on_nothing_is_told_too(alpha: LabHost, outcome: Outcome) -> None:
    """Every service that systemd says is up, by its own list."""
    listed = "systemctl list-units --type=service --state=running --plain --no-legend"
    units = {line.split()[0] for line in alpha.run(listed).out.splitlines()}
    told = {each.unit for each in outcome.found.running if each.manager == "systemd"}
    assert {unit for unit in units if not unit.startswith("user@")} <= told


def test_registered_wrong_and_unregistered_are_told_apart(outcome: Outcome) -> None:
    ports = by_port(outcome.found)
    assert ports[5050].standing is Standing.REGISTERED
    assert [(each.service, each.verdict) for each in ports[5050].wrong] == [(WRONG.name, Code.NO_SUCH_UNIT)]
    assert ports[5054].standing is Standing.REGISTERED
    assert {each.standing for port, each in ports.items() if port in range(5051, 5054)} == {Standing.UNREGISTERED}
    assert ports[22].standing is Standing.SYSTEM


@pytest.mark.law(1)
def test_what_is_suggested_is_what_the_host_proves(outcome: Outcome) -> None:
    """But for the one that must not be restarted: root would run what an ordinary user can write."""
    assert {5051, 5053, 5058, 5060, 5061, 5063, 5064, 5065, 5066, 8001, 8002} <= {
        port for each in outcome.suggested for port in each.ports
    }
    verdicts = {name: look.verdict for name, look in outcome.looks.items()}
    wrong = {
        name: (verdict.code, [(each.aspect, each.observed) for each in verdict.findings if not each.agrees])
        for name, verdict in verdicts.items()
        if not verdict.is_verified
    }
    assert {name: code for name, (code, _) in wrong.items()} == {"gui-5066": Code.UNSAFE}, wrong


def test_what_is_suggested_fits_the_registry_as_it_stands(alpha: LabHost, outcome: Outcome) -> None:
    registry = Registry((pinned(alpha),), (GUI, UNIT, *outcome.suggested))
    assert problems(registry, MANAGERS) == []


@pytest.mark.law(2)
def test_looking_around_has_changed_nothing_on_the_host(outcome: Outcome) -> None:
    assert changes(outcome.before, outcome.after) == []
