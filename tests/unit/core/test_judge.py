"""The judge, on the incident's recorded host and on that host changed in one thing."""

from dataclasses import replace
from types import MappingProxyType

import pytest

from app.core.errors import HostKeyChanged, Unreachable
from app.core.facts import Blind, Writable
from app.core.judge import judge, unreachable
from app.core.level import Level
from app.core.owner import holding
from app.core.service import Service
from app.core.verdict import Code, Finding
from app.managers import MANAGERS
from tests.output.incident import claim
from tests.unit.core.judging import (
    API,
    ASPECTS,
    BY_HAND,
    FACTS,
    GUI,
    UNIT,
    differing,
    finding,
    judged,
    main_of,
    with_identity,
    with_listeners,
    with_processes,
    with_record,
)


@pytest.mark.law(1)
@pytest.mark.parametrize("service", [GUI, UNIT, API, BY_HAND], ids=lambda service: service.name)
def test_a_right_claim_is_verified_with_every_finding_there(service: Service) -> None:
    verdict = judged(service)
    assert verdict.is_verified
    assert [each.aspect for each in verdict.findings] == ASPECTS
    assert all(each.agrees is True and each.code is None for each in verdict.findings)
    assert verdict.pids


def test_an_alias_is_resolved_to_the_units_own_name() -> None:
    assert judged(claim("gui-5054-by-alias")).unit == "gui-5054.service"


def test_one_disagreement_never_hides_another() -> None:
    assert differing(judged(claim("report-unit"))) == {
        "manager": Code.WRONG_MANAGER,
        "name": Code.NO_SUCH_UNIT,
        "process": Code.NO_SUCH_UNIT,
        "user": Code.WRONG_USER,
        "path": Code.WRONG_PATH,
        "ports": Code.WRONG_PORT,
        "restart": Code.NO_SUCH_UNIT,
        "identity": Code.NO_SUCH_UNIT,
    }


def test_a_missing_unit_is_said_even_where_another_manager_holds_the_port() -> None:
    verdict = judged(claim("report-systemd-api"))
    assert verdict.code is Code.NO_SUCH_UNIT
    assert finding(verdict, "manager").code is Code.WRONG_MANAGER
    assert "`pypnm-gui-lab/pypnm-api` under Docker Compose?" in verdict.next_step


def test_an_inactive_unit_beside_a_hand_started_process_is_not_called_down() -> None:
    verdict = judged(claim("hand-started"))
    assert verdict.code is Code.WRONG_MANAGER
    assert finding(verdict, "process").code is Code.DOWN
    pid = holding(5060, FACTS)[0]
    assert f"process {pid} of rbron, since 20" in verdict.next_step
    assert "gunicorn" in verdict.next_step


@pytest.mark.parametrize("name", ["in-tmux", "in-screen", "hand-started", "hostile"])
def test_what_no_manager_runs_is_answered_with_its_owner_its_age_and_its_command_line(name: str) -> None:
    step = judged(claim(name)).next_step
    assert "of rbron, since 20" in step
    assert "/usr/bin/python3" in step
    assert "Ask rbron" in step
    assert "`manager: manual`" in step


def test_a_like_name_is_a_question_and_never_taken() -> None:
    verdict = judged(claim("group-left-out"))
    assert verdict.code is Code.NO_SUCH_UNIT
    assert verdict.near == ("lab:pypnm-gui",)
    assert verdict.next_step.startswith("Did you mean `lab:pypnm-gui`?")
    assert (verdict.unit, verdict.pids) == ("", ())


@pytest.mark.law(1)
def test_who_may_not_see_is_told_how_to_grant_sight() -> None:
    blind = replace(
        with_listeners(lambda each: replace(each, pids=())), uid=1000, user="askfirst", own=MappingProxyType({})
    )
    verdict = judged(GUI, blind)
    assert "sudo" in verdict.next_step
    seen = replace(blind, listeners=FACTS.listeners)
    assert finding(judged(GUI, seen), "manager").agrees is None


@pytest.mark.law(1)
def test_a_process_of_the_unit_that_does_not_descend_from_its_main_process_is_a_second_candidate() -> None:
    main = main_of(UNIT)
    workers = [replace(FACTS.processes[pid], ppid=1) for pid in holding(5054, FACTS) if pid != main.pid]
    verdict = judged(UNIT, with_processes(*workers))
    assert verdict.code is Code.AMBIGUOUS
    assert finding(verdict, "manager").agrees


