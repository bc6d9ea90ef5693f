"""A host with the kit against whoever holds Askfirst's own key, and against whoever took its account there.

Everything goes over real SSH. What refuses is the host: each attempt's reason is read from the host's own journal, and
afterwards the unit is the same process as before, and no canary has been touched. The table is printed.
"""

import json
import re
import secrets
import select
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.core.facts import Facts
from app.core.level import Level
from app.core.reading import facts
from app.core.records import read
from app.core.warrant import Warrant
from app.gate import build
from app.gate.kit import LIB, script
from app.ssh.keys import fingerprint, pinned
from tests.lab import machine
from tests.lab.attempts import (
    COMMANDS,
    FILE_TRICKS,
    FORWARDS,
    ID,
    NONCE,
    OTHERS,
    SUDO_TRICKS,
    WARRANTS,
    Attempt,
    Sent,
)
from tests.lab.flow_world import UNIT, starts
from tests.lab.flow_world import pinned as entry
from tests.lab.hosts import Lab, LabHost, Result
from tests.lab.test_kit import values

pytestmark = [pytest.mark.law(4), pytest.mark.threat("D13")]
TABLE: list[tuple[str, str]] = []


class Journal:
    """The host's own log, as it grows."""

    def __init__(self, host: LabHost) -> None:
        self.process = subprocess.Popen(
            host.ssh_argv("root", "journalctl -f -n 0 -o json; true"), stdout=subprocess.PIPE, bufsize=0
        )
        self._rest = b""
        self._host = host
        self._mark()

    def _mark(self) -> None:
        """Begin: what is logged from here on is seen."""
        word = secrets.token_hex(8)
        deadline = time.monotonic() + 30
        while True:
            self._host.run(["logger", "-t", "lab", word])
            if self._find("lab", word, time.monotonic() + 1):
                return
            assert time.monotonic() < deadline, "the journal cannot be followed"

    def close(self) -> None:
        self.process.terminate()
        self.process.communicate()

    def reason(self, by: str, words: str) -> str:
        """Wait for a line of this program with these words, and return it. Earlier lines are taken away with it."""
        found = self._find(by, words, time.monotonic() + 20)
        assert found, f"the log of the host has no line of {by} with {words!r}"
        return found

    def _find(self, by: str, words: str, deadline: float) -> str:
        assert self.process.stdout is not None
        while (left := deadline - time.monotonic()) > 0:
            *lines, self._rest = self._rest.split(b"\n")
            while lines:
                line = json.loads(lines.pop(0))
                said = line.get("MESSAGE", "")
                if line.get("SYSLOG_IDENTIFIER") == by and isinstance(said, str) and words in said:
                    self._rest = b"\n".join([*lines, self._rest])
                    return said
            if select.select([self.process.stdout], [], [], left)[0]:
                self._rest += self.process.stdout.read(65536) or b""
        return ""


@pytest.fixture(scope="module")
def romeo(lab: Lab) -> Iterator[LabHost]:
    with lab.lend("romeo", "systemd") as host:
        host.run(["sh", "-s"], stdin=script(values(host, cooldown=0)))
        yield host


@pytest.fixture(scope="module")
def journal(romeo: LabHost) -> Iterator[Journal]:
    made = Journal(romeo)
    yield made
    made.close()


@pytest.fixture
def unharmed(romeo: LabHost) -> Iterator[None]:
    """Nothing was restarted and nothing touched, whatever was tried: seen from outside the host."""
    before = processes(romeo)
    assert before
    yield
    assert processes(romeo) == before
    assert list((romeo.root / "tmp").glob("canary*")) == []


def processes(host: LabHost) -> set[str]:
    """The processes of the unit that all these attempts are about."""
    groups = [group / "payload/system.slice" / UNIT.unit / "cgroup.procs" for group in machine.cgroups_of(host.number)]
    return {pid for group in groups if group.exists() for pid in group.read_text().split()}


