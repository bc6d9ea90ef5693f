"""For all registries and proofs: the document depends on no order, and no value in it becomes markup."""

import re
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.manager import Offered
from app.core.policy import Policy, rule_for
from app.core.report import Entry, LastProof, code, difference, document, prose, without
from app.core.service import HttpCheck, JsonCheck, Service, TcpCheck
from app.core.verdict import Code
from tests.unit.core.samples import HOST, SERVICE

POLICY = Policy(environment="production", groups=("lab-team", "net-team"))
texts = st.text(max_size=60) | st.sampled_from(
    [
        "`",
        "``",
        "a`b``c",
        "# x",
        "- x",
        "1. x",
        "> x",
        "[a](http://b)",
        "<b>",
        "a|b",
        "x\n# y",
        "\u202e",
        "\x1b[2J",
        "~~x~~",
    ]
)
ports = st.lists(st.integers(1, 65535), max_size=4, unique=True).map(tuple)
checks = st.lists(
    st.builds(TcpCheck, st.integers(1, 65535), texts)
    | st.builds(HttpCheck, texts, st.integers(100, 599))
    | st.builds(JsonCheck, texts, texts, texts),
    max_size=4,
).map(tuple)
services = st.builds(
    Service,
    name=st.just("x"),
    host=st.just("alpha"),
    owner=texts,
    manager=st.just("systemd"),
    unit=texts,
    user=texts | st.none(),
    path=texts | st.none(),
    ports=ports,
    config=texts | st.none(),
    start=st.booleans(),
    checks=checks,
    docs=st.text(max_size=200) | texts,
)
commands = st.lists(
    st.builds(Offered, st.sampled_from(["reload", "restart", "start"]), st.lists(texts, max_size=3).map(tuple), texts),
    max_size=3,
).map(tuple)
proofs = st.builds(
    LastProof,
    verdict=st.sampled_from(Code),
    at=st.floats(0, 2e9),
    differs=st.lists(st.sampled_from(["manager", "user", "path"]), max_size=3, unique=True).map(tuple),
    commands=commands,
    unseen=st.sampled_from(["", "UNREACHABLE"]),
)
entries = st.lists(st.tuples(services, proofs | st.none()), max_size=4).map(
    lambda made: [
        Entry(replace(one, name=f"svc-{n}"), "systemd", is_by_hand=False, proof=proof)
        for n, (one, proof) in enumerate(made)
    ]
)


@given(entries, st.randoms(use_true_random=False))
def test_the_same_input_in_any_order_gives_the_same_bytes(made: list[Entry], chance: Random) -> None:
    mixed = []
    for each in made:
        service, proof = each.service, each.proof
        service = replace(
            service,
            ports=tuple(chance.sample(service.ports, len(service.ports))),
            checks=tuple(chance.sample(service.checks, len(service.checks))),
        )
        if proof is not None:
            proof = replace(proof, commands=tuple(chance.sample(proof.commands, len(proof.commands))))
        mixed.append(replace(each, service=service, proof=proof))
    chance.shuffle(mixed)
    assert document(HOST, ["b", "a"], mixed).encode() == document(HOST, ["a", "b", "a"], made).encode()


@pytest.mark.law(13)
@given(entries)
def test_no_value_becomes_a_heading_a_row_or_a_fence(made: list[Entry]) -> None:
    lines = document(HOST, [], made).split("\n")
    assert [line for line in lines if line.startswith("#")] == [
        "# Deployment of alpha",
        "## Services",
        *(f"## {each.service.name}" for each in made),
    ]
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == (len(made) + 2 if made else 0)
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 7 for row in rows)
    shown = sum(len(each.proof.commands) for each in made if each.proof)
    assert sum(line.startswith("```") for line in lines) <= 2 * shown
    assert all(character.isprintable() for line in lines for character in line)


@pytest.mark.law(13)
@given(texts)
def test_code_ends_where_its_fence_ends(value: str) -> None:
    written = code(value)
    fence = re.match("`+", written)
    assert fence
    inside = written[len(fence[0]) : -len(fence[0])]
    assert written.endswith(fence[0])
    assert fence[0] not in re.findall("`+", inside)


@pytest.mark.law(13)
@given(texts)
def test_in_prose_nothing_that_begins_markup_is_bare(value: str) -> None:
    bare = re.sub(r"\\.", "x", prose(value))
    assert not re.search(r"[`*_\[\]<>|~&!@#]", bare)
    assert not re.match(r"\s*([-+=>]|\d+[.)])", bare)
    assert "://" not in bare


@given(entries, st.floats(0, 2e9))
def test_another_date_of_the_same_proof_is_no_difference_and_another_verdict_is(made: list[Entry], at: float) -> None:
    fresh = document(HOST, [], made)
    later = [replace(each, proof=each.proof and replace(each.proof, at=at)) for each in made]
    assert difference(document(HOST, [], later).replace("\n", "\r\n"), fresh, "copy") == ""
    other = [replace(each, service=replace(each.service, ports=(*each.service.ports, 70_000))) for each in made]
    assert bool(difference(document(HOST, [], other), fresh, "copy")) is bool(made)


@given(entries)
def test_what_is_left_without_its_services_is_the_document_of_none(made: list[Entry]) -> None:
    names = [each.service.name for each in made]
    left = without(document(HOST, [], made), names)
    assert not [name for name in names if name in left]
    assert document(HOST, [], []).split("## Services")[0] == left.split("## Services")[0]


def test_a_rule_is_told_by_its_groups_and_its_level() -> None:
    rule = rule_for(SERVICE, HOST, [POLICY], 1)
    text = document(HOST, [], [Entry(SERVICE, "supervisor", is_by_hand=False, rule=rule)])
    assert "- Approval: 1 of lab-team or net-team, by click, within 15 min\n" in text
