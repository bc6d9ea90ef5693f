"""A host's kit on a real host: set up, looked after, taken away again, and cut off at every point."""

import asyncio
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.level import Level
from app.core.lifecycle import State
from app.core.service import Host
from app.gate.kit import ETC, HOME, KEYS, LIB, SSHD, SUDOERS, Allowed, Kit, Signer, contents, script
from tests.lab.flow_world import ROOT, Scene, environment, holder, pinned, runs, scene, spool
from tests.lab.flow_world import UNIT as INCIDENTS
from tests.lab.hosts import Lab, LabHost, Result
from tests.lab.world import changes, world

# Of the incident's unit; that its code is the fixed one is no matter here.
UNIT = replace(INCIDENTS, checks=INCIDENTS.checks[:1])
README = (ROOT / "README.md").read_text()
NOT_OF_THE_KIT = re.compile(r" /etc/((passwd|shadow|group|gshadow)-|subuid|subgid|\.pwd\.lock)")
# Everything below the folders that a kit could touch: kind, mode, owner, and what is in it.
TREE = (
    "set -- /etc /home /usr/local /root/.ssh $(ls -d /var/lib/askfirst* 2>/dev/null);"
    ' find "$@" -xdev -printf \'%M %u:%g %p %l\\n\'; find "$@" -xdev -type f -print0 | xargs -0 sha256sum'
)


@pytest.fixture(scope="module")
def kilo(lab: Lab) -> Iterator[LabHost]:
    """A host with units on it, reached by the open way in. Each test leaves it so."""
    with lab.lend("kilo", "systemd") as host:
        yield host


@pytest.fixture
def host(kilo: LabHost) -> Iterator[LabHost]:
    yield kilo
    sh(kilo, values(kilo), "--remove")


def values(host: LabHost, **other: object) -> Kit:
    """The kit of the host, for its one unit."""
    key = " ".join(host.key_path.with_suffix(".pub").read_text().split()[:2])
    argv = ("systemctl", "restart", UNIT.unit)
    made = Kit(
        host="alpha",
        account="askfirst",
        level=Level.ENFORCED,
        host_keys=pinned(host).host_keys,
        key=key,
        cooldown=60,
        per_hour=12,
        ports=(("127.0.0.1", 5054),),
        allowed=(Allowed(UNIT.name, "systemd", UNIT.unit, "restart", "root", argv),),
        approvals={UNIT.name: 1},
        signers={UNIT.name: (Signer(("bo@example.org",), (key,)),)},
    )
    return replace(made, **other)  # type: ignore[arg-type]


def sh(host: LabHost, kit: Kit, *words: str, user: str = "root") -> Result:
    return host.run(["sh", "-s", "--", *words], stdin=script(kit), user=user, check=False)


def as_askfirst(host: LabHost, command: str = "probe") -> Result:
    return host.run(shlex.split(command), user="askfirst", stdin=f"{'0' * 32}\nend\n", check=False)


def tree(host: LabHost) -> list[str]:
    return sorted(line for line in host.run(TREE).out.splitlines() if not NOT_OF_THE_KIT.search(line))


