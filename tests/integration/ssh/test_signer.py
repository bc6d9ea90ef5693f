"""The signer as it runs: a process of its own, as another user, that signs two kinds of certificate, nothing else."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from app.core.errors import Refused, Unreachable
from app.ssh.authority import Authority
from app.ssh.certificates import Certificates, Wish, read
from app.ssh.signer import SocketSigner, listening
from tests.integration.limits import no_file_beyond

ROOT = Path(__file__).parents[3]
NOBODY = 65534
KEY = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()


def question(**other: object) -> dict[str, Any]:
    return {"key": KEY, "principal": "look", "serial": 0, "seconds": 300, "sources": ["10.0.0.2"], **other}


_PLAIN = "import typer; from app.cli.signer import signer; typer.run(signer)"
# Python itself may lie where only root can read: so it is loaded first, and gives the rights up then. The kernel takes
# that for a reason to hide the memory of its own accord, which is undone, so that only what the signer does is seen.
_AS_ANOTHER = f"""
import codecs, ctypes, os
import typer
from app.cli.signer import signer
list(map(codecs.lookup, ("ascii", "idna", "punycode")))
os.setgid({NOBODY}), os.setuid({NOBODY})
assert not ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
typer.run(signer)
"""


class Signer:
    """`askfirst signer` in a process of its own, asked over its socket."""

    def __init__(self, folder: Path, user: int = 0) -> None:
        self.socket, self.key = folder / "signer.sock", folder / "ca"
        self._user = user

    @contextlib.contextmanager
    def running(self, asker: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
        may_ask = str(os.geteuid() if asker is None else asker)
        words = ["--socket", str(self.socket), "--key", str(self.key), "--user", may_ask]
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                _AS_ANOTHER if self._user else _PLAIN,
                *words,
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        first = process.stdout.readline()
        try:
            if not first:
                assert process.stderr is not None
                raise AssertionError(process.stderr.read().decode())
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            self.log = [json.loads(line) for line in process.communicate()[1].splitlines()]

    async def ask(self, asked: object) -> dict[str, str]:
        reader, writer = await asyncio.open_unix_connection(self.socket)
        writer.write((asked if isinstance(asked, str) else json.dumps(asked)).encode() + b"\n")
        answer: dict[str, str] = json.loads(await reader.readline())
        writer.close()
        return answer


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer(tmp_path)


async def test_it_signs_for_looking_and_for_one_restart_and_logs_each(signer: Signer) -> None:
    with signer.running():
        for principal, serial in (("look", 0), ("look", 0), ("restart-pypnm-gui", 7)):
            found = read((await signer.ask(question(principal=principal, serial=serial)))["certificate"])
            assert found is not None
            assert (found.valid_principals, found.serial) == ([principal.encode()], serial)
            assert found.valid_before - found.valid_after == 360
            assert found.critical_options == {b"source-address": b"10.0.0.2/32"}
            assert set(found.extensions) == ({b"permit-port-forwarding"} if principal == "look" else set())
    told = [(line["event"], line["principal"], line["serial"], line["uid"]) for line in signer.log]
    assert told == [("signed", "look", 0, os.geteuid())] * 2 + [("signed", "restart-pypnm-gui", 7, os.geteuid())]
    assert not signer.socket.exists()


NOT_SIGNED = (
    ({"principal": "root"}, "neither look nor"),
    ({"principal": "look,restart-a"}, "neither look nor"),
    ({"principal": "restart-"}, "neither look nor"),
    ({"principal": "restart-a\nlook"}, "neither look nor"),
    ({"principal": ["look", "restart-a"]}, "form"),
    ({"seconds": 301}, "300 seconds at most"),
    ({"seconds": 0}, "300 seconds at most"),
    ({"seconds": True}, "form"),
    ({"serial": 1}, "look has the serial 0"),
    ({"principal": "restart-a"}, "look has the serial 0"),
    ({"principal": "restart-a", "serial": -1}, "look has the serial 0"),
    ({"principal": "restart-a", "serial": 2**63}, "look has the serial 0"),
    ({"sources": ["everywhere"]}, "source"),
    ({"sources": ["10.0.0.1"] * 9}, "source"),
    ({"key": "ssh-rsa AAAA"}, "only Ed25519"),
    ({"key": "ssh-ed25519 AAAA"}, "no public key"),
    ({"force": "sh"}, "form"),
)


@pytest.mark.threat("D9")
async def test_it_signs_nothing_else(signer: Signer) -> None:
    with signer.running():
        for other, why in NOT_SIGNED:
            assert why in (await signer.ask(question(**other))).get("refused", "signed"), other
        for text in ("", "nonsense", "[]", "x" * 5000, "\xff"):
            assert "refused" in await signer.ask(text)
        assert "certificate" in await signer.ask(question())
    assert [line["event"] for line in signer.log] == ["refused"] * (len(NOT_SIGNED) + 5) + ["signed"]


@pytest.mark.law(6)
@pytest.mark.threat("T10")
async def test_a_run_gets_one_certificate_even_from_a_signer_that_was_killed(signer: Signer) -> None:
    asked = question(principal="restart-a", serial=9)
    with signer.running() as process:
        assert "certificate" in await signer.ask(asked)
        assert "signed before" in (await signer.ask(asked))["refused"]
        process.kill()
    with signer.running():
        assert "signed before" in (await signer.ask(asked))["refused"]
        assert "signed before" in (await signer.ask({**asked, "principal": "restart-b"}))["refused"]
        assert "certificate" in await signer.ask({**asked, "serial": 10})


def test_what_a_crash_cut_short_counts_as_signed_and_spoils_nothing_after_it(tmp_path: Path) -> None:
    key = tmp_path / "ca"
    (tmp_path / "ca.signed").write_text("3 restart-a 2026-11-24T10:00:00.000Z SHA256:x\n41")
    for serial in (3, 41):
        with Authority(key) as authority, pytest.raises(Refused, match="signed before"):
            authority.sign(Wish(KEY, "restart-a", serial, ()))
    with Authority(key) as authority:
        authority.sign(Wish(KEY, "restart-a", 42, ()))
    words = [line.split(" ")[0] for line in (tmp_path / "ca.signed").read_text().splitlines()]
    assert words == ["3", "41", "42"]


def test_a_certificate_is_never_handed_out_where_its_serial_cannot_be_noted(tmp_path: Path) -> None:
    with Authority(tmp_path / "ca") as authority:
        number = authority._file  # noqa: SLF001 - a disk that takes no more is not to be had otherwise
        full = os.open("/dev/full", os.O_WRONLY)
        kept = os.dup(number)
        os.dup2(full, number)
        with pytest.raises(OSError, match="No space left"):
            authority.sign(Wish(KEY, "restart-a", 5, ()))
        os.dup2(kept, number)
        os.close(full)
        os.close(kept)


@pytest.mark.law(6)
@pytest.mark.threat("F4")
def test_a_serial_that_a_full_disk_cut_short_is_not_signed_and_hides_none_after_it(tmp_path: Path) -> None:
    key, noted = tmp_path / "ca", tmp_path / "ca.signed"
    with Authority(key) as authority:
        for room in (2, 9, 40):
            with no_file_beyond(noted.stat().st_size + room), pytest.raises(OSError, match="No space left"):
                authority.sign(Wish(KEY, "restart-a", 412, ()))
        authority.sign(Wish(KEY, "restart-a", 413, ()))
    with Authority(key) as again, pytest.raises(Refused, match="signed before"):
        again.sign(Wish(KEY, "restart-a", 413, ()))
    assert [line.split(" ")[0] for line in noted.read_text().splitlines()] == ["41", "412", "412", "413"]


def test_two_signers_never_share_a_key(tmp_path: Path) -> None:
    with Authority(tmp_path / "ca"), pytest.raises(Refused, match="Another signer"):
        Authority(tmp_path / "ca")


@pytest.mark.threat("L6")
def test_a_key_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    with Authority(tmp_path / "ca"):
        pass
    (tmp_path / "ca").chmod(0o640)
    with pytest.raises(Refused, match="can read the private key"):
        Authority(tmp_path / "ca")


@pytest.fixture
def folder_of_nobody() -> Iterator[Path]:
    if os.geteuid():
        pytest.skip("needs root: it runs the signer as another user")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        os.chown(name, NOBODY, NOBODY)
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.threat("L6")
async def test_it_runs_as_another_user_whose_memory_nobody_reads_and_answers_the_server_alone(
    folder_of_nobody: Path,
) -> None:
    signer = Signer(folder_of_nobody, NOBODY)
    with signer.running(asker=0) as process:
        assert (signer.key.stat().st_uid, signer.key.stat().st_mode & 0o777) == (NOBODY, 0o600)
        # The kernel gives the files of a process that may not be dumped to root, whoever runs it.
        assert Path(f"/proc/{process.pid}/mem").stat().st_uid == 0
        status = Path(f"/proc/{process.pid}/limits").read_text()
        assert "Max core file size        0                    0" in status
        assert "certificate" in await signer.ask(question())
        asked = subprocess.run(
            [sys.executable, "-c", _ASK, str(signer.socket), json.dumps(question())], capture_output=True, check=True
        )
        assert "may not ask" in json.loads(asked.stdout)["refused"]
    assert [(line["event"], line["uid"]) for line in signer.log] == [("signed", 0), ("refused", NOBODY)]


_ASK = """
import os, socket, sys
os.setuid(65534)
made = socket.socket(socket.AF_UNIX)
made.connect(sys.argv[1])
made.sendall(sys.argv[2].encode() + b"\\n")
print(made.recv(4096).decode())
"""


async def test_a_signer_that_does_not_answer_or_signs_something_else_is_told_and_nothing_is_shown(
    tmp_path: Path, signer: Signer
) -> None:
    with pytest.raises(Unreachable, match="does not answer") as away:
        await Certificates(SocketSigner(signer.socket)).pair("look", 0, None)
    assert away.value.code == "not_signed"
    with signer.running():
        pair = await Certificates(SocketSigner(signer.socket), ["10.1.0.0/16"]).pair("restart-a", 3, "10.9.9.9")
        assert pair.has_cert
        with pytest.raises(Unreachable, match="signed before"):
            await Certificates(SocketSigner(signer.socket)).pair("restart-a", 3, None)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    place = tmp_path / "gone" / "socket"
    with pytest.raises(Refused) as refused, listening(place):
        pass
    assert refused.value.message == f"The signer cannot listen at {place}: No such file or directory."
    assert str(place.parent) in refused.value.next_step
