"""A yes that is a signature: whose it is follows from the key, and what it is worth is the guard's to say."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
from sqlalchemy import delete, update

from app.core.credential import Credential, fingerprint
from app.core.errors import AskfirstError, Broken, Refused
from app.core.level import Level
from app.core.lifecycle import Request, State
from app.core.policy import Assurance, Kind
from app.flow import decide, signed
from app.flow.execute import execute
from app.flow.ids import new_id
from app.store import credentials, requests
from app.store.log import Tx
from app.store.tables import TEXTS
from app.store.verify import verify
from tests.fakes.signers import Signer
from tests.integration.flow.conftest import CHECK, Stage

HOUR = 3600.0


async def enrol(stage: Stage, name: str, signer: Signer, *, kind: Kind = Kind.SECURITY_KEY, after: float = -1.0) -> str:
    """Enrol a key of somebody, confirmed by cy, which may approve so many seconds from now on."""
    now, key = stage.clock.now(), fingerprint(signer.public_key)
    key_id = "a-passkey" if kind is Kind.PASSKEY else key
    enrolled = Credential(key_id, stage.who[name].id, kind, "blue", signer.public_key, 0, now - HOUR)
    await credentials.enrol(stage.db, enrolled, by=enrolled.person, event_id=new_id(now))
    by = stage.who["cy"].id
    await credentials.confirm(stage.db, key_id, by=by, at=now - 2, usable_at=now + after, event_id=new_id(now))
    return key_id


async def register(stage: Stage, **terms: Any) -> None:
    entry = replace(stage.alpha.claim(), checks=(CHECK,))
    await stage.register(entry, **({"assurance": Assurance.PASSKEY} | terms))


async def text_of(stage: Stage, request: Request) -> str:
    assert request.warrant
    return await requests.text(stage.db, request.warrant) or ""


@dataclass
class Waiting:
    """A request that waits for a signature by bo's security key."""

    stage: Stage
    request: Request
    text: str
    key: Signer

    async def send(self, armored: str, request_id: str = "", address: str = "10.0.0.9") -> Request:
        return await signed.approve(self.stage.world, request_id or self.request.id, armored, address)

    async def why_not(self, armored: str, request_id: str = "") -> str:
        """The code of the refusal; nothing may have been written."""
        with pytest.raises(AskfirstError) as refused:
            await self.send(armored, request_id)
        now = await requests.load(self.stage.db, self.request.id)
        assert (now.state, now.approvals, now.version) == (self.request.state, (), self.request.version)
        return refused.value.code


@pytest.fixture
async def waiting(stage: Stage) -> Waiting:
    await register(stage)
    key = Signer()
    await enrol(stage, "bo", key)
    request = await stage.waiting()
    return Waiting(stage, request, await text_of(stage, request), key)


@pytest.mark.law(5)
async def test_the_signature_of_an_approvers_key_is_a_yes_and_is_kept_as_it_was(waiting: Waiting) -> None:
    stage, armored = waiting.stage, waiting.key.sign(waiting.text)
    approved = await waiting.send(armored)
    (yes,) = approved.approvals
    assert (yes.person, yes.level, yes.key) == (stage.who["bo"].id, "key", fingerprint(waiting.key.public_key))
    assert await requests.text(stage.db, yes.signature_text) == armored
    ended = await stage.work(approved)
    assert ended.state is State.SUCCEEDED
    assert [sent[:2] for sent in stage.hosts.sent] == [("alpha", ())]
    assert (await verify(stage.db)).is_whole


@pytest.mark.law(5)
async def test_a_sealed_host_is_sent_every_signature_in_the_order_of_the_yes(stage: Stage) -> None:
    stage.alpha.level = Level.SEALED
    await register(stage, approvers=2, assurance=Assurance.CLICK)
    keys = {"bo": Signer(), "cy": Signer("sk-ecdsa-sha2-nistp256@openssh.com")}
    for name, key in keys.items():
        await enrol(stage, name, key)
    request = await stage.waiting()
    assert request.assurance == Assurance.SEALED
    sent = [key.sign(await text_of(stage, request)) for key in keys.values()]
    for each in sent:
        request = await signed.approve(stage.world, request.id, each, "10.0.0.9")
    await stage.work(request)
    assert [each[:2] for each in stage.hosts.sent] == [("alpha", tuple(sent))]


