"""What a run came to: success is a new process that stays as it should, and nothing else is."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from app.core.outcome import Conclusion, Watch
from app.core.verdict import Code, Finding, Sign, Verdict
from app.managers import MANAGERS
from tests.unit.core.samples import SERVICE

BOOT = "boot 6f0c2a9e"
PROGRAM = "program lab:pypnm-gui RUNNING"
RED, GREEN = [("tftp", False, "10.0.0.1")], [("tftp", True, "172.22.147.18")]


def lines(*pids: int, user: str = "rbron", path: str = "/opt/pypnm-gui-lab") -> tuple[str, ...]:
    return (BOOT, *(f"process {pid} {pid * 10} {user} {path}" for pid in pids), PROGRAM)


BEFORE = lines(4711)


def verdict(*pids: int, code: Code = Code.VERIFIED) -> Verdict:
    seen = "as it is" if code is not Code.VERIFIED else ""
    findings = (Finding("user", "a", "a", True), Finding("path", "/a", seen, False, code)) if seen else ()
    return Verdict(code, findings, "", unit="lab:pypnm-gui", pids=pids)


class Story:
    """A watch that is told what is seen, second by second; ``took`` is how long a look lasts."""

    took = 0.0

    def __init__(
        self,
        before: tuple[str, ...] = BEFORE,
        exit_status: int | None = 0,
        settle: float = 5,
        manager: str = "supervisor",
    ) -> None:
        service = replace(SERVICE, settle_seconds=settle)
        self.watch = Watch.begin(service, before, MANAGERS[manager], exit_status=exit_status)

    def see(
        self,
        at: float,
        *pids: int,
        code: Code = Code.VERIFIED,
        checks: Sequence[tuple[str, bool, str]] = (),
        identity: tuple[str, ...] | None = None,
    ) -> Conclusion:
        shown = lines(*pids) if identity is None else identity
        self.watch, conclusion = self.watch.see(at, verdict(*pids, code=code), shown, checks, took=self.took)
        assert not conclusion.is_success or conclusion.is_final
        return conclusion


@pytest.mark.law(11)
def test_a_new_process_that_stays_for_the_settle_time_is_success() -> None:
    story = Story()
    first = story.see(0, 5012, checks=GREEN)
    assert (first.is_final, first.look_again_in) == (False, 5)
    middle = story.see(3, 5012, checks=GREEN)
    assert (middle.is_final, middle.look_again_in) == (False, 2)
    last = story.see(5, 5012, checks=GREEN)
    assert (last.is_success, last.is_final) == (True, True)
    assert last.why == "A new process (5012) runs as claimed and stayed for 5 s, 1 of 1 checks are green."


@pytest.mark.law(11)
def test_one_look_is_never_enough_whatever_the_settle_time() -> None:
    story = Story(settle=0)
    assert not story.see(0, 5012).is_success
    assert story.see(0.1, 5012).is_success


@pytest.mark.law(11)
@pytest.mark.threat("D22")
@pytest.mark.parametrize("status", [0, 1, None])
def test_the_process_from_before_is_no_success_whatever_the_exit_status(status: int | None) -> None:
    story = Story(exit_status=status)
    for at in range(0, 60, 3):
        assert not story.see(at, 4711).is_success
    assert "was not restarted" in story.see(60, 4711).why


def test_a_refused_command_that_changed_nothing_is_final_after_the_settle_time() -> None:
    story = Story(exit_status=1)
    assert not story.see(0, 4711).is_final
    assert not story.see(4, 4711).is_final
    last = story.see(5, 4711)
    assert (last.is_success, last.is_final) == (False, True)
    assert last.why == "The command exited with 1. What ran before still runs: it was not restarted."


def test_a_refused_command_is_looked_after_twice_even_without_a_settle_time() -> None:
    story = Story(exit_status=1, settle=0)
    assert not story.see(0, 4711).is_final
    assert story.see(0.1, 4711).is_final


def test_a_command_that_exited_well_is_waited_for() -> None:
    story = Story(exit_status=0)
    assert not any(story.see(at, 4711).is_final for at in range(60))
    story.see(60, 5012)
    assert story.see(65, 5012).is_success


@pytest.mark.law(11)
def test_a_new_process_is_success_although_the_command_exited_with_an_error_and_that_is_told() -> None:
    story = Story(exit_status=3)
    story.see(0, 5012)
    last = story.see(5, 5012)
    assert last.is_success
    assert last.why.startswith("The command exited with 3. ")


@pytest.mark.law(11)
@pytest.mark.threat("D22")
def test_a_process_that_does_not_stay_never_settles() -> None:
    story = Story()
    conclusions = [story.see(at, 5000 + at // 3) for at in range(60)]
    assert not any(each.is_final for each in conclusions)
    assert "It does not stay: 20 different ones were seen since the run." in conclusions[-1].why


def test_a_moment_in_which_nothing_runs_is_no_incarnation() -> None:
    story = Story()
    story.see(0, 5012)
    story.see(1, identity=(BOOT, PROGRAM))
    assert "2 different ones were seen" in story.see(2, 5013).why


def test_the_wait_begins_anew_with_each_incarnation() -> None:
    story = Story()
    story.see(0, 5012)
    assert not story.see(5, 5013).is_final
    assert not story.see(9, 5013).is_final
    assert story.see(10, 5013).is_success


@pytest.mark.law(11)
@pytest.mark.parametrize("code", [Code.WRONG_MANAGER, Code.WRONG_PATH, Code.WRONG_PORT, Code.DOWN, Code.NO_SUCH_UNIT])
def test_a_claim_that_is_no_longer_proved_is_no_success_and_begins_the_wait_anew(code: Code) -> None:
    story = Story()
    story.see(0, 5012)
    between = story.see(4, 5012, code=code)
    assert f"does not prove the claim: {code}, path: as it is" in between.why
    assert not story.see(6, 5012).is_success
    assert story.see(11, 5012).is_success


@pytest.mark.law(11)
def test_a_red_check_is_no_success_and_begins_the_wait_anew() -> None:
    story = Story()
    story.see(0, 5012, checks=GREEN)
    assert story.see(4, 5012, checks=RED).why == "Not green: tftp (10.0.0.1)."
    assert not story.see(6, 5012, checks=GREEN).is_success
    assert story.see(11, 5012, checks=GREEN).is_success


@pytest.mark.parametrize("code", [Code.UNREACHABLE, Code.BLIND, Code.HOST_KEY_CHANGED])
def test_a_host_that_does_not_answer_says_nothing_either_way(code: Code) -> None:
    story = Story()
    story.see(0, 5012)
    unseen = story.see(4, code=code, identity=())
    assert (unseen.is_success, unseen.is_final) == (False, False)
    assert "could not be seen" in unseen.why
    assert story.see(6, 5012).is_success


@pytest.mark.law(11)
def test_nothing_running_is_no_success_even_where_a_start_would_be_verified() -> None:
    story = Story()
    for at in (0, 5, 10):
        gone = story.see(at, identity=(BOOT, PROGRAM))
        assert (gone.is_success, gone.why) == (False, "Nothing runs under this name.")
    unit = Story(before=("boot x", "invocation 1"), manager="systemd")
    for at in (0, 5, 10):
        died = unit.see(at, identity=("boot x", "invocation 2"))
        assert not died.is_success
        assert "does not prove the claim" in died.why


@pytest.mark.law(11)
def test_one_of_several_processes_left_from_before_is_no_restart() -> None:
    story = Story(before=lines(4711, 4712))
    assert "was not restarted" in story.see(0, 4712, 5012).why
    story.see(1, 5012, 5013)
    assert story.see(6, 5012, 5013).is_success


def test_a_start_where_nothing_ran_is_a_new_process() -> None:
    story = Story(before=(BOOT, PROGRAM))
    story.see(0, 5012)
    last = story.see(5, 5012)
    assert last.is_success
    assert "works in" not in last.why


def test_only_lines_of_processes_tell_users_and_paths() -> None:
    story = Story(before=(*BEFORE, "process 1", "container aff7 2026 sha256:1 running"))
    after = (*lines(5012), "container aff7 2027 sha256:2 running")
    story.see(0, 5012, identity=after)
    last = story.see(5, 5012, identity=after)
    assert last.is_success
    assert "works in" not in last.why


@pytest.mark.law(11)
def test_another_user_than_before_is_no_success_though_none_is_claimed() -> None:
    story = Story()
    for at in (0, 5, 10):
        other = story.see(at, 5012, identity=lines(5012, user="root"))
        assert (other.is_success, other.why) == (False, "It runs as root now; before as rbron.")


def test_another_path_than_before_is_told() -> None:
    story = Story()
    moved = lines(5012, path="/opt/releases/43")
    story.see(0, 5012, identity=moved)
    last = story.see(5, 5012, identity=moved)
    assert last.is_success
    assert last.why.endswith("It works in /opt/releases/43 now; before in /opt/pypnm-gui-lab.")


def test_a_reused_pid_is_a_new_process() -> None:
    story = Story()
    reused = (BOOT, "process 4711 99999 rbron /opt/pypnm-gui-lab", PROGRAM)
    story.see(0, 4711, identity=reused)
    assert story.see(5, 4711, identity=reused).is_success


class Gentle(Story):
    """The same of an action that leaves the process as it is."""

    def __init__(self, action: str = "reload", exit_status: int | None = 0) -> None:
        super().__init__(exit_status=exit_status)
        self.watch = replace(self.watch, action=action)
        self.signs: tuple[Sign, ...] = ()

    def see(
        self,
        at: float,
        *pids: int,
        code: Code = Code.VERIFIED,
        checks: Sequence[tuple[str, bool, str]] = (),
        identity: tuple[str, ...] | None = None,
    ) -> Conclusion:
        shown = lines(*pids) if identity is None else identity
        seen = verdict(*pids, code=code), shown, checks, self.signs
        self.watch, conclusion = self.watch.see(at, *seen, took=self.took)
        return conclusion


@pytest.mark.law(11)
@pytest.mark.parametrize("action", ["reload", "daemon-reload"])
def test_a_gentler_action_has_succeeded_where_the_same_process_runs_on_with_green_checks(action: str) -> None:
    story = Gentle(action)
    assert not story.see(0, 4711, checks=GREEN).is_final
    assert story.see(3, 4711, checks=RED).why == "Not green: tftp (10.0.0.1)."
    assert not story.see(4, 4711, checks=GREEN).is_final  # the wait begins anew
    assert not story.see(8, 4711, checks=GREEN).is_final
    last = story.see(9, 4711, checks=GREEN)
    assert (last.is_success, last.is_final) == (True, True)
    assert last.why == f"The same process (4711) runs on as claimed, 5 s after the {action}."


@pytest.mark.law(11)
@pytest.mark.law(5)
def test_a_new_process_after_a_reload_is_not_what_was_approved() -> None:
    for pids in ((5012,), (4711, 5012)):
        ended = Gentle().see(0, *pids, checks=GREEN)
        assert (ended.is_success, ended.is_final) == (False, True)
        assert ended.why == "Another process runs now: a reload was approved, which leaves the process as it is."
    gone = Gentle().see(0, identity=(BOOT, PROGRAM))
    assert (gone.is_success, gone.is_final) == (False, True)
    assert gone.why.startswith("Nothing runs under this name now")


@pytest.mark.law(11)
@pytest.mark.parametrize(("status", "said"), [(1, "The command exited with 1."), (None, "cannot tell how the reload")])
def test_a_reload_whose_command_did_not_end_with_0_has_failed(status: int | None, said: str) -> None:
    story = Gentle(exit_status=status)
    for at in (0, 4):
        assert not story.see(at, 4711, checks=GREEN).is_final
    ended = story.see(5, 4711, checks=GREEN)
    assert (ended.is_success, ended.is_final) == (False, True)
    assert said in ended.why


@pytest.mark.law(11)
def test_a_process_that_a_refused_reload_ended_a_moment_later_is_not_said_to_run_on() -> None:
    story = Gentle(exit_status=1)
    story.see(0, 4711, checks=GREEN)
    ended = story.see(1, identity=(BOOT, PROGRAM))
    assert (ended.is_success, ended.is_final) == (False, True)
    assert "Nothing runs under this name now: a reload was approved" in ended.why


def test_a_daemon_reload_after_which_the_manager_has_still_old_files_is_none() -> None:
    story = Gentle("daemon-reload")
    story.signs = (Sign("code", "newer"), Sign("daemon-reload", "systemd has not read the changed files."))
    for at in (0, 5, 10):
        assert story.see(at, 4711).why == "Not done: systemd has not read the changed files."
    story.signs = story.signs[:1]
    story.see(11, 4711)
    assert story.see(16, 4711).is_success


def test_a_host_that_does_not_answer_after_a_reload_says_nothing_either_way() -> None:
    story = Gentle()
    assert not story.see(0, code=Code.UNREACHABLE, identity=()).is_final
    story.see(1, 4711)
    assert story.see(6, 4711).is_success


@pytest.mark.law(11)
@pytest.mark.parametrize(
    ("story", "pid"),
    [
        (Story(), 5012),
        (Story(exit_status=1), 4711),
        (Gentle(), 4711),
        (Gentle(exit_status=1), 4711),
    ],
    ids=["a new process", "the old one, refused", "reloaded", "a refused reload"],
)
def test_how_long_something_stays_is_counted_from_the_end_of_a_look_to_the_beginning_of_one(
    story: Story, pid: int
) -> None:
    story.took = 4
    assert not story.see(0, pid).is_final
    assert not story.see(8, pid).is_final
    assert story.see(9, pid).is_final
