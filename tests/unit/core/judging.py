"""The incident's recorded host, that host changed in one thing, and what the judge says of a claim on it."""

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

from app.core.facts import Facts, Listener, Process
from app.core.judge import judge
from app.core.service import Service
from app.core.verdict import Code, Finding, Verdict
from app.managers import MANAGERS
from tests.output.incident import claim, facts

FACTS = facts()
GUI, UNIT, API, BY_HAND = claim("gui"), claim("gui-5054"), claim("api"), claim("gui-5053-by-hand")
ASPECTS = ["manager", "name", "process", "user", "path", "ports", "safety", "restart", "identity", "sight", "clock"]


def judged(service: Service = GUI, seen: Facts = FACTS, gate: str = FACTS.gate) -> Verdict:
    return judge(service, seen, MANAGERS, gate)


def finding(verdict: Verdict, aspect: str) -> Finding:
    return next(each for each in verdict.findings if each.aspect == aspect)


def differing(verdict: Verdict) -> dict[str, Code | None]:
    return {each.aspect: each.code for each in verdict.findings if each.agrees is not True}


def main_of(service: Service) -> Process:
    return FACTS.processes[judged(service).pids[0]]


def with_processes(*changed: Process) -> Facts:
    return replace(FACTS, processes=MappingProxyType({**FACTS.processes, **{each.pid: each for each in changed}}))


def with_listeners(change: Callable[[Listener], Listener]) -> Facts:
    return replace(FACTS, listeners=tuple(change(each) for each in FACTS.listeners))


def with_identity(service: Service, *lines: str) -> Facts:
    return replace(FACTS, identity=MappingProxyType({**FACTS.identity, service.name: lines}))


def with_record(manager: str, name: str, **changed: str) -> Facts:
    records = tuple(
        replace(record, fields=MappingProxyType({**record.fields, **changed})) if record.get("id") == name else record
        for record in FACTS.own[manager]
    )
    return replace(FACTS, own=MappingProxyType({**FACTS.own, manager: records}))