@pytest.mark.only("sqlite")
@pytest.mark.parametrize("assurance", [Assurance.PASSKEY, Assurance.SEALED])
async def test_a_click_is_not_enough_where_a_signature_is_asked_for(stage: Stage, assurance: Assurance) -> None:
    stage.alpha.level = Level.SEALED if assurance is Assurance.SEALED else Level.OPEN
    await register(stage, assurance=assurance)
    with pytest.raises(Refused) as refused:
        await stage.approve(await stage.waiting())
    assert refused.value.code == "needs_signature"


@pytest.mark.only("sqlite")
@pytest.mark.law(7)
@pytest.mark.threat("B1")
@pytest.mark.threat("B2")
async def test_the_requesters_own_key_is_no_yes_nor_that_of_their_other_account(waiting: Waiting) -> None:
    stage, own, other = waiting.stage, Signer(), Signer()
    await enrol(stage, "ada", own)
    await stage.add("ada2", human=stage.who["ada"].human)
    await enrol(stage, "ada2", other)
    assert await waiting.why_not(own.sign(waiting.text)) == "own_request"
    assert await waiting.why_not(other.sign(waiting.text)) == "own_request"


@pytest.mark.only("sqlite")
@pytest.mark.threat("A6")
@pytest.mark.threat("B4")
async def test_what_is_no_signature_over_this_warrant_by_a_key_of_somebody_here_is_no_yes(waiting: Waiting) -> None:
    good = waiting.key.sign(waiting.text)
    elsewhere = waiting.text.replace("pypnm-gui", "billing")
    assert await waiting.why_not(Signer().sign(waiting.text)) == "unknown_key"
    assert await waiting.why_not(waiting.key.sign(elsewhere)) == "bad_signature"
    assert await waiting.why_not(waiting.key.sign(waiting.text, namespace="file")) == "bad_signature"
    assert await waiting.why_not(good[:-40]) == "bad_signature"
    assert await waiting.why_not(waiting.key.sign(waiting.text, flags=1)) == "not_verified"


@pytest.mark.only("sqlite")
@pytest.mark.threat("A10")
async def test_who_has_no_key_here_does_not_learn_which_requests_there_are(waiting: Waiting) -> None:
    forged = Signer().sign(waiting.text, key=waiting.key.blob)
    assert await waiting.why_not(forged) == "bad_signature"
    assert await waiting.why_not(forged, new_id(1.0)) == "bad_signature"
    assert await waiting.why_not(forged, waiting.request.short_id) == "bad_signature"
    assert await waiting.why_not(waiting.key.sign(waiting.text), waiting.request.short_id) == "bad_signature"


@pytest.mark.only("sqlite")
@pytest.mark.threat("A8")
async def test_a_key_that_is_new_or_unconfirmed_is_no_yes(waiting: Waiting) -> None:
    stage, new, unconfirmed = waiting.stage, Signer(), Signer()
    await enrol(stage, "cy", new, after=HOUR)
    mine = Credential("k", stage.who["cy"].id, Kind.SECURITY_KEY, "x", unconfirmed.public_key, 0, stage.clock.now())
    await credentials.enrol(stage.db, mine, by=mine.person, event_id=new_id(stage.clock.now()))
    assert await waiting.why_not(new.sign(waiting.text)) == "key_too_new"
    assert await waiting.why_not(unconfirmed.sign(waiting.text)) == "key_too_new"


@pytest.mark.only("sqlite")
async def test_a_plain_key_counts_only_where_the_policy_says_so(stage: Stage) -> None:
    key = Signer("ssh-ed25519")
    await register(stage)
    await enrol(stage, "bo", key, kind=Kind.PLAIN)
    request = await stage.waiting()
    with pytest.raises(Refused) as refused:
        await signed.approve(stage.world, request.id, key.sign(await text_of(stage, request)), "10.0.0.9")
    assert refused.value.code == "plain_key"
    await decide.cancel(stage.world, stage.who["ada"], request.id)
    await register(stage, plain_keys=True)
    again = await stage.waiting()
    approved = await signed.approve(stage.world, again.id, key.sign(await text_of(stage, again)), "10.0.0.9")
    assert approved.state is State.APPROVED


