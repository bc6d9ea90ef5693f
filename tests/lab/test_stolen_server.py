"""A sealed host against whoever took the Askfirst server, with every secret in hand: database, SSH key, settings, code.

The thief writes warrants, signs them with keys of their own, forges approvals, and holds every signature that people
ever made. Everything goes over real SSH to a host with the kit; what refuses is the host, in its own journal's words,
and the service stays the process that it was. Two people have to sign. The table is printed.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from app.core import sshsig
from app.core.commitment import Text
from app.core.credential import Credential, fingerprint
from app.core.errors import Broken
from app.core.events import Approved
from app.core.level import Level
from app.core.lifecycle import Request, State
from app.core.policy import Attempt, Kind, Via
from app.core.reading import facts
from app.core.records import read
from app.core.run import Refusal
from app.core.service import HttpCheck
from app.core.warrant import Warrant
from app.flow import decide, signed
from app.flow.execute import execute
from app.flow.ids import new_id, stamp
from app.gate import build
from app.identity.sshkeys import prove
from app.ssh.keys import fingerprint as host_key
from app.ssh.keys import pinned
from app.store import credentials, people, requests
from tests.fakes.signers import Signer, armor, dearmor
from tests.lab import machine
from tests.lab.flow_world import UNIT, Scene, another_world, scene
from tests.lab.hosts import Lab, LabHost
from tests.lab.kitted import Fitted, fit
from tests.lab.test_refusals import Journal, asked
from tests.unit.core.test_sshsig import ORIGIN, Authenticator

pytestmark = [pytest.mark.law(5), pytest.mark.threat("D23")]
NONCE = "0" * 32
GUI = replace(UNIT, checks=(HttpCheck("http://127.0.0.1:5054/health"),))
TABLE: list[tuple[str, str]] = []
NOT_OVER_THIS = "this host's ssh-keygen says of"


class Passkey:
    """A passkey whose answers are written as SSH signatures, as the server writes them."""

    def __init__(self) -> None:
        self._key = Authenticator()
        self.public_key = self._key.public.line("x").split('" ')[1].strip()

    def sign(self, text: str, *, flags: int = 5) -> str:
        answer = self._key.sign(sshsig.challenge(text), flags=flags)
        return sshsig.armored(self._key.public, ORIGIN, answer)


@dataclass
class Stolen:
    """All that the thief holds, and the keys that they do not hold: those are used here as their owners once did."""

    host: LabHost
    folder: Path
    bo: Signer = field(default_factory=Signer)
    bo_second: Signer = field(default_factory=Signer)
    cy: Passkey = field(default_factory=Passkey)
    cy_plain: Signer = field(default_factory=lambda: Signer("ssh-ed25519"))
    ada: Signer = field(default_factory=Signer)
    eve: Signer = field(default_factory=Signer)
    identity: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder}/askfirst.db"

    def look(self) -> None:
        """Take the identity lines, which whoever holds the key may do."""
        nonce = secrets.token_hex(16)
        answer = asked(self.host, "probe", build.probe_input(nonce, [GUI], level=Level.SEALED).decode())
        assert answer.returncode == 0
        self.identity = facts(read(answer.stdout, nonce, "probe"), time.time(), [GUI]).identity[GUI.name]

    def warrant(self) -> Warrant:
        """The one warrant that this host would run at this moment."""
        return Warrant(
            id="01JF3W6V9Q" + secrets.token_hex(8).upper(),
            service=GUI.name,
            host="alpha",
            host_key=host_key(pinned(Fitted(Level.SEALED).entry(self.host))[0]),
            manager="systemd",
            unit=GUI.unit,
            action="restart",
            argv=("systemctl", "restart", GUI.unit),
            argv_user="root",
            identity=self.identity,
            requester="ada@example.org",
            reason="The fix is pulled.",
            policy="lab 1",
            not_after=int(time.time()) + 600,
            evidence="sha256:0",
        )

    def both(self, text: str) -> list[str]:
        """What the two approvers sign."""
        return [self.bo.sign(text), self.cy.sign(text)]

    def send(self, text: str, signatures: list[str]) -> int:
        """Send a warrant as Askfirst does; returns the gate's exit status."""
        lines = [f"signature {''.join(each.split(chr(10))[1:-2])}" for each in signatures]
        data = "\n".join([NONCE, *text.splitlines(), *lines, "end", ""])
        return asked(self.host, f"restart {GUI.name}", data).returncode


