"""The life cycle driven by chance: whatever is tried in whatever order, its rules hold."""

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from app.core import events
from app.core.errors import IllegalEvent
from app.core.events import KINDS, Event
from app.core.lifecycle import ACTING, ENDED, Request, State, apply, begin, fold
from tests.unit.core.samples import ASKED_AT, DIGEST, ID, NOT_AFTER, event

HUMANS = ("h-ada", "h-bo", "h-cy", "h-di")
DIGESTS = (DIGEST, DIGEST[:-1] + "0", "", DIGEST.upper())


class Life(RuleBasedStateMachine):
    """One request, to which everything is done, allowed or not. Time only goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[Event] = []
        self.now = ASKED_AT

    @initialize(approvers=st.integers(1, 3), assurance=st.integers(1, 3))
    def ask(self, approvers: int, assurance: int) -> None:
        self.approvers, self.assurance = approvers, assurance
        asked = event(events.Asked, self.now)
        self.log = [asked]
        self.request = begin(ID, asked)

    def attempt(self, happening: Event) -> None:
        before = self.request
        try:
            self.request = apply(before, happening)
        except IllegalEvent:
            assert self.request is before
            return
        self.log.append(happening)
        assert before.state not in ENDED
        assert self.request.version == before.version + 1

    def at(self) -> dict[str, object]:
        return {"id": f"e-{len(self.log)}", "at": self.now}

    @rule(seconds=st.floats(0, 60))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(kind=st.sampled_from(sorted(KINDS)))
    def anything(self, kind: str) -> None:
        changes = {"approvers": self.approvers, "assurance": self.assurance} if kind == "verified" else {}
        self.attempt(replace(event(KINDS[kind], **changes), **self.at()))  # type: ignore[arg-type]

    @rule(steps=st.integers(1, 8), human=st.sampled_from(HUMANS[1:]))
    def go_on(self, steps: int, human: str) -> None:
        for _ in range(steps):
            match self.request.state:
                case State.OPEN:
                    self.anything("verified")
                case State.WAITING:
                    level = "click" if self.assurance == 1 else "passkey"
                    self.say_yes(human, "p-1", DIGEST, level, f"SHA256:{human}")
                case State.APPROVED:
                    self.start(events.RunStarted, DIGEST)
                case State.RUNNING | State.UNKNOWN:
                    self.anything("run_ended")

    @rule(is_success=st.booleans())
    def settle(self, is_success: bool) -> None:
        is_settling = self.request.state is State.SETTLING
        self.attempt(event(events.Settled, self.now, is_success=is_success))
        if is_settling:
            assert self.request.state is (State.SUCCEEDED if is_success else State.FAILED)

    @rule(
        human=st.sampled_from(HUMANS),
        account=st.sampled_from(["p-1", "p-2"]),
        digest=st.sampled_from(DIGESTS),
        level=st.sampled_from(["click", "passkey", "key", ""]),
        key=st.sampled_from(["", "SHA256:h-bo", "SHA256:h-cy"]),
    )
    def say_yes(self, human: str, account: str, digest: str, level: str, key: str) -> None:
        signed = {"signature_text": "sha256:signature", "key": key} if level != "click" else {}
        yes = event(events.Approved, self.now, human=human, by=account, digest=digest, level=level, **signed)
        self.attempt(replace(yes, id=f"e-{len(self.log)}"))

    @rule(kind=st.sampled_from([events.RunStarted, events.HandedOver]), digest=st.sampled_from(DIGESTS))
    def start(self, kind: type[Event], digest: str) -> None:
        self.attempt(event(kind, self.now, digest=digest))

    @invariant()
    def the_events_alone_tell_the_request(self) -> None:
        assert fold(ID, self.log) == self.request

    @invariant()
    def nobody_approves_their_own_and_nobody_twice(self) -> None:
        humans = [approval.human for approval in self.request.approvals]
        assert "h-ada" not in humans
        assert len(set(humans)) == len(humans)

    @invariant()
    def a_yes_is_as_strong_as_was_asked_for_and_each_key_signs_once(self) -> None:
        for approval in self.request.approvals:
            assert self.assurance == 1 or approval.level in {"passkey", "key"}
            assert bool(approval.key and approval.signature_text) == (approval.level != "click")
        keys = [approval.key for approval in self.request.approvals if approval.key]
        assert len(set(keys)) == len(keys)

    @invariant()
    def it_runs_only_after_enough_yes_to_its_digest_in_time_and_once(self) -> None:
        starts = [each for each in self.log if isinstance(each, events.RunStarted | events.HandedOver)]
        assert len(starts) <= 1
        is_restored = any(isinstance(each, events.Restored) for each in self.log)
        if self.request.state in ACTING:
            assert (len(starts), is_restored) in {(1, False), (0, True)}
        for each in starts:
            before: Request = fold(ID, self.log[: self.log.index(each)])
            assert before.state is State.APPROVED
            assert len(before.approvals) >= self.approvers
            assert each.digest == before.digest
            assert each.at < NOT_AFTER

    @invariant()
    def success_follows_a_proof_after_the_run(self) -> None:
        if self.request.state is State.SUCCEEDED:
            assert isinstance(self.log[-1], events.Settled)
            assert any(isinstance(each, events.RunEnded) for each in self.log)


@pytest.mark.law(6)
@pytest.mark.law(7)
@pytest.mark.law(9)
@pytest.mark.threat("B6")
def test_a_request_keeps_its_rules_whatever_is_tried() -> None:
    run_state_machine_as_test(Life, settings=settings(max_examples=150, stateful_step_count=40))
