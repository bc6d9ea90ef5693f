"""Certificates on a real host with the kit: each for one thing and for minutes; every other one is refused there.

The attacker of these tests holds the signing key itself, and so makes whatever certificate there can be: what it is
good for is decided by the host's own files, by its sshd and by the door.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from app.core.errors import Unreachable
from app.core.facts import Facts
from app.core.lifecycle import State
from app.core.run import Exited, Refusal
from app.core.service import Host, HttpCheck
from app.flow.ports import Hosts
from app.ssh.authority import Authority
from app.ssh.certificates import Certificates, Wish
from app.ssh.connect import dial
from app.ssh.gate import SshHosts
from app.ssh.signer import SocketSigner, listening, serve
from app.store import requests
from tests.fakes.conformance import run as run_warrant
from tests.fakes.conformance import warrant_for
from tests.lab.flow_world import UNIT, Scene, claim, runs, scene
from tests.lab.hosts import Lab, LabHost
from tests.lab.kitted import Fitted, KittedPlace, fit

GUI = replace(UNIT, checks=(HttpCheck("http://127.0.0.1:5054/health"),))
OTHER = claim("gui-other", "systemd", "guitpl@5061.service", 5061, checks=())
SSHD = "etc/ssh/sshd_config.d/askfirst.conf"


@pytest.fixture(scope="module")
def echo(lab: Lab) -> Iterator[LabHost]:
    with lab.lend("echo", "systemd") as host:
        yield host


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    with Authority(tmp_path_factory.mktemp("signer") / "ca") as made:
        yield made


@pytest.fixture
async def signer(authority: Authority, tmp_path: Path) -> AsyncIterator[SocketSigner]:
    path = tmp_path / "signer.sock"
    with listening(path) as listener:
        task = asyncio.create_task(serve(authority, listener, {os.geteuid()}))
        yield SocketSigner(path)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def stage(echo: LabHost, authority: Authority, signer: SocketSigner, tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(echo, tmp_path, GUI, OTHER) as made:
        how = Fitted(authority=authority.public_line)
        if (echo.root / SSHD).exists():
            await made.register(GUI, OTHER, host=how.entry(echo))
        else:
            await fit(made, GUI, OTHER, how=how)
        hosts = SshHosts(echo.key_path, certificates=Certificates(signer))
        made.world = replace(made.world, hosts=hosts)
        yield made
        await hosts.close()


@dataclass
class Holder:
    """Whoever holds the signing key, and signs in with a certificate made at will."""

    host: Host
    ca: asyncssh.SSHKey

    def pair(self, *principals: str, since: float = -60, until: float = 300, **other: Any) -> asyncssh.SSHKeyPair:
        key, now = asyncssh.generate_private_key("ssh-ed25519"), int(time.time())
        made = self.ca.generate_user_certificate(
            key, "forged", principals=principals, valid_after=int(now + since), valid_before=int(now + until), **other
        )
        (pair, *_) = asyncssh.load_keypairs(key)
        pair.set_certificate(made)
        return pair

    async def ask(self, pair: asyncssh.SSHKeyPair, command: str, data: str = "") -> tuple[int | None, str]:
        """Sign in and ask for something; return its exit status and what was said about it."""
        connection = await dial(self.host, _Shown(pair))
        async with connection:
            done = await connection.run(command, input=data.encode(), encoding=None, timeout=20)
        return done.exit_status, bytes(done.stderr or b"").decode() + bytes(done.stdout or b"").decode()  # type: ignore[arg-type]


@dataclass(frozen=True)
class _Shown:
    pair: asyncssh.SSHKeyPair

    async def shown(self, host: Host, source: str | None) -> asyncssh.SSHKeyPair:
        return self.pair


@pytest.fixture
def holder(stage: Scene, authority: Authority) -> Holder:
    return Holder(Fitted(authority=authority.public_line).entry(stage.lab), authority._key)  # noqa: SLF001 - stolen


def sshd_log(host: LabHost) -> str:
    return host.run("journalctl -q -b -o cat -t sshd").out


async def probe(stage: Scene, host: Host, hosts: Hosts | None = None) -> Facts:
    return await (hosts or stage.world.hosts).probe(host, [GUI])


@pytest.mark.threat("T10")
async def test_a_run_has_a_certificate_of_its_own_that_bears_its_number_in_the_log(stage: Scene) -> None:
    request = await stage.run(await stage.approved(GUI))
    assert request.state is State.SUCCEEDED, request.outcome
    serial = await requests.start_number(stage.world.db, request.id)
    told = [
        line
        for line in sshd_log(stage.lab).splitlines()
        if "Accepted publickey for askfirst" in line and "CERT" in line
    ]
    (shown,) = [line for line in told if f"ID askfirst {serial} restart-gui-unit (serial {serial}) CA ED25519" in line]
    assert told != [shown]
    assert all("ID askfirst 0 look (serial 0)" in line for line in told if line != shown)
    assert runs(stage.lab, request.id) == 1


@pytest.mark.threat("D8")
async def test_a_certificate_for_root_signed_by_the_stolen_key_is_refused(stage: Scene, holder: Holder) -> None:
    for user in ("root", "rbron"):
        for principals in (("root",), ("rbron",), ("look",), ("askfirst",), ()):
            with pytest.raises(Unreachable) as refused:
                await dial(replace(holder.host, user=user), _Shown(holder.pair(*principals)))
            assert refused.value.code == "certificate_not_accepted", (user, principals)


@pytest.mark.threat("D9")
async def test_a_certificate_for_one_thing_is_good_for_nothing_else(stage: Scene, holder: Holder) -> None:
    mine, other, look = "restart-gui-unit", "restart-gui-other", "look"
    some = "0123456789ABCDEFGHJKMNPQRS"
    for principals, command, why in (
        ((other,), "restart gui-unit", "for another service"),
        ((mine,), "probe", "not for that"),
        ((mine,), f"burn {some}", "not for that"),
        ((mine,), f"result {some}", "not for that"),
        ((look,), "restart gui-unit", "not for that"),
        ((look, mine), "restart gui-unit", "not for the one principal"),
        ((mine, look), "probe", "not for the one principal"),
        ((mine, other), "restart gui-other", "not for the one principal"),
        ((mine, "root"), "restart gui-unit", "not for the one principal"),
        ((look,), "id", "not probe"),
        ((look,), "", "no shell here"),
    ):
        status, said = await holder.ask(holder.pair(*principals), command)
        assert status in {64, 77}, (principals, command, said)
        assert why in said, (principals, command)
    # What a certificate itself would have run instead: sshd takes the host's file, and refuses where they differ.
    with pytest.raises((Unreachable, asyncssh.Error)):
        await holder.ask(holder.pair(look, force_command="id"), "probe")


@pytest.mark.threat("D10")
async def test_what_is_out_of_date_or_from_elsewhere_or_for_nobody_is_refused_in_words(
    stage: Scene, holder: Holder
) -> None:
    for pair in (
        holder.pair("look", since=-600, until=-1),
        holder.pair("look", since=120),
        holder.pair("look", source_address=["192.0.2.1"]),
        holder.pair("restart-nothing"),
        holder.pair("LOOK"),
        holder.pair(),
        Holder(holder.host, asyncssh.generate_private_key("ssh-ed25519")).pair("look"),
    ):
        with pytest.raises(Unreachable) as refused:
            await dial(holder.host, _Shown(pair))
        assert refused.value.code == "certificate_not_accepted"
        assert "date -u" in refused.value.next_step
        assert "/etc/askfirst/principals" in refused.value.next_step
    connection = await dial(holder.host, _Shown(holder.pair("look", source_address=["172.31.77.0/24"])))
    connection.close()


async def test_the_key_that_was_there_before_the_kit_lets_in_no_more(stage: Scene, holder: Holder) -> None:
    bare = replace(holder.host, certificates=False)
    with pytest.raises(Unreachable) as refused:
        await probe(stage, bare)
    assert refused.value.code == "key_not_accepted"


@pytest.mark.law(6)
@pytest.mark.threat("D11")
async def test_a_certificate_used_again_within_its_time_runs_nothing_again(
    stage: Scene, holder: Holder, authority: Authority
) -> None:
    class Again:
        """A signer whose certificates were stolen: it hands the first restart's out once more, with its key."""

        def __init__(self) -> None:
            self.pair_: asyncssh.SSHKeyPair | None = None

        async def pair(self, principal: str, serial: int, source: str | None) -> asyncssh.SSHKeyPair:
            if principal == "look":
                return holder.pair("look")
            self.pair_ = self.pair_ or holder.pair(principal)
            return self.pair_

    hosts = SshHosts(stage.lab.key_path, certificates=Again())  # type: ignore[arg-type]
    site = KittedPlace(hosts, holder.host, stage.lab, GUI)
    warrant = await warrant_for(site)
    assert (await run_warrant(site, warrant))[-1] == Exited(0)
    assert [type(each) for each in await run_warrant(site, warrant)] == [Refusal]
    assert runs(stage.lab, warrant.id) == 1
    await hosts.close()


