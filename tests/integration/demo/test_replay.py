"""The incident's story, told by a real fleet in a process of its own."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.integration.demo.conftest import RUN, environment


@pytest.fixture(scope="module")
def told(short_folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RUN, "demo", "--replay"],
        env=environment(short_folder),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_every_step_ends_as_it_should(told: subprocess.CompletedProcess[str]) -> None:
    assert told.returncode == 0, told.stdout + told.stderr
    assert "Every step ended as it should." in told.stdout
    assert "  NOT " not in told.stdout
    assert told.stderr == ""


def test_each_wrong_claim_of_the_report_is_blocked_with_what_to_do_next(told: subprocess.CompletedProcess[str]) -> None:
    chapters = re.findall(r"^THE REPORT: .+\n((?:  .+\n)+)", told.stdout, re.MULTILINE)
    verdicts = [re.findall(r"ok   R-\w{4} BLOCKED: (\w+)", chapter) for chapter in chapters]
    assert [len(found) for found in verdicts] == [1] * 7
    assert {"WRONG_PATH", "WRONG_USER", "WRONG_MANAGER", "HOST_KEY_CHANGED"} <= {found[0] for found in verdicts}
    assert all("claimed" in chapter and re.search(r"next: \w", chapter) for chapter in chapters)


@pytest.mark.law(7)
def test_who_asked_is_refused_and_another_approves(told: subprocess.CompletedProcess[str]) -> None:
    assert "ok   her yes, sent all the same, is refused (403)" in told.stdout
    assert "Bo presses Approve." in told.stdout


@pytest.mark.law(11)
def test_a_real_process_was_replaced_by_another(told: subprocess.CompletedProcess[str]) -> None:
    found = re.search(r"ok   process (\d+) is gone, process (\d+) answers", told.stdout)
    assert found is not None
    assert found[1] != found[2]
    assert not Path(f"/proc/{found[2]}").exists()


def test_nothing_stays_behind(told: subprocess.CompletedProcess[str], short_folder: Path) -> None:
    assert told.returncode == 0
    assert list(short_folder.iterdir()) == []
