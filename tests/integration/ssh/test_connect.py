"""A sign-in checks the host before it shows anything of ours, and uses nothing of the server's own SSH set-up."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from app.core.errors import HostKeyChanged, Unreachable
from app.core.service import Host
from app.ssh import connect, keys, trips
from app.ssh.connect import dial
from app.ssh.keys import ClientKey
from tests.fakes.sshd import Sshd, public

OTHER = asyncssh.generate_private_key("ssh-ed25519")


async def signed_in(host: Host, key: ClientKey) -> asyncssh.SSHClientConnection:
    connection = await dial(host, key)
    connection.close()
    await connection.wait_closed()
    return connection


async def test_a_host_with_its_pinned_key_lets_us_in(sshd: Sshd, client_key: ClientKey) -> None:
    await signed_in(sshd.host, client_key)
    assert sshd.sign_ins == ["askfirst"]


async def test_a_user_without_a_name_as_in_a_container_signs_in_too(
    sshd: Sshd, client_key: ClientKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    await signed_in(sshd.host, client_key)
    assert sshd.sign_ins == ["askfirst"]


@pytest.mark.threat("D3")
async def test_another_host_key_is_refused_before_our_key_is_shown(sshd: Sshd, client_key: ClientKey) -> None:
    host = replace(sshd.host, host_keys=(public(OTHER),))
    with pytest.raises(HostKeyChanged) as refused:
        await signed_in(host, client_key)
    assert keys.fingerprint(sshd.key) in refused.value.message
    assert keys.fingerprint(OTHER) in refused.value.message
    assert sshd.auth_requests == []


@pytest.mark.threat("D3")
async def test_a_host_that_shows_a_key_of_another_type_than_the_pinned_one_is_refused(client_key: ClientKey) -> None:
    rsa = asyncssh.generate_private_key("ssh-rsa")
    async with Sshd(client_key.pair, server_host_keys=[rsa]) as sshd:
        with pytest.raises(HostKeyChanged) as refused:
            await signed_in(sshd.host, client_key)  # its entry pins an Ed25519 key
        assert keys.fingerprint(rsa) in refused.value.message
        assert sshd.auth_requests == []


async def test_a_host_with_keys_of_several_types_shows_the_pinned_one(client_key: ClientKey) -> None:
    rsa, ecdsa = (asyncssh.generate_private_key(kind) for kind in ("ssh-rsa", "ecdsa-sha2-nistp256"))
    async with Sshd(client_key.pair, server_host_keys=[rsa, OTHER, ecdsa]) as sshd:
        for one in (rsa, ecdsa):
            await signed_in(replace(sshd.host, host_keys=(public(one),)), client_key)


@pytest.mark.threat("D3")
async def test_a_host_without_a_pinned_key_is_not_even_dialled(sshd: Sshd, client_key: ClientKey) -> None:
    with pytest.raises(Unreachable) as refused:
        await signed_in(replace(sshd.host, host_keys=()), client_key)
    assert refused.value.code == "no_pinned_key"
    assert sshd.open_connections == 0


@pytest.mark.threat("D3")
async def test_a_key_that_the_users_own_known_hosts_trusts_is_still_refused(
    sshd: Sshd, client_key: ClientKey, home: Path
) -> None:
    (home / "known_hosts").write_text(f"[127.0.0.1]:{sshd.port} {public(sshd.key)}\n* {public(sshd.key)}\n")
    with pytest.raises(HostKeyChanged):
        await signed_in(replace(sshd.host, host_keys=(public(OTHER),)), client_key)


@pytest.mark.threat("D3")
async def test_a_host_certificate_is_no_pinned_key(client_key: ClientKey) -> None:
    authority, key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    certificate = authority.generate_host_certificate(key, "alpha", principals=["127.0.0.1"])
    async with Sshd(client_key.pair, server_host_keys=[(key, certificate)]) as sshd:
        with pytest.raises(HostKeyChanged):
            await signed_in(sshd.host, client_key)
        await signed_in(replace(sshd.host, host_keys=(public(key),)), client_key)  # the bare key is what was pinned


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the server's own user, with traps in it; returns its .ssh."""
    folder = tmp_path / ".ssh"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    return folder


