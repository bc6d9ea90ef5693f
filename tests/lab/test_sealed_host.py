"""A sealed host against a server that was taken whole: it has every secret, writes its own warrants, and runs nothing.

What it lacks is a finger on an approver's key. The host's own ssh-keygen says so, over real SSH; and where an approver
did sign exactly this warrant, it runs.
"""

import secrets
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from app.core.level import Level
from app.core.sshsig import NAMESPACE
from app.core.warrant import Warrant
from app.gate import build
from app.gate.kit import Signer, script
from tests.lab.attempts import NONCE
from tests.lab.flow_world import UNIT
from tests.lab.hosts import Lab, LabHost
from tests.lab.test_kit import values
from tests.lab.test_refusals import Journal, asked, processes, warrant
from tests.unit.gate.signers import PRESENT, VERIFIED, Passkey, SecurityKey

pytestmark = [pytest.mark.law(5), pytest.mark.threat("D23")]
TABLE: list[tuple[str, str]] = []


@dataclass(frozen=True)
class Desk:
    """The host, its approvers' keys, and a warrant that it would run if one of them had signed it."""

    host: LabHost
    bo: Passkey
    cy: SecurityKey
    right: Warrant

    def sent(self, one: Warrant, *signatures: str) -> subprocess.CompletedProcess[bytes]:
        data = build.restart_input(NONCE, one.text(), signatures, level=Level.SEALED)
        return asked(self.host, f"restart {UNIT.name}", data.decode())

    def by_the_servers_key(self, one: Warrant) -> str:
        """Sign with the very key that Askfirst signs in with."""
        argv = ["ssh-keygen", "-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(self.host.key_path)]
        done = subprocess.run(argv, input=one.text().encode(), capture_output=True, check=True)
        return done.stdout.decode()


@pytest.fixture(scope="module")
def desk(lab: Lab) -> Iterator[Desk]:
    bo, cy = Passkey(), SecurityKey()
    signers = (Signer(("bo@example.org",), (bo.line,)), Signer(("cy@example.org", "cy@home.example"), (cy.line,)))
    with lab.lend("seal", "systemd") as host:
        kit = values(host, level=Level.SEALED, cooldown=0, signers={UNIT.name: signers}, approvals={UNIT.name: 1})
        host.run(["sh", "-s"], stdin=script(kit))
        yield Desk(host, bo, cy, warrant(host, Level.SEALED))


@pytest.fixture(scope="module")
def journal(desk: Desk) -> Iterator[Journal]:
    made = Journal(desk.host)
    yield made
    made.close()


def other(one: Warrant, **fields: object) -> Warrant:
    return replace(one, **fields)  # type: ignore[arg-type]


NO_KEY = "by none of this host's approvers"
NOT_THIS = "Signature verification failed"
Tries = Callable[[Desk], tuple[Warrant, list[str]]]
TRIES: dict[str, tuple[Tries, str]] = {
    "no signature": (lambda at: (at.right, []), "this host is sealed, and no signature came with the warrant"),
    "the server's own key": (lambda at: (at.right, [at.by_the_servers_key(at.right)]), "nobody need touch"),
    "a new passkey": (lambda at: (at.right, [Passkey().sign(at.right.text())]), NO_KEY),
    "a new security key": (lambda at: (at.right, [SecurityKey().sign(at.right.text())]), NO_KEY),
    "a yes to another request": (
        lambda at: (at.right, [at.bo.sign(other(at.right, id="01JF3W6V9Q0Z7E5M2T8X4K1B6N").text())]), NOT_THIS,
    ),
    "a yes to the same with less time": (
        lambda at: (at.right, [at.cy.sign(other(at.right, not_after=at.right.not_after - 1).text())]), NOT_THIS,
    ),
    "a yes to another reason": (
        lambda at: (at.right, [at.bo.sign(other(at.right, reason="TFTP fix").text())]), NOT_THIS,
    ),
    "a yes for another requester": (
        lambda at: (at.right, [at.bo.sign(other(at.right, requester="di@example.org").text())]), NOT_THIS,
    ),
    "a yes of the requester's own": (
        lambda at: ((mine := other(at.right, requester="cy@home.example")), [at.cy.sign(mine.text())]),
        "whoever asks for a restart cannot sign it",
    ),
    "a passkey that knew nobody": (
        lambda at: (at.right, [at.bo.sign(at.right.text(), flags=PRESENT)]), "did not know its user",
    ),
    "a key that nobody touched": (
        lambda at: (at.right, [at.cy.sign(at.right.text(), flags=VERIFIED)]), "nobody touched the key",
    ),
    "a flag that was written in": (
        lambda at: (at.right, [at.cy.sign(at.right.text(), PRESENT, PRESENT | VERIFIED)]), NOT_THIS,
    ),
    "an expired yes": (
        lambda at: ((late := other(at.right, not_after=1767225600)), [at.bo.sign(late.text())]),
        "the warrant held until 2026-01-01T00:00:00Z",
    ),
    "a yes for another host": (
        lambda at: ((away := other(at.right, host="bravo")), [at.bo.sign(away.text())]), "and this is alpha",
    ),
    "a yes to a changed command": (
        lambda at: ((evil := other(at.right, argv=("systemctl", "stop", "ssh"))), [at.bo.sign(evil.text())]),
        "the command is not what this host's table says",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("tries", "reason"), TRIES.values(), ids=TRIES)
def test_with_every_secret_of_the_server_nothing_runs(
    desk: Desk, journal: Journal, tries: Tries, reason: str, request: pytest.FixtureRequest
) -> None:
    before = processes(desk.host)
    one, signatures = tries(desk)
    done = desk.sent(one, *signatures)
    assert done.returncode == 77
    assert b"started" not in done.stdout
    TABLE.append((request.node.callspec.id, journal.reason("askfirst", reason)))
    assert processes(desk.host) == before


def test_a_file_of_approvers_cannot_be_changed_from_the_account(desk: Desk) -> None:
    for command in ("echo x >>/etc/askfirst/approvers/gui-unit", "cat /etc/askfirst/approvers/gui-unit"):
        assert desk.host.run(["su", "-s", "/bin/sh", "askfirst", "-c", command], check=False).status != 0


@pytest.mark.law(6)
@pytest.mark.parametrize("who", ["bo", "cy"])
def test_what_an_approver_signed_runs_once_and_is_that_very_warrant(desk: Desk, journal: Journal, who: str) -> None:
    before = processes(desk.host)
    one = other(warrant(desk.host, Level.SEALED), id=f"01JF3W6V9Q{secrets.token_hex(8).upper()}")
    yes = getattr(desk, who).sign(one.text())
    assert desk.sent(one, yes).returncode == 0
    journal.reason("askfirst", f"{one.id}: starts as root")
    assert processes(desk.host) & before == set()
    assert desk.sent(one, yes).returncode == 75
    journal.reason("askfirst", f"{one.id}: refused 75: spent")


def test_how_each_attempt_was_refused_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print("\n\n with every secret of the server             what the sealed host's own log says of it")
        for name, reason in TABLE:
            print(f" {name:<44} {reason[:150]}")
    assert len(TABLE) == len(TRIES)
