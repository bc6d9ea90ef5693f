"""The whole flow over a little world: a real database, a fake host, a clock that goes when it is told to."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from app.core.lifecycle import WANTING_WORK, Request
from app.core.policy import Attempt, Person, Policy, Role, Via
from app.core.registry import Registry, difference
from app.core.service import Host, JsonCheck, Service
from app.flow import ask, decide
from app.flow.ids import new_id
from app.flow.ports import Limits, News, World
from app.flow.worker import Worker
from app.store import people, requests, services
from app.store.engine import Database
from app.store.leases import LONGEST_SECONDS
from tests.fakes.clock import FakeClock
from tests.fakes.host import FakeHost
from tests.fakes.hosts import FakeHosts
from tests.integration.databases import Databases, is_file, set_clock

PATH = "/opt/pypnm-gui-lab"
FIXED = '{"tftp": {"server": "172.22.147.18"}}'
CHECK = JsonCheck("http://127.0.0.1:5050/api/constellation", "tftp.server", "172.22.147.18")
ALL = frozenset({Role.REQUESTER, Role.APPROVER, Role.EDITOR})


@dataclass
class Stage:
    """A world with the incident's GUI on host alpha, and people by their first names."""

    world: World
    alpha: FakeHost
    hosts: FakeHosts
    clock: FakeClock
    url: str
    who: dict[str, Person] = field(default_factory=dict)

    @property
    def db(self) -> Database:
        return self.world.db

    async def register(
        self,
        *entries: Service,
        host: Host | None = None,
        approvers: int = 1,
        groups: Sequence[str] = ("lab-team",),
        **terms: Any,
    ) -> None:
        """Make the registry hold exactly these services on alpha, as it is unless told otherwise, under one policy."""
        policy = Policy(environment="production", approvers=approvers, groups=tuple(groups), **terms)
        wanted = Registry((host or self.alpha.host,), tuple(entries), (policy,))
        current = await services.registry(self.db)
        await services.apply(
            self.db,
            difference(current, wanted),
            by="setup",
            at=self.clock.now(),
            event_id=new_id(self.clock.now()),
            base_revision=current.revision,
        )

    async def add(
        self,
        name: str,
        *,
        roles: frozenset[Role] = ALL,
        groups: tuple[str, ...] = ("lab-team",),
        human: str | None = None,
    ) -> Person:
        account = await people.add(
            self.db,
            person_id=new_id(self.clock.now()),
            name=name.title(),
            email=f"{name}@example.org",
            roles=roles,
            groups=groups,
            password_hash=None,
            human=human,
            by="setup",
            at=self.clock.now(),
            event_id=new_id(self.clock.now()),
        )
        self.who[name] = account.person
        return account.person

    async def ask(self, name: str = "ada", service: str = "pypnm-gui", key: str | None = None) -> Request:
        return await ask.ask(self.world, self.who[name], service, "The fix is pulled.", key=key)

    async def waiting(self, name: str = "ada") -> Request:
        """Ask, and let the host prove it."""
        return await ask.prove(self.world, await self.ask(name))

    async def approve(self, request: Request, name: str = "bo", digest: str | None = None) -> Request:
        wanted = request.digest if digest is None else digest
        attempt = Attempt(self.who[name], Via.SESSION, await self.world.time(), wanted)
        return await decide.approve(self.world, attempt, request.id)

    async def work(self, request: Request, worker: Worker | None = None) -> Request:
        """Let a worker bring a request on for as long as it wants work and moves."""
        worker = worker or Worker(self.world)
        for _ in range(20):
            before = (await requests.load(self.db, request.id)).version
            await worker.once()
            request = await requests.load(self.db, request.id)
            if request.state not in WANTING_WORK or request.version == before:
                break
        return request

    async def run(self, request: Request) -> Request:
        return await self.work(await self.approve(request))


@asynccontextmanager
async def staged(url: str, databases: Databases) -> AsyncIterator[Stage]:
    """Set a stage on a database of its own, whose clock is that of whoever asks, on a server as in a file."""
    clock = FakeClock()
    hosts = FakeHosts(clock)
    alpha = hosts.add("alpha")
    alpha.supervise()
    clock.advance(600)
    db = await databases.open(url)
    if not is_file(url):
        set_clock(url, "NULL")
    limits = Limits(lease_seconds=LONGEST_SECONDS)  # this clock leaps, and renews nothing while it does
    made = Stage(World(db, hosts, clock, News(), limits=limits, worker="one"), alpha, hosts, clock, url)
    for name in ("ada", "bo", "cy"):
        await made.add(name)
    await made.register(replace(alpha.claim(), checks=(CHECK,)))
    alpha.pull(PATH, FIXED)
    clock.advance(60)
    yield made
    await db.close()


@pytest.fixture
async def stage(url: str, databases: Databases) -> AsyncIterator[Stage]:
    async with staged(url, databases) as made:
        yield made
