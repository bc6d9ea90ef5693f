"""The nearest manager counts, and what stands behind an unseen ancestor is not believed."""

from dataclasses import replace
from types import MappingProxyType

import pytest

from app.core.facts import Facts, Process
from app.core.manager import Nearness, Owner
from app.core.owner import holding, is_whole, owner_of
from app.managers import MANAGERS
from tests.output.incident import facts

FACTS = facts()


def holder(port: int) -> int:
    return holding(port, FACTS)[0]


def owner_at(port: int) -> Owner:
    """Return the one owner of all that hold a port."""
    owners = [owner_of(pid, FACTS, MANAGERS, port) for pid in holding(port, FACTS)]
    (_,) = {(each.manager, each.unit, each.main, each.is_believed) for each in owners}
    return owners[0]


def with_process(changed: Process) -> Facts:
    return replace(FACTS, processes=MappingProxyType({**FACTS.processes, changed.pid: changed}))


def without(pid: int) -> Facts:
    return replace(
        FACTS, processes=MappingProxyType({key: each for key, each in FACTS.processes.items() if key != pid})
    )


@pytest.mark.law(1)
@pytest.mark.parametrize(
    ("port", "manager", "unit", "nearness"),
    [
        (5050, "supervisor", "lab:pypnm-gui", Nearness.ANCESTOR),
        (5054, "systemd", "gui-5054.service", Nearness.UNIT),
        (5061, "systemd", "guitpl@5061.service", Nearness.UNIT),
        (8000, "compose", "pypnm-gui-lab/pypnm-api", Nearness.CONTAINER),
        (8001, "docker", "plain", Nearness.CONTAINER),
        (8002, "docker", "hostnet", Nearness.CONTAINER),
        (5053, "none", None, Nearness.NOBODY),
        (5060, "none", None, Nearness.NOBODY),
        (5063, "none", None, Nearness.NOBODY),
    ],
)
def test_who_holds_a_port_of_the_incidents_host(port: int, manager: str, unit: str | None, nearness: Nearness) -> None:
    owner = owner_at(port)
    assert (owner.manager, owner.unit, owner.nearness, owner.is_believed) == (manager, unit, nearness, True)


@pytest.mark.law(1)
@pytest.mark.parametrize(
    ("port", "manager"),
    [
        (5051, "tmux"),
        (5058, "screen"),
        (5052, "systemd-user"),
        (5055, "pm2"),
        (5056, "runit"),
        (5057, "s6"),
        (8003, "podman"),
    ],
)
def test_what_is_only_recognised_is_named_and_not_believed(port: int, manager: str) -> None:
    owner = owner_at(port)
    assert (owner.manager, owner.is_believed) == (manager, False)


@pytest.mark.law(1)
@pytest.mark.parametrize("port", [5064, 5065])
def test_a_process_that_only_calls_itself_a_manager_makes_nobody_believed(port: int) -> None:
    owner = owner_of(holder(port), FACTS, MANAGERS, port)
    assert not (owner.is_believed and owner.manager != "none")


def test_supervisord_itself_is_systemds_and_its_program_is_supervisors() -> None:
    program = FACTS.processes[holder(5050)]
    supervisord = FACTS.processes[program.ppid]
    assert owner_of(program.pid, FACTS, MANAGERS).manager == "supervisor"
    assert owner_of(supervisord.pid, FACTS, MANAGERS).unit == "supervisor.service"


def test_a_container_is_nearer_than_any_ancestor_outside_of_it() -> None:
    inside = FACTS.processes[holder(8002)]
    supervisord = FACTS.processes[FACTS.processes[holder(5050)].ppid]
    moved = with_process(replace(inside, ppid=supervisord.pid))
    assert owner_of(inside.pid, moved, MANAGERS).manager == "docker"


@pytest.mark.law(1)
@pytest.mark.parametrize("port", [5054, 5053])
def test_an_owner_behind_an_unseen_ancestor_is_not_believed(port: int) -> None:
    pid = holder(port)
    assert owner_of(pid, FACTS, MANAGERS).is_believed
    orphaned = with_process(replace(FACTS.processes[pid], ppid=77_777))
    owner = owner_of(pid, orphaned, MANAGERS)
    assert not owner.is_believed
    assert "not all ancestors could be seen" in owner.evidence


def test_a_supervising_ancestor_is_believed_though_what_is_above_it_was_not_seen() -> None:
    pid = holder(5050)
    supervisord = FACTS.processes[pid].ppid
    cut = without(FACTS.processes[supervisord].ppid)
    assert owner_of(pid, cut, MANAGERS).is_believed


@pytest.mark.law(1)
def test_a_process_that_could_not_be_seen_has_no_owner() -> None:
    owner = owner_of(77_777, FACTS, MANAGERS)
    assert (owner.manager, owner.is_believed) == ("none", False)
    assert "could not be seen" in owner.evidence


def test_nobody_is_the_owner_where_no_manager_says_otherwise() -> None:
    owner = owner_of(holder(5050), FACTS, {})
    assert (owner.manager, owner.nearness, owner.is_believed) == ("none", Nearness.NOBODY, True)


def test_a_port_that_nobody_holds_has_no_holders() -> None:
    assert holding(4, FACTS) == ()


def test_workers_of_one_master_are_one_owner() -> None:
    assert len(holding(5050, FACTS)) > 1
    assert owner_at(5050).unit == "lab:pypnm-gui"


def test_a_chain_is_whole_up_to_the_first_process() -> None:
    assert is_whole(FACTS.chain(holder(5050)))
    assert not is_whole(FACTS.chain(holder(5050))[:-1])
    assert not is_whole(())


def test_a_chain_that_goes_in_a_circle_ends() -> None:
    pid = holder(5050)
    circle = with_process(replace(FACTS.processes[pid], ppid=pid))
    assert len(circle.chain(pid)) == 1
    assert not is_whole(circle.chain(pid))
