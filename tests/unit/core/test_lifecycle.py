"""The life cycle's table, against a second writing of it; and what the table alone cannot hold."""

from dataclasses import replace

import pytest

from app.core import events
from app.core.errors import IllegalEvent
from app.core.events import KINDS, Event
from app.core.lifecycle import ACTING, ASKING, ENDED, WANTING_WORK, State, apply, begin, fold
from tests.unit.core.samples import ASKED_AT, DIGEST, EVENTS, ID, NOT_AFTER, WAYS, event, history, request_in

# state: event → state, … ; what is not here is refused.
TABLE = """
open: blocked → blocked, verified → waiting, cancelled → cancelled, expired → expired, restored → unknown
waiting: insisted → waiting, approved → approved, denied → denied, cancelled → cancelled, expired → expired
waiting: went_stale → stale, restored → unknown
approved: cancelled → cancelled, expired → expired, went_stale → stale, run_started → running, handed_over → running
approved: restored → unknown
running: went_stale → stale, run_refused → not_run, run_ended → settling, run_lost → unknown
unknown: run_burned → not_run, run_refused → not_run, run_ended → settling, given_up → given_up
settling: settled → succeeded
"""
ALLOWED = {
    (State(line.split(": ")[0]), arrow.split(" → ")[0]): State(arrow.split(" → ")[1])
    for line in TABLE.strip().splitlines()
    for arrow in line.split(": ")[1].split(", ")
}


def test_the_samples_reach_every_state_with_every_kind_of_event() -> None:
    assert {request_in(state).state for state in State} == set(State) == set(WAYS)
    assert {type(each) for each in EVENTS} == set(KINDS.values())


@pytest.mark.law(6)
@pytest.mark.law(9)
@pytest.mark.threat("B6")
@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.type)
@pytest.mark.parametrize("state", State)
def test_a_state_takes_the_events_of_the_table_and_no_other(state: State, kind: type[Event]) -> None:
    request = request_in(state)
    target = ALLOWED.get((state, kind.type))
    if target is None:
        with pytest.raises(IllegalEvent) as refused:
            apply(request, event(kind, ASKED_AT + 20))
        assert refused.value.next_step
        assert request == request_in(state)
    else:
        after = apply(request, event(kind, ASKED_AT + 20))
        assert after.state is target
        assert after.version == request.version + 1
        assert after.changed_at == ASKED_AT + 20


def test_every_state_is_in_exactly_one_group() -> None:
    assert sorted([*ASKING, *ACTING, *ENDED]) == sorted(State)


def test_what_wants_a_worker_is_what_no_person_ends() -> None:
    assert {State.OPEN, State.APPROVED, State.RUNNING, State.UNKNOWN, State.SETTLING} == WANTING_WORK


@pytest.mark.law(9)
@pytest.mark.parametrize("state", sorted(ENDED))
def test_nothing_leaves_an_ended_state(state: State) -> None:
    request = request_in(state)
    for each in EVENTS:
        with pytest.raises(IllegalEvent):
            apply(request, replace(each, at=ASKED_AT + 30))


@pytest.mark.law(9)
def test_denied_expired_cancelled_stale_and_blocked_are_five_ends() -> None:
    ends = {State.DENIED, State.EXPIRED, State.CANCELLED, State.STALE, State.BLOCKED}
    assert len(ends) == 5
    assert ends <= ENDED


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if kind is not events.Asked])
def test_a_request_begins_by_being_asked_for(kind: type[Event]) -> None:
    with pytest.raises(IllegalEvent):
        begin(ID, event(kind))


def test_a_request_without_events_is_none() -> None:
    with pytest.raises(IllegalEvent, match="no events"):
        fold(ID, [])


@pytest.mark.law(3)
@pytest.mark.parametrize("state", [State.OPEN, State.BLOCKED])
def test_what_the_host_has_not_proved_takes_no_decision(state: State) -> None:
    for kind in (events.Approved, events.Denied, events.RunStarted, events.HandedOver):
        with pytest.raises(IllegalEvent):
            apply(request_in(state), event(kind))
    assert request_in(state).warrant is None