@pytest.mark.only("sqlite")
async def test_a_passkey_signs_on_the_page_and_nowhere_else(waiting: Waiting) -> None:
    key = Signer("sk-ecdsa-sha2-nistp256@openssh.com")
    await enrol(waiting.stage, "cy", key, kind=Kind.PASSKEY)
    assert await waiting.why_not(key.sign(waiting.text)) == "passkey"


@pytest.mark.threat("A6")
async def test_a_security_key_whose_counter_goes_back_is_no_yes(waiting: Waiting) -> None:
    key_id = fingerprint(waiting.key.public_key)
    await credentials.use(waiting.stage.db, key_id, 9, waiting.stage.clock.now())
    assert await waiting.why_not(waiting.key.sign(waiting.text, counter=9)) == "counter_back"
    assert (await waiting.send(waiting.key.sign(waiting.text, counter=10))).approvals


@pytest.mark.threat("B10")
async def test_a_yes_that_is_sent_twice_counts_once(stage: Stage) -> None:
    await register(stage, approvers=2)
    key, second = Signer(), Signer()
    await enrol(stage, "bo", key)
    await enrol(stage, "bo", second)
    request = await stage.waiting()
    armored = key.sign(await text_of(stage, request))
    once = await signed.approve(stage.world, request.id, armored, "10.0.0.9")
    for again in (
        armored,
        key.sign(await text_of(stage, request), counter=8),
        second.sign(await text_of(stage, request)),
    ):
        with pytest.raises(Refused) as refused:
            await signed.approve(stage.world, request.id, again, "10.0.0.9")
        assert refused.value.code == "already_approved"
    assert (await requests.load(stage.db, request.id)) == once


@pytest.mark.threat("A10")
async def test_guesses_from_one_address_are_slowed_down_and_a_good_signature_is_not(waiting: Waiting) -> None:
    codes = [await waiting.why_not(Signer().sign(waiting.text)) for _ in range(6)]
    assert (codes[0], codes[-1]) == ("unknown_key", "throttled")
    with pytest.raises(Refused) as refused:
        await waiting.send(waiting.key.sign(waiting.text))
    assert refused.value.code == "throttled"
    assert (await waiting.send(waiting.key.sign(waiting.text), address="10.0.0.10")).approvals


@pytest.mark.threat("A14")
async def test_a_key_that_is_removed_before_the_run_takes_its_yes_with_it(waiting: Waiting) -> None:
    stage = waiting.stage
    approved = await waiting.send(waiting.key.sign(waiting.text))
    key_id, now = fingerprint(waiting.key.public_key), stage.clock.now()
    await credentials.remove(stage.db, key_id, by=stage.who["cy"].id, at=now, event_id=new_id(now))
    ended = await stage.work(approved)
    assert ended.state is State.STALE
    assert "key" in ended.outcome
    assert stage.hosts.sent == []


@pytest.mark.law(5)
@pytest.mark.threat("B16")
@pytest.mark.parametrize("harm", ["deleted", "another key's", "another text's"])
async def test_a_signature_that_is_not_there_as_it_was_sends_nothing(waiting: Waiting, harm: str) -> None:
    stage = waiting.stage
    approved = await waiting.send(waiting.key.sign(waiting.text))
    commitment = approved.approvals[0].signature_text
    other = Signer().sign(waiting.text) if harm == "another key's" else waiting.key.sign("another text\n")

    async def change(tx: Tx) -> None:
        mine = TEXTS.c.commitment == commitment
        spoil = delete(TEXTS) if harm == "deleted" else update(TEXTS).values(body=other.encode())
        await tx.connection.execute(spoil.where(mine))

    await stage.db.write(change)
    with pytest.raises(Broken) as broken:
        await execute(stage.world, approved)
    assert broken.value.code == ("signature_missing" if harm == "deleted" else "signature_broken")
    assert stage.hosts.sent == []
    assert (await requests.load(stage.db, approved.id)).state is State.APPROVED