@pytest.mark.law(1)
def test_an_unseen_ancestor_may_hide_a_nearer_manager() -> None:
    main = main_of(UNIT)
    verdict = judged(UNIT, with_processes(replace(main, ppid=77_777)))
    assert verdict.code is Code.BLIND
    assert "not all ancestors could be seen" in finding(verdict, "manager").observed


@pytest.mark.law(1)
def test_a_manager_that_is_not_what_it_says_is_not_believed() -> None:
    main = main_of(GUI)
    supervisord = FACTS.processes[main.ppid]
    forged = with_processes(replace(supervisord, exe="/home/node/supervisord", exe_uid=1001))
    verdict = judged(GUI, forged)
    assert not verdict.is_verified
    assert finding(verdict, "manager").agrees is False
    assert "not proved" in finding(verdict, "manager").observed
    assert finding(verdict, "ports").agrees is False


@pytest.mark.law(1)
def test_a_main_process_that_was_not_there_when_it_was_looked_at_is_blind() -> None:
    main = main_of(claim("gui-5054-by-name"))
    gone = {pid: each for pid, each in FACTS.processes.items() if pid != main.pid}
    verdict = judged(claim("gui-5054-by-name"), replace(FACTS, processes=MappingProxyType(gone)))
    assert verdict.code is Code.BLIND
    assert finding(verdict, "process").agrees is None


@pytest.mark.law(1)
@pytest.mark.law(5)
@pytest.mark.threat("C4")
def test_an_identity_of_another_incarnation_than_the_one_proved_is_blind() -> None:
    main, lines = main_of(GUI), FACTS.identity[GUI.name]
    later = tuple(
        line.replace(f"process {main.pid} {main.start}", f"process {main.pid} {main.start + 1}") for line in lines
    )
    for changed in ((), lines[:1], later, (*lines, "process 77777 1 rbron /srv"), lines[1:]):
        verdict = judged(GUI, with_identity(GUI, *changed))
        assert verdict.code is Code.BLIND
        assert finding(verdict, "identity").agrees is None
        none_named = finding(verdict, "identity").observed == "no process is named in it"
        assert none_named is (changed == lines[:1])


def test_an_identity_without_the_managers_mark_is_blind() -> None:
    lines = tuple(line for line in FACTS.identity[UNIT.name] if not line.startswith("invocation"))
    assert differing(judged(UNIT, with_identity(UNIT, *lines))) == {"identity": Code.BLIND}


def test_an_old_gate_is_blind_and_never_something_else() -> None:
    for service in (GUI, claim("down"), claim("report-unit")):
        verdict = judged(service, gate="0123456789abcdef")
        assert (verdict.code, len(verdict.findings)) == (Code.BLIND, 1)
    for service in (GUI, claim("report-path")):
        assert "Renew the kit on alpha" in judged(service, gate="0123456789abcdef").next_step


@pytest.mark.parametrize("said", ["open", "enforced", "unknown", "", "sealed "])
def test_a_host_of_another_level_than_the_registry_says_is_blind(said: str) -> None:
    """A host that is said to refuse what nobody signed, and does not, must not pass for one that does."""
    for service in (GUI, claim("down"), claim("report-unit")):
        verdict = judge(service, replace(FACTS, level=said), MANAGERS, FACTS.gate, Level.SEALED)
        assert verdict.code is Code.BLIND
        assert [each.aspect for each in verdict.findings] == ["gate"]
        assert "Renew the kit on alpha" in verdict.next_step


def test_a_host_of_the_level_that_the_registry_says_is_judged_as_any() -> None:
    assert judge(GUI, replace(FACTS, level="sealed"), MANAGERS, FACTS.gate, Level.SEALED).is_verified


def test_a_host_that_was_not_asked_about_the_service_is_blind() -> None:
    assert differing(judged(GUI, replace(FACTS, asked=()))) == {"sight": Code.BLIND}


