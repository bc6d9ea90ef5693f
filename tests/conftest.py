"""How the suite is collected: which tests need what, and that no law and no threat in reach goes without one.

Tests in `tests/lab` and `tests/browser` carry their marker by their folder. They are skipped, with what they lacked,
until `--lab` or `--browser` asks for them. Fixtures live beside the tests that use them, not here.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.threats import REACHED, WAITING

# A suite that several files share: where it fails it tells as much as they do.
pytest.register_assert_rewrite("tests.fakes.conformance")

LAWS = range(1, 14)
WHOLE = ("tests/browser/", "tests/integration/demo/test_demo.py")
NEEDS = {
    "lab": "needs real hosts (root on Debian), which --lab allows",
    "browser": "needs Chromium, which --browser allows",
}

# A slow machine is not a failing test.
hypothesis.settings.register_profile("askfirst", deadline=None, print_blob=True)
hypothesis.settings.load_profile("askfirst")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("askfirst")
    for name, need in NEEDS.items():
        group.addoption(f"--{name}", action="store_true", help=f"run the tests marked {name}: {need}")
    group.addoption("--require-laws", action="store_true", help="refuse the collection if a law of 1 to 13 has no test")
    group.addoption("--require-threats", action="store_true", help="the same for each threat of tests/threats.py")
    group.addoption("--no-skips", action="store_true", help="fail if a test was skipped or expected to fail")


def pytest_configure(config: pytest.Config) -> None:
    counts = [option for option in ("--require-laws", "--require-threats") if config.getoption(option)]
    if counts and config.getoption("numprocesses", None):
        raise pytest.UsageError(f"{counts[0]} counts in one process: run it with --collect-only and without -n")


@pytest.hookimpl(tryfirst=True)  # before -m and -k take tests away
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    tests = Path(__file__).parent
    items.sort(key=lambda item: not item.nodeid.startswith("tests/lab/"))  # what waits most begins first
    for item in items:
        folder = item.path.relative_to(tests).parts[0] if item.path.is_relative_to(tests) else ""
        if folder in NEEDS:
            item.add_marker(folder)
        for name, need in NEEDS.items():
            if item.get_closest_marker(name) and not config.getoption(f"--{name}"):
                item.add_marker(pytest.mark.skip(reason=need))
    problems = [f"{item.nodeid}: {problem}" for item in items for problem in _bad_marks(item)]
    if config.getoption("--require-laws"):
        kept = _named(items, "law")
        problems += [f"law {law} has no test: mark one with @pytest.mark.law({law})" for law in LAWS if law not in kept]
    if config.getoption("--require-threats"):
        kept = _named(items, "threat")
        problems += [f"threat {row} has no test ({what})" for row, what in REACHED.items() if row not in kept]
        problems += [
            f"threat {row} has a test: it no longer waits for {what}" for row, what in WAITING.items() if row in kept
        ]
    if problems:
        raise pytest.UsageError(*problems)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return ByFolder(config, log)


class ByFolder(LoadScopeScheduling):
    """One worker owns the browser, one a fleet; all other tests go wherever there is room, a file's on hosts together.

    xdist's own groups do the same by marks, which it cannot hand on under this version of pytest.
    """

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith("tests/lab/"):
            return nodeid.partition("::")[0]
        return next((whole for whole in WHOLE if nodeid.startswith(whole)), nodeid)


def _named(items: list[pytest.Item], mark: str) -> set[object]:
    return {each.args[0] for item in items for each in item.iter_markers(mark) if each.args}


def _bad_marks(item: pytest.Item) -> Iterator[str]:
    for mark in item.iter_markers("law"):
        if len(mark.args) != 1 or mark.args[0] not in LAWS:
            yield f"law{mark.args} is not one law of 1 to 13"
    for mark in item.iter_markers("threat"):
        if len(mark.args) != 1 or mark.args[0] not in REACHED | WAITING:
            yield f"threat{mark.args} is not one entry of tests/threats.py, such as B4"


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if _left_out(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if left_out := _left_out(config):
        terminalreporter.section("left out, which --no-skips forbids", red=True)
        for report in left_out:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else "expected to fail"
            terminalreporter.write_line(f"{report.nodeid}: {reason}")


def _left_out(config: pytest.Config) -> list[pytest.TestReport]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not config.getoption("--no-skips"):
        return []
    return [report for kind in ("skipped", "xfailed") for report in reporter.stats.get(kind, [])]
