"""What real hosts printed, read as it should be: each pair of files under tests/facts is one test."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from app.core.facts import Facts
from app.core.judge import judge
from app.core.owner import holding, owner_of
from app.core.reading import facts
from app.core.records import read
from app.managers import MANAGERS
from tests.facts.record import claims_of

RECORDED = sorted((Path(__file__).parents[2] / "facts").glob("*/*.rec"))


def runs(pid: int, port: int, seen: Facts) -> tuple[str, str | None, bool]:
    owner = owner_of(pid, seen, MANAGERS, port)
    return owner.manager, owner.unit, owner.is_believed


@pytest.mark.law(1)
@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_recorded_host_is_read_as_what_it_was(path: Path) -> None:
    expected = json.loads(path.with_suffix(".json").read_text())
    answer = path.read_bytes()
    nonce = answer.partition(b"nonce=")[2].partition(b" ")[0].decode()
    claims = claims_of(expected)
    seen = facts(read(answer, nonce, "probe"), 0.0, claims)

    owners = {
        port: sorted({runs(pid, int(port), seen) for pid in holding(int(port), seen)}, key=str)
        for port in expected["owners"]
    }
    found = {claim.name: MANAGERS[claim.manager].find(claim, seen) for claim in claims}
    verdicts = {claim.name: judge(claim, seen, MANAGERS, seen.gate).code for claim in claims}

    assert owners == {port: [tuple(owner)] for port, owner in expected["owners"].items()}
    assert {name: json.loads(json.dumps(asdict(each))) for name, each in found.items()} == expected["found"]
    assert verdicts == expected["verdicts"]
