"""From the question to the proof afterwards, and each of the ends that are not success."""

from dataclasses import replace

import pytest

from app.core.errors import Conflict, NotFound, Refused
from app.core.events import Denied
from app.core.lifecycle import State
from app.core.policy import Role, Via
from app.core.warrant import read
from app.flow import ask, decide, evidence
from app.flow.ports import News
from app.store import output, requests
from app.store.verify import verify
from tests.integration.flow.conftest import CHECK, FIXED, PATH, Stage


async def test_a_restart_goes_from_the_question_to_the_proof_that_it_came_back(stage: Stage) -> None:
    before = stage.alpha.programs["lab:pypnm-gui"].pid
    waiting = await stage.waiting()
    assert (waiting.state, waiting.need) == (State.WAITING, "NEEDED")
    after = await stage.run(waiting)
    assert after.state is State.SUCCEEDED, after.outcome
    assert stage.alpha.programs["lab:pypnm-gui"].pid != before
    assert stage.alpha.runs() == 1
    assert (await requests.text(stage.db, after.output_text)) == "lab:pypnm-gui: stopped\nlab:pypnm-gui: started\n"
    assert await output.read(stage.db, after.id, 0) == b"lab:pypnm-gui: stopped\nlab:pypnm-gui: started\n"
    proof = await evidence.of_outcome(stage.db, after)
    assert proof is not None
    assert [check.is_green for check in proof.checks] == [True]
    report = await verify(stage.db)
    assert (report.first_broken, report.differences) == (None, [])


@pytest.mark.law(3)
async def test_a_claim_that_the_host_does_not_prove_never_waits_for_anybody(stage: Stage) -> None:
    await stage.register(replace(stage.alpha.claim(), unit="lab:pypnm"))
    blocked = await stage.waiting()
    assert (blocked.state, blocked.verdict) == (State.BLOCKED, "NO_SUCH_UNIT")
    assert blocked.warrant is None
    assert await requests.inbox(stage.db) == []
    with pytest.raises(Conflict):
        await stage.approve(blocked)


@pytest.mark.law(3)
async def test_nobody_is_asked_for_what_the_host_s_own_table_would_refuse(stage: Stage) -> None:
    stage.alpha.permitted = frozenset(
        {"pypnm-gui supervisor lab:pypnm-gui restart root supervisorctl restart lab:other"}
    )
    blocked = await stage.waiting()
    proof = await evidence.of(stage.db, blocked)
    assert (blocked.state, blocked.verdict) == (State.BLOCKED, "BLIND")
    assert proof is not None
    assert "askfirst host kit alpha" in proof.verdict.next_step
    stage.alpha.permitted |= {"pypnm-gui supervisor lab:pypnm-gui restart root supervisorctl restart lab:pypnm-gui"}
    assert (await stage.waiting()).state is State.WAITING


async def test_a_host_that_is_down_blocks_with_a_next_step(stage: Stage) -> None:
    stage.hosts.down.add("alpha")
    blocked = await stage.waiting()
    proof = await evidence.of(stage.db, blocked)
    assert (blocked.state, blocked.verdict) == (State.BLOCKED, "UNREACHABLE")
    assert proof is not None
    assert proof.verdict.next_step


async def test_a_like_name_is_offered_as_a_question_and_not_taken(stage: Stage) -> None:
    with pytest.raises(NotFound) as caught:
        await stage.ask(service="pypnm-gu")
    assert caught.value.next_step == "Did you mean pypnm-gui?"


async def test_the_warrant_says_what_was_asked_and_proved(stage: Stage) -> None:
    waiting = await stage.waiting()
    text = await requests.text(stage.db, waiting.warrant or "")
    warrant = read(text or "")
    assert (warrant.id, warrant.requester, warrant.reason) == (waiting.id, "ada@example.org", "The fix is pulled.")
    assert warrant.argv == ("supervisorctl", "restart", "lab:pypnm-gui")
    assert warrant.evidence == waiting.evidence_text
    assert any(line.startswith("process ") for line in warrant.identity)


