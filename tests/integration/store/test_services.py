"""The registry in the store: changed whole or not at all, on the revision that was looked at; proposals; proofs."""

import asyncio
from dataclasses import replace

import pytest

from app.core.errors import Broken, Conflict, NotFound
from app.core.freshness import Seen
from app.core.policy import Policy
from app.core.registry import Change, Registry, difference, with_entry
from app.core.service import Host, HttpCheck, JsonCheck, Service, TcpCheck
from app.store import history, proofs, services
from app.store.engine import Database, open_database
from app.store.entries import change_dict, change_of, entry_dict, entry_of
from app.store.verify import verify
from tests.integration.databases import disarmed, raw
from tests.integration.store.sample import NOW, fresh_id

HOST = Host("alpha", "10.0.0.5", "production", ("ssh-ed25519 AAAA", "ssh-rsa BBBB"), port=2222, jump="bastion")
SERVICE = Service(
    name="gui",
    host="alpha",
    owner="lab-team",
    manager="supervisor",
    unit="lab:gui",
    user="rbron",
    path="/opt/gui",
    ports=(5050, 5051),
    settle_seconds=2.5,
    checks=(
        TcpCheck(5050),
        HttpCheck("http://127.0.0.1:5050/health", 204),
        JsonCheck("http://127.0.0.1:5050/x", "tftp.server", "172.22.147.18"),
    ),
    docs="Ask rbron first – “really”.",
)
POLICY = Policy(environment="production", approvers=2, groups=("lab-team",), expires_seconds=600)
WHOLE = Registry((HOST,), (SERVICE,), (POLICY, Policy(service="gui", groups=("admins",))))


async def _apply(db: Database, wanted: Registry, **about: object) -> Registry:
    current = await services.registry(db)
    made = {"by": "ada", "at": NOW, "event_id": fresh_id(), "base_revision": current.revision, **about}
    return await services.apply(db, difference(current, wanted), **made)  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "entry"), [("host", HOST), ("service", SERVICE), ("policy", POLICY)])
def test_an_entry_is_read_back_as_it_was_written(kind: str, entry: Host | Service | Policy) -> None:
    assert entry_of(kind, entry_dict(entry)) == entry  # type: ignore[arg-type]
    change = Change(kind, entry.name, None, entry)  # type: ignore[arg-type]
    assert change_of(change_dict(change)) == change


@pytest.mark.parametrize(
    "written", [{**entry_dict(SERVICE), "colour": "red"}, {**entry_dict(SERVICE), "checks": [{"udp": {"port": 1}}]}]
)
def test_an_entry_of_a_newer_version_is_not_half_understood(written: dict[str, object]) -> None:
    with pytest.raises(Broken) as broken:
        entry_of("service", written)
    assert broken.value.code == "unknown_entry"


async def test_a_registry_comes_back_as_it_was_applied(db: Database) -> None:
    assert await services.registry(db) == Registry()
    applied = await _apply(db, WHOLE)
    assert applied == replace(WHOLE, revision=1) == await services.registry(db)
    less = await _apply(db, with_entry(applied, "service", "gui", None))
    assert (less.services, less.revision) == ((), 2)
    assert (await verify(db)).is_whole


async def test_what_another_replica_applied_is_read_at_once(db: Database, url: str) -> None:
    other = await open_database(url)
    for wanted in (WHOLE, Registry((HOST,)), WHOLE):
        await _apply(other, wanted)
        assert not difference(await services.registry(db), wanted)
        assert await services.registry(db) is await services.registry(db)
    await other.close()


@pytest.mark.threat("T18")
async def test_a_registry_that_took_the_number_of_a_lost_one_is_read_anew(db: Database, url: str) -> None:
    """A standby takes over without the last change, and the next one gets the same revision."""
    await _apply(db, WHOLE)
    assert (await services.registry(db)).services == (SERVICE,)
    disarmed(
        url,
        "DELETE FROM audit",
        "UPDATE audit_head SET seq = 0, hash = ZEROS",
        "DELETE FROM registry",
        "UPDATE registry_revision SET revision = 0",
    )
    other = await open_database(url)
    await _apply(other, Registry((HOST,)))
    assert await services.registry(db) == Registry((HOST,), revision=1)
    await other.close()


async def test_the_log_holds_what_was_and_what_is(db: Database) -> None:
    await _apply(db, WHOLE)
    moved = replace(SERVICE, unit="lab:other")
    await _apply(db, with_entry(await services.registry(db), "service", "gui", moved))
    (entry, _) = (await history.page(db, history.Filter(type="registry_changed"))).rows
    (change,) = entry.data["changes"]
    assert (entry.data["revision"], entry.by) == (2, "ada")
    assert (change["before"]["unit"], change["after"]["unit"]) == ("lab:gui", "lab:other")


@pytest.mark.threat("G1")
async def test_of_many_changes_planned_on_one_revision_one_is_made(db: Database, url: str) -> None:
    other = await open_database(url)
    changes = difference(Registry(), WHOLE)
    answers = await asyncio.gather(
        *(
            services.apply([db, other][n % 2], changes, by="ada", at=NOW, event_id=f"r{n}", base_revision=0)
            for n in range(20)
        ),
        return_exceptions=True,
    )
    refused = [answer for answer in answers if isinstance(answer, Conflict)]
    assert (len(refused), {each.code for each in refused}) == (19, {"registry_moved"})
    assert (await services.registry(db)).revision == 1
    await other.close()


