"""An installed gate: whatever is sent, nothing runs but what the host's own files allow, and its log says why not."""

import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.level import Level
from app.core.service import Service
from app.core.warrant import Warrant
from app.gate import build
from app.gate.kit import LIB
from tests.unit.gate.conftest import warrants
from tests.unit.gate.enforced import Installed, allow, describe
from tests.unit.gate.hosted import ROOT_ONLY, claim

pytestmark = ROOT_ONLY
Make = Callable[..., Warrant]


@pytest.fixture
def host(shared: Installed) -> Installed:
    describe(shared)
    shared.at("/etc/askfirst/disabled").unlink(missing_ok=True)
    shared.said()
    return shared


@pytest.fixture
def make(host: Installed, supervised: Service) -> Make:
    make_one = warrants(host, supervised)
    return lambda *argv, **fields: make_one(*argv, **{"host_key": host.host_key, **fields})


def test_it_probes_and_says_its_digest_and_its_level(host: Installed, supervised: Service) -> None:
    seen = host.probe(supervised)
    assert (seen.gate, seen.level) == (build.INSTALLED_DIGEST, "enforced")
    assert "program lab:gui RUNNING" in seen.identity["demo"]
    assert host.said() == [], "sudo writes a line for each already"


def test_a_probe_tells_what_the_table_allows(host: Installed, make: Make, supervised: Service) -> None:
    one = make("supervisorctl", "restart", "lab:gui")
    allow(host, one)
    words = (one.service, one.manager, one.unit, one.action, one.argv_user, *one.argv)
    assert host.probe(supervised).permitted == frozenset({" ".join(words)})
    host.write("/etc/askfirst/restarts", "demo supervisor\ndemo * a b c 0 0 $(reboot)\n")
    assert host.probe(supervised).permitted == frozenset()


@pytest.mark.law(6)
def test_what_the_table_allows_runs_once_and_the_log_says_so_before(host: Installed, make: Make) -> None:
    one = make()
    allow(host, one)
    record, status = host.decide(one)
    assert (record.kind, status) == ("started", 0)
    assert host.said() == [f"restart demo {one.id}: starts as root: {' '.join(one.argv)}"]
    record, status = host.decide(one)
    assert (record.get("why"), status) == ("spent", 75)
    assert host.said() == [f"restart demo {one.id}: refused 75: spent"]


@pytest.fixture(scope="module")
def one(shared: Installed, supervised: Service) -> Warrant:
    """A warrant that everything allows, for tests in which nothing runs."""
    return warrants(shared, supervised)(host_key=shared.host_key)


REFUSED: dict[str, tuple[dict[str, object], int, str]] = {
    "another service": ({"service": "other"}, 77, "the warrant is for other, and demo was asked for"),
    "an action that is not listed": ({"action": "reload"}, 77, "this host's table has no reload of demo"),
    "another manager": ({"manager": "systemd"}, 77, "the manager, unit or user is not what"),
    "another unit": ({"unit": "lab:other"}, 77, "the manager, unit or user is not what"),
    "another user": ({"argv_user": "nobody"}, 77, "the manager, unit or user is not what"),
    "another command": ({"argv": ("touch", "/tmp/x")}, 77, "the command is not what"),
    "the same words and one more": ({"argv": ("supervisorctl", "restart", "lab:gui", "all")}, 77, "the command is not"),
    "another host": ({"host": "there"}, 77, "the warrant is for the host there, and this is here"),
    "another host's key": ({"host_key": "SHA256:bm9uZQ"}, 77, "none of this host's"),
    "half of this host's key": ({"host_key": "SHA256:"}, 77, "none of this host's"),
    "an hour ago": ({"not_after": int(time.time()) - 3600}, 77, "and this host's clock says 20"),
    "no command": ({"argv": ()}, 65, "by hand"),
    "an option in front": ({"argv": ("supervisorctl", "-c", "/tmp/evil", "restart", "lab:gui")}, 77, "the command is"),
}


@pytest.mark.law(4)
@pytest.mark.threat("D23")
@pytest.mark.threat("C10")
@pytest.mark.parametrize(("change", "status", "why"), REFUSED.values(), ids=REFUSED)
def test_a_warrant_for_anything_else_is_refused_and_unspent(
    host: Installed, one: Warrant, change: dict[str, object], status: int, why: str
) -> None:
    allow(host, one)
    wrong = replace(one, **change)  # type: ignore[arg-type]
    record, seen = host.decide(wrong)
    assert (record.kind, seen) == ("refused", status)
    assert why in record.get("why")
    (line,) = host.said()
    assert f"refused {status}: " in line
    assert why in line
    assert not host.runs.exists() or one.id not in {path.name for path in host.runs.iterdir()}


