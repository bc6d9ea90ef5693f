"""A real server, a real browser, and axe. The browser is Debian's Chromium; axe comes from npm, once, by its hash."""

import asyncio
import base64
import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.integration.web.seed import PASSWORD

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
CHROMIUM = "/usr/bin/chromium"
# An authenticator in the browser, as a laptop has one: it knows its user, by a finger that is always there.
KEY = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}
AXE = ("axe-core", "4.14.1", "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==")


@dataclass(frozen=True)
class Site:
    """A served store: its address, its database, and a request for each state by name."""

    base: str
    database: str
    requests: dict[str, str]

    def request(self, name: str) -> str:
        """Return the address of a request."""
        return f"{self.base}/requests/{self.requests[name]}"


@contextlib.contextmanager
def served(**settings: str) -> Iterator[Site]:
    """Serve a request in every state, by a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.browser.server", folder],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), **settings},
        )
        assert process.stdout
        try:
            line = process.stdout.readline()
            assert line, "the server ended before it served"
            yield Site(**json.loads(line))
        finally:
            process.terminate()
            process.wait(30)
            process.stdout.close()


def run(what: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run something asynchronous: in a thread, since the browser's own loop runs in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(what())).result()


def sign_in(page: Page, site: Any, who: str, password: str = PASSWORD) -> None:
    """Sign in on the page's own form."""
    page.goto(f"{site.base}/sign-in")
    page.get_by_label("E-mail").fill(who if "@" in who else f"{who}@example.org")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{site.base}/")


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    with served() as one:
        yield one


# Not for the whole session: while Playwright is open its event loop runs, and no other test could run one of its own.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def person(chromium: Browser, site: Site) -> Iterator[Callable[..., Page]]:
    """Return a maker of pages, each in a browser of its own that somebody has signed in to."""
    made: list[BrowserContext] = []

    def make(who: str, **options: Any) -> Page:
        context = chromium.new_context(**options)
        made.append(context)
        page = context.new_page()
        sign_in(page, site, who)
        return page

    yield make
    for context in made:
        context.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """Return axe's text: fetched once by name and version, and taken only if its hash is the one known here."""
    name, version, known = AXE
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "askfirst-tests"
    cache.mkdir(parents=True, exist_ok=True)
    archive = cache / f"{name}-{version}.tgz"
    if not archive.exists():
        subprocess.run(["npm", "pack", f"{name}@{version}"], cwd=cache, check=True, capture_output=True)
    packed = archive.read_bytes()
    assert base64.b64encode(hashlib.sha512(packed).digest()).decode() == known
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        member = tar.extractfile("package/axe.min.js")
        assert member
        return member.read().decode()
