"""A host with the kit is asked by its four verbs; where kit and registry disagree, the answer says which to set."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import asyncssh
import pytest

from app.core.errors import Lost, Unreachable
from app.core.judge import unreachable
from app.core.level import Level
from app.core.service import Host, Service
from app.core.verdict import Code
from app.core.warrant import Warrant
from app.gate.build import DIGEST
from app.ssh.gate import SshHosts
from app.ssh.keys import fingerprint
from tests.fakes.sshd import Sshd

SERVICE = Service("pypnm-gui", "alpha", "lab-team", "supervisor", "lab:pypnm-gui")
ID = "01JF3W6V9Q0Z7E5M2T8X4K1B6N"


@dataclass
class Answer:
    """What a host's account says to everything: on standard error, with an exit status. It notes what it was asked."""

    complaint: bytes = b""
    status: int | None = 0
    printed: bytes = b""
    listens: bool = True
    asked: list[tuple[str, bytes]] = field(default_factory=list)

    async def __call__(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        data = await process.stdin.read() if self.listens else b""
        self.asked.append((process.command or "", data))
        process.stdout.write(self.printed)
        process.stderr.write(self.complaint)
        if self.status is None:
            process.close()
        else:
            process.exit(self.status)


@pytest.fixture
async def hosts(key_path: Path) -> AsyncIterator[SshHosts]:
    made = SshHosts(key_path)
    yield made
    await made.close()


def warrant(sshd: Sshd) -> str:
    return Warrant(
        id=ID, service=SERVICE.name, host=sshd.host.name, host_key=fingerprint(sshd.key), manager="supervisor",
        unit="lab:x", action="restart", argv=("supervisorctl", "restart", "lab:x"), argv_user="root",
        identity=("boot b", "process 1 2 root /"), requester="ada@example.org", reason="why", policy="test 1",
        not_after=4_000_000_000, evidence="sha256:none",
    ).text()  # fmt: skip


def talks(hosts: SshHosts, host: Host, text: str) -> tuple[Callable[[], Awaitable[object]], ...]:
    async def run() -> None:
        async for _ in hosts.restart(host, text, signatures=()):
            pass

    return (
        lambda: hosts.probe(host, [SERVICE]),
        run,
        lambda: hosts.burn(host, ID),
        lambda: hosts.result(host, ID),
    )


@pytest.mark.parametrize("level", [Level.ENFORCED, Level.SEALED])
async def test_the_command_is_one_of_the_four_verbs_and_the_input_begins_with_the_nonce(
    sshd: Sshd, hosts: SshHosts, level: Level
) -> None:
    sshd.answers = answer = Answer(b"askfirst: refused: not now\n", 77)
    text = warrant(sshd)
    for talk in talks(hosts, replace(sshd.host, level=level), text):
        with pytest.raises(Unreachable):
            await talk()
    assert [command for command, _ in answer.asked] == [
        "probe",
        f"restart {SERVICE.name}",
        f"burn {ID}",
        f"result {ID}",
    ]
    for (_, data), held in zip(answer.asked, (f"service {SERVICE.name} ", text, "", ""), strict=True):
        nonce, rest = data.decode().split("\n", 1)
        assert len(nonce) == 32
        assert rest.startswith(held)
        assert rest.endswith("end\n")
        assert DIGEST not in rest


REFUSALS = (
    (Level.OPEN, False, b"askfirst: refused: this is not probe\n", 64, "has_kit"),
    (Level.OPEN, True, b"Welcome.\naskfirst: refused: this is not probe\n", 64, "has_kit"),
    (Level.ENFORCED, False, b"sh: 1: probe: not found\n", 127, "no_kit"),
    (Level.ENFORCED, False, b"bash: line 1: restart: command not found\n", 127, "no_kit"),
    (Level.SEALED, False, b"sh: 1: /usr/local/lib/askfirst/door: Permission denied\n", 126, "no_kit"),
    (Level.ENFORCED, False, b"sudo: a password is required\n", 1, "kit_incomplete"),
    (Level.ENFORCED, False, b"askfirst: refused: this host has no sudo\n", 69, "refused_by_host"),
    (Level.SEALED, False, b"askfirst: refused: sshd does not tell\n", 77, "refused_by_host"),
)


@pytest.mark.law(12)
@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: f"{case[0]} {case[4]} {case[3]}")
async def test_what_kept_the_gate_from_being_started_is_said_and_nothing_ran(
    sshd: Sshd, hosts: SshHosts, case: tuple[Level, bool, bytes, int, str]
) -> None:
    level, sudo, complaint, status, code = case
    sshd.answers = Answer(complaint, status)
    for talk in talks(hosts, replace(sshd.host, level=level, sudo=sudo), warrant(sshd)):
        with pytest.raises(Unreachable) as refused:
            await talk()
        verdict = unreachable(SERVICE, refused.value)
        assert refused.value.code == code
        assert "Nothing was run." in refused.value.message
        assert verdict.code is Code.BLIND
        wanted = {"has_kit": "level", "no_kit": "host kit", "kit_incomplete": "host kit"}.get(code, "log")
        assert wanted in verdict.next_step


async def test_a_door_that_shuts_before_anything_was_sent_is_heard_too(sshd: Sshd, hosts: SshHosts) -> None:
    sshd.answers = Answer(b"askfirst: refused: there is no shell here\n", 64, listens=False)
    for _ in range(5):
        for talk in talks(hosts, sshd.host, warrant(sshd)):
            with pytest.raises(Unreachable) as refused:
                await talk()
            assert refused.value.code == "has_kit"


@pytest.mark.law(12)
@pytest.mark.parametrize(
    ("printed", "status"), [(b"askfirst-gate 1 nonce=", 77), (b"", None), (b"\n", 64)], ids=["began", "cut", "spoke"]
)
async def test_after_a_warrant_was_sent_only_a_refusal_before_the_first_byte_is_believed(
    sshd: Sshd, hosts: SshHosts, printed: bytes, status: int | None
) -> None:
    """A door that refuses has started nothing. What printed anything, or has no exit status, may have."""
    sshd.answers = Answer(b"askfirst: refused: not now\n", status, printed)
    with pytest.raises(Lost):
        await talks(hosts, replace(sshd.host, level=Level.ENFORCED), warrant(sshd))[1]()
