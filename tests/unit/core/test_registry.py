"""Contradictions in the registry are refused where they are written; two registries differ entry by entry."""

from dataclasses import replace
from itertools import pairwise

import pytest

from app.core.level import Level
from app.core.policy import Assurance, Policy
from app.core.registry import Change, Registry, difference, problems, rules, with_entry
from app.core.service import Host, Service
from app.managers import MANAGERS
from tests.unit.core.samples import HOST, SERVICE

POLICY = Policy(environment="production", groups=("lab-team",))
BASTION = replace(HOST, name="bastion", address="10.0.0.1", host_keys=())
OTHER = replace(SERVICE, name="other", unit="lab:other", ports=(5099,))
REGISTRY = Registry((HOST, BASTION), (OTHER, SERVICE), (POLICY,), 7)


def wrong(*entries: Host | Service | Policy) -> list[tuple[str, str, str]]:
    """The problems of a registry with these entries instead of those of the same name."""
    registry = REGISTRY
    for entry in entries:
        kind = "host" if isinstance(entry, Host) else "service" if isinstance(entry, Service) else "policy"
        registry = with_entry(registry, kind, entry.name, entry)  # type: ignore[arg-type]  # one of the three
    return [(kind, name, problem.field) for kind, name, problem in problems(registry, MANAGERS)]


def test_a_plain_registry_has_no_problem() -> None:
    assert problems(REGISTRY, MANAGERS) == []
    assert REGISTRY.host("alpha") == HOST
    assert REGISTRY.host("beta") is None
    assert REGISTRY.service("other") == OTHER
    assert REGISTRY.services_on("alpha") == (OTHER, SERVICE)
    assert REGISTRY.services_on("bastion") == ()


def test_each_rule_of_a_registered_service_is_there_once_and_no_other() -> None:
    special = Policy(service="pypnm-gui", groups=("network-team",))
    elsewhere = Policy(environment="staging", groups=("lab-team",))
    unruled = replace(SERVICE, name="unruled", host="beta")
    beta = replace(HOST, name="beta", environment="lab")
    registry = Registry((HOST, beta), (OTHER, replace(OTHER, name="third"), SERVICE, unruled), (POLICY,), 7)
    assert [each.name for each in rules(registry)] == ["production"]
    found = rules(replace(registry, policies=(elsewhere, POLICY, special)))
    assert [(each.name, each.groups) for each in found] == [
        ("production", (("lab-team",),)),
        ("production+service:pypnm-gui", (("lab-team",), ("network-team",))),
    ]


@pytest.mark.threat("K5")
@pytest.mark.parametrize(
    ("service", "field"),
    [
        (replace(SERVICE, host="beta"), "host"),
        (replace(SERVICE, manager="upstart"), "manager"),
        (replace(SERVICE, manager="tmux"), "manager"),
        (replace(SERVICE, manager="docker", unit="pypnm-gui.service"), "unit"),
        (replace(SERVICE, manager="docker", unit="project/service"), "unit"),
        (replace(SERVICE, manager="compose", unit="plain"), "unit"),
        (replace(SERVICE, manager="systemd", unit="gui.socket"), "unit"),
        (replace(SERVICE, manager="systemd", unit="gui@.service"), "unit"),
        (replace(SERVICE, manager="systemd", unit="gui@1.service", start=True), "start"),
        (replace(SERVICE, ports=(5099,)), "ports"),
        (replace(SERVICE, unit="lab:other"), "unit"),
        (replace(SERVICE, user="not a user"), "user"),
    ],
)
def test_a_claim_that_contradicts_the_rest_is_refused_by_its_field(service: Service, field: str) -> None:
    assert wrong(service) == [("service", "pypnm-gui", field)]


def test_a_manager_that_is_only_recognised_is_refused_with_what_to_write_instead() -> None:
    registry = with_entry(REGISTRY, "service", "pypnm-gui", replace(SERVICE, manager="tmux"))
    ((_, _, problem),) = problems(registry, MANAGERS)
    assert "register the service as manual" in problem.message
    assert "supervisor" in problem.message


def test_the_same_name_under_another_configuration_is_another_unit() -> None:
    assert wrong(replace(SERVICE, unit="lab:other", config="/etc/other.conf")) == []


def test_the_same_port_on_another_host_is_no_contradiction() -> None:
    assert wrong(replace(SERVICE, host="bastion", ports=(5099,))) == []


