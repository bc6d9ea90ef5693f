"""Links that others open, files that bring more than claims, policies that are lowered, and a log that is full."""

import asyncio
import gzip
import io
import zipfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pytest
from fastapi import FastAPI

from app.core.errors import AskfirstError, Broken, Refused
from app.core.facts import Facts
from app.core.lifecycle import ENDED, State
from app.core.policy import Attempt, Policy, Via, lowered
from app.core.registry import with_entry
from app.core.service import Host, Service
from app.core.warrant import read
from app.flow import ask, decide, registry
from app.flow.people import operator
from app.flow.ports import World
from app.flow.registry_file import parse
from app.flow.worker import Worker
from app.store import requests, services
from app.store.engine import Database, open_database
from app.store.log import Tx
from app.store.verify import verify
from tests.fakes.hosts import FakeHosts
from tests.integration.api.conftest import Api
from tests.integration.flow.conftest import Stage
from tests.integration.store.sample import note
from tests.integration.web.conftest import Clock
from tests.integration.web.seed import Seed

Make = Callable[..., Any]
T = TypeVar("T")
FILE = """
hosts:
  - {name: alpha, address: 10.0.0.5, environment: production}
services:
  - name: gui
    host: alpha
    owner: lab-team
    manager: systemd
    unit: gui.service
policies:
  - {environment: production, groups: [lab-team]}
"""


@pytest.mark.threat("J1")
async def test_a_link_only_opens_the_page_whoever_opens_it(browser: Make, world: World, seed: Seed) -> None:
    """A mail scanner without a session, a colleague with one, and either with the digest in the address."""
    waiting = await seed.waiting()
    link = f"/requests/{waiting.id}"
    for path in (link, f"{link}?digest={waiting.digest}&decision=approve", f"{link}/approve?digest={waiting.digest}"):
        nobody = await (await browser()).get(path)
        assert nobody.status_code in {303, 405}
        assert nobody.headers.get("location", "/sign-in").startswith("/sign-in")
        assert "pypnm-gui" not in nobody.text
        for who in ("odo", "bo"):
            assert (await (await browser(who)).get(path)).status_code in {200, 405}
    shown = (await (await browser("odo")).get(link)).text
    assert 'id="approve"' not in shown, "who may not approve has no button, whoever sent the link"
    assert (await requests.load(world.db, waiting.id)).version == waiting.version


@pytest.mark.threat("K2")
@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("services", "argv: [rm, -rf, /]"),
        ("services", "command: rm -rf /"),
        ("services", "restart: /bin/evil"),
        ("services", "sudo: true"),
        ("services", "environment: staging"),
        ("services", "ssh_key: /root/.ssh/id_ed25519"),
        ("hosts", "key: /root/.ssh/id_ed25519"),
        ("hosts", "password: hunter2"),
        ("hosts", "proxy_command: nc evil 22"),
        ("policies", "requester: ada"),
    ],
)
def test_a_file_cannot_bring_a_command_a_key_or_a_secret(place: str, line: str) -> None:
    before = {"hosts": "environment: production}\nserv", "services": "unit: gui.service\n", "policies": "groups: [l"}
    mark = before[place]
    field = f"{line}, " if place == "policies" else f"    {line}\n"
    text = FILE.replace(mark, field + mark if place == "policies" else mark + field, 1)
    if place == "hosts":
        text = FILE.replace("environment: production}\n", f"environment: production, {line}}}\n", 1)
    assert parse(FILE).services[0].unit == "gui.service"
    with pytest.raises(AskfirstError, match="unknown key"):
        parse(text)


@pytest.mark.threat("K2")
async def test_an_import_that_changes_how_a_service_is_run_waits_for_a_second_editor(world: World, seed: Seed) -> None:
    before = await services.registry(world.db)
    claim = before.service("pypnm-gui")
    assert claim is not None
    wanted = with_entry(before, "service", claim.name, replace(claim, manager="systemd", unit="gui.service"))
    outcome = await registry.change(world, seed.accounts["ed"].person, wanted)
    assert outcome.proposal is not None
    assert await services.registry(world.db) == before
    with pytest.raises(Refused, match="another editor"):
        await registry.confirm(world, seed.accounts["ed"].person, outcome.proposal.id)
    with pytest.raises(Refused, match="may not change the registry"):
        await registry.confirm(world, seed.accounts["root"].person, outcome.proposal.id)
    assert await services.registry(world.db) == before


@pytest.mark.threat("K3")
async def test_another_name_for_the_same_unit_is_refused_by_every_writer(world: World, seed: Seed) -> None:
    before = await services.registry(world.db)
    claim = before.service("pypnm-gui")
    assert claim is not None
    alias = replace(claim, name="gui-alias", ports=())
    with pytest.raises(Refused, match="already claims this unit"):
        await registry.change(world, operator(), with_entry(before, "service", alias.name, alias))
    twin = replace(before.hosts[0], name="twin")
    with pytest.raises(Refused, match="has this key already"):
        await registry.change(world, operator(), with_entry(before, "host", "twin", twin))
    assert await services.registry(world.db) == before