@pytest.mark.threat("D12")
async def test_where_sshd_does_not_tell_how_the_sign_in_was_made_the_door_stays_shut(
    stage: Scene, holder: Holder
) -> None:
    path = stage.lab.root / SSHD
    before = path.read_text()
    path.write_text(before.replace("ExposeAuthInfo yes", "ExposeAuthInfo no"))
    stage.lab.run(["systemctl", "restart", "ssh"])
    try:
        with pytest.raises(Unreachable) as refused:
            await probe(stage, holder.host)
        assert refused.value.code == "refused_by_host"
        assert "ExposeAuthInfo" in refused.value.message
        assert (await holder.ask(holder.pair("restart-gui-unit"), "restart gui-unit"))[0] == 77
    finally:
        path.write_text(before)
        stage.lab.run(["systemctl", "restart", "ssh"])
    log = stage.lab.run("journalctl -q -b -o cat -t askfirst").out
    assert "set ExposeAuthInfo yes" in log


@dataclass(frozen=True)
class OddClock:
    """A server and a signer whose clock is so many seconds ahead of the host's."""

    holder: Holder
    seconds: float
    chooses_serial = False

    def now(self) -> float:
        return time.time() + self.seconds

    async def sign(self, wish: Wish) -> str:
        since, until = self.seconds - 60, self.seconds + 300
        key, now = asyncssh.import_public_key(wish.key), int(time.time())
        made = self.holder.ca.generate_user_certificate(
            key,
            "odd",
            principals=[wish.principal],
            valid_after=int(now + since),
            valid_before=int(now + until),
            source_address=list(wish.sources) or None,
        )
        return made.export_certificate().decode().strip()