@pytest.mark.parametrize(("about", "is_blind"), [("", True), ("gui", True), ("api", False), ("ports", False)])
def test_what_was_needed_and_not_seen_is_blind(about: str, is_blind: bool) -> None:
    seen = replace(FACTS, blind=(Blind("the gate", "it was cut short", about),))
    assert judged(GUI, seen).is_verified is not is_blind


def test_a_clock_that_is_off_is_told_and_decides_nothing() -> None:
    early = judged(GUI, replace(FACTS, taken_at=FACTS.now - 38))
    assert early.is_verified
    assert finding(early, "clock").observed == "the host's clock is 38 s ahead of Askfirst's"
    late = judged(GUI, replace(FACTS, taken_at=FACTS.now + 3_700))
    assert finding(late, "clock").observed == "the host's clock is 1 h 1 min behind Askfirst's"
    assert finding(late, "clock").next_step
    assert finding(judged(GUI, replace(FACTS, taken_at=FACTS.now + 2)), "clock").next_step == ""


@pytest.mark.threat("D17")
def test_what_root_runs_and_others_write_is_unsafe() -> None:
    seen = replace(FACTS, writable=MappingProxyType({GUI.name: (Writable("/etc/supervisor", "rbron"),)}))
    verdict = judged(GUI, seen)
    assert verdict.code is Code.UNSAFE
    assert "Let root own /etc/supervisor" in verdict.next_step


def test_what_root_runs_and_nobody_could_look_at_is_blind() -> None:
    unsafe = claim("unsafe")
    pid = holding(5066, FACTS)[0]
    main = FACTS.processes[judged(unsafe).pids[0]]
    seen = replace(with_processes(replace(main, exe=None)), writable=MappingProxyType({}))
    assert finding(judged(unsafe, seen), "safety").agrees is None
    assert judged(unsafe, replace(seen, writable=FACTS.writable)).code is Code.UNSAFE
    assert pid in seen.processes
    assert judged(API, with_processes(replace(main_of(API), exe=None))).is_verified


def test_a_mistyped_instance_of_a_template_is_down_however_loaded_it_is() -> None:
    assert judged(claim("mistyped-instance")).code is Code.DOWN


def test_a_manager_that_was_not_asked_is_blind_and_what_it_seems_to_run_is_no_proof() -> None:
    verdict = judged(claim("not-told"))
    assert verdict.code is Code.BLIND
    assert finding(verdict, "restart").agrees is None
    assert finding(verdict, "ports").agrees is None
    assert "seems to be run by PM2, which is not proved" in finding(verdict, "manager").observed


def test_a_manager_that_is_only_recognised_says_so() -> None:
    said = finding(judged(replace(GUI, manager="tmux")), "restart")
    assert said.agrees is None
    assert "tmux is recognised, and not driven" in said.observed


def test_a_manager_that_this_version_does_not_have_is_blind() -> None:
    verdict = judged(replace(GUI, manager="upstart"))
    assert verdict.code is Code.BLIND
    assert "one of compose, docker," in verdict.next_step


@pytest.mark.parametrize("manager", ["tmux", "screen", "none", "kubernetes"])
def test_what_cannot_be_claimed_is_never_verified(manager: str) -> None:
    assert judged(replace(GUI, manager=manager)).code is Code.BLIND


def test_a_service_restarted_by_hand_is_verified_whoever_runs_it() -> None:
    verdict = judged(claim("gui-5051-by-hand"))
    assert verdict.is_verified
    assert "it is run by tmux" in finding(verdict, "manager").observed
    assert finding(verdict, "restart").observed == "a person does it by hand"


def test_a_service_restarted_by_hand_still_has_its_user_path_and_port() -> None:
    service = claim("gui-5053-by-hand")
    assert judged(replace(service, user="root")).code is Code.WRONG_USER
    assert judged(replace(service, path="/srv")).code is Code.WRONG_PATH
    assert judged(replace(service, ports=(5053, 4))).code is Code.WRONG_PORT
    assert judged(replace(service, ports=(4,))).code is Code.DOWN


def test_a_name_that_fits_more_than_one_is_a_question() -> None:
    two = replace(claim("gui-5053-by-hand"), ports=(), path="/opt/pypnm-gui-lab")
    verdict = judged(two)
    assert verdict.code is Code.AMBIGUOUS
    assert finding(verdict, "name").agrees is False
    assert finding(verdict, "process").code is Code.AMBIGUOUS
    assert verdict.next_step.startswith("Which of `gunicorn ")