def test_an_argument_is_a_word_and_not_a_part_of_one(host: Installed, one: Warrant) -> None:
    allow(host, replace(one, argv=("supervisorctl", "restart", "lab:gui")))
    record, _ = host.decide(replace(one, argv=("supervisorctl", "restart")))
    assert "the command is not what" in record.get("why")


TABLES = {
    "nothing": ("", 77, "this host's table has no restart of demo"),
    "another service": ("other supervisor lab:gui restart root 0 1 true\n", 77, "has no restart of demo"),
    "a beginning of the name": ("demo-2 supervisor lab:gui restart root 0 1 true\n", 77, "has no restart of demo"),
    "a glob": ("demo supervisor * restart root 0 1 true\n", 78, "not of its form"),
    "a quote": ("demo supervisor lab:gui restart root 0 1 'true'\n", 78, "not of its form"),
    "too few words": ("demo supervisor lab:gui restart root 0 1\n", 78, "not of its form"),
    "a cooldown that is none": ("demo supervisor lab:gui restart root soon 1 true\n", 78, "not of its form"),
}


@pytest.mark.threat("D13")
@pytest.mark.parametrize(("text", "status", "why"), TABLES.values(), ids=TABLES)
def test_a_table_without_the_line_allows_nothing(
    host: Installed, one: Warrant, text: str, status: int, why: str
) -> None:
    host.write("/etc/askfirst/restarts", text)
    record, seen = host.decide(one)
    assert (seen, why in record.get("why")) == (status, True)


SPOILED = {
    "a host file that all may write": ("/etc/askfirst/host", "chmod 666"),
    "a table of another user": ("/etc/askfirst/restarts", "chown 1000"),
    "a table that a group may write": ("/etc/askfirst/restarts", "chgrp 100 {0}; chmod 664"),
    "a folder that all may write": ("/etc/askfirst", "chmod 777"),
    "a folder of another user": ("/etc/askfirst/approvers", "chown 1000"),
    "a gate that all may write": (f"{LIB}/gate", "chmod 777"),
    "a table that is a link": ("/etc/askfirst/restarts", "mv {0} /etc/other; ln -s /etc/other"),
    "a folder above that all may write": ("/usr/local/lib", "chmod 777"),
    "a folder of its programs that all may write": ("/usr/local/bin", "chmod 777"),
    "a spool that another user could put aside": ("/var/lib/askfirst", "mkdir -p {0}; chown 1000"),
}
MEND = (
    "chown -R 0:0 /etc/askfirst /usr/local/lib/askfirst; rm -f /etc/askfirst/restarts; chmod 755 /usr/local/lib; "
    "chmod 755 /usr/local/bin; chown 0 /var/lib/askfirst; chmod 755 "
    "/etc/askfirst /usr/local/lib/askfirst/gate; chmod 644 /etc/askfirst/host"
)


@pytest.mark.threat("D17")
@pytest.mark.parametrize(("path", "spoil"), SPOILED.values(), ids=SPOILED)
def test_nothing_runs_where_others_may_write_what_decides(host: Installed, one: Warrant, path: str, spoil: str) -> None:
    allow(host, one)
    try:
        command = f"{spoil.format(path)} {path}"
        assert host.do(command) == 0
        record, status = host.decide(one)
        assert (record.kind, status) == ("refused", 78)
        assert path.rpartition("/")[2] in record.get("why")
        assert "refused 78: " in host.said()[0]
    finally:
        host.do(MEND)


HOSTS = {
    "no name": "level enforced\nper-hour 1\nplain-keys no\n",
    "no cap": "name here\nlevel enforced\nplain-keys no\n",
    "a level that is none": "name here\nlevel open\nper-hour 1\nplain-keys no\n",
    "a word that nobody knows": "name here\nlevel enforced\nper-hour 1\nplain-keys no\nsudo yes\n",
    "a cap that is no number": "name here\nlevel enforced\nper-hour 1;\nplain-keys no\n",
}


@pytest.mark.parametrize("text", HOSTS.values(), ids=HOSTS)
def test_a_host_file_that_is_not_of_its_form_stops_all_but_burn_and_result(
    host: Installed, one: Warrant, text: str
) -> None:
    host.write("/etc/askfirst/host", text)
    record, status = host.decide(one)
    assert (status, record.get("why")) == (78, "/etc/askfirst/host is not of its form")
    (record,) = host.raw("probe")
    assert record.get("why") == "/etc/askfirst/host is not of its form"
    unused = "01JF3W6V9Q" + secrets.token_hex(8).upper()
    assert [each.get("state") for each in host.raw("result", f"id {unused}")] == ["unspent"]
    assert [each.get("state") for each in host.raw("burn", f"id {unused}")] == ["burned"]


