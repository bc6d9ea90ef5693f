"""No text makes a pattern of ours run for ever: each is tried on text that is made to have it go back and try again."""

import importlib
import pkgutil
import re
import signal
from collections.abc import Iterator
from types import FrameType

import pytest

import app

LONG = 20_000
PROGRAM = "app.cli.fleet_gui"  # the demo's service: run, never imported
# Runs of what most patterns repeat, with an end that none of them takes.
PARTS = (
    "a",
    "A",
    "0",
    " ",
    "-",
    "--a ",
    "a.",
    "a/",
    "/",
    ".",
    "=",
    "=a",
    "://",
    "a=b ",
    "\\",
    '"',
    "'",
    '\\"',
    "\x1b[",
    "\n",
)
STARTS = ("", "password=", "https://", "--token ", "-----BEGIN RSA PRIVATE KEY-----", '"key": "', "eyJ")
ENDS = ("", "!", "\x00", "\n!", "@")


def patterns() -> Iterator[tuple[str, re.Pattern[str]]]:
    for module in pkgutil.walk_packages(app.__path__, "app."):
        if module.name == PROGRAM:
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            values = value if isinstance(value, tuple | list) else [value]
            for each in values:
                if isinstance(each, re.Pattern) and isinstance(each.pattern, str):
                    yield f"{module.name}.{name}", each


ALL = {f"{name} {each.pattern}": each for name, each in patterns()}


def too_long(signum: int, frame: FrameType | None) -> None:
    raise AssertionError("it goes back and tries again")


@pytest.mark.threat("H4")
@pytest.mark.parametrize("name", sorted(ALL))
def test_a_pattern_reads_each_text_once(name: str) -> None:
    """A bound a hundred times what any of them needs; one that multiplies its tries would need the age of the world."""
    pattern = ALL[name]
    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(60)
    try:
        for part in PARTS:
            for start in STARTS:
                for end in ENDS:
                    text = start + part * (LONG // len(part)) + end
                    pattern.fullmatch(text)  # as claims, records and forms are read; masking has a test of its own
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_the_patterns_were_found() -> None:
    assert len(ALL) >= 20
    assert any(name.startswith("app.core.service.UNIT") for name in ALL)