@pytest.mark.threat("D5")
async def test_a_planted_ssh_config_with_a_proxy_command_is_ignored(
    sshd: Sshd, client_key: ClientKey, home: Path, tmp_path: Path
) -> None:
    canary = tmp_path / "ran"
    (home / "config").write_text(
        f"Host *\n  ProxyCommand touch {canary}\n  User mallory\n  Port 1\n  StrictHostKeyChecking no\n"
        "  UserKnownHostsFile /dev/null\n  ForwardAgent yes\n  IdentityFile /dev/null\n"
    )
    await signed_in(sshd.host, client_key)
    assert sshd.sign_ins == ["askfirst"]
    assert not canary.exists()


@pytest.mark.threat("D5")
async def test_a_planted_ssh_config_is_not_even_read(sshd: Sshd, client_key: ClientKey, home: Path) -> None:
    (home / "config").write_text("Port nonsense\n")
    await signed_in(sshd.host, client_key)


@pytest.mark.threat("D5")
async def test_an_agent_of_the_server_is_never_asked(
    sshd: Sshd, client_key: ClientKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(1))
        writer.close()

    agent = await asyncio.start_unix_server(answer, tmp_path / "agent")
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    await signed_in(sshd.host, client_key)
    with pytest.raises(Unreachable):  # nor where our key is not enough
        await signed_in(sshd.host, ClientKey(_other_key(tmp_path)))
    agent.close()
    await agent.wait_closed()
    assert asked == []


@pytest.mark.threat("D6")
@pytest.mark.parametrize("kind", ["agent", "x11", "forwarded-tcpip", "direct-tcpip", "session"])
async def test_a_host_that_opens_a_channel_to_us_gets_nothing(sshd: Sshd, client_key: ClientKey, kind: str) -> None:
    local = socket.create_server(("127.0.0.1", 0))
    local.setblocking(False)
    met: list[asyncssh.SSHServerConnection] = []
    sshd.meet = met.append
    connection = await dial(sshd.host, client_key)
    with pytest.raises(asyncssh.ChannelOpenError):
        await _open_towards_client(met[0], kind, local.getsockname()[1])
    with pytest.raises(BlockingIOError):
        local.accept()
    local.close()
    connection.close()
    await connection.wait_closed()


async def _open_towards_client(server: Any, kind: str, port: int) -> None:
    address = asyncssh.packet.String("127.0.0.1") + asyncssh.packet.UInt32(port)
    extra = {
        "agent": (b"auth-agent@openssh.com",),
        "x11": (b"x11", address),
        "forwarded-tcpip": (b"forwarded-tcpip", address + address),
        "direct-tcpip": (b"direct-tcpip", address + address),
        "session": (b"session",),
    }[kind]
    channel = server.create_tcp_channel()
    await channel._open(*extra)  # noqa: SLF001 - a hostile server sends what it likes