@pytest.mark.law(5)
@pytest.mark.threat("B4")
@pytest.mark.parametrize("digest", ["", DIGEST[:-1], DIGEST.upper(), "0" * 64])
@pytest.mark.parametrize("kind", [events.Approved, events.RunStarted, events.HandedOver])
def test_a_yes_and_a_start_name_this_warrant_or_do_not_happen(kind: type[Event], digest: str) -> None:
    request = request_in(State.WAITING if kind is events.Approved else State.APPROVED)
    with pytest.raises(IllegalEvent):
        apply(request, event(kind, digest=digest))


@pytest.mark.law(9)
@pytest.mark.threat("B8")
@pytest.mark.parametrize("kind", [events.Approved, events.RunStarted, events.HandedOver])
def test_a_yes_and_a_start_come_before_the_end_of_the_time_or_not_at_all(kind: type[Event]) -> None:
    request = request_in(State.WAITING if kind is events.Approved else State.APPROVED)
    assert apply(request, event(kind, NOT_AFTER - 0.001)).state is not request.state
    for late in (NOT_AFTER, NOT_AFTER + 0.001):
        with pytest.raises(IllegalEvent):
            apply(request, event(kind, late))


@pytest.mark.law(7)
@pytest.mark.threat("B2")
def test_the_requesters_human_never_counts_whatever_the_account() -> None:
    for account in ("p-ada", "p-ada-second", "p-bo"):
        with pytest.raises(IllegalEvent):
            apply(request_in(State.WAITING), event(events.Approved, by=account, human="h-ada"))


@pytest.mark.law(5)
def test_a_yes_is_as_strong_as_was_asked_for_and_a_key_signs_once() -> None:
    signed = {"level": "passkey", "signature_text": "sha256:signature", "key": "SHA256:blue"}
    waiting = replace(request_in(State.WAITING), approvers=2, assurance=2)
    once = apply(waiting, yes(**signed))
    assert [(each.level, each.key) for each in once.approvals] == [("passkey", "SHA256:blue")]
    weak = [{}, {"level": "passkey"}, {**signed, "signature_text": ""}, {**signed, "key": ""}, {**signed, "level": "x"}]
    for said in weak:
        with pytest.raises(IllegalEvent):
            apply(waiting, yes(**said))
    with pytest.raises(IllegalEvent):
        apply(once, yes(by="p-cy", human="h-cy", **signed))
    assert len(apply(once, yes(by="p-cy", human="h-cy", **{**signed, "key": "SHA256:red"})).approvals) == 2


def yes(**said: str) -> Event:
    return replace(event(events.Approved), **said)  # type: ignore[arg-type]  # whatever a test names is a field


@pytest.mark.threat("B10")
def test_a_request_for_two_waits_for_a_second_human_and_counts_nobody_twice() -> None:
    waiting = replace(request_in(State.WAITING), approvers=2)
    once = apply(waiting, event(events.Approved))
    assert once.state is State.WAITING
    with pytest.raises(IllegalEvent):
        apply(once, event(events.Approved, by="p-bo-second"))
    twice = apply(once, event(events.Approved, by="p-cy", human="h-cy"))
    assert twice.state is State.APPROVED
    assert [approval.human for approval in twice.approvals] == ["h-bo", "h-cy"]


@pytest.mark.law(11)
def test_an_exit_status_of_0_ends_in_failed_where_the_service_did_not_come_back() -> None:
    settling = request_in(State.SETTLING)
    assert settling.exit_status == 0
    assert apply(settling, event(events.Settled, is_success=False)).state is State.FAILED


def test_the_order_of_events_is_the_order_of_their_versions() -> None:
    right = history(State.SUCCEEDED)
    assert fold(ID, right).version == len(right)
    with pytest.raises(IllegalEvent):
        fold(ID, [right[0], *reversed(right[1:])])


def test_a_request_carries_what_its_events_said() -> None:
    request = request_in(State.FAILED)
    assert request.verdict == "VERIFIED"
    assert (request.manager, request.policy, request.policy_revision) == ("supervisor", "production", 7)
    assert (request.worker, request.exit_status, request.output_text) == ("w-1", 0, "sha256:output")
    assert (request.outcome, request.outcome_text) == ("A new process.", "sha256:after")
    assert request.short_id == "R-1B6N"


def test_a_request_that_a_person_does_by_hand_says_so() -> None:
    handed = apply(request_in(State.APPROVED), event(events.HandedOver))
    assert handed.is_by_hand
    assert handed.started_at == ASKED_AT + 1
