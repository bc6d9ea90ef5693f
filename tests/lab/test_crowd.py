"""A host that is full, in motion, or whose managers do not answer: the probe is whole, or says that it is not."""

import asyncio
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pytest

from app.core.facts import Facts
from app.core.judge import judge
from app.core.service import Service
from app.core.verdict import Code
from app.gate import build
from app.managers import MANAGERS
from app.ssh.gate import SshHosts
from tests.lab.conftest import NewHost
from tests.lab.crowd import FIRST_PORT, crowd
from tests.lab.flow_world import GUI, PLAIN, UNIT, pinned
from tests.lab.hosts import LabHost

HOSTILE = (
    b"a\nend nonce=0 count=0\nprocess pid=1 ppid=0",
    b"'; touch /canary; \"$(touch /canary)`touch /canary`",
    b"\x1b[2J\x1b]0;title\x07",
    b"\xff\xfe\xc3\x28 caf\xc3\xa9",
    b"-" * 100_000,
)


def probed(host: LabHost, *claims: Service, whole: bool = False) -> Facts:
    """Look once, over SSH, as the product does."""

    async def look() -> Facts:
        hosts = SshHosts(host.key_path)
        try:
            return await hosts.probe(pinned(host), claims, whole=whole)
        finally:
            await hosts.close()

    return asyncio.run(look())


def codes(facts: Facts, claims: Sequence[Service]) -> list[Code]:
    return [judge(claim, facts, MANAGERS, gate=build.DIGEST).code for claim in claims]


@pytest.mark.law(1)
@pytest.mark.law(13)
def test_two_thousand_processes_some_of_them_hostile_and_others_gone_at_once_hide_nothing(new_host: NewHost) -> None:
    host = new_host("crowd", "supervisor")
    asked = {
        GUI: Code.VERIFIED,
        replace(GUI, name="mistyped", unit="lab:pypnm-gu"): Code.NO_SUCH_UNIT,
        replace(GUI, name="of-the-crowd", ports=(FIRST_PORT + 50,)): Code.WRONG_MANAGER,
        replace(GUI, name="of-nobody", ports=(4999,)): Code.WRONG_PORT,
        replace(UNIT, name="no-unit", ports=(FIRST_PORT + 50,)): Code.NO_SUCH_UNIT,
    }
    with crowd(host, 2000, 100, storms=1, words=HOSTILE):
        for _ in range(5):
            seen = probed(host, *asked)
            assert seen.blind == ()
            assert codes(seen, list(asked)) == list(asked.values())
        seen = probed(host, whole=True)
    ports = range(FIRST_PORT, FIRST_PORT + 100)
    held = {each.port: each.pids for each in seen.listeners if each.port in ports}
    assert sorted(held) == list(ports)
    for number, word in enumerate(HOSTILE):
        (pid,) = held[FIRST_PORT + number]
        told = seen.processes[pid].argv
        assert told[0] == "python3"
        text = word.decode("utf-8", "surrogateescape")
        assert told[-1] == text or (len(word) > 4096 and told[-1].endswith("…") and text.startswith(told[-1][:-1]))
    assert host.run("test -e /canary", check=False).status == 1


HANGS, FAILS = "exec sleep 1000", "echo broken >&2; exit 1"


@contextmanager
def instead(host: LabHost, tool: str, script: str | None) -> Iterator[None]:
    """Have a tool of the host hang, fail or be missing until the end of the block.

    Only whoever looks it up by PATH gets another one: a user's systemd ends by /usr/bin/systemctl.
    """
    real, stub = host.run(["sh", "-c", f"command -v {tool}"]).out.strip(), f"/usr/local/sbin/{tool}"
    if script is None:
        host.run(["mv", real, f"{real}.away"])
    else:
        host.run(f"printf '#!/bin/sh\\n%s\\n' {shlex.quote(script)} >{stub}; chmod 755 {stub}")
    try:
        yield
    finally:
        host.run(["mv", f"{real}.away", real] if script is None else ["rm", stub])


@pytest.mark.law(1)
@pytest.mark.threat("E11")
@pytest.mark.parametrize(
    ("tool", "claim", "script"),
    [
        pytest.param("systemctl", UNIT, HANGS, id="systemctl hangs"),
        pytest.param("systemctl", UNIT, FAILS, id="systemctl fails"),
        pytest.param("docker", PLAIN, HANGS, id="docker hangs"),
        pytest.param("docker", PLAIN, FAILS, id="docker fails"),
        pytest.param("docker", PLAIN, None, id="docker is missing"),
    ],
)
def test_a_tool_that_does_not_answer_blinds_its_own_manager_and_no_other(
    alpha: LabHost, tool: str, claim: Service, script: str | None
) -> None:
    mistyped = replace(claim, name="mistyped", unit=f"x{claim.unit}")
    with instead(alpha, tool, script):
        seen = probed(alpha, claim, mistyped, GUI)
    assert codes(seen, [claim, mistyped, GUI]) == [Code.BLIND, Code.BLIND, Code.VERIFIED]
    assert [each.why for each in seen.blind if tool in each.what]
    assert codes(probed(alpha, claim), [claim]) == [Code.VERIFIED], "the tool is back"


@pytest.mark.law(1)
def test_half_an_answer_of_systemctl_is_none(alpha: LabHost) -> None:
    half = f"printf 'Id={UNIT.unit}\\nNames={UNIT.unit}\\nLoadState=not-found\\n\\n'; exec sleep 1000"
    with instead(alpha, "systemctl", half):
        seen = probed(alpha, UNIT)
    assert codes(seen, [UNIT]) == [Code.BLIND]


LOCKED = "s/^file=.*/&\\nusername=u\\npassword=p/; s/^serverurl=.*/&\\nusername=u\\npassword=p/"


@pytest.mark.law(1)
@pytest.mark.threat("E11")
def test_a_supervisord_that_does_not_answer_is_blind_and_so_is_its_tool(new_host: NewHost) -> None:
    host = new_host("mute", "supervisor")
    mistyped = replace(GUI, name="mistyped", unit="lab:pypnm-gu")
    host.run("kill -STOP $(cat /run/supervisord.pid)")
    assert codes(probed(host, GUI, mistyped), [GUI, mistyped]) == [Code.BLIND, Code.BLIND]
    host.run("kill -CONT $(cat /run/supervisord.pid)")
    assert codes(probed(host, GUI, mistyped), [GUI, mistyped]) == [Code.VERIFIED, Code.NO_SUCH_UNIT]
    # With a password on its socket only supervisorctl can ask it.
    host.run(f"sed -i '{LOCKED}' /etc/supervisor/supervisord.conf; systemctl restart supervisor; sleep 3")
    assert codes(probed(host, GUI, mistyped), [GUI, mistyped]) == [Code.VERIFIED, Code.NO_SUCH_UNIT]
    for script in (HANGS, FAILS, None):
        with instead(host, "supervisorctl", script):
            assert codes(probed(host, GUI, mistyped), [GUI, mistyped]) == [Code.BLIND, Code.BLIND]
