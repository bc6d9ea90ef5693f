"""What a host that does not answer as the gate does amounts to: Unreachable where nothing can have run, else Lost."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from app.core.errors import Lost, Unreachable
from app.core.facts import Record
from app.core.run import OUTPUT_BYTES, Differs, Exited, Output, Refusal, Started
from app.core.service import TcpCheck
from app.core.warrant import Warrant
from app.gate import build
from app.ssh.answers import Run
from app.ssh.gate import SshHosts
from app.ssh.keys import fingerprint
from tests.fakes.sshd import Sshd

ID = "01JF3W6V9Q0Z7E5M2T8X4K1B6N"
Process = asyncssh.SSHServerProcess[bytes]


@pytest.fixture
async def hosts(key_path: Path) -> AsyncIterator[SshHosts]:
    made = SshHosts(key_path, answer_seconds=10, run_seconds=10)
    yield made
    await made.close()


def answering(
    sshd: Sshd, *lines: str | bytes, status: int | None = 0, complaint: bytes = b"", whole: bool = True
) -> None:
    """Have the host answer with a header, these lines, and an end; raw bytes stand alone."""

    async def answer(process: Process) -> None:
        asked = await process.stdin.read()
        verb, nonce = re.findall(rb"^af_main (\w+) ([0-9a-f]{32})", asked, re.MULTILINE)[0]
        head = b"askfirst-gate 1 nonce=%s verb=%s gate=0123456789abcdef\n" % (nonce, verb)
        body = [line.encode() + b"\n" if isinstance(line, str) else line for line in lines]
        end = b"end nonce=%s count=%d\n" % (nonce, len(body) + 1)
        if whole:
            body = [head, *body, end]
        for piece in body:
            process.stdout.write(piece)
            await process.stdout.drain()
        process.stderr.write(complaint)
        if status is None:
            sshd.cut()
        else:
            process.exit(status)

    sshd.answers = answer


def warrant(sshd: Sshd) -> str:
    return Warrant(
        id=ID,
        service="gui",
        host=sshd.name,
        host_key=fingerprint(sshd.key),
        manager="supervisor",
        unit="gui",
        action="restart",
        argv=("true",),
        argv_user="root",
        identity=("boot 1", "process 1 2 root /"),
        requester="ada",
        reason="test",
        policy="test 1",
        not_after=4_000_000_000,
        evidence="sha256:none",
    ).text()


async def said(hosts: SshHosts, sshd: Sshd) -> list[object]:
    return [each async for each in hosts.restart(sshd.host, warrant(sshd))]


@pytest.mark.threat("D2")
async def test_only_the_constant_command_is_ever_started(sshd: Sshd, hosts: SshHosts) -> None:
    answering(sshd, "spool state=unspent status=-")
    await hosts.result(sshd.host, ID)
    await hosts.result(replace(sshd.host, sudo=True), ID)
    answering(sshd, "refused why=spent")
    await said(hosts, sshd)
    assert sshd.commands == ["sh -s", "sudo -n sh -s", "sh -s"]


@pytest.mark.threat("D15")
async def test_no_terminal_is_asked_for_so_that_no_pager_starts(sshd: Sshd, hosts: SshHosts) -> None:
    seen: list[tuple[str | None, dict[str, str]]] = []
    answering(sshd, "spool state=unspent status=-")
    answer = sshd.answers
    assert answer is not None

    async def look(process: Process) -> None:
        seen.append((process.term_type, dict(process.env)))
        await answer(process)

    sshd.answers = look
    await hosts.result(sshd.host, ID)
    assert seen == [(None, {})]


HOSTILE: dict[str, list[str | bytes]] = {
    "nothing": [],
    "garbage": [b"\x00\xff\x1b[2J" * 1000 + b"\n"],
    "a start-up file that prints": [b"Welcome to alpha!\n"],
    "no end": [b"askfirst-gate 1 nonce=" + b"0" * 32 + b" verb=probe gate=x\n"],
    "a line without end": [b"a" * 1_000_000],
    "an HTML page": [b"<html><body>gateway timeout</body></html>\n"],
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_what_is_not_the_gates_answer_is_unreachable(sshd: Sshd, hosts: SshHosts, name: str) -> None:
    answering(sshd, *HOSTILE[name], whole=False)
    for talk in (hosts.probe(sshd.host, []), hosts.burn(sshd.host, ID), hosts.result(sshd.host, ID)):
        with pytest.raises(Unreachable) as failed:
            await talk
        assert failed.value.code == "garbled"


@pytest.mark.law(12)
@pytest.mark.parametrize("name", HOSTILE)
async def test_the_same_after_a_warrant_was_sent_is_lost(sshd: Sshd, hosts: SshHosts, name: str) -> None:
    answering(sshd, *HOSTILE[name], whole=False)
    with pytest.raises(Lost) as failed:
        await said(hosts, sshd)
    assert failed.value.code == "garbled"


@pytest.mark.threat("E6")
@pytest.mark.parametrize("verb", ["probe", "burn", "result"])
async def test_a_hundred_megabytes_are_not_read_to_their_end(sshd: Sshd, hosts: SshHosts, verb: str) -> None:
    sent = 0

    async def flood(process: Process) -> None:
        nonlocal sent
        (nonce,) = re.findall(rb"^af_main \w+ ([0-9a-f]{32})", await process.stdin.read(), re.MULTILINE)
        process.stdout.write(b"askfirst-gate 1 nonce=%s verb=%s gate=x\n" % (nonce, verb.encode()))
        for _ in range(1600):
            process.stdout.write(b"blind why=" + b"x" * 65000 + b"\n")
            await process.stdout.drain()
            sent += 65000

    sshd.answers = flood
    with pytest.raises(Unreachable) as failed:
        await (hosts.probe(sshd.host, []) if verb == "probe" else getattr(hosts, verb)(sshd.host, ID))
    assert failed.value.code == "garbled"
    assert sent < 16 << 20


@pytest.mark.threat("E11")
async def test_a_gate_that_hangs_is_given_up(sshd: Sshd, key_path: Path) -> None:
    async def hang(process: Process) -> None:
        await process.wait_closed()

    sshd.answers = hang
    hosts = SshHosts(key_path, answer_seconds=0.3, run_seconds=0.3)
    with pytest.raises(Unreachable) as late:
        await hosts.probe(sshd.host, [])
    assert late.value.code == "timeout"
    with pytest.raises(Lost) as lost:
        await said(hosts, sshd)
    assert lost.value.code == "run_timeout"
    await hosts.close()


async def test_a_host_that_is_lost_in_the_middle_of_an_answer_is_not_called_garbled(
    sshd: Sshd, hosts: SshHosts
) -> None:
    answering(sshd, b"askfirst-gate 1 nonce=", status=None, whole=False)
    with pytest.raises(Unreachable) as failed:
        await hosts.probe(sshd.host, [])
    assert failed.value.code == "connection_lost"
    with pytest.raises(Lost) as lost:
        await said(hosts, sshd)
    assert lost.value.code == "line_lost"


@pytest.mark.parametrize(
    ("status", "complaint"),
    [
        (1, b"sudo: a password is required\n"),
        (1, b"sudo: askfirst is not in the sudoers file\n"),
        (127, b"sh: 1: sudo: not found\n"),
    ],
)
async def test_sudo_that_says_no_is_named_with_the_line_that_is_missing(
    sshd: Sshd, hosts: SshHosts, status: int, complaint: bytes
) -> None:
    host = replace(sshd.host, sudo=True)
    answering(sshd, status=status, complaint=complaint, whole=False)

    async def restart() -> None:
        async for _ in hosts.restart(host, warrant(sshd)):
            pass

    for talk in (hosts.probe(host, []), hosts.burn(host, ID), restart()):
        with pytest.raises(Unreachable) as failed:
            await talk
        assert failed.value.code == "sudo_missing"
        assert "askfirst ALL=(root) NOPASSWD: /usr/bin/sh -s" in failed.value.next_step


async def test_a_sudo_on_the_host_that_says_no_is_named(sshd: Sshd, hosts: SshHosts, tmp_path: Path) -> None:
    sudo = tmp_path / "sudo"
    sudo.write_text("#!/bin/sh\ncat >/dev/null\necho 'sudo: a password is required' >&2\nexit 1\n")
    sudo.chmod(0o755)
    sshd.environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    with pytest.raises(Unreachable) as failed:
        await hosts.probe(replace(sshd.host, sudo=True), [])
    assert failed.value.code == "sudo_missing"


async def test_a_complaint_after_the_gate_has_spoken_is_not_sudos(sshd: Sshd, hosts: SshHosts) -> None:
    answering(sshd, b"something\n", status=1, complaint=b"sudo: odd\n", whole=False)
    with pytest.raises(Lost):
        async for _ in hosts.restart(replace(sshd.host, sudo=True), warrant(sshd)):
            pass


async def test_an_output_is_kept_to_its_cap_and_says_so(sshd: Sshd, hosts: SshHosts) -> None:
    piece, step = "61" * 16384, 16384
    lines = [f"output offset={index * step} hex={piece}" for index in range(200)]
    answering(sshd, "started pid=1 start=2", *lines, "exit status=0")
    everything = await said(hosts, sshd)
    assert everything[0] == Started()
    assert everything[-1] == Exited(0)
    printed = b"".join(each.data for each in everything if isinstance(each, Output))
    assert len(printed) == OUTPUT_BYTES
    assert printed.endswith(b"more was printed; only the first MiB is kept]\n")
    answering(sshd, "spool state=exited status=0", *lines[:100])
    assert (await hosts.result(sshd.host, ID)).output == printed


async def test_the_gates_own_refusals_come_through(sshd: Sshd, hosts: SshHosts) -> None:
    answering(sshd, "refused why=spent")
    assert await said(hosts, sshd) == [Refusal("spent")]
    answering(sshd, "differs line=boot%202", "differs line=process%201%203%20root%20/")
    assert await said(hosts, sshd) == [Differs(("boot 2", "process 1 3 root /"))]
    answering(sshd, "differs line=-")
    assert await said(hosts, sshd) == [Differs(())]


@pytest.mark.law(12)
@pytest.mark.parametrize(
    "lines",
    [
        ["started pid=1 start=2"],
        ["started pid=1 start=2", "exit status=x"],
        ["started pid=1 start=2", "exit status=99999999999999999999"],
        ["started pid=1 start=2", "exit status=-1"],
        ["started pid=1 start=2", "output offset=0 hex=6"],
        ["started pid=1 start=2", "output offset=-1 hex=61", "exit status=0"],
        ["host boot=1"],
        [],
    ],
    ids=str,
)
async def test_a_whole_answer_that_makes_no_sense_is_lost(sshd: Sshd, hosts: SshHosts, lines: list[str]) -> None:
    answering(sshd, *lines)
    with pytest.raises(Lost):
        await said(hosts, sshd)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["spool state=lost status=-"],
        ["spool state=exited status=-"],
        ["spool state=burned status=0"],
        ["spool status=0"],
    ],
    ids=str,
)
async def test_a_spool_that_makes_no_sense_is_unreachable(sshd: Sshd, hosts: SshHosts, lines: list[str]) -> None:
    answering(sshd, *lines)
    for talk in (hosts.burn(sshd.host, ID), hosts.result(sshd.host, ID)):
        with pytest.raises(Unreachable) as failed:
            await talk
        assert failed.value.code == "garbled"


async def test_a_burn_is_never_answered_with_unspent(sshd: Sshd, hosts: SshHosts) -> None:
    answering(sshd, "spool state=unspent status=-")
    with pytest.raises(Unreachable):
        await hosts.burn(sshd.host, ID)


@pytest.mark.law(13)
async def test_a_spool_that_cannot_be_used_says_why_in_visible_words(sshd: Sshd, hosts: SshHosts) -> None:
    answering(sshd, "refused why=the%20disk%20is%20full%1B[2J")
    with pytest.raises(Unreachable) as failed:
        await hosts.burn(sshd.host, ID)
    assert failed.value.code == "spool_unusable"
    assert "the disk is full" in failed.value.message
    assert "\x1b" not in failed.value.message


async def test_claims_that_cannot_be_sent_leave_the_host_alone(sshd: Sshd, hosts: SshHosts) -> None:
    with pytest.raises(Unreachable):
        await hosts.burn(sshd.host, "no id\n'; reboot")
    assert sshd.commands == []
    assert [type(each) async for each in hosts.restart(sshd.host, "askfirst-warrant 1\n`reboot`\n")] == [Refusal]
    assert sshd.commands == []


async def test_a_check_over_a_connection_that_dies_is_unreachable(sshd: Sshd, hosts: SshHosts) -> None:
    sshd.cuts_on_forward = True
    with pytest.raises(Unreachable) as failed:
        await hosts.check(sshd.host, TcpCheck(80))
    assert failed.value.code == "connection_lost"


async def test_a_slow_reader_gets_everything_in_order(sshd: Sshd, hosts: SshHosts) -> None:
    lines = [f"output offset={index} hex=6{index % 10}" for index in range(1000)]
    answering(sshd, "started pid=1 start=2", *lines, "exit status=7")
    everything = []
    async for each in hosts.restart(sshd.host, warrant(sshd)):
        everything.append(each)
        if len(everything) % 100 == 0:
            await asyncio.sleep(0.01)
    assert everything[-1] == Exited(7)
    assert [each.offset for each in everything if isinstance(each, Output)] == list(range(1000))


@pytest.mark.law(4)
def test_nothing_but_the_gate_starts_a_program_on_a_host() -> None:
    """By reading the source: one file opens sessions, and only the gate's has it do so."""
    app = Path(build.__file__).parents[1]
    sources = {str(each.relative_to(app)): each.read_text() for each in app.rglob("*.py")}
    opens = re.compile(r"create_session|create_process|open_session|start_sftp_client")
    openers = {name for name, text in sources.items() if "import asyncssh" in text and opens.search(text)}
    assert openers == {"ssh/session.py"}
    assert {name for name, text in sources.items() if ".talk(" in text} == {"ssh/gate.py"}


def test_an_empty_piece_of_output_tells_nothing() -> None:
    run = Run()
    assert run.take(Record("output", {"offset": "0", "hex": ""})) is None
    assert run.take(Record("output", {"offset": "0", "hex": "61"})) == Output(0, b"a")
