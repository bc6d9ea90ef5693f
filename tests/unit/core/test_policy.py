"""The guard: every reason for a no, one line each; and the strictest of the policies that fit."""

from dataclasses import replace
from typing import Any

import pytest

from app.core.errors import Refused
from app.core.level import Level
from app.core.lifecycle import Approval, State
from app.core.policy import (
    Assurance,
    Attempt,
    Kind,
    Policy,
    Proof,
    Role,
    Via,
    approval_refusal,
    approver_refusal,
    eligibility_refusal,
    lowered,
    policy_problems,
    rule_for,
)
from tests.unit.core.samples import ASKED_AT, DIGEST, HOST, NOT_AFTER, SERVICE, person, request_in

NOW = ASKED_AT + 60
WAITING = request_in(State.WAITING)
PASSKEY = replace(WAITING, assurance=Assurance.PASSKEY)
BO = Attempt(person=person(), via=Via.SESSION, signed_in_at=NOW - 10, digest=DIGEST)
PROOF = Proof(DIGEST, "SHA256:bo", Kind.PASSKEY, True, True, NOW - 1, "-----BEGIN SSH SIGNATURE-----")
SAID = Approval("p-cy", "h-cy", NOW, "passkey", "sha256:signature", PROOF.key)


def refusal(request: Any = WAITING, attempt: Attempt = BO, now: float = NOW, frozen: str | None = None) -> str | None:
    """The code of the guard's no, None for a yes that counts."""
    refused = approval_refusal(request, attempt, now=now, frozen=frozen, step_up_seconds=300)
    if refused is None:
        return None
    assert refused.message
    assert refused.next_step
    return refused.code


def by(**changes: Any) -> Attempt:
    return replace(BO, person=person(**changes))


def signed(**changes: Any) -> Attempt:
    return replace(BO, proof=replace(PROOF, **changes))


def test_an_approver_of_the_group_who_did_not_ask_may_say_yes() -> None:
    assert refusal() is None


@pytest.mark.law(7)
@pytest.mark.law(8)
@pytest.mark.threat("B1")
@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("own_request", {"attempt": by(name="ada")}),
        ("own_request", {"attempt": by(name="ada", roles=frozenset(Role))}),
        ("own_request", {"attempt": by(name="bo", human="h-ada")}),
        ("token", {"attempt": replace(BO, via=Via.TOKEN)}),
        ("token", {"attempt": replace(by(roles=frozenset(Role)), via=Via.TOKEN)}),
        ("not_approver", {"attempt": by(roles=frozenset(Role) - {Role.APPROVER})}),
        ("not_approver", {"attempt": by(roles=frozenset())}),
        ("disabled", {"attempt": by(is_enabled=False)}),
        ("not_in_group", {"attempt": by(groups={})}),
        ("not_in_group", {"attempt": by(groups={"other-team": ASKED_AT - 1})}),
        ("joined_later", {"attempt": by(groups={"lab-team": ASKED_AT + 1})}),
        ("no_policy", {"request": replace(WAITING, groups=())}),
        ("not_in_group", {"request": replace(WAITING, groups=((),))}),
        ("frozen", {"frozen": "Frozen: production."}),
        ("expired", {"now": NOT_AFTER}),
        ("expired", {"now": NOT_AFTER + 1}),
        ("step_up_required", {"attempt": replace(BO, signed_in_at=NOW - 301)}),
        ("digest_differs", {"attempt": replace(BO, digest="")}),
        ("digest_differs", {"attempt": replace(BO, digest=DIGEST.upper())}),
        ("digest_differs", {"attempt": replace(BO, digest=DIGEST[:-1])}),
        ("already_approved", {"request": replace(WAITING, approvers=2, approvals=(Approval("p-bo", "h-bo", NOW),))}),
        ("already_approved", {"request": replace(WAITING, approvers=2, approvals=(Approval("p-2", "h-bo", NOW),))}),
        ("needs_signature", {"request": PASSKEY}),
        ("needs_signature", {"request": replace(WAITING, assurance=Assurance.SEALED)}),
        ("needs_signature", {"attempt": replace(BO, via=Via.SIGNATURE)}),
        ("token", {"request": PASSKEY, "attempt": replace(BO, via=Via.TOKEN, proof=PROOF)}),
        ("own_request", {"request": PASSKEY, "attempt": replace(by(name="ada"), proof=PROOF)}),
        ("other_warrant", {"request": PASSKEY, "attempt": signed(digest="0" * 64)}),
        ("other_warrant", {"request": PASSKEY, "attempt": signed(digest="")}),
        ("digest_differs", {"request": PASSKEY, "attempt": replace(signed(), digest="0" * 64)}),
        ("not_verified", {"request": PASSKEY, "attempt": signed(is_user_verified=False)}),
        ("not_verified", {"request": PASSKEY, "attempt": signed(is_present=False)}),
        ("not_verified", {"attempt": signed(is_user_verified=False, kind=Kind.SECURITY_KEY)}),
        ("key_too_new", {"request": PASSKEY, "attempt": signed(usable_at=NOW + 1)}),
        ("key_used", {"request": replace(PASSKEY, approvers=2, approvals=(SAID,)), "attempt": signed()}),
        ("plain_key", {"request": PASSKEY, "attempt": signed(kind=Kind.PLAIN)}),
        ("plain_key", {"attempt": signed(kind=Kind.PLAIN)}),
        ("not_waiting", {"request": replace(WAITING, warrant=None)}),
        *(("not_waiting", {"request": request_in(state)}) for state in State if state is not State.WAITING),
    ],
)
def test_every_no_has_its_reason_and_says_what_to_do(code: str, changes: dict[str, Any]) -> None:
    assert refusal(**changes) == code