@pytest.mark.law(11)
async def test_a_command_that_ends_well_without_a_new_process_is_no_success(stage: Stage) -> None:
    stage.alpha.programs["lab:pypnm-gui"].comes_back = False
    after = await stage.run(await stage.waiting())
    assert (after.state, after.exit_status) == (State.FAILED, 0)


@pytest.mark.law(11)
async def test_a_red_check_afterwards_is_no_success(stage: Stage) -> None:
    await stage.register(replace(stage.alpha.claim(), checks=(replace(CHECK, equals="10.9.9.9"),)))
    after = await stage.run(await stage.waiting())
    assert (after.state, after.exit_status) == (State.FAILED, 0)
    assert "10.9.9.9" in after.outcome


async def test_a_denial_ends_it_with_its_reason(stage: Stage) -> None:
    waiting = await stage.waiting()
    args = {"digest": waiting.digest, "reason": "Not during the demo."}
    with pytest.raises(Refused, match="asked for this restart yourself"):
        await decide.deny(stage.world, stage.who["ada"], Via.SESSION, waiting.id, **args)
    denied = await decide.deny(stage.world, stage.who["bo"], Via.SESSION, waiting.id, **args)
    assert denied.state is State.DENIED
    (*_, event) = await requests.events(stage.db, denied.id)
    assert isinstance(event, Denied)
    assert await requests.text(stage.db, event.reason_text) == "Not during the demo."
    assert (await stage.work(denied)).state is State.DENIED


async def test_only_who_asked_or_an_admin_takes_it_back(stage: Stage) -> None:
    waiting = await stage.waiting()
    with pytest.raises(Refused) as caught:
        await decide.cancel(stage.world, stage.who["bo"], waiting.id)
    assert caught.value.code == "not_requester"
    admin = await stage.add("root", roles=frozenset({Role.ADMIN}), groups=())
    assert (await decide.cancel(stage.world, admin, waiting.id)).state is State.CANCELLED


async def test_a_second_question_about_a_service_is_pointed_to_the_first(stage: Stage) -> None:
    first = await stage.waiting()
    with pytest.raises(Conflict) as caught:
        await stage.ask("cy")
    assert caught.value.code == "already_asked"
    assert first.id in caught.value.message


async def test_the_same_key_gives_the_same_request_and_another_person_s_key_does_not(stage: Stage) -> None:
    first = await stage.ask(key="k1")
    assert (await stage.ask(key="k1")).id == first.id
    with pytest.raises(Conflict) as caught:
        await stage.ask("cy", key="k1")
    assert caught.value.code == "already_asked"


@pytest.mark.parametrize(("reason", "code"), [("", "reason_empty"), ("x" * 4097, "reason_too_long")])
async def test_a_reason_has_words_and_an_end(stage: Stage, reason: str, code: str) -> None:
    with pytest.raises(Refused) as caught:
        await ask.ask(stage.world, stage.who["ada"], "pypnm-gui", reason)
    assert caught.value.code == code


class Heard(News):
    """News that notes what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.topics: list[str] = []

    def tell(self, topic: str) -> None:
        self.topics.append(topic)
        super().tell(topic)


async def test_a_service_that_leaves_the_registry_takes_its_question_with_it(stage: Stage) -> None:
    asked = await stage.ask()
    await stage.register()
    heard = Heard()
    assert (await ask.prove(replace(stage.world, news=heard), asked)).state is State.CANCELLED
    assert asked.id in heard.topics, "whoever follows it is woken"


async def test_nothing_is_needed_right_after_a_restart(stage: Stage) -> None:
    await stage.run(await stage.waiting())
    again = await stage.waiting()
    assert again.need == "NOT_NEEDED"
    insisted = await ask.insist(stage.world, stage.who["ada"], again.id, "It leaks memory.")
    assert await requests.text(stage.db, insisted.insisted_text) == "It leaks memory."
    assert FIXED in stage.alpha.code[PATH]