async def test_a_change_of_what_is_not_there_is_refused(db: Database) -> None:
    await _apply(db, WHOLE)
    foreign = Change("service", "gui", replace(SERVICE, unit="never:was"), None)
    with pytest.raises(Conflict) as conflict:
        await services.apply(db, [foreign], by="ada", at=NOW, event_id="x", base_revision=1)
    assert conflict.value.code == "registry_moved"


@pytest.mark.threat("G4")
async def test_a_change_whose_acknowledgement_was_lost_is_made_once(db: Database) -> None:
    first = await _apply(db, WHOLE, event_id="r1")
    changes = difference(Registry(), WHOLE)
    again = await services.apply(db, changes, by="ada", at=NOW, event_id="r1", base_revision=0)
    assert again == first
    assert (await verify(db)).rows == 1


async def test_a_proposal_waits_and_is_made_as_it_was_proposed(db: Database) -> None:
    await _apply(db, WHOLE)
    changes = difference(WHOLE, with_entry(WHOLE, "service", "gui", None))
    made = {"by": "ada", "at": NOW, "base_revision": 1}
    proposal = await services.propose(db, changes, proposal_id="pr", event_id="e1", note="gone", **made)  # type: ignore[arg-type]
    assert (proposal.note, proposal.changes) == ("gone", tuple(changes))
    assert await services.proposals(db) == [proposal]
    await services.apply(db, proposal.changes, by="bo", at=NOW, event_id="e2", base_revision=1, proposal_id="pr")
    decided = await services.proposal(db, "pr")
    assert (decided.state, decided.decided_by, await services.proposals(db)) == ("confirmed", "bo", [])
    assert (await verify(db)).is_whole


async def test_a_proposal_is_decided_once_and_only_on_its_own_revision(db: Database) -> None:
    await _apply(db, WHOLE)
    changes = difference(WHOLE, with_entry(WHOLE, "service", "gui", None))
    for name in ("pr1", "pr2"):
        await services.propose(db, changes, proposal_id=name, by="ada", at=NOW, event_id=f"e-{name}", base_revision=1)
    await services.withdraw(db, "pr1", by="ada", at=NOW, event_id="e3")
    with pytest.raises(Conflict) as conflict:
        await services.withdraw(db, "pr1", by="bo", at=NOW, event_id="e4")
    assert conflict.value.code == "proposal_decided"
    await _apply(db, replace(WHOLE, policies=()))
    with pytest.raises(Conflict) as conflict:
        await services.apply(db, changes, by="bo", at=NOW, event_id="e5", base_revision=1, proposal_id="pr2")
    assert conflict.value.code == "registry_moved"
    assert (await services.proposal(db, "pr2")).state == "waiting"
    with pytest.raises(NotFound):
        await services.proposal(db, "pr3")


async def test_the_last_proof_is_kept_and_a_changed_verdict_is_an_event(db: Database) -> None:
    await _apply(db, WHOLE)
    await proofs.record_proof(db, "gui", "VERIFIED", "NEEDED", 10.0, "{1}")
    await proofs.record_proof(db, "gui", "VERIFIED", "NOT_NEEDED", 20.0, "{2}")
    await proofs.record_proof(db, "gui", "UNSAFE", "UNSURE", 15.0, "{late}")
    await proofs.record_proof(db, "gui", "DOWN", "UNSURE", 30.0, "{3}")
    seen = Seen("DOWN", 30.0, "DOWN", 30.0)
    kept = proofs.Proof("gui", "alpha", "UNSURE", "{3}", seen, held="DOWN", since=30.0)
    assert await proofs.proofs(db) == {"gui": kept}
    assert (await verify(db)).is_whole
    changed = (await history.page(db, history.Filter(type="verdict_changed", service="gui"))).rows
    assert [(each.data["before"], each.data["after"], each.by) for each in changed] == [
        ("VERIFIED", "DOWN", "askfirst"),
        ("", "VERIFIED", "askfirst"),
    ]


@pytest.mark.parametrize("what", ["service", "host"])
async def test_a_changed_claim_has_no_proof(db: Database, what: str) -> None:
    applied = await _apply(db, WHOLE)
    await proofs.record_proof(db, "gui", "VERIFIED", "NEEDED", 10.0, "{}")
    changed = replace(SERVICE, unit="lab:other") if what == "service" else replace(HOST, address="10.0.0.6")
    await _apply(db, with_entry(applied, what, changed.name, changed))  # type: ignore[arg-type]
    assert await proofs.proofs(db) == {}


async def test_a_service_that_is_not_in_the_registry_has_no_proof(db: Database, url: str) -> None:
    await proofs.record_proof(db, "gui", "VERIFIED", "NEEDED", 10.0, "{}")
    assert (await proofs.proofs(db), raw(url, "SELECT count(*) FROM audit")) == ({}, [(0,)])
