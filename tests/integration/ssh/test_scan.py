"""Scanning shows a host's keys as ssh-keygen does, and neither trusts nor signs in."""

import subprocess
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from app.core.errors import Unreachable
from app.ssh.keys import ClientKey
from app.ssh.scan import scan
from tests.fakes.sshd import Sshd, public

KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ssh-rsa")


async def test_all_keys_are_shown_as_ssh_keygen_prints_them(client_key: ClientKey, tmp_path: Path) -> None:
    keys = [asyncssh.generate_private_key(kind) for kind in KINDS]
    async with Sshd(client_key.pair, server_host_keys=keys) as sshd:
        found = await scan(replace(sshd.host, host_keys=()))
        assert sshd.auth_requests == []
    assert [each.text for each in found] == [public(key) for key in keys]
    for each in found:
        (tmp_path / "key.pub").write_text(f"{each.text}\n")
        printed = subprocess.check_output(["ssh-keygen", "-lf", str(tmp_path / "key.pub")], text=True)
        assert printed.strip() == each.line.replace(" (", " no comment (")


async def test_a_host_that_only_has_a_weak_key_shows_none(client_key: ClientKey) -> None:
    weak = asyncssh.generate_private_key("ssh-dss")
    async with Sshd(client_key.pair, server_host_keys=[weak], signature_algs=["ssh-dss"]) as sshd:
        with pytest.raises(Unreachable) as failed:
            await scan(sshd.host)
    assert failed.value.code in {"weak_peer", "connection_lost"}


async def test_a_host_that_is_down_says_so(sshd: Sshd) -> None:
    host = sshd.host
    await sshd.stop()
    with pytest.raises(Unreachable) as failed:
        await scan(host)
    assert failed.value.code == "connection_refused"