def test_the_off_switch_stops_runs_and_nothing_else(host: Installed, one: Warrant, supervised: Service) -> None:
    allow(host, one)
    host.write("/etc/askfirst/disabled", "migration of the \x1b[2J lab, ask rbron\nsecond line\n")
    record, status = host.decide(one)
    assert record.get("why") == "runs are switched off on this host: migration of the \x1b[2J lab, ask rbron"
    assert status == 77
    assert "%1B[2J" in host.said()[0]
    assert host.probe(supervised).identity["demo"]
    unused = "01JF3W6V9Q" + secrets.token_hex(8).upper()
    assert [each.get("state") for each in host.raw("result", f"id {unused}")] == ["unspent"]
    assert [each.get("state") for each in host.raw("burn", f"id {unused}")] == ["burned"]
    assert host.said() == [f"burn {unused}: burned"]


def test_an_empty_off_switch_is_one_too(host: Installed, one: Warrant) -> None:
    allow(host, one)
    host.write("/etc/askfirst/disabled", "")
    assert host.decide(one)[0].get("why") == "runs are switched off on this host"


@pytest.mark.law(5)
def test_a_service_that_is_another_by_now_is_not_restarted_and_the_log_says_so(host: Installed, make: Make) -> None:
    true = make()
    stale = replace(true, identity=(*true.identity[:-1], "program lab:gui OTHER"))
    allow(host, true)
    record, status = host.decide(stale)
    assert (record.kind, status) == ("differs", 75)
    assert host.said() == [f"restart demo {true.id}: refused 75: the service is not what the warrant says"]


SENT: dict[str, tuple[str, bytes, int, str]] = {
    "no verb": ("", b"", 64, "this is not probe, restart SERVICE, burn or result"),
    "another verb": ("shell", b"", 64, "this is not probe"),
    "a verb with a word too many": ("probe --whole", b"", 64, "this is not probe"),
    "a restart of nothing": ("restart", b"", 64, "this is not probe"),
    "nothing": ("probe", b"", 65, "does not begin with a nonce"),
    "a nonce that is none": ("probe", b"$(reboot)\nend\n", 65, "does not begin with a nonce"),
    "a short nonce": ("probe", b"0123\nend\n", 65, "does not begin with a nonce"),
    "a long nonce": ("probe", b"0" * 33 + b"\nend\n", 65, "does not begin with a nonce"),
    "no end": ("probe", b"0" * 32 + b"\nwhole\n", 65, "cut short"),
    "something behind the end": ("probe", b"0" * 32 + b"\nend\nmore\n", 65, "cut short"),
    "a claim that a shell would read": ("probe", b"0" * 32 + b"\nservice $(reboot) a b - - - -\nend\n", 65, "its form"),
    "an id that is a path": ("burn", b"0" * 32 + b"\nid ../../../etc/passwd0123456789\nend\n", 65, "no request id"),
    "endless lines": ("probe", b"0" * 32 + b"\n" + b"whole\n" * 100_000 + b"end\n", 65, "far too long"),
    "an endless line": ("probe", b"0" * 20_000_000, 65, "far too long"),
}


@pytest.mark.threat("D1")
@pytest.mark.threat("H3")
@pytest.mark.parametrize(("words", "data", "status", "why"), SENT.values(), ids=SENT)
def test_what_is_not_of_its_form_is_refused_with_its_own_status(
    host: Installed, words: str, data: bytes, status: int, why: str
) -> None:
    answer, seen = host.ask(data, *words.split())
    assert seen == status
    assert why in answer.decode().replace("%20", " ")
    assert f"refused {status}: " in host.said()[0]


@pytest.mark.law(9)
@pytest.mark.threat("C10")
def test_what_only_root_reads_is_never_quoted(host: Installed, tmp_path: Path) -> None:
    """A stolen server may name any file of the host as a supervisord's configuration."""
    secret = tmp_path / "shadow"
    secret.write_text("root:$y$j9T$kept$here:20000:0:99999:7:::\n")
    secret.chmod(0o600)
    data = build.probe_input("0" * 32, [claim("supervisor", "gui", config=str(secret))], level=Level.ENFORCED)
    answer, status = host.ask(data, "probe")
    assert status == 0
    assert b"it did not answer" in answer.replace(b"%20", b" ")
    assert not [word for word in (b"j9T", b"kept", b"99999") if word in answer]


def test_a_host_without_a_working_log_still_refuses_and_still_restarts(host: Installed, make: Make) -> None:
    """It may be just the log that has to be restarted: what must not be lost is in the spool."""
    one = make()
    allow(host, one)
    logger = host.at("/dev/log")
    logger.rename(logger.with_name("log.away"))
    try:
        assert host.decide(replace(one, host="there"))[1] == 77
        assert host.decide(one)[0].kind == "started"
    finally:
        logger.with_name("log.away").rename(logger)
    entry = (host.runs / one.id).read_text()
    assert "\nservice demo\nat " in entry
