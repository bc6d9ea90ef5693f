"""One connection to a host, shared, kept while something needs it, replaced once where it has died."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

import asyncssh
import pytest

from app.core.errors import HostKeyChanged, Unreachable
from app.core.service import Host
from app.ssh import connect, link, pool
from app.ssh.keys import ClientKey
from app.ssh.link import SESSIONS_AT_ONCE
from app.ssh.pool import Connections
from tests.fakes.cut import Cut
from tests.fakes.sshd import Sshd, public


async def said(
    connections: Connections, host: Host, via: tuple[Host, ...] = (), script: bytes = b"echo hello"
) -> bytes:
    async with connections.talk(host, via, "sh -s") as talk:
        talk.send(script)
        text = b""
        while piece := await talk.read():
            text += piece
        return text


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to that in ten seconds")


async def test_two_talks_share_one_connection(sshd: Sshd, connections: Connections) -> None:
    assert await asyncio.gather(*(said(connections, sshd.host) for _ in range(5))) == [b"hello\n"] * 5
    assert len(sshd.sign_ins) == 1


async def test_a_connection_that_nobody_needs_is_closed_after_a_while(sshd: Sshd, client_key: ClientKey) -> None:
    connections = Connections(client_key, idle_seconds=0.05)
    await said(connections, sshd.host)
    await until(lambda: sshd.open_connections == 0)


async def test_a_kept_connection_stays_until_it_is_released(sshd: Sshd, client_key: ClientKey) -> None:
    connections = Connections(client_key, idle_seconds=0)
    connections.keep(sshd.host.name)
    connections.keep(sshd.host.name)
    await said(connections, sshd.host)
    await asyncio.sleep(0.1)
    assert sshd.open_connections == 1
    connections.release(sshd.host.name)  # once is enough: nothing is counted
    await until(lambda: sshd.open_connections == 0)


async def test_an_idle_connection_that_is_kept_before_its_time_is_up_stays(sshd: Sshd, client_key: ClientKey) -> None:
    connections = Connections(client_key, idle_seconds=0.05)
    await said(connections, sshd.host)
    connections.keep(sshd.host.name)
    await asyncio.sleep(0.3)
    assert sshd.open_connections == 1
    await connections.close()


async def test_a_released_connection_stays_for_those_who_use_it_now(sshd: Sshd, client_key: ClientKey) -> None:
    connections = Connections(client_key, idle_seconds=0)
    async with connections.talk(sshd.host, (), "sh -s") as talk:
        connections.release(sshd.host.name)
        await asyncio.sleep(0.05)
        talk.send(b"echo still here")
        assert await talk.read() == b"still here\n"
    await until(lambda: sshd.open_connections == 0)


async def test_a_kept_connection_that_has_died_is_replaced_once(sshd: Sshd, connections: Connections) -> None:
    await said(connections, sshd.host)
    sshd.cut_at = Cut.BEFORE_SESSION  # the server still answers, and breaks when a session is asked for
    assert await said(connections, sshd.host) == b"hello\n"
    assert len(sshd.sign_ins) == 2


async def test_a_new_connection_that_dies_at_once_is_not_tried_again(sshd: Sshd, connections: Connections) -> None:
    sshd.cut_at = Cut.BEFORE_SESSION
    with pytest.raises(Unreachable) as failed:
        await said(connections, sshd.host)
    assert failed.value.code == "connection_lost"
    assert len(sshd.sign_ins) == 1


async def test_nothing_is_tried_again_once_input_was_sent(sshd: Sshd, connections: Connections) -> None:
    await said(connections, sshd.host)
    sshd.cut_at = Cut.AFTER_INPUT
    assert await said(connections, sshd.host) == b""
    assert len(sshd.commands) == 2
    assert len(sshd.sign_ins) == 1


async def test_a_cut_is_told_from_an_end(sshd: Sshd, connections: Connections) -> None:
    async with connections.talk(sshd.host, (), "sh -s") as talk:
        talk.send(b"exit 3")
        assert await talk.read() == b""
        assert (talk.status, talk.was_cut) == (3, False)
    sshd.cut_at = Cut.AFTER_INPUT
    async with connections.talk(sshd.host, (), "sh -s") as talk:
        talk.send(b"exit 3")
        assert await talk.read() == b""
        assert (talk.status, talk.was_cut) == (None, True)


@pytest.mark.threat("C10")
async def test_a_changed_registry_entry_never_uses_the_old_connection(sshd: Sshd, connections: Connections) -> None:
    await said(connections, sshd.host)
    other = asyncssh.generate_private_key("ssh-ed25519")
    with pytest.raises(HostKeyChanged):
        await said(connections, replace(sshd.host, host_keys=(public(other),)))
    await said(connections, replace(sshd.host, environment="production"))
    assert len(sshd.sign_ins) == 2


async def test_one_host_is_signed_in_to_once_at_a_time(sshd: Sshd, client_key: ClientKey) -> None:
    connections = Connections(client_key)
    at_once: list[int] = []
    sshd.meet = lambda _: at_once.append(sshd.open_connections)
    sshd.cut_at = Cut.BEFORE_SESSION
    answers = await asyncio.gather(*(said(connections, sshd.host) for _ in range(20)), return_exceptions=True)
    assert max(at_once) == 1
    assert b"hello\n" in answers
    await connections.close()


async def test_more_talks_than_sessions_wait_for_one_another(sshd: Sshd, connections: Connections) -> None:
    running = 0
    most = 0

    async def count(process: asyncssh.SSHServerProcess[bytes]) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1
        process.exit(0)

    sshd.answers = count
    await asyncio.gather(*(said(connections, sshd.host) for _ in range(3 * SESSIONS_AT_ONCE)))
    assert most == SESSIONS_AT_ONCE
    assert len(sshd.sign_ins) == 1


async def test_a_host_that_allows_one_session_at_a_time_is_asked_again(sshd: Sshd, connections: Connections) -> None:
    sshd.most_sessions = 1
    assert await asyncio.gather(*(said(connections, sshd.host) for _ in range(5))) == [b"hello\n"] * 5
    assert len(sshd.sign_ins) == 1


async def test_a_host_counts_programs_that_are_still_ending_and_is_asked_again(
    sshd: Sshd, connections: Connections
) -> None:
    async def linger(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stdout.write(b"hello\n")
        await process.stdin.read()
        await asyncio.sleep(0.2)
        process.exit(0)

    async def leave_early() -> None:
        async with connections.talk(sshd.host, (), "sh -s") as talk:
            talk.send(b"")
            assert await talk.read() == b"hello\n"

    sshd.answers = linger
    await asyncio.gather(*(leave_early() for _ in range(3 * SESSIONS_AT_ONCE)))
    assert len(sshd.commands) == 3 * SESSIONS_AT_ONCE


async def test_a_connection_on_which_something_hangs_is_used_by_nobody_new(
    sshd: Sshd, connections: Connections
) -> None:
    connections.keep(sshd.host.name)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await said(connections, sshd.host, script=b"sleep 2")
    assert await said(connections, sshd.host) == b"hello\n"
    assert len(sshd.sign_ins) == 2


async def test_a_session_refused_where_another_hangs_leaves_the_connection_doubted(
    sshd: Sshd, connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = asyncio.Event()

    async def answer(process: asyncssh.SSHServerProcess[bytes]) -> None:
        if await process.stdin.read() == b"hang":
            await over.wait()
        process.stdout.write(b"hello\n")
        process.exit(0)

    monkeypatch.setattr(link, "PLACE_SECONDS", 0.5)
    sshd.answers = answer
    sshd.most_sessions = 1
    await said(connections, sshd.host)
    sshd.meet = lambda _: setattr(sshd, "most_sessions", 2)  # each connection has a place of its own
    hanging = asyncio.create_task(said(connections, sshd.host, script=b"hang"))
    await until(lambda: sshd.sessions == 1)
    refused = asyncio.create_task(said(connections, sshd.host))
    await asyncio.sleep(0.1)
    hanging.cancel()
    try:
        assert await refused == b"hello\n"
        assert len(sshd.sign_ins) == 2
    finally:
        over.set()


async def test_who_stops_listening_does_not_stop_what_runs(
    sshd: Sshd, connections: Connections, tmp_path: Path
) -> None:
    script = f"(sleep 0.3; touch {tmp_path}/done) >/dev/null 2>&1 & echo begun; wait"
    async with connections.talk(sshd.host, (), "sh -s") as talk:
        talk.send(script.encode())
        assert await talk.read() == b"begun\n"
    await until((tmp_path / "done").exists)


async def test_a_flood_does_not_fill_the_memory(sshd: Sshd, connections: Connections) -> None:
    async with connections.talk(sshd.host, (), "sh -s") as talk:
        talk.send(b"head -c 100000000 /dev/zero")
        await asyncio.sleep(0.5)
        first = talk.buffered_bytes
        assert first < 8 << 20
        total = 0
        while piece := await talk.read():
            total += len(piece)
        assert total == 100_000_000


async def test_a_jump_host_and_the_host_behind_it_are_both_checked(sshd: Sshd, client_key: ClientKey) -> None:
    connections = Connections(client_key, idle_seconds=0)
    async with Sshd(client_key.pair, "bastion") as jump:
        assert await said(connections, sshd.host, (jump.host,)) == b"hello\n"
        assert jump.asked_forwards == [("127.0.0.1", sshd.port)]
        assert jump.commands == []
        await until(lambda: sshd.open_connections == 0 and jump.open_connections == 0)
        wrong = public(asyncssh.generate_private_key("ssh-ed25519"))
        with pytest.raises(HostKeyChanged, match="bastion"):
            await said(connections, sshd.host, (replace(jump.host, host_keys=(wrong,)),))


@pytest.mark.threat("D7")
async def test_a_hostile_jump_host_cannot_lead_to_another_host(sshd: Sshd, connections: Connections) -> None:
    client = connections
    async with Sshd(_key_of(client), "bastion") as jump, Sshd(_key_of(client), "evil") as evil:
        jump.forwards = {("127.0.0.1", sshd.port): ("127.0.0.1", evil.port)}
        with pytest.raises(HostKeyChanged, match="alpha"):
            await said(client, sshd.host, (jump.host,))
        assert evil.auth_requests == []
        assert evil.commands == []


async def test_a_jump_host_is_shared_by_the_hosts_behind_it(sshd: Sshd, client_key: ClientKey) -> None:
    connections = Connections(client_key)
    async with Sshd(client_key.pair, "bastion") as jump, Sshd(client_key.pair, "beta") as beta:
        await asyncio.gather(said(connections, sshd.host, (jump.host,)), said(connections, beta.host, (jump.host,)))
        assert len(jump.sign_ins) == 1
        await connections.close()


async def test_a_jump_host_that_died_unnoticed_is_signed_in_to_again(sshd: Sshd, client_key: ClientKey) -> None:
    connections = Connections(client_key)
    async with Sshd(client_key.pair, "bastion") as jump, Sshd(client_key.pair, "beta") as beta:
        await said(connections, sshd.host, (jump.host,))
        jump.cut()
        assert await said(connections, beta.host, (jump.host,)) == b"hello\n"
        assert await said(connections, sshd.host, (jump.host,)) == b"hello\n"
        await connections.close()


async def test_a_jump_host_that_went_silent_is_signed_in_to_again(
    sshd: Sshd, client_key: ClientKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "WAKE_SECONDS", 0.3)
    connections = Connections(client_key)
    async with Sshd(client_key.pair, "bastion") as jump, Relay(jump.port) as relay:
        via = (replace(jump.host, port=relay.port),)
        await said(connections, sshd.host, via)
        relay.silent = 1
        assert await said(connections, sshd.host, via) == b"hello\n"
        assert len(jump.sign_ins) == 2
        await connections.close()


async def test_a_silent_host_does_not_cost_the_others_their_jump_host(
    sshd: Sshd, client_key: ClientKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "CONNECT_SECONDS", 0.5)
    connections = Connections(client_key)
    async with Sshd(client_key.pair, "bastion") as jump, Sshd(client_key.pair, "beta") as beta:
        await said(connections, beta.host, (jump.host,))
        async with Relay(sshd.port) as relay:
            relay.silent = 1
            with pytest.raises(Unreachable) as failed:
                await said(connections, replace(sshd.host, port=relay.port), (jump.host,))
            assert (failed.value.code, relay.accepted) == ("timeout", 1)
        assert len(jump.sign_ins) == 1
        await connections.close()


async def test_a_jump_host_that_does_not_reach_the_host_is_named(sshd: Sshd, connections: Connections) -> None:
    async with Sshd(_key_of(connections), "bastion") as jump:
        jump.forwards = {}
        with pytest.raises(Unreachable) as failed:
            await said(connections, sshd.host, (jump.host,))
    assert failed.value.code == "no_route"
    assert "bastion" in failed.value.message


async def test_a_host_that_allows_no_session_says_so(sshd: Sshd, connections: Connections) -> None:
    async with asyncssh.listen(
        "127.0.0.1", 0, server_factory=lambda: _Forwarder(sshd), server_host_keys=[sshd.key]
    ) as server:
        with pytest.raises(Unreachable) as failed:
            await said(connections, replace(sshd.host, port=server.get_port()))
    assert failed.value.code == "session_refused"


class Relay:
    """Stands before a server. Its first ``silent`` connections are half-open: they stay, and nothing comes through."""

    def __init__(self, port: int) -> None:
        self.accepted = 0
        self.silent = 0
        self._target = port

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted = number = self.accepted + 1
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        await asyncio.gather(self._pump(number, reader, back), self._pump(number, there, writer))

    async def _pump(self, number: int, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while piece := await source.read(65536):
                if number > self.silent:
                    target.write(piece)
        target.close()


class _Forwarder(asyncssh.SSHServer):
    """Lets everybody with our key in, and starts nothing."""

    def __init__(self, sshd: Sshd) -> None:
        self._sshd = sshd

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return self._sshd.may_sign_in(key)


def _key_of(connections: Connections) -> asyncssh.SSHKey:
    return connections.key.pair