def asked(host: LabHost, remote: str, data: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[bytes]:
    *words, place, _ = host.ssh_argv("askfirst", "")
    argv = [*words, *options, place, *([remote] if remote else [])]
    return subprocess.run(argv, input=data.encode(), capture_output=True, timeout=60, check=False)


def probed(host: LabHost, level: Level) -> Facts:
    nonce = secrets.token_hex(16)
    sent = build.probe_input(nonce, [UNIT], level=level)
    answer = asked(host, "probe", sent.decode())
    assert answer.returncode == 0
    assert f" gate={build.INSTALLED_DIGEST} level={level}\n" in answer.stdout.decode()
    return facts(read(answer.stdout, nonce, "probe"), time.time(), [UNIT])


def warrant(host: LabHost, level: Level = Level.ENFORCED) -> Warrant:
    """The one warrant that this host would run at this moment."""
    return Warrant(
        id="01JF3W6V9Q" + secrets.token_hex(8).upper(),
        service=UNIT.name,
        host="alpha",
        host_key=fingerprint(pinned(entry(host))[0]),
        manager="systemd",
        unit=UNIT.unit,
        action="restart",
        argv=("systemctl", "restart", UNIT.unit),
        argv_user="root",
        identity=probed(host, level).identity[UNIT.name],
        requester="ada@example.org",
        reason="a test",
        policy="lab 1",
        not_after=int(time.time()) + 600,
        evidence="sha256:0",
    )


@pytest.fixture(scope="module")
def right(romeo: LabHost) -> Warrant:
    """One that would run, until the service is another."""
    return warrant(romeo)


def sent(host: LabHost, lines: list[str], ending: str = "end\n") -> subprocess.CompletedProcess[bytes]:
    data = "".join(f"{line}\n" for line in [NONCE, *lines])
    return asked(host, f"restart {UNIT.name}", data + ending)


@pytest.mark.threat("D1")
@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("each", [*COMMANDS, *OTHERS], ids=lambda each: each.name)
def test_nothing_but_the_four_verbs_is_ever_started(romeo: LabHost, journal: Journal, each: Attempt) -> None:
    done = asked(romeo, each.remote, each.data, each.options)
    assert done.returncode not in {0, 255} or "-tt" in each.options
    assert b"uid=" not in done.stdout
    TABLE.append((each.name, journal.reason(each.by, each.reason)))


@pytest.mark.threat("D6")
@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("each", FORWARDS, ids=lambda each: each.name)
def test_no_port_is_forwarded_but_a_checks_own(romeo: LabHost, journal: Journal, each: Attempt) -> None:
    assert asked(romeo, "", "", each.options).returncode == 255
    TABLE.append((each.name, journal.reason(each.by, each.reason)))


@pytest.mark.parametrize("what", ["127.0.0.1:7777:127.0.0.1:22", "/tmp/canary.sock:/tmp/x"])
def test_the_host_listens_for_nobody(romeo: LabHost, journal: Journal, what: str) -> None:
    """Of this sshd logs the sign-in, and tells the reason to the other side alone."""
    options = ("-o", "ExitOnForwardFailure=yes", "-N", "-R", what)
    done = asked(romeo, "", "", options)
    assert done.returncode == 255
    assert b"remote port forwarding failed" in done.stderr
    journal.reason("sshd", "Accepted publickey for askfirst")


def test_the_port_of_a_check_can_be_reached(romeo: LabHost) -> None:
    request = "GET /health HTTP/1.0\r\n\r\n"
    assert b" 200 " in asked(romeo, "", request, ("-W", "127.0.0.1:5054")).stdout


@pytest.mark.law(5)
@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("each", WARRANTS, ids=lambda each: each.name)
def test_a_warrant_that_is_not_exactly_right_runs_nothing(
    romeo: LabHost, journal: Journal, right: Warrant, each: Sent
) -> None:
    done = sent(romeo, each.make(right))
    assert done.returncode in {65, 75, 77}
    assert b"started" not in done.stdout
    TABLE.append((f"send {each.name}", journal.reason("askfirst", each.reason)))


@pytest.mark.usefixtures("unharmed")
def test_a_warrant_whose_end_is_cut_runs_nothing(romeo: LabHost, journal: Journal, right: Warrant) -> None:
    assert sent(romeo, right.text().splitlines(), ending="").returncode == 65
    TABLE.append(("send one without its end", journal.reason("askfirst", "cut short")))


@pytest.mark.law(6)
@pytest.mark.threat("D11")
def test_the_one_that_is_right_runs_once_and_a_burned_one_never(romeo: LabHost, journal: Journal) -> None:
    before = processes(romeo)
    used, burned = warrant(romeo), f"01JF3W6V9Q{secrets.token_hex(8).upper()}"
    assert sent(romeo, used.text().splitlines()).returncode == 0
    assert f"{used.id}: starts as root: systemctl restart gui-5054.service" in journal.reason("askfirst", "starts as")
    assert processes(romeo) & before == set()
    after = starts(romeo, UNIT)
    assert sent(romeo, used.text().splitlines()).returncode == 75
    TABLE.append(("send a used one", journal.reason("askfirst", f"{used.id}: refused 75: spent")))
    assert b"state=burned" in asked(romeo, f"burn {burned}", f"{NONCE}\nend\n").stdout
    assert sent(romeo, replace(warrant(romeo), id=burned).text().splitlines()).returncode == 75
    TABLE.append(("send a burned one", journal.reason("askfirst", f"{burned}: refused 75: spent")))
    assert starts(romeo, UNIT) == after


@pytest.mark.threat("D23")
@pytest.mark.usefixtures("unharmed")
def test_the_hosts_own_switch_and_caps_bind_whoever_asks(romeo: LabHost, journal: Journal) -> None:
    switch, own = romeo.root / "etc/askfirst/disabled", romeo.root / "etc/askfirst/host"
    text = own.read_text()
    switch.write_text("the lab moves today\n")
    assert sent(romeo, warrant(romeo).text().splitlines()).returncode == 77
    TABLE.append(
        ("send a right one, switched off", journal.reason("askfirst", "switched off on this host: the lab moves"))
    )
    assert b"state=unspent" in asked(romeo, f"result {ID}", f"{NONCE}\nend\n").stdout
    switch.unlink()
    own.write_text(re.sub("per-hour .*", "per-hour 0", text))
    assert sent(romeo, warrant(romeo).text().splitlines()).returncode == 77
    TABLE.append(("send a right one too many", journal.reason("askfirst", "refused 77: a cap: this host had")))
    own.write_text(text)


def taken(host: LabHost, command: str) -> Result:
    """Run something as the account itself, as if somebody had a shell there."""
    shell = ["su", "-s", "/bin/sh", "askfirst", "-c", command.format(gate=f"{LIB}/gate", id=ID)]
    return host.run(shell, stdin=f"{NONCE}\nend\n", check=False)


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("trick", SUDO_TRICKS)
def test_who_took_the_account_gets_no_more_out_of_sudo(romeo: LabHost, trick: str) -> None:
    done = taken(romeo, trick)
    assert done.status != 0
    assert "askfirst-gate" not in done.out


@pytest.mark.threat("D14")
@pytest.mark.usefixtures("unharmed")
def test_one_word_that_looks_like_two_passes_sudo_and_not_the_gate(romeo: LabHost, journal: Journal) -> None:
    """sudo joins the words by blanks, and takes it for its line."""
    assert taken(romeo, f"sudo -n {{gate}} 'restart {UNIT.name}'").status == 64
    assert "this is not probe, restart SERVICE, burn or result" in journal.reason("askfirst", "refused 64")


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("trick", FILE_TRICKS)
def test_who_took_the_account_can_change_nothing_that_decides(romeo: LabHost, trick: str) -> None:
    assert taken(romeo, trick).status != 0


@pytest.mark.threat("D15")
@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("way", ["{gate}", "./gate", "/tmp/gate"])
def test_planted_programs_and_settings_are_not_what_the_gate_runs(romeo: LabHost, way: str) -> None:
    """By another name of its file sudo starts the very same gate, and none of its tools from elsewhere."""
    tools = "awk systemctl find date sh grep timeout pager less"
    plant = f"cd /tmp; for each in {tools}; do printf '#!/bin/sh\ntouch /tmp/canary\n' >$each; chmod 755 $each; done;"
    plant += " ln -sf {gate} gate; export PATH=/tmp:$PATH ENV=/tmp/awk BASH_ENV=/tmp/awk IFS=x PAGER=/tmp/pager"
    done = taken(romeo, f"{plant}; sudo -n {way} probe")
    romeo.run(f"cd /tmp && rm -f gate {tools}")
    assert done.out.startswith(f"askfirst-gate 1 nonce={NONCE} verb=probe")


def test_how_each_attempt_was_refused_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print("\n\n what was tried with Askfirst's own key          what the host's own log says of it")
        for name, reason in TABLE:
            print(f" {name[:46]:<47} {reason[:150]}")
        print(f"\n {len(TABLE)} attempts, all refused by the host")
    assert len(TABLE) >= 60
