"""The judge: is the registry's claim true on the host, by a proof from both ends?

1. Walk down from the name: manager → unit → main processes. Walk up from the claimed ports, or the path, and from the
   main processes: process → owner.
2. Compare, one aspect at a time: manager, name, process, user, path, ports, what root would run, the restart itself,
   the identity that a run would be bound to, what could be seen, the clock.
3. The code is the first, in the order of ``Code``, that any finding gives. Only where every finding agrees is the
   verdict VERIFIED; what could not be seen never agrees.

It is pure and total: any facts give a verdict, and where they are of this version's gate every finding is always there.
It knows no manager by name, takes no like name, and looks at no clock. Where the claim allows a start, a name under
which nothing runs and whose ports nobody holds is VERIFIED as a start, and the findings say so.

Keeps law 1, and with it law 3: nobody is asked about what is not proved.
"""

from collections.abc import Mapping
from dataclasses import replace

from app.core import advice, aspects
from app.core.display import visible
from app.core.errors import HostKeyChanged, Unreachable
from app.core.facts import Facts
from app.core.level import Level
from app.core.manager import Manager, Missing
from app.core.service import Service
from app.core.verdict import Code, Finding, Verdict
from app.core.ways import Ways, walk

# Something answered, and not what could have looked.
_UNSEEN = frozenset({"garbled", "gate_refused", "has_kit", "no_kit", "kit_incomplete", "refused_by_host"})


def judge(
    service: Service, facts: Facts, managers: Mapping[str, Manager], gate: str, level: str = Level.OPEN
) -> Verdict:
    """Judge one claim by the facts of its host.

    ``gate`` is the digest of the gate that this version has for hosts of this ``level``. What another gate says is not
    read at all: its records may mean something else.
    """
    if strange := aspects.strange_gate(service, facts, gate, level):
        return Verdict(Code.BLIND, (strange,), strange.next_step)
    ways = walk(service, facts, managers)
    findings = (
        aspects.manager(ways),
        aspects.name(ways),
        aspects.process(ways),
        aspects.user(ways),
        aspects.path(ways),
        aspects.ports(ways),
        aspects.safety(ways),
        aspects.restart(ways),
        aspects.identity(ways),
        aspects.sight(ways),
        aspects.clock(ways),
    )
    code = _first(findings)
    return Verdict(
        code=code,
        findings=_each_step_once(findings),
        next_step=advice.verified(ways) if code is Code.VERIFIED else _next_step(code, findings),
        unit=ways.unit if ways.found else "",
        pids=tuple(each.pid for each in ways.live),
        near=_near(ways),
    )


def unreachable(service: Service, error: Unreachable) -> Verdict:
    """Give the verdict on a host that gave no usable answer: nothing was seen, so nothing is claimed to be."""
    match error:
        case HostKeyChanged():
            code = Code.HOST_KEY_CHANGED
        case Unreachable(code=each) if each in _UNSEEN:
            code = Code.BLIND
        case _:
            code = Code.UNREACHABLE
    finding = Finding("host", service.host, visible(error.message, 500), None, code, visible(error.next_step, 500))
    return Verdict(code, (finding,), finding.next_step)


def _first(findings: tuple[Finding, ...]) -> Code:
    order = list(Code)
    codes = [each.code or Code.BLIND for each in findings if each.agrees is not True]
    return min(codes, key=order.index, default=Code.VERIFIED)


def _next_step(code: Code, findings: tuple[Finding, ...]) -> str:
    return next((each.next_step for each in findings if each.code is code and each.next_step), advice.AGAIN)


def _each_step_once(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Leave a sentence where it is said first: several aspects may be mended by one step."""
    said: set[str] = set()
    kept: list[Finding] = []
    for finding in findings:
        kept.append(replace(finding, next_step="") if finding.next_step in said else finding)
        said.add(finding.next_step)
    return tuple(kept)


def _near(ways: Ways) -> tuple[str, ...]:
    return ways.lookup.near if isinstance(ways.lookup, Missing) else ()