@pytest.mark.threat("K6")
async def test_the_approvers_of_a_policy_that_was_lowered_are_told(
    browser: Make, world: World, seed: Seed, clock: Clock
) -> None:
    before = await services.registry(world.db)
    staging = next(each for each in before.policies if each.environment == "staging")
    ed, fay = (seed.accounts[name].person for name in ("ed", "fay"))
    lower = replace(staging, approvers=1, groups=(*staging.groups, "interns"))
    proposed = await registry.change(world, ed, with_entry(before, "policy", staging.name, lower))
    assert proposed.proposal is not None
    await registry.confirm(world, fay, proposed.proposal.id)
    clock.time += 7200
    told = "Policy staging: 1 instead of 2 have to approve, interns may approve too."
    by = "Changed 2 h ago by Ed Editor, confirmed by Fay Editor."
    for who, is_told in (("bo", True), ("cy", True), ("ada", False), ("root", False)):
        page = (await (await browser(who)).get("/")).text
        assert (told in page, by in page) == (is_told, is_told), who
    clock.time += 8 * 86_400
    assert told not in (await (await browser("bo")).get("/")).text


@pytest.mark.threat("K6")
def test_what_lowers_a_policy_is_told_and_nothing_else() -> None:
    two = Policy(environment="lab", approvers=2, groups=("a", "b"), expires_seconds=900)
    assert lowered(two, None) == ("it was taken out",)
    assert lowered(two, replace(two, groups=("a",), approvers=3, expires_seconds=60)) == ()
    assert lowered(two, replace(two, groups=("a", "c"))) == ("c may approve too",)
    assert lowered(two, replace(two, expires_seconds=901)) == ("a request lives longer",)


def archive(kind: str) -> bytes:
    if kind == "gzip":
        return gzip.compress(b"hosts: []\n" * 100_000)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr("../../etc/cron.d/evil", "* * * * * root evil\n")
    return made.getvalue()


@pytest.mark.threat("H2")
@pytest.mark.parametrize("kind", ["gzip", "zip"])
def test_an_archive_is_no_registry(kind: str) -> None:
    """Nothing is unpacked: what is no text is refused, and what is read as text all the same is no YAML."""
    with pytest.raises((AskfirstError, UnicodeDecodeError)):
        parse(archive(kind).decode("utf-8"))
    with pytest.raises(AskfirstError):
        parse(archive(kind).decode("latin-1"))


@dataclass(frozen=True, slots=True)
class Full(Database):
    """The real database on a disk that is full."""

    async def write(self, change: Callable[[Tx], Awaitable[T]]) -> T:
        raise Broken("The disk is full: nothing was recorded, so nothing was done.", code="disk_full", next_step="Free")


@pytest.mark.law(10)
@pytest.mark.threat("F4")
@pytest.mark.threat("T5")
async def test_a_yes_that_cannot_be_recorded_is_not_one_and_is_said_so(
    app: FastAPI, browser: Make, world: World, seed: Seed
) -> None:
    waiting = await seed.waiting()
    await seed.prove("pypnm-gui")
    bo = await browser("bo")
    csrf = await bo.csrf()
    app.state.world = replace(world, db=Full(world.db.engine, world.db.writer))
    answer = await bo.post(f"/requests/{waiting.id}/approve", {"csrf": csrf, "digest": waiting.digest})
    assert answer.status_code == 503
    assert "nothing was recorded, so nothing was done" in answer.text
    assert (await requests.load(world.db, waiting.id)).version == waiting.version


@pytest.mark.threat("F4")
@pytest.mark.threat("T1")
async def test_a_question_that_cannot_be_recorded_is_answered_503_and_may_be_repeated(api: Api) -> None:
    whole = api.world
    async with await api.caller("ada") as ada:
        question: dict[str, Any] = {"json": {"service": "tftp", "reason": "x"}, "headers": {"Idempotency-Key": "one"}}
        api.app.state.world = replace(whole, db=Full(whole.db.engine, whole.db.writer))
        full = await ada.post("/api/v1/requests", **question)
        api.app.state.world = whole
        again = await ada.post("/api/v1/requests", **question)
    assert (full.status_code, full.json()["code"], again.status_code) == (503, "disk_full", 201)


@pytest.mark.law(9)
@pytest.mark.threat("T5")
async def test_of_a_yes_and_a_no_at_once_one_counts_and_a_no_is_never_overruled(stage: Stage) -> None:
    ended = set()
    for _ in range(6):
        waiting = await stage.waiting()
        yes = Attempt(stage.who["bo"], Via.SESSION, stage.clock.now(), waiting.digest)
        cy = stage.who["cy"]
        answers = await asyncio.gather(
            decide.approve(stage.world, yes, waiting.id),
            decide.deny(stage.world, cy, Via.SESSION, waiting.id, digest=waiting.digest, reason="No."),
            return_exceptions=True,
        )
        after = await requests.load(stage.db, waiting.id)
        events = [event.type for event in await requests.events(stage.db, waiting.id)]
        assert sum(isinstance(each, AskfirstError) for each in answers) == 1, answers
        assert (events.count("approved") + events.count("denied"), after.version) == (1, 3)
        ended.add(after.state)
        if after.state is State.APPROVED:
            await decide.cancel(stage.world, stage.who["ada"], waiting.id)
        stage.clock.advance(901)
    assert ended <= {State.APPROVED, State.DENIED}


