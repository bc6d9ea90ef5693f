"""What the gate takes for a warrant: lines in their one order. All else is refused, unspent and unread."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.gate.hosted import Gate

WARRANT = """askfirst-warrant 1
id 01JF3W6V9Q0Z7E5M2T8X4K1B6N
service demo
host here
host-key SHA256:none
manager supervisor
unit lab:gui
action restart
argv touch
argv {canary}
argv-user root
identity boot x
identity process 1 2 root /
requester ada@example.org
reason why
policy lab 1
not-after 2096-01-27T10:15:00Z
evidence sha256:0
"""
Change = Callable[[list[str]], list[str]]


def lines(tmp_path: Path) -> list[str]:
    return WARRANT.format(canary=tmp_path / "canary").splitlines()


def without(index: int) -> Change:
    return lambda text: text[:index] + text[index + 1 :]


def instead(index: int, line: str) -> Change:
    return lambda text: [*text[:index], line, *text[index + 1 :]]


CHANGES: dict[str, Change] = {
    **{f"without line {index}": without(index) for index in (*range(8), 10, *range(13, 18))},
    "two ids": lambda text: [*text[:2], text[1], *text[2:]],
    "keys in another order": lambda text: [*text[:2], text[3], text[2], *text[4:]],
    "identity after the requester": lambda text: [*text[:14], text[11], *text[14:]],
    "argv after its user": lambda text: [*text[:11], "argv more", *text[11:]],
    "an unknown key": lambda text: [*text[:9], "sudo yes", *text[9:]],
    "more after the end": lambda text: [*text, "evidence sha256:1"],
    "an empty line": lambda text: [*text[:5], "", *text[5:]],
    "another version": instead(0, "askfirst-warrant 2"),
    "another action": instead(7, "action stop"),
    "a shell's words": instead(9, "argv $(touch canary)"),
    "a word with a blank": instead(9, "argv a b"),
    "a quote": instead(9, "argv 'a'"),
    "a glob": instead(9, "argv /*"),
    "a path as id": instead(1, "id ../../01JF3W6V9Q0Z7E5M2T8X4K1B6N"),
    "a user with a blank": instead(10, "argv-user root -- sh"),
    "bytes that are not ASCII": instead(14, "reason naïve"),
    "a carriage return": instead(14, "reason why\r"),
    "an escape": instead(14, "reason \x1b[2J"),
}


@pytest.mark.law(4)
@pytest.mark.threat("D1")
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_not_exactly_a_warrant_is_refused(gate: Gate, tmp_path: Path, change: Change) -> None:
    (record,) = gate.raw("restart", *change(lines(tmp_path)))
    assert record.kind == "refused"
    assert list(tmp_path.iterdir()) == [], "neither a spool nor a canary"


def test_the_warrant_of_these_tests_is_one_but_for_its_identity(gate: Gate, tmp_path: Path) -> None:
    records = gate.raw("restart", *lines(tmp_path))
    assert {record.kind for record in records} == {"differs"} or "only root" in records[0].get("why")


def test_an_unknown_verb_is_refused(gate: Gate) -> None:
    (record,) = gate.raw("reload", "id 01JF3W6V9Q0Z7E5M2T8X4K1B6N")
    assert record.kind == "refused"