@pytest.mark.parametrize(
    ("hosts", "field"),
    [
        ((replace(HOST, jump="nowhere"),), "jump"),
        ((replace(HOST, address="a b"),), "address"),
    ],
)
def test_a_host_that_contradicts_the_rest_is_refused_by_its_field(hosts: tuple[Host, ...], field: str) -> None:
    assert wrong(*hosts) == [("host", "alpha", field)]


@pytest.mark.threat("K3")
def test_a_machine_has_one_name_and_a_unit_has_one_service() -> None:
    """Another name would have a lock, a history and a pause of its own."""
    twin = replace(HOST, name="twin", address="10.9.9.9")
    assert wrong(twin) == [("host", "twin", "host_keys")]
    assert wrong(replace(twin, host_keys=())) == []
    assert wrong(replace(SERVICE, name="alias", ports=())) == [("service", "pypnm-gui", "unit")]


def test_jump_hosts_that_go_in_a_circle_are_refused() -> None:
    found = wrong(replace(HOST, jump="bastion"), replace(BASTION, jump="alpha"))
    assert found == [("host", "alpha", "jump"), ("host", "bastion", "jump")]
    assert wrong(replace(HOST, jump="bastion")) == []


def test_a_jump_into_a_circle_of_others_ends() -> None:
    third = replace(BASTION, name="third", address="10.0.0.3", jump="alpha")
    circle = (replace(HOST, jump="bastion"), replace(BASTION, jump="alpha"), third)
    assert {name for _, name, _ in wrong(*circle)} == {"alpha", "bastion"}


def test_more_jumps_than_are_followed_are_refused_where_they_are_written() -> None:
    """The way to a host must not be cut short: it would then be dialled past the jump that leads to it."""
    names = ["alpha", *(f"hop{number}" for number in range(7))]
    chain = [replace(HOST, name=name, jump=after) for name, after in pairwise(names)]
    chain.append(replace(HOST, name=names[-1]))
    problem = "at most 5 jump hosts one after the other"
    found = [(name, each.message) for _, name, each in problems(Registry(tuple(chain)), MANAGERS)]
    assert [name for name, message in found if problem in message] == ["alpha", "hop0"]


def test_an_entry_that_is_there_twice_is_refused() -> None:
    twice = replace(REGISTRY, policies=(POLICY, POLICY))
    assert [(kind, name) for kind, name, _ in problems(twice, MANAGERS)] == [("policy", "production")]


def test_a_policy_asks_for_sealed_only_where_each_host_that_it_covers_is_sealed() -> None:
    sealed = replace(POLICY, assurance=Assurance.SEALED)
    assert wrong(sealed) == [("policy", "production", "assurance")]
    special = Policy(service="pypnm-gui", groups=("lab-team",), assurance=Assurance.SEALED)
    assert wrong(special, replace(HOST, level=Level.ENFORCED, sudo=False)) == [
        ("policy", "service:pypnm-gui", "assurance")
    ]
    # A host on which no service is, such as the bastion, does not count.
    assert wrong(sealed, replace(HOST, level=Level.SEALED, sudo=False)) == []
    assert wrong(replace(POLICY, assurance=Assurance.PASSKEY)) == []


def test_a_policy_that_names_nobody_is_refused() -> None:
    assert wrong(replace(POLICY, groups=())) == [("policy", "production", "groups")]


def test_a_difference_lists_what_is_added_changed_and_removed() -> None:
    moved = replace(HOST, address="10.0.0.6")
    new = replace(SERVICE, name="new", unit="lab:new", ports=())
    after = Registry((moved, BASTION), (SERVICE, new), (POLICY,), 8)
    changes = difference(REGISTRY, after)
    assert changes == [
        Change("host", "alpha", HOST, moved),
        Change("service", "new", None, new),
        Change("service", "other", OTHER, None),
    ]
    assert [change.verb for change in changes] == ["change", "add", "remove"]
    assert difference(REGISTRY, replace(REGISTRY, revision=9)) == []


def test_the_changes_of_a_difference_lead_from_one_registry_to_the_other() -> None:
    after = Registry((HOST,), (SERVICE,), (replace(POLICY, approvers=2),), 7)
    registry = REGISTRY
    for change in difference(REGISTRY, after):
        registry = with_entry(registry, change.kind, change.name, change.after)
    assert difference(registry, after) == []
