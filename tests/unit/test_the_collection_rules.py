"""The suite's own rules, tried on small suites in a folder of their own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.threats import REACHED, WAITING

TESTS = Path(__file__).parents[1]
ALL_THREATS = "\n".join(f"@pytest.mark.threat('{row}')\ndef test_{row}(): pass" for row in REACHED)
ALL_LAWS = "\n".join(f"@pytest.mark.law({law})\ndef test_law_{law}(): pass" for law in range(1, 14))


def run_suite(root: Path, files: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    """Run a suite that has our conftest.py, our list of threats and our pyproject.toml."""
    for name, text in files.items():
        (root / "tests" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "tests" / name).write_text(f"import pytest\n{text}\n")
    for name in ("conftest.py", "threats.py"):
        shutil.copy(TESTS / name, root / "tests" / name)
    shutil.copy(TESTS.parent / "pyproject.toml", root / "pyproject.toml")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=root, env=clean, capture_output=True, text=True, check=False)


def test_a_suite_with_a_test_for_every_law_is_collected(tmp_path: Path) -> None:
    ran = run_suite(tmp_path, {"test_laws.py": ALL_LAWS}, "--require-laws", "--collect-only")
    assert ran.returncode == pytest.ExitCode.OK, ran.stderr


def test_a_law_without_a_test_fails_the_collection_by_its_number(tmp_path: Path) -> None:
    files = {"test_laws.py": ALL_LAWS.replace("law(7)", "law(6)")}
    ran = run_suite(tmp_path, files, "--require-laws", "--collect-only")
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert "law 7 has no test" in ran.stderr
    assert "law 6" not in ran.stderr


def test_laws_are_not_counted_by_several_workers(tmp_path: Path) -> None:
    ran = run_suite(tmp_path, {"test_laws.py": ALL_LAWS}, "--require-laws", "-n2")
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert "counts in one process" in ran.stderr


def test_a_suite_with_a_test_for_every_threat_in_reach_is_collected(tmp_path: Path) -> None:
    ran = run_suite(tmp_path, {"test_threats.py": ALL_THREATS}, "--require-threats", "--collect-only")
    assert ran.returncode == pytest.ExitCode.OK, ran.stderr


def test_a_threat_that_lost_its_test_fails_the_collection_by_its_name(tmp_path: Path) -> None:
    files = {"test_threats.py": ALL_THREATS.replace("threat('F2')", "threat('F1')")}
    ran = run_suite(tmp_path, files, "--require-threats", "--collect-only")
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert "threat F2 has no test" in ran.stderr
    assert "threat F1 " not in ran.stderr


def test_a_threat_that_is_tested_does_not_wait_any_more(tmp_path: Path) -> None:
    waits = next(iter(WAITING))
    files = {"test_threats.py": f"{ALL_THREATS}\n@pytest.mark.threat('{waits}')\ndef test_more(): pass"}
    ran = run_suite(tmp_path, files, "--require-threats", "--collect-only")
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"threat {waits} has a test" in ran.stderr


def test_a_mark_that_names_nothing_is_refused(tmp_path: Path) -> None:
    wrong = ["law(14)", "law(0)", "law()", "law(1, 2)", "threat('everything')", "threat('Z9')", "threat()"]
    tests = [f"@pytest.mark.{mark}\ndef test_{number}(): pass" for number, mark in enumerate(wrong)]
    ran = run_suite(tmp_path, {"test_it.py": "\n".join(tests)})
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert [number for number in range(len(wrong)) if f"test_it.py::test_{number}: " not in ran.stderr] == []


@pytest.mark.parametrize("folder", ["lab", "browser"])
def test_what_a_folder_needs_is_asked_for_by_name_and_said_when_it_lacks(tmp_path: Path, folder: str) -> None:
    files = {f"{folder}/test_it.py": "def test_it(): pass"}
    assert f"which --{folder} allows" in run_suite(tmp_path, files, "-rs").stdout
    assert "1 passed" in run_suite(tmp_path, files, f"--{folder}").stdout


@pytest.mark.parametrize(
    ("mark", "workers"), [("skip(reason='no disk')", "-n0"), ("skip(reason='no disk')", "-n2"), ("xfail", "-n0")]
)
def test_nothing_is_left_out_where_no_skips_is_asked(tmp_path: Path, mark: str, workers: str) -> None:
    files = {"test_it.py": f"@pytest.mark.{mark}\ndef test_it(): assert False\ndef test_more(): pass"}
    assert run_suite(tmp_path, files, workers).returncode == pytest.ExitCode.OK
    ran = run_suite(tmp_path, files, workers, "--no-skips")
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED
    assert "test_it.py::test_it: " in ran.stdout
