"""What every simulated world begins with: an empty installation with some people and three services, made once."""

import asyncio
import os
import shutil
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random

from app.core.policy import Policy, Role
from app.core.registry import Registry, difference
from app.core.service import JsonCheck, Service
from app.store import people, services
from app.store.engine import Database, open_database
from tests.fakes.clock import FakeClock
from tests.fakes.hosts import FakeHosts
from tests.simulator.hosts import BY_HAND_PATH, BY_HAND_PORT, WatchedHost
from tests.simulator.store import chance_from

START = 1_770_000_000.0
PATH = "/opt/pypnm-gui-lab"
# Where two have to say yes, the host's runs need certificates.
APPROVERS, EXPIRES_SECONDS = (1, 2), (900, 60)
_API = "lab:pypnm-api"
PEOPLE = ("ada", "bo", "cy")
_FIXED = '{"tftp": {"server": "172.22.147.18"}}'
_CHECK = JsonCheck("http://127.0.0.1:5050/api/constellation", "tftp.server", "172.22.147.18")
_ALL = frozenset({Role.REQUESTER, Role.APPROVER, Role.EDITOR})


def build(hosts: FakeHosts, alpha: WatchedHost) -> WatchedHost:
    """Set up the host: services that have run for ten minutes, and the fix of one, which was pulled a minute ago."""
    hosts.hosts[alpha.name] = alpha
    hosts.clock.off = -660.0  # type: ignore[attr-defined]
    alpha.reboot()
    start(alpha)
    hosts.clock.off = -60.0  # type: ignore[attr-defined]
    alpha.pull(PATH, _FIXED)
    hosts.clock.off = 0.0  # type: ignore[attr-defined]
    return alpha


def start(alpha: WatchedHost) -> None:
    """Start what runs on the host: two programs of its supervisord, and one that a person starts by hand."""
    alpha.supervise()
    alpha.supervise(_API, path="/opt/pypnm-api", port=8000)
    alpha.start_by_hand()


@cache
def folder() -> Path:
    """Return a folder for databases, in memory where the system has such a place."""
    shared = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="askfirst-simulator-", dir=shared if shared.is_dir() else None))


def prepare() -> None:
    """Make all templates, before processes are forked that share them."""
    for approvers in APPROVERS:
        for seconds in EXPIRES_SECONDS:
            template(approvers, seconds)


@cache
def template(approvers: int, expires_seconds: int) -> Path:
    """Make an installation, and return its database's file."""
    file = folder() / f"template-{approvers}-{expires_seconds}" / "askfirst.db"
    with chance_from(Random("template")):
        asyncio.run(_make(f"sqlite:///{file}", approvers, expires_seconds))
    return file


def copied(template_file: Path) -> Path:
    """Return a fresh copy of a template; the last one is gone by then."""
    place = folder() / f"world-{os.getpid()}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(mode=0o700)
    shutil.copy(template_file, place / "askfirst.db")
    return place / "askfirst.db"


def clean_up() -> None:
    """Take the databases away."""
    shutil.rmtree(folder(), ignore_errors=True)
    folder.cache_clear()
    template.cache_clear()


async def _make(url: str, approvers: int, expires_seconds: int) -> None:
    db = await open_database(url)
    for name in PEOPLE:
        await people.add(
            db,
            person_id=name,
            name=name.title(),
            email=f"{name}@example.org",
            roles=_ALL,
            groups=("lab-team",),
            password_hash=None,
            by="setup",
            at=START - 1000.0,
            event_id=f"add-{name}",
        )
    await _register(db, approvers, expires_seconds)
    await db.close()


async def _register(db: Database, approvers: int, expires_seconds: int) -> None:
    alpha = WatchedHost("alpha", FakeClock(START - 1000.0), certificates=approvers > 1)
    start(alpha)
    policy = Policy(
        environment="production", approvers=approvers, groups=("lab-team",), expires_seconds=expires_seconds
    )
    claims = (
        replace(alpha.claim(), settle_seconds=1.0, checks=(_CHECK,)),
        replace(alpha.claim(_API, "pypnm-api"), settle_seconds=1.0),
        Service(
            "tftp",
            "alpha",
            "lab-team",
            "manual",
            "tftp-by-hand",
            user="rbron",
            path=BY_HAND_PATH,
            ports=(BY_HAND_PORT,),
            settle_seconds=1.0,
        ),
    )
    change = difference(Registry(), Registry((alpha.host,), claims, (policy,)))
    await services.apply(db, change, by="setup", at=START - 999.0, event_id="registry", base_revision=0)