@pytest.mark.parametrize("assurance", Assurance)
@pytest.mark.parametrize("via", [Via.SESSION, Via.SIGNATURE])
@pytest.mark.parametrize("kind", [Kind.PASSKEY, Kind.SECURITY_KEY])
def test_a_signature_counts_at_every_level_and_needs_no_fresh_sign_in(assurance: int, via: Via, kind: Kind) -> None:
    request = replace(WAITING, assurance=assurance)
    assert refusal(request, replace(signed(kind=kind), via=via, signed_in_at=0.0)) is None


def test_a_key_that_nobody_touches_counts_where_every_policy_says_so() -> None:
    plain = signed(kind=Kind.PLAIN, is_present=False, is_user_verified=False)
    assert refusal(replace(PASSKEY, plain_keys=True), plain) is None
    both = [replace(PRODUCTION, plain_keys=True), Policy(service="pypnm-gui", groups=("a",))]
    assert not rule_for(SERVICE, HOST, both, 1).plain_keys
    assert rule_for(SERVICE, HOST, both[:1], 1).plain_keys


@pytest.mark.threat("B8")
def test_the_last_millisecond_before_the_end_still_counts() -> None:
    assert refusal(attempt=replace(BO, signed_in_at=NOT_AFTER - 1), now=NOT_AFTER - 0.001) is None


@pytest.mark.threat("A3")
def test_a_sign_in_of_exactly_the_step_up_age_still_counts() -> None:
    assert refusal(attempt=replace(BO, signed_in_at=NOW - 300)) is None


def test_an_approver_in_one_of_two_groups_of_a_rule_may_say_yes() -> None:
    request = replace(WAITING, groups=(("lab-team", "night-team"),))
    assert refusal(request, by(groups={"night-team": ASKED_AT - 5})) is None


def test_who_joined_one_group_in_time_and_another_too_late_may_say_yes() -> None:
    request = replace(WAITING, groups=(("lab-team", "night-team"),))
    assert refusal(request, by(groups={"lab-team": ASKED_AT + 5, "night-team": ASKED_AT - 5})) is None


def test_two_rules_both_have_to_be_satisfied() -> None:
    request = replace(WAITING, groups=(("lab-team",), ("network-team",)))
    assert refusal(request) == "not_in_group"
    assert refusal(request, by(groups={"lab-team": ASKED_AT - 5, "network-team": ASKED_AT - 5})) is None


def test_an_admin_approves_nothing_by_being_one() -> None:
    assert refusal(attempt=by(roles=frozenset({Role.ADMIN}))) == "not_approver"


def test_the_page_that_says_who_could_approve_asks_the_same_rules_as_the_guard() -> None:
    no: list[dict[str, Any]] = [{"name": "ada"}, {"is_enabled": False}, {"roles": frozenset()}, {"groups": {}}]
    for changes in no:
        person_of = person(**changes)
        eligible = eligibility_refusal(WAITING, person_of)
        assert eligible is not None
        assert refusal(attempt=replace(BO, person=person_of)) == eligible.code


