"""The lab's hosts as fixtures. They are gone when the session ends, also where it ends by a signal."""

import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.conftest import CHROMIUM
from tests.lab.hosts import Lab, LabHost
from tests.lab.machine import LabError, Process

NewHost = Callable[..., LabHost]


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The lab with its template built, for this session alone."""
    if os.geteuid():
        pytest.skip("needs root: the lab mounts file systems and makes a bridge")
    # Each worker has hosts of its own.
    given, worker = os.environ.get("ASKFIRST_LAB_PREFIX"), os.environ.get("PYTEST_XDIST_WORKER", "")
    prefix = f"{given}{worker}" if given else f"t{os.getpid()}-"
    lab = Lab(owner=Process.of(os.getpid()), prefix=prefix)
    lab.build()
    lab.clear_leftovers()
    in_main_thread = threading.current_thread() is threading.main_thread()
    # A plain SIGTERM would end pytest without its finalizers.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler) if in_main_thread else None
    try:
        yield lab
    finally:
        problems = []
        for name in lab.names():
            try:
                lab.find(name).discard()
            except (LabError, OSError) as error:
                problems.append(f"{name}: {error}")
        if in_main_thread:
            signal.signal(signal.SIGTERM, before)
        assert not problems, problems


@pytest.fixture(scope="session")
def alpha(lab: Lab) -> LabHost:
    """A host with the incident on it, every port answering. Shared: a test that changes it says so and mends it."""
    host = lab.host("alpha")
    host.boot()
    host.replay("incident")
    return host


@pytest.fixture
def new_host(lab: Lab) -> Iterator[NewHost]:
    """Call it with a name, and a scenario if wanted: a booted host for one test, that may do with it what it likes."""
    made = []

    def make(name: str, scenario: str | None = None, cgroup: str = "hybrid") -> LabHost:
        host = lab.host(name, cgroup)
        made.append(host)
        host.boot()
        if scenario:
            host.replay(scenario)
        return host

    yield make
    for host in made:
        host.discard()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser of a file's own: while one is open no test of this process can have a loop."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()