@pytest.mark.threat("T6")
async def test_of_a_cancel_an_expiry_and_a_worker_at_once_one_ends_it(stage: Stage) -> None:
    waiting = await stage.waiting()
    stage.clock.advance(waiting.not_after - stage.clock.now() + 1)
    workers = [Worker(replace(stage.world, worker=f"w{number}")) for number in range(4)]
    await asyncio.gather(
        *(worker.once() for worker in workers),
        decide.cancel(stage.world, stage.who["ada"], waiting.id),
        return_exceptions=True,
    )
    after = await requests.load(stage.db, waiting.id)
    assert after.state in {State.EXPIRED, State.CANCELLED}
    assert (after.state in ENDED, after.version, stage.alpha.runs()) == (True, 3, 0)


@pytest.mark.threat("T17")
async def test_of_two_changes_of_the_registry_on_one_revision_one_is_made(world: World, seed: Seed) -> None:
    before = await services.registry(world.db)
    claim = before.service("tftp")
    assert claim is not None
    wanted = [with_entry(before, "service", "tftp", replace(claim, docs=f"Version {n}.")) for n in range(8)]
    proposals = [await registry.change(world, seed.accounts["ed"].person, each) for each in wanted]
    fay = seed.accounts["fay"].person
    made = await asyncio.gather(
        *(registry.confirm(world, fay, each.proposal.id) for each in proposals if each.proposal),
        return_exceptions=True,
    )
    assert [each for each in made if not isinstance(each, AskfirstError)] == [
        each for each in made if isinstance(each, registry.Outcome)
    ]
    assert sum(isinstance(each, registry.Outcome) for each in made) == 1
    assert (await services.registry(world.db)).revision == before.revision + 1


@pytest.mark.threat("G6")
async def test_writers_of_several_processes_in_any_order_never_wait_for_each_other_for_ever(stage: Stage) -> None:
    """Each has a writer of its own on the one file; each change reads before it writes, and ends with the log."""
    others = [await open_database(stage.url) for _ in range(3)]
    claim = (await services.registry(stage.db)).services[0]

    async def busy(db: Database, lane: int) -> int:
        world, done = replace(stage.world, db=db), 0
        for number in range(25):
            await note(db, f"note-{lane}-{number}")
            try:
                if number % 3 == 0:
                    asked = await ask.ask(world, stage.who["cy"], claim.name, "x", key=f"{lane}-{number}")
                    await decide.cancel(world, stage.who["cy"], asked.id)
                elif number % 3 == 1:
                    now = await services.registry(db)
                    other = replace(claim, docs=f"{lane}-{number}")
                    await registry.change(world, operator(), with_entry(now, "service", claim.name, other))
            except AskfirstError as error:
                assert error.code in {"already_asked", "registry_moved", "too_late", "too_many"}, error  # noqa: PT017
            done += 1
        return done

    lanes = (busy(db, lane) for lane, db in enumerate([stage.db, *others]))
    assert await asyncio.wait_for(asyncio.gather(*lanes), 120) == [25] * 4
    assert (await verify(stage.db)).is_whole
    for db in others:
        await db.close()


@pytest.mark.law(4)
@pytest.mark.threat("C12")
async def test_a_host_that_lies_gets_nothing_into_the_command(stage: Stage) -> None:
    """Whatever its processes are called, and wherever they say that they are: what runs is the registry's own."""
    evil = "x; rm -rf / #$(reboot)`id`\n--root=/evil"

    class Lying(FakeHosts):
        async def probe(
            self,
            host: Host,
            services: Sequence[Service],
            via: Sequence[Host] = (),
            *,
            whole: bool = False,
            git: bool = False,
        ) -> Facts:
            facts = await super().probe(host, services, via, whole=whole, git=git)
            lies = {
                pid: replace(each, argv=(*each.argv, evil), comm="evil", exe=evil)
                for pid, each in facts.processes.items()
            }
            return replace(facts, processes=lies)

    world = replace(stage.world, hosts=Lying(stage.clock, stage.hosts.hosts))
    after = await ask.prove(world, await stage.ask())
    text = await requests.text(stage.db, after.warrant or "")
    assert text is not None, after.verdict
    assert read(text).argv[0].endswith("supervisorctl")
    assert read(text).argv[-2:] == ("restart", "lab:pypnm-gui")
    assert "evil" not in " ".join(read(text).argv)
