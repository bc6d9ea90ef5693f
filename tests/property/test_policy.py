"""For all people, policies and moments: the guard says yes only where every rule does, and the strictest rule holds."""

from dataclasses import replace
from typing import TypeVar

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from app.core.errors import Refused
from app.core.lifecycle import Approval, Request, State
from app.core.policy import (
    Assurance,
    Attempt,
    Kind,
    Person,
    Policy,
    Proof,
    Role,
    Via,
    approval_refusal,
    eligibility_refusal,
    policy_problems,
    rule_for,
)
from tests.unit.core.samples import ASKED_AT, DIGEST, HOST, NOT_AFTER, SERVICE, request_in

GROUPS = ("lab-team", "night-team", "network-team")
STEP_UP = 300.0
T = TypeVar("T")


def mostly(good: T, other: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    """What fits, five times of six: so that a single thing wrong is tried often, and nothing wrong too."""
    return st.integers(0, 5).flatmap(lambda die: st.just(good) if die else other)


humans = st.sampled_from(["h-ada", "h-bo", "h-cy"])
group_sets = st.lists(st.sampled_from(GROUPS), max_size=2, unique=True).map(tuple)
people = st.builds(
    Person,
    id=st.sampled_from(["p-1", "p-2", "p-3"]),
    name=st.just("Somebody"),
    human=mostly("h-bo", humans),
    roles=mostly(frozenset({Role.APPROVER}), st.frozensets(st.sampled_from(list(Role)))),
    groups=mostly(
        {"lab-team": ASKED_AT - 5, "night-team": ASKED_AT - 5},
        st.dictionaries(st.sampled_from(GROUPS), st.floats(ASKED_AT - 10, ASKED_AT + 10), max_size=3),
    ),
    is_enabled=mostly(True, st.booleans()),
)
proofs = st.builds(
    Proof,
    digest=mostly(DIGEST, st.sampled_from(["", DIGEST.upper(), "0" * 64])),
    key=st.sampled_from(["SHA256:bo", "SHA256:cy"]),
    kind=st.sampled_from(Kind),
    is_present=mostly(True, st.booleans()),
    is_user_verified=mostly(True, st.booleans()),
    usable_at=mostly(NOT_AFTER - 400, st.floats(NOT_AFTER - 400, NOT_AFTER + 400)),
    signature=st.just("-----BEGIN SSH SIGNATURE-----"),
)
attempts = st.builds(
    Attempt,
    person=people,
    via=mostly(Via.SESSION, st.sampled_from(Via)),
    signed_in_at=mostly(NOT_AFTER - 5, st.floats(NOT_AFTER - 900, NOT_AFTER)),
    digest=mostly(DIGEST, st.sampled_from(["", DIGEST.upper(), "0" * 64])),
    proof=st.none() | proofs,
)
others = st.lists(
    st.builds(
        Approval, person=st.just("p"), human=humans, at=st.just(ASKED_AT), key=st.sampled_from(["", "SHA256:cy"])
    ),
    max_size=1,
)
requests = st.builds(
    replace,
    mostly(State.WAITING, st.sampled_from(State)).map(request_in),
    groups=mostly((("lab-team", "network-team"),), st.lists(group_sets, max_size=2).map(tuple)),
    approvers=st.integers(1, 3),
    assurance=st.integers(1, 3),
    plain_keys=st.booleans(),
    approvals=mostly((), others.map(tuple)),
)
moments = mostly(NOT_AFTER - 1, st.floats(NOT_AFTER - 400, NOT_AFTER + 400))
freezes = mostly(None, st.sampled_from([None, "", "Frozen: all."]))


@pytest.mark.law(7)
@pytest.mark.law(8)
@pytest.mark.law(9)
@pytest.mark.threat("B1")
@pytest.mark.threat("B2")
@pytest.mark.threat("B3")
@settings(max_examples=600)
@given(requests, attempts, moments, freezes)
def test_a_yes_that_counts_keeps_every_rule(request: Request, attempt: Attempt, now: float, frozen: str | None) -> None:
    refused = approval_refusal(request, attempt, now=now, frozen=frozen, step_up_seconds=STEP_UP)
    if refused is not None:
        assert refused.code
        assert refused.next_step
        return
    person = attempt.person
    assert attempt.via in {Via.SESSION, Via.SIGNATURE}
    assert person.is_enabled
    assert Role.APPROVER in person.roles
    assert person.human != request.requester_human
    assert person.human not in {approval.human for approval in request.approvals}
    assert request.state is State.WAITING
    assert now < request.not_after
    assert not frozen
    assert attempt.digest == request.digest == DIGEST
    if attempt.proof is None:
        assert attempt.via is Via.SESSION
        assert request.assurance == Assurance.CLICK
        assert now - attempt.signed_in_at <= STEP_UP
    else:
        keeps_its_rules(request, attempt.proof, now)
    assert request.groups
    for groups in request.groups:
        assert any(person.groups.get(group, ASKED_AT + 1) <= request.asked_at for group in groups)


def keeps_its_rules(request: Request, proof: Proof, now: float) -> None:
    assert proof.digest == request.digest
    assert proof.usable_at <= now
    assert proof.key not in {approval.key for approval in request.approvals}
    if proof.kind is Kind.PLAIN:
        assert request.plain_keys
    else:
        assert proof.is_present
        assert proof.is_user_verified


@pytest.mark.parametrize("kind", [None, *Kind])
def test_a_yes_that_counts_is_among_what_is_tried(kind: Kind | None) -> None:
    def counts(tried: tuple[Request, Attempt, float]) -> bool:
        request, attempt, now = tried
        by = attempt.proof.kind if attempt.proof else None
        return by is kind and approval_refusal(request, attempt, now=now, frozen=None, step_up_seconds=STEP_UP) is None

    assert find(st.tuples(requests, attempts, moments), counts)


@given(requests, attempts, moments)
def test_who_is_not_eligible_never_gets_a_yes(request: Request, attempt: Attempt, now: float) -> None:
    if eligibility_refusal(request, attempt.person) is not None:
        assert approval_refusal(request, attempt, now=now, frozen=None, step_up_seconds=STEP_UP) is not None


policies = st.builds(
    Policy,
    environment=st.sampled_from(["production", "staging", None]),
    service=st.sampled_from(["pypnm-gui", "other", None]),
    approvers=st.integers(0, 4),
    groups=group_sets,
    assurance=st.sampled_from(Assurance),
    plain_keys=st.booleans(),
    expires_seconds=st.integers(30, 2_000),
)


@settings(max_examples=400)
@given(st.lists(policies, max_size=4))
def test_no_fitting_policy_is_ever_stricter_than_the_rule(given_policies: list[Policy]) -> None:
    fitting = [each for each in given_policies if each.service == "pypnm-gui" or each.environment == "production"]
    if not fitting:
        with pytest.raises(Refused):
            rule_for(SERVICE, HOST, given_policies, 1)
        return
    try:
        rule = rule_for(SERVICE, HOST, given_policies, 1)
    except Refused:
        assert any(policy_problems(each) for each in fitting)
        return
    for each in fitting:
        assert rule.approvers >= each.approvers >= 1
        assert rule.expires_seconds <= each.expires_seconds
        assert rule.assurance >= each.assurance
        assert each.groups in rule.groups
        assert each.plain_keys or not rule.plain_keys
    assert all(rule.groups)
