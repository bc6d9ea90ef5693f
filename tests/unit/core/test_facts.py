"""Facts as values: chains end, records are found by kind, and numbers of hostile records are numbers or nothing."""

from dataclasses import replace
from itertools import pairwise
from types import MappingProxyType

import pytest

from app.core.facts import Record
from tests.output.incident import facts

FACTS = facts()


def test_a_chain_goes_from_a_process_up_to_the_first_one() -> None:
    pid = next(each.pid for each in FACTS.processes.values() if each.ppid not in {0, 1})
    chain = FACTS.chain(pid)
    assert chain[0].pid == pid
    assert chain[-1].pid == 1
    assert all(child.ppid == parent.pid for child, parent in pairwise(chain))


@pytest.mark.threat("E6")
def test_a_chain_that_a_host_forged_into_a_circle_ends() -> None:
    one, other = sorted(FACTS.processes)[1:3]
    forged = {
        **FACTS.processes,
        one: replace(FACTS.processes[one], ppid=other),
        other: replace(FACTS.processes[other], ppid=one),
    }
    assert [each.pid for each in replace(FACTS, processes=MappingProxyType(forged)).chain(one)] == [one, other]


def test_an_unseen_process_has_no_chain() -> None:
    assert FACTS.chain(77_777) == ()


def test_records_are_found_by_their_kind() -> None:
    assert {record.kind for record in FACTS.records("supervisor.program")} == {"supervisor.program"}
    assert FACTS.records("supervisor.nothing") == FACTS.records("nothing.at-all") == ()


@pytest.mark.law(13)
@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("412", 412),
        ("0", 0),
        ("", 0),
        ("-1", 0),
        ("1.5", 0),
        ("x", 0),
        ("٣", 0),
        ("9" * 5_000, 0),
        ("1e3", 0),
        (" 1", 0),
    ],
)
def test_a_number_that_a_host_prints_is_a_number_or_nothing(value: str, number: int) -> None:
    record = Record("supervisor.program", {"pid": value})
    assert record.number("pid") == number
    assert record.number("other") == 0