@pytest.mark.threat("D4")
async def test_a_host_that_lets_us_in_without_a_key_is_refused(client_key: ClientKey, plain_sign_in: None) -> None:
    class NoQuestions(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return False

    key = asyncssh.generate_private_key("ssh-ed25519")
    async with asyncssh.listen("127.0.0.1", 0, server_factory=NoQuestions, server_host_keys=[key]) as server:
        host = Host("alpha", "127.0.0.1", "test", host_keys=(public(key),), port=server.get_port())
        with pytest.raises(Unreachable) as refused:
            await signed_in(host, client_key)
    assert refused.value.code == "trivial_auth"


@pytest.fixture
def plain_sign_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another asyncssh, whose inner names are others: the fallback is what signs in."""
    monkeypatch.setattr(trips, "_ASK_FIRST", [b"another version"])


async def test_without_the_saved_round_trips_the_sign_in_is_the_same(
    sshd: Sshd, client_key: ClientKey, plain_sign_in: None
) -> None:
    await signed_in(sshd.host, client_key)
    assert sshd.sign_ins == ["askfirst"]


async def test_a_sign_in_asks_nothing_that_it_knows(sshd: Sshd, client_key: ClientKey) -> None:
    asked = _count_auth_requests(sshd)
    await signed_in(sshd.host, client_key)
    assert asked == [b"publickey"]


async def test_the_fallback_asks_first(sshd: Sshd, client_key: ClientKey, plain_sign_in: None) -> None:
    asked = _count_auth_requests(sshd)
    await signed_in(sshd.host, client_key)
    assert asked == [b"none", b"publickey", b"publickey"]


def _count_auth_requests(sshd: Sshd) -> list[bytes]:
    """Note the method of each authentication request that reaches the server."""
    asked: list[bytes] = []

    def meet(connection: Any) -> None:
        finish = connection._finish_userauth  # noqa: SLF001

        async def note(begin: bool, method: bytes, packet: Any) -> None:
            asked.append(method)
            await finish(begin, method, packet)

        connection._finish_userauth = note  # noqa: SLF001

    sshd.meet = meet
    return asked


@pytest.mark.threat("D4")
@pytest.mark.parametrize(
    "options",
    [
        {"kex_algs": ["diffie-hellman-group14-sha1"]},
        {"kex_algs": ["diffie-hellman-group-exchange-sha256"]},
        {"encryption_algs": ["aes256-cbc"]},
        {"encryption_algs": ["chacha20-poly1305@openssh.com"]},
        {"encryption_algs": ["aes256-ctr"], "mac_algs": ["hmac-sha1"]},
        {"encryption_algs": ["aes256-ctr"], "mac_algs": ["hmac-sha2-256-etm@openssh.com"]},
    ],
    ids=str,
)
async def test_a_host_that_offers_only_weak_algorithms_is_refused(
    client_key: ClientKey, options: dict[str, Any]
) -> None:
    async with Sshd(client_key.pair, **options) as sshd:
        with pytest.raises(Unreachable) as refused:
            await signed_in(sshd.host, client_key)
        assert refused.value.code in {"weak_peer", "connection_lost"}  # whichever side gives up first
        assert sshd.auth_requests == []


@pytest.mark.threat("D4")
async def test_a_host_without_strict_key_exchange_never_sees_our_key(sshd: Sshd, client_key: ClientKey) -> None:
    asked = _count_auth_requests(sshd)
    count = sshd.meet

    def meet(connection: Any) -> None:
        connection._get_extra_kex_algs = lambda: [b"ext-info-s"]  # noqa: SLF001
        count(connection)

    sshd.meet = meet
    with pytest.raises(Unreachable) as refused:
        await signed_in(sshd.host, client_key)
    assert refused.value.code == "weak_peer"
    assert asked == []


async def test_each_way_of_not_reaching_a_host_has_its_code_and_next_step(
    sshd: Sshd, client_key: ClientKey, tmp_path: Path, silent: int, chatty: int
) -> None:
    closed = socket.create_server(("127.0.0.1", 0))
    nobody = closed.getsockname()[1]
    closed.close()
    other_key = ClientKey(_other_key(tmp_path))
    cases: list[tuple[str, Host, ClientKey]] = [
        ("connection_refused", replace(sshd.host, port=nobody), client_key),
        ("unknown_address", replace(sshd.host, address="no-such-host.invalid"), client_key),
        ("key_not_accepted", sshd.host, other_key),
        ("not_ssh", replace(sshd.host, port=chatty), client_key),
        ("timeout", replace(sshd.host, port=silent), client_key),
        ("bad_pinned_key", replace(sshd.host, host_keys=("ssh-ed25519 nonsense",)), client_key),
        ("no_client_key", sshd.host, ClientKey(tmp_path / "none")),
    ]
    for code, host, key in cases:
        with pytest.raises(Unreachable) as refused:
            await signed_in(host, key)
        assert refused.value.code == code
        assert refused.value.next_step.endswith((".", "'."))
        assert not isinstance(refused.value, HostKeyChanged)


async def test_a_host_that_goes_on_with_its_banner_for_ever_is_not_an_ssh_server(
    client_key: ClientKey, serve: Callable[..., Any]
) -> None:
    port = await serve(b"welcome\r\n" * 100_000)
    with pytest.raises(Unreachable) as refused:
        await signed_in(Host("alpha", "127.0.0.1", "test", host_keys=(public(OTHER),), port=port), client_key)
    assert refused.value.code == "not_ssh"


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Any]]:
    servers: list[asyncio.Server] = []

    async def start(data: bytes, *, stay: bool = False) -> int:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(data)
            if stay:
                await reader.read()
            writer.close()

        servers.append(await asyncio.start_server(answer, "127.0.0.1", 0))
        port: int = servers[-1].sockets[0].getsockname()[1]
        return port

    yield start
    for server in servers:
        server.close()


@pytest.fixture
async def silent(serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(connect, "CONNECT_SECONDS", 0.5)
    port: int = await serve(b"", stay=True)
    return port


@pytest.fixture
async def chatty(serve: Callable[..., Any]) -> int:
    port: int = await serve(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    return port


def _other_key(folder: Path) -> Path:
    path = folder / "other"
    if not path.exists():
        OTHER.write_private_key(path)
    return path
