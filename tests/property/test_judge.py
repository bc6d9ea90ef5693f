"""The judge over hosts changed by chance: it always answers, the same each time, and agrees to nothing unseen."""

from collections.abc import Callable
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from app.core.facts import Blind, Facts, Listener, Process, Record, Writable
from app.core.judge import judge
from app.core.level import Level
from app.core.manager import Found, Missing, Nearness, Owner, Several, Unseen
from app.core.need import assess
from app.core.owner import holding, owner_of
from app.core.service import Service
from app.core.verdict import Answer, Code, Verdict
from app.managers import MANAGERS
from tests.output.incident import CLAIMS, facts

FACTS = facts()
PIDS = st.sampled_from(sorted(FACTS.processes))
PORTS = st.sampled_from(sorted({each.port for each in FACTS.listeners}))
TEXTS = st.sampled_from(
    ["", "-", "0", "1", "x", "supervisord", "\x1b", "9" * 40, "/", "-1", "1.5", "yes", "\udc9b"]
) | st.text(max_size=8)
ASPECTS = ["manager", "name", "process", "user", "path", "ports", "safety", "restart", "identity", "sight", "clock"]
Change = Callable[[Facts], Facts]


@st.composite
def field_of_another(draw: st.DrawFn) -> Change:
    """One process looks in one respect as another does."""
    pid, other = draw(PIDS), draw(PIDS)
    name = draw(st.sampled_from([field.name for field in fields(Process) if field.name != "pid"]))

    def change(seen: Facts) -> Facts:
        if pid not in seen.processes or other not in seen.processes:
            return seen
        taken: dict[str, Any] = {name: getattr(seen.processes[other], name)}
        changed = replace(seen.processes[pid], **taken)
        return replace(seen, processes=MappingProxyType({**seen.processes, pid: changed}))

    return change


@st.composite
def unseen_process(draw: st.DrawFn) -> Change:
    pid = draw(PIDS)

    def change(seen: Facts) -> Facts:
        kept = {each: process for each, process in seen.processes.items() if each != pid}
        return replace(seen, processes=MappingProxyType(kept))

    return change


@st.composite
def unseen_holder(draw: st.DrawFn) -> Change:
    port = draw(PORTS)

    def hide(each: Listener) -> Listener:
        return replace(each, pids=()) if each.port == port else each

    return lambda seen: replace(seen, listeners=tuple(map(hide, seen.listeners)))


@st.composite
def another_holder(draw: st.DrawFn) -> Change:
    held = Listener(draw(PORTS), draw(st.sampled_from(["0.0.0.0", "::1", "\x1b"])), 0, (draw(PIDS),))  # noqa: S104
    return lambda seen: replace(seen, listeners=(*seen.listeners, held))


@st.composite
def managers_word(draw: st.DrawFn) -> Change:
    """A manager tells something else in one field of one record, or leaves the record out."""
    manager = draw(st.sampled_from(["systemd", "systemd", "supervisor", "docker", "compose", *FACTS.own]))
    place = draw(st.integers(0, len(FACTS.own[manager]) - 1))
    record = FACTS.own[manager][place]
    key = draw(st.sampled_from(sorted(record.fields)))
    text = draw(TEXTS | st.sampled_from([each.get(key) for each in FACTS.own[manager]]))
    told = Record(record.kind, MappingProxyType({**record.fields, key: text}))
    changed = draw(st.sampled_from([(told,), ()]))

    def change(seen: Facts) -> Facts:
        records = seen.own.get(manager, ())
        return replace(
            seen, own=MappingProxyType({**seen.own, manager: (*records[:place], *changed, *records[place + 1 :])})
        )

    return change


@st.composite
def identity_lines(draw: st.DrawFn) -> Change:
    name = draw(st.sampled_from([service.name for service in CLAIMS]))
    line = draw(st.sampled_from(["", "boot x", "process 1 1 root /", "process 1", "invocation x", "x"]))
    drop = draw(st.booleans())

    def change(seen: Facts) -> Facts:
        lines = seen.identity.get(name, ())
        changed = lines[1:] if drop else (*lines, line)
        return replace(seen, identity=MappingProxyType({**seen.identity, name: changed}))

    return change


@st.composite
def rest_of_the_facts(draw: st.DrawFn) -> Change:
    name = draw(st.sampled_from([service.name for service in CLAIMS]))
    changed: dict[str, Any] = draw(
        st.sampled_from(
            [
                {"uid": 1000, "user": "askfirst"},
                {"asked": ()},
                {"gate": ""},
                {"level": Level.SEALED},
                {"blind": (Blind("x", "y", ""),)},
                {"blind": (Blind("x", "y", name),)},
                {"writable": MappingProxyType({name: (Writable("/x", "rbron"),)})},
                {"now": float("inf")},
                {"taken_at": 0.0},
                {"processes": MappingProxyType({})},
                {"listeners": ()},
                {"own": MappingProxyType({})},
            ]
        )
    )
    return lambda seen: replace(seen, **changed)


def one_of_all(*makers: Callable[[], st.SearchStrategy[Change]]) -> st.SearchStrategy[Change]:
    return st.one_of([maker() for maker in makers])


changes = st.lists(
    one_of_all(
        field_of_another,
        unseen_process,
        unseen_holder,
        another_holder,
        managers_word,
        identity_lines,
        rest_of_the_facts,
    ),
    max_size=3,
)
claims = st.sampled_from(list(CLAIMS)) | st.builds(
    replace,
    st.sampled_from(list(CLAIMS)),
    manager=st.sampled_from([*MANAGERS, "upstart"]),
    unit=st.sampled_from([service.unit for service in CLAIMS]),
    ports=st.lists(PORTS, max_size=2, unique=True).map(tuple),
    start=st.booleans(),
)