@pytest.mark.law(7)
@pytest.mark.parametrize(
    ("code", "groups", "changes"),
    [
        (None, (("lab-team", "night-team"),), {}),
        (None, (("lab-team",), ("network-team",)), {"groups": dict.fromkeys(("lab-team", "network-team"), ASKED_AT)}),
        ("disabled", (("lab-team",),), {"is_enabled": False}),
        ("not_approver", (("lab-team",),), {"roles": frozenset(Role) - {Role.APPROVER}}),
        ("not_in_group", (("lab-team",), ("network-team",)), {}),
        ("not_in_group", (("lab-team",), ()), {}),
        ("no_policy", (), {}),
    ],
)
def test_who_may_approve_by_a_rule_is_in_one_group_of_each_of_its_sets(
    code: str | None, groups: tuple[tuple[str, ...], ...], changes: dict[str, Any]
) -> None:
    of_a_rule = approver_refusal(person(**changes), groups)
    of_a_request = eligibility_refusal(replace(WAITING, groups=groups), person(**changes))
    for refused in (of_a_rule, of_a_request):
        assert (refused.code if refused else None) == code


PRODUCTION = Policy(environment="production", groups=("lab-team",))


def test_the_strictest_of_all_policies_that_fit_holds() -> None:
    special = Policy(service="pypnm-gui", approvers=2, groups=("network-team",), expires_seconds=300)
    elsewhere = Policy(environment="staging", approvers=9, groups=("all",))
    for policies in ([PRODUCTION, special, elsewhere], [elsewhere, special, PRODUCTION]):
        rule = rule_for(SERVICE, HOST, policies, 7)
        assert rule.name == "production+service:pypnm-gui"
        assert (rule.approvers, rule.expires_seconds, rule.revision) == (2, 300, 7)
        assert rule.groups == (("lab-team",), ("network-team",))


def test_a_looser_policy_for_a_service_does_not_loosen_its_environments() -> None:
    strict = replace(PRODUCTION, approvers=3, expires_seconds=120)
    loose = Policy(service="pypnm-gui", groups=("anyone",), expires_seconds=86_400)
    rule = rule_for(SERVICE, HOST, [strict, loose], 1)
    assert (rule.approvers, rule.expires_seconds) == (3, 120)


@pytest.mark.law(9)
@pytest.mark.parametrize(
    "policies", [[], [Policy(environment="staging", groups=("a",))], [replace(PRODUCTION, groups=())]]
)
def test_no_policy_and_an_empty_policy_are_a_refusal(policies: list[Policy]) -> None:
    with pytest.raises(Refused) as refused:
        rule_for(SERVICE, HOST, policies, 1)
    assert refused.value.code == "no_policy"
    assert "editor" in refused.value.next_step


@pytest.mark.parametrize(
    ("field", "policy"),
    [
        ("environment", replace(PRODUCTION, environment=None)),
        ("environment", replace(PRODUCTION, service="pypnm-gui")),
        ("approvers", replace(PRODUCTION, approvers=0)),
        ("approvers", replace(PRODUCTION, approvers=10)),
        ("groups", replace(PRODUCTION, groups=())),
        ("groups", replace(PRODUCTION, groups=("Lab Team",))),
        ("expires", replace(PRODUCTION, expires_seconds=59)),
        ("expires", replace(PRODUCTION, expires_seconds=86_401)),
    ],
)
def test_a_policy_that_cannot_be_meant_is_named_by_its_field(field: str, policy: Policy) -> None:
    assert [problem.field for problem in policy_problems(policy)] == [field]


@pytest.mark.parametrize("assurance", Assurance)
def test_a_plain_policy_has_no_problem(assurance: Assurance) -> None:
    assert policy_problems(replace(PRODUCTION, assurance=assurance)) == []


def test_a_sealed_host_takes_nothing_but_signatures_whatever_the_policy_says() -> None:
    assert rule_for(SERVICE, HOST, [PRODUCTION], 1).assurance is Assurance.CLICK
    assert rule_for(SERVICE, replace(HOST, level=Level.ENFORCED), [PRODUCTION], 1).assurance is Assurance.CLICK
    assert rule_for(SERVICE, replace(HOST, level=Level.SEALED), [PRODUCTION], 1).assurance is Assurance.SEALED


@pytest.mark.threat("K6")
def test_a_policy_that_lets_plain_keys_sign_asks_for_less_than_before() -> None:
    looser = replace(PRODUCTION, plain_keys=True)
    assert lowered(PRODUCTION, looser) == ("a key that nobody has to touch may sign",)
    assert lowered(looser, PRODUCTION) == ()
    strict = replace(PRODUCTION, assurance=Assurance.SEALED)
    assert lowered(strict, replace(PRODUCTION, assurance=Assurance.PASSKEY)) == ("passkey is enough",)