def test_a_path_may_be_shared_where_the_main_process_is_in_it() -> None:
    others = {each.pid for each in FACTS.processes.values() if each.cwd == "/opt/pypnm-gui-lab"} - set(judged(GUI).pids)
    assert others
    assert judged(claim("gui-by-path")).is_verified


def test_where_no_port_is_claimed_the_path_leads_to_who_runs_there() -> None:
    verdict = judged(replace(claim("report-docker-gui"), ports=(), path="/opt/pypnm-gui-lab"))
    assert verdict.code is Code.NO_SUCH_UNIT
    assert finding(verdict, "manager").code is Code.WRONG_MANAGER


def test_a_persons_shell_in_the_path_is_not_taken_for_the_service() -> None:
    shell = replace(FACTS.processes[holding(5053, FACTS)[0]], pid=77_777, argv=("bash",), comm="bash", cwd="/srv")
    typing = with_processes(shell)
    verdict = judged(Service("x", "alpha", "lab-team", "docker", "x", None, "/srv"), typing)
    assert "process 77777" not in finding(verdict, "manager").observed
    assert f"process {holding(5063, FACTS)[0]} " in finding(verdict, "manager").observed


def test_where_nothing_runs_by_a_name_the_path_tells_who_else_works_there() -> None:
    verdict = judged(replace(claim("down"), path="/opt/pypnm-gui-lab"))
    assert verdict.code is Code.WRONG_MANAGER
    assert finding(verdict, "process").code is Code.DOWN


def test_unclaimed_aspects_are_shown_and_ask_nothing() -> None:
    verdict = judged(claim("gui-5054-by-name"))
    assert finding(verdict, "user") == Finding("user", "not claimed", "rbron", agrees=True)
    assert finding(verdict, "path").observed == "/opt/pypnm-gui-lab"
    assert finding(verdict, "ports").observed == "5054"


def test_a_user_that_cannot_be_seen_in_a_path_that_cannot_be_seen_is_no_agreement() -> None:
    main = main_of(GUI)
    hidden = with_processes(replace(main, cwd=None))
    assert differing(judged(GUI, hidden)) == {"path": Code.BLIND}
    assert judged(replace(GUI, path=None), hidden).is_verified


def test_a_word_that_no_warrant_can_hold_is_not_verified() -> None:
    verdict = judged(UNIT, with_record("systemd", UNIT.unit, id="odd\\x2d.service", names=UNIT.unit))
    assert finding(verdict, "restart").agrees is None


@pytest.mark.law(13)
@pytest.mark.threat("E2")
@pytest.mark.threat("E5")
def test_hostile_text_of_a_host_reaches_no_finding_unmasked_or_alive() -> None:
    verdict = judged(claim("hostile"))
    said = verdict.next_step + "".join(each.observed + each.next_step for each in verdict.findings)
    assert "‹ESC›[2J" in said
    assert "‹U+202E›" in said
    assert "hunter2" not in said
    assert not {"\x1b", "\n", "\u202e"} & set(said)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unreachable("No answer within 20 s.", next_step="Try later."), Code.UNREACHABLE),
        (HostKeyChanged("Another key.", next_step="Compare the key."), Code.HOST_KEY_CHANGED),
        (Unreachable("Garbage.", next_step="Renew the kit.", code="garbled"), Code.BLIND),
    ],
)
def test_a_host_that_gave_no_answer_is_a_verdict(error: Unreachable, code: Code) -> None:
    verdict = unreachable(GUI, error)
    assert (verdict.code, verdict.next_step, verdict.is_verified) == (code, error.next_step, False)
    assert [(each.agrees, each.code) for each in verdict.findings] == [(None, code)]


def test_each_verdict_but_verified_says_what_a_person_does_next() -> None:
    for name in (
        "report-unit",
        "report-path",
        "report-user",
        "wrong-port",
        "another-unit",
        "its-socket",
        "masked",
        "unsafe",
    ):
        verdict = judged(claim(name))
        assert verdict.next_step.endswith((".", "?"))
        assert "Ask " in verdict.next_step or "Let root" in verdict.next_step
