"""The door: of whatever sshd hands it, it lets pass four forms, and of a certificate's sign-in only what that is for.

What passes ends at sudo, which the lab has; here it is enough that it was not the door that refused.
"""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.gate import build
from tests.unit.gate.hosted import SHELLS, shell_of

NONCE, ID = "0" * 32, "01JF3W6V9Q0Z7E5M2T8X4K1B6N"


@dataclass(frozen=True)
class Door:
    """The door's text under one shell, as sshd starts it."""

    shell: Sequence[str]
    file: Path

    def refuses(self, asked: str, *words: str, data: str = f"{NONCE}\nend\n", **environment: str) -> tuple[int, str]:
        """Return its exit status and reason, or (0, "") where it let this pass to sudo."""
        session = {"PATH": "/tmp", "SSH_ORIGINAL_COMMAND": asked, "SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"}
        done = subprocess.run(
            [*self.shell, self.file, *words],
            input=data.encode(),
            capture_output=True,
            check=False,
            env={**session, **environment},
        )
        assert done.stdout == b""
        said, _, why = done.stderr.decode().strip().partition("askfirst: refused: ")
        if said or why in {
            "this host has no sudo",
            "sudo has no line for it: this host allows no restart of that name",
        }:
            return 0, ""
        return done.returncode, why


@pytest.fixture(params=SHELLS)
def door(request: pytest.FixtureRequest, tmp_path: Path) -> Door:
    file = tmp_path / "door"
    file.write_text(build.door())
    name, *more = shell_of(request.param)[:-1]
    return Door((shutil.which(name) or name, *more), file)


@pytest.mark.parametrize("asked", ["probe", "restart gui", "restart " + "g" * 40, f"burn {ID}", f"result {ID}"])
def test_four_forms_pass(door: Door, asked: str) -> None:
    assert door.refuses(asked) == (0, "")


HOSTILE = {
    "": 64, "sh": 64, "probe ": 64, " probe": 64, "probe;id": 64, "probe\nid": 64, "PROBE": 64, "probe x": 64,
    "restart": 64, "restart ": 65, "restart  gui": 65, "restart gui ": 65, "restart gui x": 65, "restart gui;id": 65,
    "restart -gui": 65, "restart gui-": 65, "restart *": 65, "restart $(id)": 65, "restart gui\n": 65,
    "restart g\xfci": 65,
    "restart " + "g" * 41: 65, "burn": 64, "burn ": 65, "burn x": 65, f"burn {ID} ": 65, f"burn {ID}\n": 65,
    "burn ../../../../../etc/passwd": 65, f"result {ID}0$(id)": 65, "result *": 65, "reload gui": 64, "x" * 101: 64,
}  # fmt: skip


@pytest.mark.threat("D1")
def test_nothing_else_passes(door: Door) -> None:
    assert {asked: door.refuses(asked)[0] for asked in HOSTILE} == HOSTILE


def test_it_says_what_it_refuses_in_one_line_of_printable_text(door: Door) -> None:
    assert door.refuses("") == (64, "there is no shell here")
    assert door.refuses("probe\x1b[2J\n") == (64, "this is not probe, restart SERVICE, burn ID or result ID")


@pytest.mark.parametrize("data", ["", "x\nend\n", "$(id)\nend\n", "\nend\n"])
def test_an_id_without_a_nonce_goes_no_further(door: Door, data: str) -> None:
    assert door.refuses(f"burn {ID}", data=data)[0] == 65


def signed_in(folder: Path, *principals: str, kind: str = "cert") -> str:
    """The file by which sshd tells how a sign-in was made: by a real certificate for these principals."""
    for name in ("ca", "own"):
        if not (folder / name).exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    names = ["-n", ",".join(principals)] if principals else []
    words = ["ssh-keygen", "-q", "-s", str(folder / "ca"), "-I", "run"]
    sign = [*words, *names, "-V", "-1m:+5m", str(folder / "own.pub")]
    subprocess.run(sign, check=True)
    key = (folder / ("own-cert.pub" if kind == "cert" else "own.pub")).read_text().split()
    (folder / "auth").write_text(f"publickey {key[0]} {key[1]}\n")
    return str(folder / "auth")