@pytest.mark.threat("T10")
@pytest.mark.threat("F11")
@pytest.mark.parametrize(
    ("seconds", "code", "says"),
    [(120, "certificate_not_accepted", "date -u"), (-120, "clock_differs", "120 s ahead of this server's")],
)
async def test_a_clock_that_differs_by_more_than_a_minute_is_a_sentence(
    stage: Scene, holder: Holder, seconds: float, code: str, says: str
) -> None:
    odd = OddClock(holder, seconds)
    hosts = SshHosts(stage.lab.key_path, now=odd.now, certificates=Certificates(odd, now=odd.now))
    with pytest.raises(Unreachable) as refused:
        await probe(stage, holder.host, hosts)
    await hosts.close()
    assert refused.value.code == code
    assert says in f"{refused.value.message} {refused.value.next_step}"
    assert "Nothing was run." in refused.value.message


async def test_without_a_signer_nothing_is_shown_and_the_sentence_says_what_to_set(
    stage: Scene, holder: Holder
) -> None:
    hosts = SshHosts(stage.lab.key_path)
    with pytest.raises(Unreachable) as refused:
        await probe(stage, holder.host, hosts)
    await hosts.close()
    assert refused.value.code == "no_signer"
    assert "ASKFIRST_SIGNER_SOCKET" in refused.value.next_step
