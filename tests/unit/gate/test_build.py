"""The gate as a text, and what is sent with it: it parses everywhere, half of it does nothing, data stays data."""

import hashlib
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.errors import Refused
from app.core.level import Level
from app.core.service import Service
from app.gate import build
from tests.unit.gate.hosted import Gate, claim

NONCE = "0123456789abcdef" * 2
TRUE = claim("supervisor", "lab:gui", user="rbron", path="/opt/gui", ports=(5050, 5051), config="/etc/s.conf")


def test_its_digest_is_of_the_text_and_told_by_the_text() -> None:
    text, _, last = build.program().rpartition("AF_DIGEST=")
    assert last == f"{build.DIGEST}\n"
    assert hashlib.sha256(text.encode()).hexdigest().startswith(build.DIGEST)
    assert len(build.DIGEST) == 16


def test_it_is_plain_text_without_comments_that_a_slow_line_would_wait_for() -> None:
    text = build.program()
    assert text.isascii()
    assert [line for line in text.splitlines() if not line or line != line.strip() or line.startswith("#")] == []


TEXTS = {
    "open": f"#!/bin/sh\n{build.program()}af_main probe 0 </dev/null\n",
    "installed": build.installed(),
    "door": build.door(),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("shell", [("dash",), ("busybox", "ash"), ("bash", "--posix")], ids=" ".join)
def test_every_shell_can_read_it(shell: tuple[str, ...], text: str, tmp_path: Path) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"needs {shell[0]}")
    gate = tmp_path / "gate"
    gate.write_text(text)
    done = subprocess.run([*shell, "-n", gate], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_shellcheck_finds_nothing(text: str, tmp_path: Path) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("needs shellcheck")
    gate = tmp_path / "gate"
    gate.write_text(text)
    unasked = (
        "SC2034",  # variables that only fragments or awk read
        "SC2046",  # words are split on purpose, under set -f, out of a character set without blanks
        "SC2086",  # the same
        "SC2016",  # awk's text is quoted so that the shell does not read it
        "SC3045",  # ulimit -t: dash and busybox have it
        "SC1007",  # `name= ` empties a variable
    )
    done = subprocess.run(
        ["shellcheck", "--norc", "--severity=warning", f"--exclude={','.join(unasked)}", gate],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""


@pytest.mark.parametrize("text", [build.installed(), build.door()], ids=["gate", "door"])
def test_half_of_an_installed_program_does_nothing(text: str, tmp_path: Path) -> None:
    """A disk that was full, a copy that was cut: it says and does nothing at all before its last line."""
    half = tmp_path / "half"
    for cut in (*range(0, len(text), len(text) // 15), len(text) - 12):
        half.write_text(text[:cut])
        done = subprocess.run(
            ["sh", half, "probe"], input=f"{NONCE}\nend\n", capture_output=True, text=True, check=False
        )
        assert done.stdout == ""


def test_an_installed_gate_has_its_own_digest_which_its_comments_do_not_change() -> None:
    assert build.INSTALLED_DIGEST != build.DIGEST
    assert f"\nAF_DIGEST={build.INSTALLED_DIGEST}\n" in build.installed()
    assert [build.expected(level) for level in Level] == [build.DIGEST, *[build.INSTALLED_DIGEST] * 2]
    assert "\n# What an installed gate asks besides" in build.installed()
    assert len(build.program()) < len(build.installed()) - 40_000, "an open host is not sent what it does not use"
    assert "af_permitted() { :; }" in build.program()
    assert "/etc/askfirst" not in build.program()


def test_what_an_installed_gate_is_sent_is_data_alone() -> None:
    level = Level.SEALED
    assert build.probe_input(NONCE, [TRUE], whole=True, level=level).decode() == (
        f"{NONCE}\nservice demo supervisor lab:gui rbron /opt/gui /etc/s.conf 5050,5051\nwhole\nend\n"
    )
    for ask in (build.burn_input, build.result_input):
        assert ask(NONCE, "01JF3W6V9Q0Z7E5M2T8X4K1B6N", level=level).decode() == f"{NONCE}\nend\n"
    warrant = "askfirst-warrant 1\nid x\n"
    signed = ["-----BEGIN SSH SIGNATURE-----\nAAAA\nBB==\n-----END SSH SIGNATURE-----\n"] * 2
    assert build.restart_input(NONCE, warrant, signed, level=level).decode() == (
        f"{NONCE}\n{warrant}signature AAAABB==\nsignature AAAABB==\nend\n"
    )
    assert b"signature" not in build.restart_input(NONCE, warrant, signed, level=Level.ENFORCED)
    assert b"signature" not in build.restart_input(NONCE, warrant, signed)


@pytest.mark.parametrize(
    "text", ["", "AAAA", "-----BEGIN SSH SIGNATURE-----\nA A\n-----END SSH SIGNATURE-----\n", "x\nend\n"]
)
def test_what_is_no_armored_signature_is_never_sent(text: str) -> None:
    with pytest.raises(Refused):
        build.restart_input(NONCE, "askfirst-warrant 1\nid x\n", [text], level=Level.SEALED)


def test_a_host_is_asked_by_one_constant_command_or_by_one_of_four_verbs() -> None:
    request_id = "01JF3W6V9Q0Z7E5M2T8X4K1B6N"
    for verb, argument in (("probe", ""), ("restart", "demo"), ("burn", request_id), ("result", request_id)):
        assert build.command(Level.OPEN, verb, argument) == "sh -s"
        assert build.command(Level.OPEN, verb, argument, sudo=True) == "sudo -n sh -s"
        assert build.command(Level.ENFORCED, verb, argument) == f"{verb} {argument}".strip()
    for verb, argument in (("restart", ""), ("restart", "a;b"), ("restart", "a b"), ("burn", "../x"), ("sh", "demo")):
        with pytest.raises(Refused):
            build.command(Level.SEALED, verb, argument)


@pytest.mark.parametrize("verb", ["probe", "restart", "burn", "result"])
def test_half_of_what_is_sent_does_nothing(dash: Gate, verb: str) -> None:
    whole = {
        "probe": build.probe_input(NONCE, [TRUE]),
        "restart": build.restart_input(NONCE, "askfirst-warrant 1\nid 01JF3W6V9Q0Z7E5M2T8X4K1B6N\n"),
        "burn": build.burn_input(NONCE, "01JF3W6V9Q0Z7E5M2T8X4K1B6N"),
        "result": build.result_input(NONCE, "01JF3W6V9Q0Z7E5M2T8X4K1B6N"),
    }[verb]
    program = len(build.program())
    called = whole.index(b"\n", program) + 1
    cuts = [*range(0, program, program // 12), *range(program, called), *range(called, len(whole) - 38, 7)]
    for cut in cuts:
        process = dash.start(whole[:cut])
        answer = process.communicate()[0]
        assert b"spool state" not in answer
        assert b"\nhost " not in answer
        if cut > called:
            assert b"refused why=what%20was%20sent%20is%20cut%20short" in answer
    assert list(dash.home.iterdir()) == []


def test_claims_ride_as_lines_of_words_behind_the_program() -> None:
    sent = build.probe_input(NONCE, [TRUE, claim("systemd", "x.service")]).decode()
    assert sent == (
        f"{build.program()}af_main probe {NONCE} <<'{NONCE}'\n"
        "service demo supervisor lab:gui rbron /opt/gui /etc/s.conf 5050,5051\n"
        "service demo systemd x.service - - - -\n"
        f"end\n{NONCE}\n"
    )


@pytest.mark.law(4)
@pytest.mark.threat("D1")
@pytest.mark.parametrize("bad", ["a b", "$(x)", "a\nend", "-x", "", "a'", "ä", "a;b", "./x", "a\0", "%41", "*", "a`b`"])
@pytest.mark.parametrize("field", ["name", "manager", "unit", "user", "path", "config"])
def test_what_could_be_misread_is_never_sent(field: str, bad: str) -> None:
    with pytest.raises(Refused):
        build.probe_input(NONCE, [replace(TRUE, **{field: bad})])  # type: ignore[arg-type]


@pytest.mark.parametrize("nonce", ["x'", "", "0" * 31, "A" * 32, NONCE + "\n"])
def test_a_nonce_is_checked_too(nonce: str) -> None:
    with pytest.raises(Refused):
        build.probe_input(nonce, [])


@pytest.mark.parametrize("request_id", ["../x", "01JF3W6V9Q0Z7E5M2T8X4K1B6N\n", "", "0" * 65])
def test_an_id_is_checked_too(request_id: str) -> None:
    for ask in (build.burn_input, build.result_input):
        with pytest.raises(Refused):
            ask(NONCE, request_id)


@pytest.mark.parametrize("text", ["askfirst-warrant 1\nreason \x1b\n", "askfirst-warrant 1\nid x", "", "x\n"])
def test_a_warrant_is_checked_too(text: str) -> None:
    with pytest.raises(Refused):
        build.restart_input(NONCE, text)


def test_a_warrant_that_holds_the_nonce_as_a_line_would_end_the_data_and_is_refused() -> None:
    with pytest.raises(Refused):
        build.restart_input(NONCE, f"askfirst-warrant 1\n{NONCE}\ntouch /tmp/x\n")


def test_too_many_services_for_one_host_are_refused_before_the_host_sees_them() -> None:
    many = [Service(f"s{index}", "here", "lab", "systemd", "x" * 190) for index in range(600)]
    with pytest.raises(Refused):
        build.probe_input(NONCE, many)


@pytest.mark.threat("D15")
@pytest.mark.threat("E11")
def test_the_tools_of_a_host_find_no_pager_and_speak_one_language() -> None:
    frame = (Path(build.__file__).parent / "frame.sh").read_text()
    planted = {
        "PAGER": "less",
        "SYSTEMD_PAGER": "less",
        "LC_ALL": "de_DE.UTF-8",
        "LANG": "de_DE.UTF-8",
        "LD_PRELOAD": "",
    }
    done = subprocess.run(
        ["sh", "-c", f"{frame}\naf_environment\nenv"],
        env={"PATH": "/usr/bin:/bin", **planted},
        capture_output=True,
        text=True,
        check=True,
    )
    found = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert (found["PAGER"], found["SYSTEMD_PAGERSECURE"], found["LC_ALL"], found["LANG"]) == ("cat", "1", "C", "C")
    assert not {"SYSTEMD_PAGER", "LD_PRELOAD"} & set(found)
