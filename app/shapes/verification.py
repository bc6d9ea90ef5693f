"""What a host proves about a claim, for programs: the verdict with its findings, the need, and what to do next."""

from typing import Literal

from pydantic import AwareDatetime, Field

from app.core.display import visible
from app.core.verdict import Answer, Code
from app.core.verdict import Finding as Found
from app.core.verdict import Need as Needed
from app.flow import evidence
from app.flow.evidence import Evidence
from app.shapes.model import Model, moment, told

Askable = Literal["restart", "reload", "daemon-reload"]


class Finding(Model):
    """One aspect, claimed beside observed. `agrees` is null where it could not be seen, which is never agreement."""

    aspect: str = Field(examples=["manager"])
    claimed: str = Field(examples=["systemd"])
    observed: str = Field(examples=["supervisor runs the process that holds port 5050"])
    agrees: bool | None = Field(examples=[False])
    code: Code | None = Field(description="The verdict that this finding alone would give.", examples=["WRONG_MANAGER"])
    next: str = Field(examples=["Correct the registry's entry, or ask its owner."])


class Sign(Model):
    """One sign that a restart is called for."""

    kind: str = Field(examples=["code"])
    text: str = Field(examples=["commit 6ed8c30 is newer than process 4711"])
    at: AwareDatetime | None = None


class Need(Model):
    """Is a restart called for? `looked_for` names what was looked at, so that "none found" can be weighed."""

    answer: Answer
    signs: list[Sign]
    looked_for: list[str] = Field([])


class CheckResult(Model):
    """What one of the service's checks saw."""

    label: str = Field(examples=["tftp.server is 172.22.147.18"])
    is_green: bool
    seen: str = Field(examples=["10.0.0.1"])


class Offer(Model):
    """What would do instead of a restart, by the last proof: ask for it as `action`."""

    action: Askable
    argv: list[str] = Field(examples=[["systemctl", "reload", "gui.service"]])
    words: str = Field(description="What it does, in a sentence.")


class Verification(Model):
    """What the host proves about a claim, at one time."""

    service: str
    verdict: Code
    findings: list[Finding]
    need: Need
    identity: list[str] = Field(description="The identity lines, as the gate printed them.")
    checks: list[CheckResult]
    near: list[str] = Field(description="Like names that the manager knows: a question, never taken.")
    offers: list[Offer] = Field([], description="What would do instead of a restart, the gentlest first.")
    next: str = Field(description="What to do next, empty where nothing is to be done.")
    taken_at: AwareDatetime


def verification(service: str, proof: Evidence) -> Verification:
    """Show what the host proves about a claim."""
    return Verification(
        service=service,
        verdict=proof.verdict.code,
        findings=[_finding(each) for each in proof.verdict.findings],
        need=_need(proof.need),
        identity=[visible(line) for line in proof.identity],
        checks=[
            CheckResult(label=visible(each.label), is_green=each.is_green, seen=visible(each.seen))
            for each in proof.checks
        ],
        near=[visible(each) for each in proof.verdict.near],
        offers=[
            Offer(action=each.action.value, argv=list(each.argv), words=each.words) for each in evidence.gentler(proof)
        ],
        next=visible(proof.verdict.next_step),
        taken_at=moment(proof.taken_at),
    )


def _finding(found: Found) -> Finding:
    return Finding(
        aspect=found.aspect,
        claimed=visible(found.claimed),
        observed=visible(found.observed),
        agrees=found.agrees,
        code=found.code,
        next=visible(found.next_step),
    )


def _need(need: Needed) -> Need:
    return Need(
        answer=need.answer,
        signs=[Sign(kind=each.kind, text=visible(each.text), at=told(each.at)) for each in need.signs],
        looked_for=[visible(each) for each in need.looked_for],
    )