async def enrol(stage: Scene, name: str, public_key: str, kind: Kind) -> None:
    now, key = stage.world.clock.now(), fingerprint(public_key)
    mine = Credential(key, stage.who[name].id, kind, "key", public_key, 0, now - 100)
    await credentials.enrol(stage.world.db, mine, by=mine.person, event_id=new_id(now))
    by = stage.who["cy"].id
    await credentials.confirm(stage.world.db, key, by=by, at=now - 50, usable_at=now - 50, event_id=new_id(now))


async def seal(stolen: Stolen) -> None:
    """Let an administrator seal the host, with the keys that people enrolled."""
    async with scene(stolen.host, stolen.folder, GUI) as stage:
        for name, signer, kind in (
            ("bo", stolen.bo, Kind.SECURITY_KEY),
            ("bo", stolen.bo_second, Kind.SECURITY_KEY),
            ("cy", stolen.cy, Kind.PASSKEY),
            ("cy", stolen.cy_plain, Kind.PLAIN),
            ("ada", stolen.ada, Kind.SECURITY_KEY),
        ):
            await enrol(stage, name, signer.public_key, kind)
        await fit(stage, GUI, how=Fitted(Level.SEALED, approvers=2))


@pytest.fixture(scope="module")
def stolen(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stolen]:
    with lab.lend("stolen", "systemd") as host:
        made = Stolen(host, tmp_path_factory.mktemp("stolen"))
        asyncio.run(seal(made))
        made.look()
        yield made


@pytest.fixture(scope="module")
def journal(stolen: Stolen) -> Iterator[Journal]:
    made = Journal(stolen.host)
    yield made
    made.process.terminate()
    made.process.communicate()


def processes(host: LabHost) -> set[str]:
    """The processes of the service, seen from outside the host."""
    groups = [each / "payload/system.slice" / GUI.unit / "cgroup.procs" for each in machine.cgroups_of(host.number)]
    return {pid for path in groups if path.exists() for pid in path.read_text().split()}


def flipped(armored: str) -> str:
    """Set the bit of user verification in a signature that was made without it."""
    return armor(dearmor(armored).replace(b"\1\0\0\0\7", b"\5\0\0\0\7"))


def after(armored: str) -> str:
    return armor(dearmor(armored) + b"x")


def as_it_is(one: Warrant) -> Warrant:
    return one


@dataclass(frozen=True)
class Try:
    """One way to restart without two people's yes to exactly this: what is sent, and the host's words."""

    name: str
    words: str
    signatures: Callable[[Stolen, str], list[str]]
    over: Callable[[Warrant], Warrant] = as_it_is
    sent: Callable[[Warrant], Warrant] = as_it_is


def both_over(name: str, words: str, **other: object) -> Try:
    """Two people truly signed something; the thief changes it afterwards."""
    return Try(name, words, Stolen.both, sent=lambda one: replace(one, **other))  # type: ignore[arg-type]


def both_for(name: str, words: str, **other: object) -> Try:
    """Two people truly signed a warrant, which is not for this."""
    change: Callable[[Warrant], Warrant] = lambda one: replace(one, **other)  # type: ignore[arg-type]  # noqa: E731
    return Try(name, words, Stolen.both, over=change, sent=change)


