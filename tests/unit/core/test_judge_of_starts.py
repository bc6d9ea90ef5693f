"""The judge on a claim under which nothing runs: down, or a start where the claim allows one."""

from dataclasses import replace

import pytest

from app.core.verdict import Code
from tests.output.incident import claim
from tests.unit.core.judging import FACTS, GUI, finding, judged, with_identity, with_record


def test_nothing_running_is_down_and_a_start_only_where_the_claim_allows_it() -> None:
    down, start = judged(claim("down")), judged(claim("lazy-start"))
    assert (down.code, start.code) == (Code.DOWN, Code.VERIFIED)
    assert finding(start, "process").observed == "nothing runs: this would be a start, not a restart"
    assert "this would be a start" in start.next_step
    assert start.pids == ()
    assert "`start: true`" in down.next_step


def test_a_start_is_not_verified_while_somebody_else_holds_its_port() -> None:
    assert judged(claim("hand-started-start")).code is Code.WRONG_MANAGER


def test_the_ports_of_a_start_are_judged_again_once_it_runs() -> None:
    start = judged(replace(claim("lazy-start"), ports=(4,)))
    assert start.is_verified
    assert finding(start, "ports").observed == "4 is held by nobody; judged again once it is started"
    assert finding(judged(replace(claim("down"), ports=(4,))), "ports").code is Code.DOWN


def test_the_user_and_path_of_a_start_are_the_managers_word_or_judged_again_once_it_runs() -> None:
    start = replace(claim("lazy-start"), user="rbron", path="/opt/pypnm-gui-lab", ports=(4,))
    assert judged(start).is_verified
    assert judged(replace(start, user="root")).code is Code.WRONG_USER
    silent = with_record("systemd", "lazy.service", user="", dir="")
    assert judged(start, silent).is_verified
    assert finding(judged(start, silent), "user").observed == "nothing runs: judged once it is started"
    assert finding(judged(replace(start, start=False), silent), "user").code is Code.DOWN


def test_each_claimed_port_is_told_by_itself() -> None:
    observed = finding(judged(replace(GUI, ports=(5050, 5099))), "ports").observed
    assert observed.startswith("0.0.0.0:5050 is held by its own process")
    assert observed.endswith("5099 is held by nobody")


def test_a_claim_that_allows_a_start_is_a_restart_while_it_runs() -> None:
    verdict = judged(replace(GUI, start=True))
    assert verdict.is_verified
    assert str(verdict.pids[0]) in finding(verdict, "process").observed
    assert "start, since" not in verdict.next_step


def test_a_start_is_bound_too() -> None:
    start = claim("lazy-start")
    assert judged(start, with_identity(start)).code is Code.BLIND
    assert judged(start, with_identity(start, "boot x", "process 9 9 rbron /srv")).code is Code.BLIND


@pytest.mark.law(1)
def test_a_gate_that_may_not_run_the_command_cannot_even_prove_a_start() -> None:
    start = claim("lazy-start")
    assert judged(start).is_verified
    seen = judged(start, replace(FACTS, uid=1001, user="blind"))
    assert seen.code is Code.BLIND
    assert finding(seen, "restart").observed == "blind may not run it as root"
    assert "sudo" in finding(seen, "restart").next_step
