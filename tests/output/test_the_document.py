"""The deployment document of the incident's host: it lies beside this file, and is reviewed as a difference.

ASKFIRST_WRITE_OUTPUT=1 pytest tests/output      writes it anew
"""

import random
from dataclasses import replace

import pytest

from app.core.judge import judge
from app.core.policy import rule_for
from app.core.report import Entry, LastProof, document
from app.core.verdict import Code
from app.flow.evidence import offered
from app.managers import MANAGERS
from tests.output.test_the_incident_in_words import compare
from tests.output.whole import HOST, REGISTRY, facts

AT = 1_795_000_000.0
FACTS = facts()


def entries() -> list[Entry]:
    made = []
    for service in REGISTRY.services:
        verdict = judge(service, FACTS, MANAGERS, FACTS.gate)
        manager = MANAGERS[service.manager]
        told = offered(service, verdict, FACTS, manager) if verdict.code is Code.VERIFIED else ()
        proof = LastProof(
            verdict.code,
            AT,
            tuple(each.aspect for each in verdict.findings if not each.agrees),
            told,
        )
        rule = rule_for(service, HOST, REGISTRY.policies, 1)
        made.append(Entry(service, manager.label, manager.is_by_hand, rule, proof))
    return made


def test_the_document_of_the_incidents_host_is_the_one_that_was_missing() -> None:
    compare("DEPLOYMENT.md", document(HOST, ["SHA256:mine"], entries()))


@pytest.mark.parametrize("seed", range(5))
def test_in_whatever_order_things_come_the_bytes_are_the_same(seed: int) -> None:
    chance, mixed = random.Random(seed), entries()
    chance.shuffle(mixed)
    turned = [
        replace(
            each,
            service=replace(
                each.service,
                ports=each.service.ports[::-1],
                checks=tuple(chance.sample(each.service.checks, len(each.service.checks))),
            ),
            proof=each.proof
            and replace(each.proof, differs=each.proof.differs[::-1], commands=each.proof.commands[::-1]),
        )
        for each in mixed
    ]
    keys = ["SHA256:b", "SHA256:a"]
    assert document(HOST, keys, turned) == document(HOST, sorted(keys), entries())