ANOTHER = "01JF3W6V9Q0Z7E5M2T8X4K1B6N"
TRIES = [
    Try("a warrant of the thief's own, unsigned", "no signature came with the warrant", lambda *_: []),
    Try("signed with a key of the thief's own", "none of this host's approvers", lambda s, t: [s.eve.sign(t)] * 2),
    Try(
        "signed so, with an approver's public key in it",
        NOT_OVER_THIS,
        lambda s, t: [s.eve.sign(t, key=s.bo.blob), s.cy.sign(t)],
    ),
    Try("signed by one of two", "signed by 1 of the 2 people", lambda s, t: [s.bo.sign(t)]),
    Try("one signature twice", "signed by 1 of the 2 people", lambda s, t: [s.bo.sign(t)] * 2),
    Try("two signatures of one key", "by 1 of the 2", lambda s, t: [s.bo.sign(t), s.bo.sign(t, counter=8)]),
    Try("two keys of one person", "by 1 of the 2", lambda s, t: [s.bo.sign(t), s.bo_second.sign(t)]),
    Try("the requester's own key", "cannot sign it: ada@", lambda s, t: [s.bo.sign(t), s.ada.sign(t)]),
    Try("the requester's beside two others", "cannot sign it: ada@", lambda s, t: [*s.both(t), s.ada.sign(t)]),
    Try("one good, one of the thief's", "none of this host's approvers", lambda s, t: [*s.both(t), s.eve.sign(t)]),
    Try("a touch without PIN or finger", "did not know its user", lambda s, t: [s.bo.sign(t, flags=1), s.cy.sign(t)]),
    Try("a passkey without PIN or finger", "did not know its user", lambda s, t: [s.bo.sign(t), s.cy.sign(t, flags=1)]),
    Try("a key that nobody touched", "nobody touched the key", lambda s, t: [s.bo.sign(t, flags=4), s.cy.sign(t)]),
    Try("the bit set afterwards", NOT_OVER_THIS, lambda s, t: [flipped(s.bo.sign(t, flags=1)), s.cy.sign(t)]),
    Try("a key without a touch", "nobody need touch", lambda s, t: [s.bo.sign(t), s.cy_plain.sign(t)]),
    Try("a signature of a file", "not made for warrants", lambda s, t: [s.bo.sign(t, namespace="file"), s.cy.sign(t)]),
    Try("a signature with a tail", "more follows behind it", lambda s, t: [after(s.bo.sign(t)), s.cy.sign(t)]),
    Try("half a signature", "does not count", lambda s, t: [armor(dearmor(s.bo.sign(t))[:-30]), s.cy.sign(t)]),
    Try("twenty-one signatures", "more signatures came", lambda s, t: s.both(t) * 10 + [s.bo.sign(t)]),
    both_over("the signatures of another request", NOT_OVER_THIS, id=ANOTHER),
    both_over("another reason, put in afterwards", NOT_OVER_THIS, reason="Nothing."),
    both_over("another requester, put in afterwards", NOT_OVER_THIS, requester="eve@example.org"),
    both_over("a later end, put in afterwards", NOT_OVER_THIS, not_after=4_000_000_000),
    both_over("other proof, put in afterwards", NOT_OVER_THIS, evidence="sha256:1"),
    both_over("other processes, put in afterwards", NOT_OVER_THIS, identity=("boot x", "process 1 1 root /")),
    both_over("another command, put in afterwards", "is not what this host's table says", argv=("sh", "-c", "id")),
    both_for("signed, for another service", "the warrant is for gui-other", service="gui-other"),
    both_for("signed, for another host", "the warrant is for the host bravo", host="bravo"),
    both_for("signed, for a host of another key", "none of this host's", host_key="SHA256:bm90IHRoaXMgaG9zdA"),
    both_for("signed, and expired", "the warrant held until 2026-01-01T00:00:00Z", not_after=1767225600),
    both_for("signed, for gone processes", "is not what the warrant says", identity=("boot x", "process 1 1 a /")),
    both_for("signed, an action that is not listed", "this host's table has no start", action="start"),
]  # fmt: skip


@pytest.mark.parametrize("each", TRIES, ids=lambda each: each.name)
def test_every_secret_of_the_server_restarts_nothing(stolen: Stolen, journal: Journal, each: Try) -> None:
    before, one = processes(stolen.host), stolen.warrant()
    assert before
    signatures = each.signatures(stolen, each.over(one).text())
    assert stolen.send(each.sent(one).text(), signatures) in {65, 75, 77}
    TABLE.append((each.name, journal.reason("askfirst", each.words)))
    assert processes(stolen.host) == before