def test_a_certificate_is_for_looking_or_for_one_restart_and_for_nothing_else(door: Door, tmp_path: Path) -> None:
    look = signed_in(tmp_path, "look")
    for asked in ("probe", f"burn {ID}", f"result {ID}"):
        assert door.refuses(asked, "look", SSH_USER_AUTH=look) == (0, "")
    assert door.refuses("restart gui", "look", SSH_USER_AUTH=look) == (77, "this certificate is not for that")
    assert door.refuses("sh", "look", SSH_USER_AUTH=look)[0] == 64
    run = signed_in(tmp_path, "restart-gui")
    assert door.refuses("restart gui", "restart", "gui", SSH_USER_AUTH=run) == (0, "")
    for asked in ("restart gui-2", "probe", f"burn {ID}", f"result {ID}"):
        assert door.refuses(asked, "restart", "gui", SSH_USER_AUTH=run)[0] == 77
    assert door.refuses("sh", "restart", "gui", SSH_USER_AUTH=run)[0] == 64


@pytest.mark.threat("D9")
def test_a_certificate_of_several_principals_or_of_another_opens_nothing(door: Door, tmp_path: Path) -> None:
    for principals in (("look", "restart-gui"), ("restart-gui", "look"), ("look", "look"), ("root",), ()):
        shown = signed_in(tmp_path, *principals)
        assert door.refuses("probe", "look", SSH_USER_AUTH=shown) == (
            77, "the certificate is not for the one principal look",
        )  # fmt: skip
    shown = signed_in(tmp_path, "restart-gui-2")
    assert door.refuses("restart gui", "restart", "gui", SSH_USER_AUTH=shown)[0] == 77


@pytest.mark.threat("D12")
def test_where_sshd_does_not_tell_how_a_sign_in_was_made_it_opens_nothing(door: Door, tmp_path: Path) -> None:
    untold = "sshd does not tell how this sign-in was made: set ExposeAuthInfo yes"
    assert door.refuses("probe", "look") == (77, untold)
    assert door.refuses("probe", "look", SSH_USER_AUTH=str(tmp_path / "gone")) == (77, untold)
    plain = signed_in(tmp_path, "look", kind="plain")
    assert door.refuses("probe", "look", SSH_USER_AUTH=plain)[0] == 77
    shown = Path(signed_in(tmp_path, "look"))
    shown.write_text(shown.read_text() * 2)
    assert door.refuses("probe", "look", SSH_USER_AUTH=str(shown))[0] == 77
    shown.write_text("publickey ssh-ed25519-cert-v01@openssh.com AAAA\n")
    assert door.refuses("probe", "look", SSH_USER_AUTH=str(shown))[0] == 77


@pytest.mark.parametrize(
    "words", [("sh",), ("restart",), ("restart", "gui;id"), ("look", "x"), ("restart", "a", "b"), ("",)]
)
def test_words_of_a_principals_file_that_it_does_not_know_open_nothing(door: Door, words: tuple[str, ...]) -> None:
    assert door.refuses("probe", *words)[0] == 78


@pytest.mark.threat("D15")
def test_the_session_can_neither_plant_a_program_nor_a_setting(door: Door, tmp_path: Path) -> None:
    for name in ("sudo", "ssh-keygen", "awk", "logger", "timeout", "env"):
        (tmp_path / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/canary\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "rc").write_text(f"touch {tmp_path}/canary\n")
    rc = str(tmp_path / "rc")
    look = signed_in(tmp_path, "look")
    environment = {"PATH": str(tmp_path), "ENV": rc, "BASH_ENV": rc, "IFS": "r", "CDPATH": "/tmp", "LC_ALL": "x"}
    assert door.refuses("probe", "look", SSH_USER_AUTH=look, **environment) == (0, "")
    assert door.refuses("probe;", **environment)[0] == 64
    assert not (tmp_path / "canary").exists()
