"""The kit's texts: what sudo, sshd, ssh-keygen and the gate are told, and what no kit is ever made of."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from app.core.errors import Refused
from app.core.level import Level
from app.core.service import NAME
from app.gate import build
from app.gate.kit import (
    ETC,
    KEYS,
    LIB,
    SSHD,
    SUDOERS,
    Kit,
    Signer,
    contents,
    problems,
    script,
    sudoers,
    sudoers_problems,
)
from app.gate.kit_files import folders, tree
from tests.unit.gate.kits import CERTIFIED, ENFORCED, EVERY, GUI, KEY, SEALED, SIGNERS, UNIT

KITS = pytest.mark.parametrize("kit", EVERY.values(), ids=EVERY)
PATTERNS = "*?[]^!\\#,%~"


def text_of(kit: Kit, path: str) -> list[str]:
    found = {each.path: each.text for half in contents(kit) for each in half}
    return [line for line in found[path].splitlines() if not line.startswith("# ")]


@pytest.mark.threat("D13")
@KITS
def test_sudo_is_told_whole_command_lines_and_no_pattern(kit: Kit) -> None:
    settings, *rules = text_of(kit, SUDOERS)
    assert settings.startswith(f"Defaults!{LIB}/gate env_reset, ")
    assert rules == [
        f"askfirst ALL=(root) NOPASSWD: {LIB}/gate {words}"
        for words in ("probe", "burn", "result", "restart gui-unit", "restart pypnm-gui")
    ]
    assert not set(PATTERNS) & set("".join(rules))


@pytest.mark.threat("D13")
@pytest.mark.parametrize(
    "line",
    [
        f"askfirst ALL=(root) NOPASSWD: {LIB}/gate restart gui*",
        f"askfirst ALL=(root) NOPASSWD: {LIB}/gate restart gui?",
        f"askfirst ALL=(root) NOPASSWD: {LIB}/gate restart [a-z]ui",
        f"askfirst ALL=(root) NOPASSWD: {LIB}/gate restart ^gui$",
        f"askfirst ALL=(root) NOPASSWD: {LIB}/gate restart gui, ALL",
        f"askfirst ALL=(root) NOPASSWD: {LIB}/gate restart gui --root=/tmp/evil",
        f"askfirst ALL=(root) NOPASSWD: {LIB}/gate",
        f"askfirst ALL=(root) NOPASSWD: {LIB}/gate \\",
        f"askfirst ALL=(root) NOPASSWD: !{LIB}/gate probe",
        f"askfirst ALL=(ALL) NOPASSWD: {LIB}/gate probe",
        "askfirst ALL=(root) NOPASSWD: /usr/bin/sh -s",
        "askfirst ALL=(root) NOPASSWD: ALL",
        "Defaults !env_reset",
        "#include /tmp/evil",
        "@includedir /tmp",
        "%docker ALL=(root) NOPASSWD: ALL",
    ],
)
def test_the_lint_refuses_what_sudo_could_read_as_more_than_one_command(line: str) -> None:
    assert sudoers_problems(sudoers(ENFORCED)) == []
    assert len(sudoers_problems(f"{sudoers(ENFORCED)}{line}\n")) == 1


@pytest.mark.threat("D13")
@given(st.text(st.sampled_from("aZ09-*?[]^! .\\/:=,%\n#$"), min_size=1, max_size=41))
def test_no_name_but_a_plain_one_comes_into_a_kit(name: str) -> None:
    kit = replace(ENFORCED, allowed=(replace(GUI, service=name),), approvals={name: 1})
    if NAME.fullmatch(name):
        assert f"{LIB}/gate restart {name}\n" in sudoers(kit)
        assert problems(kit) == []
    else:
        assert problems(kit) != []
        with pytest.raises(Refused, match="No kit can be made"):
            script(kit)


@pytest.mark.threat("D13")
@pytest.mark.parametrize("sign", [*'*?!",#% \\\n', "ä"])
def test_no_address_with_a_sign_of_a_pattern_comes_into_the_list_of_approvers(sign: str) -> None:
    for mail in (f"b{sign}o@example.org", f"bo@exam{sign}ple.org", sign):
        kit = replace(SEALED, signers={"pypnm-gui": (Signer(("bo@example.org", mail), (KEY,)),)})
        assert any("pattern" in each for each in problems(kit)), mail


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"level": Level.OPEN}, "needs no kit"),
        ({"host_keys": ()}, "no host key"),
        ({"account": "root"}, "no account"),
        ({"account": "askfirst ALL"}, "no account"),
        ({"allowed": (UNIT, UNIT)}, "two lines"),
        ({"allowed": (replace(GUI, argv=("sh", "-c", "a b")),)}, "no plain word"),
        ({"allowed": (replace(GUI, argv=("sh", "$(x)")),)}, "no plain word"),
        ({"allowed": (replace(GUI, unit="gui\nroot"),)}, "no plain word"),
        ({"allowed": (replace(GUI, user="a b"),)}, "no plain word"),
        ({"approvals": {"pypnm-gui": 1, "gui-unit": 0}}, "no approval"),
        ({"per_hour": 0}, "caps"),
        ({"cooldown": -1}, "caps"),
        ({"key": "ssh-ed25519 AAAA' root"}, "no public key"),
        ({"key": 'command="sh" ssh-ed25519 AAAA'}, "no public key"),
        ({"ports": (("*", 5050),)}, "no address"),
        ({"ports": (('a",permitopen="b', 5050),)}, "no address"),
        ({"ports": (("localhost", 70000),)}, "no address"),
        ({"left_out": (("gui\nrm -rf /", "x"),)}, "no name"),
    ],
)
def test_what_could_be_read_otherwise_makes_no_kit(changed: dict[str, object], said: str) -> None:
    kit = replace(ENFORCED, **changed)  # type: ignore[arg-type]
    with pytest.raises(Refused, match=said):
        script(kit)


def test_the_table_says_word_for_word_what_may_run() -> None:
    assert text_of(replace(ENFORCED, cooldown=90), f"{ETC}/restarts") == [
        "gui-unit systemd gui-5054.service daemon-reload root 90 2 systemctl daemon-reload",
        "gui-unit systemd gui-5054.service restart root 90 2 systemctl restart gui-5054.service",
        "pypnm-gui supervisor lab:pypnm-gui restart root 90 1 supervisorctl restart lab:pypnm-gui",
    ]


def test_only_a_sealed_host_has_approvers_and_a_human_has_one_line_of_addresses() -> None:
    assert not any("/approvers/" in each.path for each in contents(ENFORCED)[0])
    bo, both = "bo@example.org,bo.l@example.net", 'namespaces="askfirst-warrant"'
    assert text_of(SEALED, f"{ETC}/approvers/pypnm-gui") == [
        *(f"{bo} {both} {key}" for key in sorted(SIGNERS[0].keys)),
        f"cy@example.org {both} {SIGNERS[1].keys[0]}",
    ]
    assert "level sealed" in text_of(SEALED, f"{ETC}/host")
    assert "plain-keys no" in text_of(SEALED, f"{ETC}/host")


@pytest.mark.threat("D6")
def test_the_key_opens_the_door_and_the_ports_of_checks_and_nothing_else() -> None:
    (line,) = text_of(ENFORCED, KEYS)
    assert line == (
        f'restrict,command="{LIB}/door",port-forwarding,permitopen="127.0.0.1:5050",permitopen="127.0.0.1:5054",'
        f'permitopen="[::1]:8000" {KEY}'
    )
    (line,) = text_of(replace(ENFORCED, ports=()), KEYS)
    assert line == f'restrict,command="{LIB}/door" {KEY}'


def test_a_certificate_opens_the_door_for_one_thing_and_its_authority_counts_for_this_account_alone() -> None:
    look, *restarts = text_of(CERTIFIED, f"{ETC}/principals")
    assert look.startswith(f'restrict,command="{LIB}/door look",port-forwarding,permitopen=')
    assert look.endswith(" look")
    names = ("gui-unit", "pypnm-gui")
    assert restarts == [f'restrict,command="{LIB}/door restart {name}" restart-{name}' for name in names]
    assert KEYS not in [each.path for half in contents(CERTIFIED) for each in half]
    settings = text_of(CERTIFIED, SSHD)
    assert settings[1:3] == ["    AuthorizedKeysFile none", f"    TrustedUserCAKeys {ETC}/ca.pub"]
    assert "    ExposeAuthInfo yes" in settings


@KITS
def test_sshd_gives_the_account_no_terminal_and_no_way_on_but_to_the_ports_of_checks(kit: Kit) -> None:
    """The options of a key that may forward would let it listen too, in place of a service that is down."""
    settings = text_of(kit, SSHD)
    assert settings[0] == "Match User askfirst"
    assert all(line.startswith("    ") for line in settings[1:])
    assert {line.strip() for line in settings} >= {
        "AllowTcpForwarding local",
        "PermitOpen 127.0.0.1:5050 127.0.0.1:5054 [::1]:8000",
        "PermitListen none",
        *(f"{each} no" for each in ("AllowStreamLocalForwarding", "AllowAgentForwarding", "X11Forwarding")),
        *(f"{each} no" for each in ("PermitTunnel", "PermitTTY", "PermitUserRC")),
    }
    none = text_of(replace(kit, ports=()), SSHD)
    assert {"    AllowTcpForwarding no", "    PermitOpen none"} <= set(none)


@KITS
def test_what_lets_in_comes_after_all_that_refuses(kit: Kit) -> None:
    """The script may be cut off after any file: until the last ones nobody comes in by it."""
    files, ways_in = ([each.path for each in half] for half in contents(kit))
    assert files[:3] == [f"{LIB}/gate", f"{LIB}/door", f"{ETC}/host"]
    assert files[-2:] == [f"{ETC}/restarts", SUDOERS]
    assert ways_in == [SSHD, KEYS] if not kit.certificates else ways_in[-1] == SSHD
    text = script(kit)
    assert text.index("\n    put_files\n    rules\n    put_ways_in\n") < text.index("\n    use_account\n")


@KITS
def test_the_texts_in_the_script_are_the_files(kit: Kit, tmp_path: Path) -> None:
    """As the shell of a host reads them, byte for byte."""
    (tmp_path / "kit.sh").write_text(script(kit).rpartition('main "$@"')[0] + 'text "$1"\n')
    for each in (*contents(kit)[0], *contents(kit)[1]):
        read = subprocess.run(["sh", tmp_path / "kit.sh", each.path], capture_output=True, text=True, check=True)
        assert read.stdout == each.text, each.path
    assert build.installed() in script(kit)


@KITS
@pytest.mark.parametrize("shell", [("dash",), ("busybox", "ash"), ("bash", "--posix")], ids=" ".join)
def test_every_shell_can_read_the_script(kit: Kit, shell: tuple[str, ...], tmp_path: Path) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"needs {shell[0]}")
    (tmp_path / "kit.sh").write_text(script(kit))
    done = subprocess.run([*shell, "-n", tmp_path / "kit.sh"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@KITS
def test_shellcheck_finds_nothing_in_the_script(kit: Kit, tmp_path: Path) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("needs shellcheck")
    (tmp_path / "kit.sh").write_text(script(kit))
    done = subprocess.run(["shellcheck", "--norc", tmp_path / "kit.sh"], capture_output=True, text=True, check=False)
    assert done.stdout == ""


@pytest.mark.parametrize("shell", [("dash",), ("busybox", "ash")], ids=" ".join)
def test_half_a_script_does_nothing(shell: tuple[str, ...], tmp_path: Path) -> None:
    """A connection may break while it comes: all of it is functions until its last line."""
    if shutil.which(shell[0]) is None:
        pytest.skip(f"needs {shell[0]}")
    text = script(ENFORCED).encode()
    last = text.rindex(b'main "$@"')
    for cut in (*range(0, last, last // 15), last):
        done = subprocess.run(
            [*shell, "-s", "--", "--nonsense"], input=text[:cut], capture_output=True, check=False, cwd=tmp_path
        )
        assert b"askfirst kit" not in done.stderr
        assert done.stdout == b""
    whole = subprocess.run([*shell, "-s", "--", "--nonsense"], input=text, capture_output=True, check=False)
    assert (whole.returncode, whole.stdout) == (2, b"")
    assert b"askfirst kit: use it without a word" in whole.stderr


def test_the_script_says_what_it_lets_run_and_what_it_leaves_out() -> None:
    head = script(ENFORCED).partition("\naccount=")[0]
    assert "#   pypnm-gui: restart, by root: supervisorctl restart lab:pypnm-gui\n" in head
    assert "#   gui-tmux: A person restarts it by hand" in head
    assert all(line.startswith("#") for line in head.splitlines())
    hostile = replace(ENFORCED, left_out=(("gui", "a\nrm -rf / \x1b[31m"),))
    assert "#   gui: a?rm -rf / ?[31m\n" in script(hostile)


@KITS
def test_the_folder_holds_the_same_files_with_owners_and_modes(kit: Kit) -> None:
    made = {each.path: each for each in tree(kit)}
    files = [each for half in contents(kit) for each in half]
    assert made["kit.sh"].text == script(kit)
    lines = made["manifest"].text.splitlines()
    assert lines == [
        *(f"root root {mode} {path}/" for path, mode in folders(tuple(files))),
        *(f"root root {each.mode} {each.path}" for each in files),
    ]
    for each in files:
        assert made[f"files{each.path}"].text == each.text
    tasks = YAML(typ="safe").load(made["tasks.yml"].text)
    copied = {task["ansible.builtin.copy"]["dest"]: task for task in tasks if "ansible.builtin.copy" in task}
    assert list(copied) == [each.path for each in files]
    assert all(each["ansible.builtin.copy"]["owner"] == "root" for each in copied.values())
    assert copied[SUDOERS]["ansible.builtin.copy"]["validate"] == "/usr/sbin/visudo -cf %s"
    assert copied[SUDOERS]["ansible.builtin.copy"]["mode"] == "0440"
    account = next(task["ansible.builtin.user"] for task in tasks if "ansible.builtin.user" in task)
    assert (account["groups"], account["append"], account["password"]) == ([], False, "*")
    assert KEY in tasks[0]["failed_when"]
    assert tasks[-1]["ansible.builtin.script"] == "kit.sh --check"


@KITS
def test_nothing_of_a_kit_is_writable_by_others(kit: Kit) -> None:
    for each in (*contents(kit)[0], *contents(kit)[1]):
        assert re.fullmatch("[4-7][0145][0145]", each.mode), each.path
