"""The key that Askfirst signs in with: made once where there is none, and never written over."""

import multiprocessing
import subprocess
from pathlib import Path

import asyncssh
import pytest

from app.core.errors import Refused, Unreachable
from app.ssh.keys import ClientKey, ensure_key


def test_a_key_is_made_that_only_its_owner_can_read(tmp_path: Path) -> None:
    path = tmp_path / "data" / "ssh_key"
    ensure_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    public = asyncssh.read_public_key(path.with_name("ssh_key.pub"))
    assert public.public_data == ClientKey(path).pair.public_data
    assert sorted(each.name for each in path.parent.iterdir()) == ["ssh_key", "ssh_key.pub"]


def test_a_key_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("somebody's")
    (tmp_path / "key").chmod(0o600)
    ensure_key(tmp_path / "key")
    assert (tmp_path / "key").read_text() == "somebody's"
    assert not (tmp_path / "key.pub").exists()


@pytest.mark.threat("L6")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_not_used(tmp_path: Path, mode: int) -> None:
    ensure_key(tmp_path / "key")
    (tmp_path / "key").chmod(mode)
    with pytest.raises(Refused, match="Others than its owner"):
        ensure_key(tmp_path / "key")


def test_of_many_who_make_it_at_once_one_does(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        pool.map(ensure_key, [tmp_path / "key"] * 16)
    assert ClientKey(tmp_path / "key").pair.public_data == asyncssh.read_public_key(tmp_path / "key.pub").public_data
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("kind", ["missing", "a folder", "nonsense", "with a passphrase"])
def test_a_key_that_cannot_be_used_says_what_to_do(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "key"
    match kind:
        case "a folder":
            path.mkdir()
        case "nonsense":
            path.write_text("nonsense")
        case "with a passphrase":
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(path)], check=True)
    with pytest.raises(Unreachable) as failed:
        _ = ClientKey(path).pair
    assert failed.value.code == "no_client_key"
    assert "ASKFIRST_SSH_KEY" in failed.value.next_step