async def opened(stolen: Stolen, stage: Scene) -> Scene:
    for name in ("ada", "bo", "cy"):
        account = await people.by_email(stage.world.db, f"{name}@example.org")
        assert account
        stage.who[name] = account.person
    return stage


async def forge(stage: Scene, request: Request, name: str, armored: str, key: str) -> Request:
    """Write an approval past the guard, as the store's owner can."""
    person, text = stage.who[name], Text(secrets.token_bytes(16), armored)
    said = Approved(
        **stamp(stage.world.clock.now(), person.id),
        human=person.human,
        digest=request.digest,
        level="key",
        signature_text=text.commitment,
        key=key,
    )
    return await requests.append(stage.world.db, request, said, (text,))


@pytest.mark.threat("B16")
async def test_forged_approvals_move_neither_askfirst_nor_the_host(stolen: Stolen, journal: Journal) -> None:
    before = processes(stolen.host)
    async with another_world(stolen.url, stolen.host, "thief") as world:
        stage = await opened(stolen, Scene(stolen.host, world, stolen.url))
        request = await stage.waiting(GUI)
        assert request.state is State.WAITING
        text = await requests.text(world.db, request.warrant or "") or ""
        sent = {"bo": stolen.eve.sign(text), "cy": Signer().sign(text)}
        keys = {"bo": fingerprint(stolen.bo.public_key), "cy": fingerprint(stolen.cy.public_key)}
        for name, armored in sent.items():
            request = await forge(stage, request, name, armored, keys[name])
        assert request.state is State.APPROVED
        with pytest.raises(Broken):
            await execute(world, request)
        # And with Askfirst's own code taken out of the way, there is still the host.
        entry = Fitted(Level.SEALED).entry(stolen.host)
        for signatures in ((), tuple(sent.values())):
            answers = [each async for each in world.hosts.restart(entry, text, signatures=signatures)]
            assert [type(each) for each in answers] == [Refusal]
        TABLE.append(("approvals forged in the database, unsigned", journal.reason("askfirst", "no signature came")))
        TABLE.append(("approvals forged in the database, signed", journal.reason("askfirst", "none of this host's")))
        await decide.cancel(world, stage.who["ada"], request.id)
    assert processes(stolen.host) == before


@pytest.mark.law(6)
@pytest.mark.threat("D11")
async def test_what_two_people_signed_runs_and_runs_once(stolen: Stolen, journal: Journal) -> None:
    before = processes(stolen.host)
    unused = stolen.warrant()
    held = stolen.both(unused.text())
    async with another_world(stolen.url, stolen.host, "one") as world:
        stage = await opened(stolen, Scene(stolen.host, world, stolen.url))
        request = await stage.waiting(GUI)
        text = await requests.text(world.db, request.warrant or "") or ""
        by_bo, by_cy = stolen.both(text)
        request = await signed.approve(world, request.id, by_bo, "10.0.0.9")
        passkey = await credentials.by_key(world.db, fingerprint(stolen.cy.public_key))
        assert passkey
        proof = prove(passkey, by_cy, text)
        attempt = Attempt(stage.who["cy"], Via.SESSION, world.clock.now(), request.digest, proof)
        request = await stage.run(await decide.approve(world, attempt, request.id))
        assert request.state is State.SUCCEEDED, request.outcome
    assert f"{request.id}: starts as root" in journal.reason("askfirst", "starts as")
    now = processes(stolen.host)
    assert now
    assert now & before == set()
    assert stolen.send(text, [by_bo, by_cy]) == 75
    TABLE.append(("what two people signed, once more", journal.reason("askfirst", f"{request.id}: refused 75: spent")))
    assert stolen.send(unused.text(), held) == 75
    TABLE.append(("signed before that run, never used", journal.reason("askfirst", "is not what the warrant says")))
    assert processes(stolen.host) == now


def test_how_the_host_answered_the_thief_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print("\n\n what a thief of the server tried                what the sealed host's own log says of it")
        for name, reason in TABLE:
            print(f" {name[:46]:<47} {reason[:150]}")
        print(f"\n {len(TABLE)} attempts, all refused by the host; what two people signed ran, once")
    assert len(TABLE) == len(TRIES) + 4
