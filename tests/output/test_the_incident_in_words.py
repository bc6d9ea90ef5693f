"""What a person reads about the incident's host: each text lies beside this file, and is reviewed as a difference."""

import os
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.judge import judge
from app.core.need import assess
from app.core.service import Service
from app.core.verdict import Finding, Need, Verdict
from app.core.warrant import Warrant
from app.managers import MANAGERS
from tests.output.incident import CLAIMS, claim, facts

HERE = Path(__file__).parent
FACTS = facts()
EXPLAINED = (
    *("gui", "gui-5051-by-hand", "lazy-start", "report-unit", "report-path", "report-user", "report-docker-gui"),
    *("report-systemd-api", "hand-started", "in-tmux", "another-unit", "down", "unsafe", "not-told", "forged"),
    "hostile",
)
WARRANTS = ("gui", "gui-5054", "api", "plain", "gui-5053-by-hand")


def compare(name: str, text: str) -> None:
    """Compare with the text that was reviewed, or write it where that is asked for."""
    file = HERE / name
    if os.environ.get("ASKFIRST_WRITE_OUTPUT"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()


def judged(service: Service) -> Verdict:
    return judge(service, FACTS, MANAGERS, FACTS.gate)


@pytest.mark.law(1)
@pytest.mark.parametrize("service", CLAIMS, ids=lambda service: service.name)
def test_each_claim_about_the_incidents_host_gets_its_verdict(service: Service) -> None:
    assert judged(service).code is CLAIMS[service]


@pytest.mark.parametrize("name", EXPLAINED)
def test_a_verdict_explains_itself(name: str) -> None:
    service = claim(name)
    red = [(check.label, False, "tftp.server is 10.0.0.1, expected 172.22.147.18") for check in service.checks]
    need = assess(service, FACTS, MANAGERS, red)
    compare(f"verdicts/{name}.txt", "\n".join(explained(service, judged(service), need)) + "\n")


@pytest.mark.law(5)
@pytest.mark.parametrize("name", WARRANTS)
def test_a_warrant_is_what_is_approved(name: str) -> None:
    service = claim(name)
    verdict = judged(service)
    command = MANAGERS[service.manager].restart(service, verdict.unit, FACTS)
    warrant = Warrant(
        id="01JF3W6V9Q0Z7E5M2T8X4K1B6N",
        service=service.name,
        host=service.host,
        host_key="SHA256:QmXo4n0h",
        manager=service.manager,
        unit=verdict.unit,
        action="restart",
        argv=command.argv,
        argv_user=command.user,
        identity=FACTS.identity[service.name],
        requester="ada@example.org",
        reason="TFTP fix is pulled — the process is older",
        policy="production 7",
        not_after=1_769_508_900,
        evidence="sha256:" + "9f86d081" * 8,
    )
    compare(f"warrants/{name}.txt", warrant.text())


def explained(service: Service, verdict: Verdict, need: Need) -> Iterator[str]:
    yield f"verdict   {verdict.code}"
    yield from folded("next", verdict.next_step)
    yield from folded("near", ", ".join(verdict.near))
    for finding in verdict.findings:
        yield ""
        yield from about(finding)
    yield ""
    yield f"need      {need.answer}"
    for sign in need.signs:
        yield from folded(sign.kind, sign.text)
    yield from folded("looked", ", ".join(need.looked_for))


def about(finding: Finding) -> Iterator[str]:
    word = {True: "agrees", False: "differs", None: "not seen"}[finding.agrees]
    yield f"{finding.aspect}: {word}{f' ({finding.code})' if finding.code else ''}"
    yield from folded("claimed", finding.claimed)
    yield from folded("observed", finding.observed)
    yield from folded("next", finding.next_step)


def folded(label: str, text: str) -> Iterator[str]:
    lines = textwrap.wrap(text, 100, break_on_hyphens=False, break_long_words=False)
    for index, line in enumerate(lines):
        yield f"{label if index == 0 else '':<9} {line}"