class Desk:
    """Where an administrator types what the README says: `askfirst` is ours, `ssh` knows the host by its name."""

    def __init__(self, folder: Path, host: LabHost) -> None:
        self.folder = folder
        words = host.ssh_argv("root", "")[1:]
        place = f'[ "$1" = root@alpha ] || exit 97\nshift\nexec {shutil.which("ssh")} {shlex.join(words[:-1])} "$*"'
        for name, text in (
            ("askfirst", f'exec {sys.executable} -c "from app.main import run; run()" "$@"'),
            ("ssh", place),
        ):
            (folder / "bin").mkdir(exist_ok=True)
            (folder / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
            (folder / "bin" / name).chmod(0o755)
        self.environment = environment(folder, host)
        self.environment["ASKFIRST_KIT_COOLDOWN_SECONDS"] = "0"  # the spool outlives a kit, and with it what it counts
        self.environment["PATH"] = f"{folder / 'bin'}:{self.environment['PATH']}"

    async def types(self, line: str) -> subprocess.CompletedProcess[str]:
        typed = ["sh", "-c", line.replace("pypnm-gui", UNIT.name)]
        run = lambda: subprocess.run(  # noqa: E731
            typed, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        return await asyncio.to_thread(run)


def told(heading: str) -> list[str]:
    """The commands that the README shows under a heading."""
    section = README.partition(f"### {heading}\n")[2].partition("\n#")[0]
    return [line for block in re.findall(r"```\n(.*?)```", section, re.DOTALL) for line in block.splitlines()]


@pytest.fixture
async def stage(host: LabHost, tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(host, tmp_path, UNIT) as made:
        yield made


async def restart(stage: Scene) -> None:
    """Ask, approve, and have it run: it succeeds, once."""
    before = holder(stage.lab, 5054)
    request = await stage.run(await stage.approved(UNIT))
    assert request.state is State.SUCCEEDED, request.outcome
    assert holder(stage.lab, 5054) != before
    assert runs(stage.lab, request.id) == 1


@pytest.mark.law(6)
async def test_an_open_host_goes_to_enforced_and_back_by_the_words_of_the_readme(stage: Scene, tmp_path: Path) -> None:
    desk, before = Desk(tmp_path, stage.lab), tree(stage.lab)
    show, check, install, verify = told("The kit of a host")
    (*_, remove) = told("The open way in")
    entry: Host = pinned(stage.lab)
    assert (await desk.types(verify)).returncode == 0

    printed = await desk.types(show)
    assert printed.returncode == 0, printed.stderr
    assert printed.stdout == ""
    assert "write level: enforced and take out sudo: true in the registry" in printed.stderr
    assert (await desk.types(check)).returncode == 1
    installed = await desk.types(install)
    assert installed.returncode == 0, installed.stderr
    assert (await desk.types(check)).stdout.startswith("alpha is as the kit says")
    between = await desk.types(verify)
    assert between.returncode == 2
    assert between.stdout.startswith("BLIND")
    assert "Set the level of alpha to enforced" in between.stdout

    await stage.register(UNIT, host=replace(entry, level=Level.ENFORCED, sudo=False))
    assert (await desk.types(verify)).returncode == 0, (await desk.types(verify)).stdout
    await restart(stage)
    assert (await desk.types(show)).returncode == 0
    assert (await desk.types(check)).returncode == 0
    assert as_askfirst(stage.lab, "sudo -n sh -s").status == 64

    taken = await desk.types(remove)
    assert taken.returncode == 0, taken.stderr
    assert "what is spent stays spent" in README
    assert "left /var/lib/askfirst/runs" in taken.stdout
    after = [line for line in tree(stage.lab) if " /var/lib/askfirst" not in line]
    assert after == [line for line in before if " /var/lib/askfirst" not in line]
    await stage.register(UNIT, host=entry)
    assert (await desk.types(verify)).returncode == 0
    await restart(stage)


def test_a_second_run_changes_nothing_and_neither_does_a_check(host: LabHost) -> None:
    kit = values(host)
    assert sh(host, kit).status == 0
    before = world(host)
    again, checked = sh(host, kit), sh(host, kit, "--check")
    assert (again.status, again.out) == (0, "alpha is as the kit says: nothing had to be changed.\n")
    assert (checked.status, checked.out) == (0, "alpha is as the kit says: nothing differs.\n")
    assert changes(before, world(host)) == []


def test_a_check_names_each_file_that_was_changed_and_a_run_mends_it(host: LabHost) -> None:
    kit = values(host, level=Level.SEALED)
    assert sh(host, kit).status == 0
    files = [each.path for half in contents(kit) for each in half]
    spoil = ("echo x >>{}", "chmod o+w {}", "chown askfirst {}", "rm {}", "cp {} /tmp/f && ln -sf /tmp/f {}")
    host.run(["tee", "/root/kit.sh"], stdin=script(kit))
    lines = []
    for path in files:
        for how in spoil:
            lines.append(f"{how.replace('{}', path)}; echo '= {path}'; sh /root/kit.sh --check; echo \"= $?\"")
            lines.append("sh /root/kit.sh >/dev/null || echo '= not mended'")
    lines.append("sh /root/kit.sh --check; rm /root/kit.sh")
    text = host.run("\n".join(lines), timeout=300).out
    assert "not mended" not in text
    assert text.endswith("alpha is as the kit says: nothing differs.\n"), text[-500:]
    for path in files:
        found = re.findall(rf"= {re.escape(path)}\n(.*?)= (\d)\n", text, re.DOTALL)
        assert len(found) == len(spoil), path
        assert all(f"differs: {path} " in said and status == "1" for said, status in found), (path, found)


REFUSALS = {
    "a member of docker": ("gpasswd -a askfirst docker", "gpasswd -d askfirst docker", "groups 'askfirst docker'"),
    "another group": ("usermod -aG adm askfirst", "gpasswd -d askfirst adm", "as good as root"),
    "another rule of sudo": (
        "echo 'askfirst ALL=(root) NOPASSWD: /usr/bin/id' >/etc/sudoers.d/zz",
        "rm /etc/sudoers.d/zz",
        "sudo also lets askfirst run '/usr/bin/id'",
    ),
    "a folder of others": (
        "chmod g+w,g+s /usr/local/lib; chgrp staff /usr/local/lib",
        "chgrp root /usr/local/lib; chmod g-w,g-s /usr/local/lib",
        "others than root can write /usr/local/lib",
    ),
    "a file in its home": (
        f"mkdir -p {HOME}/.ssh; echo id >{HOME}/.ssh/rc",
        f"rm {HOME}/.ssh/rc",
        f"{HOME}/.ssh/rc was not",
    ),
    "keys elsewhere": (
        "printf 'Match User askfirst\\nAuthorizedKeysFile /etc/ssh/keys/%%u\\n' >/etc/ssh/sshd_config.d/aa.conf",
        "rm /etc/ssh/sshd_config.d/aa.conf",
        "sshd does not go by 'AuthorizedKeysFile .ssh/authorized_keys' for askfirst",
    ),
}


@pytest.mark.threat("D18")
@pytest.mark.parametrize("what", REFUSALS)
def test_what_would_undo_the_kit_is_refused_with_a_sentence_and_found_by_a_check(host: LabHost, what: str) -> None:
    spoil, mend, said = REFUSALS[what]
    kit = values(host)
    host.run(spoil)
    try:
        refused = sh(host, kit)
        assert (refused.status, said in refused.err) == (2, True), refused
        assert "Traceback" not in refused.err
        host.run(mend)
        assert sh(host, kit).status == 0
        host.run(spoil)
        found = sh(host, kit, "--check")
        assert (found.status, said in found.out) == (1, True), found
    finally:
        host.run(f"{mend} 2>/dev/null || :")


def test_a_machine_that_it_is_not_for_and_a_user_who_is_not_root_are_told_so(host: LabHost) -> None:
    before = world(host)
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGvc5ozaLlUtGDjMC+RMTvv4ifkvUI68FLacWSJlUURb"
    wrong = sh(host, values(host, host_keys=(other,)))
    assert (wrong.status, "is not alpha: none of" in wrong.err) == (2, True), wrong
    for words in ((), ("--check",), ("--remove",)):
        nobody = sh(host, values(host), *words, user="askfirst")
        assert (nobody.status, nobody.err) == (2, "askfirst kit: only root can do this: run it as root.\n")
    asked = sh(host, values(host), "--help")
    assert (asked.status, "with --check" in asked.err) == (2, True)
    assert changes(before, world(host)) == []


@pytest.mark.parametrize("tool", ["/usr/bin/logger", "/usr/bin/ssh-keygen", "/usr/sbin/visudo", "/usr/bin/flock"])
def test_a_host_without_what_the_kit_needs_is_told_what_to_install(host: LabHost, tool: str) -> None:
    host.run(["mv", tool, f"{tool}.away"])
    try:
        refused = sh(host, values(host))
    finally:
        host.run(["mv", f"{tool}.away", tool])
    assert refused.status == 2
    assert re.search(rf"this host has no {Path(tool).name}: install it \(on Debian: [a-z-]+\)", refused.err)
    assert not (host.root / ETC.lstrip("/")).exists()


# Counts the files that the kit puts in their place, and kills it at one of them, as a lost power would.
CUT = """#!/bin/sh
/usr/bin/mv "$@"
echo >>/run/moved
[ "$(wc -l </run/moved)" -lt "$(cat /run/at)" ] || kill -KILL "$PPID"
"""


@pytest.mark.law(6)
@pytest.mark.parametrize("cut_at", range(1, 9))
def test_cut_off_at_any_file_it_leaves_no_hole_and_the_next_run_ends_it(host: LabHost, cut_at: int) -> None:
    """From the open way in: as it was, or closed, and never anything else; then whole."""
    kit = values(host)
    host.run(f"printf %s {shlex.quote(CUT)} >/usr/local/sbin/mv; chmod 755 /usr/local/sbin/mv; echo {cut_at} >/run/at")
    try:
        assert sh(host, kit).status != 0
    finally:
        host.run(["rm", "-f", "/usr/local/sbin/mv", "/run/moved"])
    rules = re.findall(r"\(root\) NOPASSWD: (.*)", host.run(["sudo", "-l", "-U", "askfirst"]).out)
    whole = {f"{LIB}/gate {word}" for word in ("probe", "burn", "result", f"restart {UNIT.name}")}
    assert set(rules) in ({"/usr/bin/sh -s"}, whole)
    opened = host.run(["sudo", "-n", "sh", "-s"], user="askfirst", stdin="id -u", check=False).out == "0\n"
    assert opened == (set(rules) == {"/usr/bin/sh -s"})
    if set(rules) == whole:
        assert all((host.root / each.path.lstrip("/")).exists() for each in contents(kit)[0])
    assert sh(host, kit).status == 0
    assert sh(host, kit, "--check").status == 0
    assert as_askfirst(host, "sh -c id").status == 64


# The new settings are in their place, and sshd has not heard of it.
UNTOLD = f"""#!/bin/sh
/usr/bin/mv "$@"
[ "$3" != {SSHD} ] || kill -KILL "$PPID"
"""


@pytest.mark.law(6)
@pytest.mark.parametrize("words", [(), ("--remove",)], ids=["run again", "taken away"])
def test_cut_off_before_sshd_was_told_it_is_told_by_the_next_run(host: LabHost, words: tuple[str, ...]) -> None:
    kit = values(host)
    host.run(f"printf %s {shlex.quote(UNTOLD)} >/usr/local/sbin/mv; chmod 755 /usr/local/sbin/mv")
    try:
        assert sh(host, kit).status != 0
    finally:
        host.run(["rm", "-f", "/usr/local/sbin/mv"])
    checked = sh(host, kit, "--check")
    assert (checked.status, "sshd was not told yet to read its settings again" in checked.out) == (1, True), checked
    assert "told sshd to read its settings again" in sh(host, kit, *words).out
    if not words:
        assert sh(host, kit, "--check").status == 0


def test_it_is_taken_away_whole_and_what_was_there_before_comes_back(host: LabHost) -> None:
    """Another kit's files too, and an earlier file of the same name; the off switch is not the kit's."""
    host.run(f"echo '# mine' >{SSHD}; rm -rf /var/lib/askfirst")
    before = tree(host)
    try:
        for kit in (values(host, level=Level.SEALED), values(host, certificates=True), values(host)):
            assert sh(host, kit).status == 0
            assert sh(host, kit, "--check").status == 0
        host.run(f"mkdir -p /var/lib/askfirst/runs; echo spent >/var/lib/askfirst/runs/X; echo why >{ETC}/disabled")
        removed = sh(host, values(host), "--remove")
        assert removed.status == 0, removed.err
        assert f"left {ETC}: it holds what the kit did not make" in removed.out
        assert spool(host, "X") == ["X"]
        host.run(f"rm -r {ETC} /var/lib/askfirst")
        assert tree(host) == before
    finally:
        host.run(f"rm -f {SSHD}")
    again = sh(host, values(host), "--remove")
    assert (again.status, again.out) == (0, "there is nothing of the kit on alpha.\n")


@pytest.mark.threat("D8")
def test_with_certificates_the_key_alone_opens_nothing_and_back_again(host: LabHost) -> None:
    assert sh(host, values(host)).status == 0
    assert as_askfirst(host).status == 0
    assert sh(host, values(host, certificates=True)).status == 0
    assert not (host.root / KEYS.lstrip("/")).exists()
    assert as_askfirst(host).status == 255
    assert sh(host, values(host)).status == 0
    assert as_askfirst(host).status == 0


def test_connections_that_were_made_before_end_when_the_kit_comes(host: LabHost) -> None:
    """What the open way in had let in has no forced command."""
    with subprocess.Popen(host.ssh_argv("askfirst", "echo in; exec sleep 600"), stdout=subprocess.PIPE) as old:
        assert old.stdout is not None
        assert old.stdout.readline() == b"in\n"
        assert sh(host, values(host)).status == 0
        assert old.wait(60) != 0


def test_the_off_switch_and_sudoers_of_others_are_left_alone(host: LabHost) -> None:
    assert sh(host, values(host)).status == 0
    host.run(f"echo why >{ETC}/disabled")
    assert sh(host, values(host)).out == "alpha is as the kit says: nothing had to be changed.\n"
    assert (host.root / f"{ETC}/disabled".lstrip("/")).exists()
    assert (host.root / SUDOERS.lstrip("/")).stat().st_mode & 0o777 == 0o440
    host.run(f"rm {ETC}/disabled")


async def test_a_host_that_was_never_open_is_looked_at_first_and_restarted_by_its_second_kit(
    stage: Scene, tmp_path: Path
) -> None:
    """Nobody has to let Askfirst become root there, not even once: the account does not even exist before."""
    desk, host = Desk(tmp_path, stage.lab), stage.lab
    before = tree(host)
    entry = pinned(host, user="asker", level=Level.ENFORCED, sudo=False)
    await stage.register(UNIT, host=entry)
    show, check, install, verify = told("The kit of a host")
    first = await desk.types(show)
    assert "may look at alpha and restart nothing there" in first.stderr
    assert [(await desk.types(line)).returncode for line in (check, install)] == [1, 0]
    proved = await desk.types(verify)
    assert proved.returncode == 0, proved.stdout
    assert UNIT.name not in host.run(["cat", f"{ETC}/restarts"]).out
    assert [(await desk.types(line)).returncode for line in (show, check, install, check)] == [0, 1, 0, 0]
    await restart(stage)
    assert (await desk.types(told("The open way in")[-1])).returncode == 0
    assert [line for line in tree(host) if " /var/lib/askfirst" not in line and line not in before] == []
    assert host.run(["id", "asker"], check=False).status != 0