def changed_host(steps: list[Change]) -> Facts:
    seen = FACTS
    for step in steps:
        seen = step(seen)
    return seen


def judged(service: Service, seen: Facts) -> Verdict:
    return judge(service, seen, MANAGERS, FACTS.gate)


def aspects(seen: Facts) -> list[str]:
    """What is judged of this host: nothing that another gate than ours, or one of another level, has told."""
    return ASPECTS if (seen.gate, seen.level) == (FACTS.gate, FACTS.level) else ["gate"]


@pytest.mark.law(1)
@pytest.mark.threat("C14")
@settings(max_examples=600)
@given(claims, changes)
def test_any_facts_give_the_same_verdict_each_time_with_every_finding(service: Service, steps: list[Change]) -> None:
    seen = changed_host(steps)
    verdict = judged(service, seen)
    assert verdict == judged(service, seen)
    assert [each.aspect for each in verdict.findings] == aspects(seen)
    assert verdict.is_verified == all(each.agrees is True for each in verdict.findings)
    for each in verdict.findings:
        assert (each.agrees is True) == (each.code is None)
    codes = [each.code for each in verdict.findings if each.code]
    assert verdict.code is min(codes, key=list(Code).index, default=Code.VERIFIED)
    assert verdict.next_step
    need = assess(service, seen, MANAGERS, [])
    assert (need.answer is Answer.NEEDED) == bool(need.signs)
    assert need.looked_for or need.answer is not Answer.NOT_NEEDED


@pytest.mark.law(1)
@settings(max_examples=600)
@given(claims, changes)
def test_verified_is_proved_from_both_ends(service: Service, steps: list[Change]) -> None:
    seen = changed_host(steps)
    verdict = judged(service, seen)
    if not verdict.is_verified:
        return
    manager = MANAGERS[service.manager]
    found = manager.find(service, seen)
    assert isinstance(found, Found)
    assert verdict.pids == found.main
    assert verdict.pids or service.start
    assert seen.gate == FACTS.gate
    assert service.name in seen.asked
    for pid in verdict.pids:
        assert f"process {pid} {seen.processes[pid].start}" in " ".join(seen.identity[service.name])
    for port in service.ports:
        assert all(each.pids for each in seen.listeners if each.port == port)
    met: list[tuple[int, int | None]] = [(pid, port) for port in service.ports for pid in holding(port, seen)]
    for pid, by in [*met, *((pid, None) for pid in verdict.pids)]:
        owner = owner_of(pid, seen, MANAGERS, by)
        above = {each.pid for each in seen.chain(pid)}
        assert above & set(verdict.pids) or by in found.ports
        if not manager.is_by_hand:
            assert owner.is_believed
            assert (owner.manager, owner.unit) == (service.manager, found.unit)
            assert manager.is_driven


def test_claims_stay_verified_under_some_of_these_changes() -> None:
    assert find(
        st.tuples(claims, changes.filter(lambda steps: len(steps) > 1)),
        lambda each: judged(each[0], changed_host(each[1])).is_verified,
    )


class Stranger:
    """A manager of chance: it claims any process for any unit, and knows any name."""

    name, label, is_driven, is_claimable, is_by_hand = "supervisor", "A stranger", True, True, False

    def __init__(self, owner: Owner | None, lookup: Found | Missing | Unseen | Several) -> None:
        self.owner, self.lookup = owner, lookup

    def __getattr__(self, name: str) -> Any:
        return getattr(MANAGERS["supervisor"], name)

    def recognise(self, chain: tuple[Process, ...], port: int | None, seen: Facts) -> Owner | None:
        return self.owner

    def find(self, service: Service, seen: Facts) -> Found | Missing | Unseen | Several:
        return self.lookup


UNITS = st.sampled_from(["lab:pypnm-gui", "other", ""])
owners = st.builds(
    Owner,
    manager=st.sampled_from(["supervisor", "systemd", "none", ""]),
    unit=UNITS | st.none(),
    nearness=st.sampled_from(Nearness),
    depth=st.integers(-1, 5),
    main=PIDS | st.none() | st.just(77_777),
    is_believed=st.booleans(),
    evidence=TEXTS,
)
founds = st.builds(
    Found,
    unit=UNITS,
    state=TEXTS,
    main=st.lists(PIDS | st.just(77_777), max_size=2).map(tuple),
    ports=st.lists(PORTS, max_size=2).map(tuple),
    user=TEXTS | st.none(),
    path=TEXTS | st.none(),
    obstacle=st.just("") | TEXTS,
)
lookups = founds | st.builds(Missing) | st.builds(Unseen, TEXTS, TEXTS) | st.builds(Several, st.lists(TEXTS).map(tuple))


@pytest.mark.law(1)
@settings(max_examples=400)
@given(claims, owners | st.none(), lookups, changes)
def test_whatever_a_manager_says_unbelieved_is_never_verified(
    service: Service, owner: Owner | None, lookup: Found | Missing | Unseen | Several, steps: list[Change]
) -> None:
    seen = changed_host(steps)
    claimed = replace(service, manager="supervisor")
    verdict = judge(claimed, seen, {"supervisor": Stranger(owner, lookup)}, FACTS.gate)
    assert [each.aspect for each in verdict.findings] == aspects(seen)
    if verdict.is_verified and verdict.pids:
        assert owner is not None
        assert owner.is_believed
        assert isinstance(lookup, Found)
        assert (owner.manager, owner.unit) == ("supervisor", lookup.unit)
