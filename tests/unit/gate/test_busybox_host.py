"""A host that has nothing but busybox: its shell, awk, find, ls, grep and stat, and no GNU tool to fall back to."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from app.gate.build import program
from tests.unit.gate.hosted import ROOT_ONLY, Gate, claim, running
from tests.unit.gate.test_probe import serving

pytestmark = ROOT_ONLY
ID = "01JF3W6V9Q0Z7E5M2T8X4K1B6N"
ENTER = 'mount --rbind /proc "$0/proc" && mount --rbind "$1" "$0$1" && exec chroot "$0" /bin/sh -s'


@pytest.fixture
def bare(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Gate:
    """The gate in such a host's root folder; the test's own folder has the same name in there."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("needs busybox")
    root = tmp_path_factory.mktemp("root")
    for folder in ("bin", "proc", "etc", "dev", "lib", str(tmp_path).lstrip("/")):
        (root / folder).mkdir(parents=True, exist_ok=True)
    shutil.copy(busybox, root / "bin" / "busybox")
    for word in subprocess.run(["ldd", busybox], capture_output=True, text=True, check=False).stdout.split():
        if word.startswith("/") and Path(word).exists():
            (root / word.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(word, root / word.lstrip("/"))
    for applet in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc" / "group").write_text("root:x:0:\n")
    (root / "dev" / "fd").symlink_to("/proc/self/fd")
    (root / "dev" / "null").touch()
    return Gate(("unshare", "--mount", "sh", "-c", ENTER, str(root), str(tmp_path)), tmp_path)


def test_it_sees_there_what_it_sees_with_gnu_tools(bare: Gate, dash: Gate, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("x = 1\n")
    with serving("127.0.0.1", "::1", children=1, cwd=tmp_path) as (pid, (port, _)):
        asked = claim(ports=(port,), path=str(tmp_path))
        here, there = dash.probe(asked), bare.probe(asked)
    for each in (pid, os.getpid(), 1):
        one, other = here.processes[each], there.processes[each]
        assert replace(one, started_at=0, user="") == replace(other, started_at=0, user="")
        assert abs(one.started_at - other.started_at) < 2
    ours = {each for each in here.listeners if pid in each.pids}
    assert len(ours) == 2
    assert ours <= set(there.listeners)
    assert here.identity == there.identity
    assert (here.uid, here.user) == (there.uid, there.user)
    assert there.code["demo"].newest_file == here.code["demo"].newest_file == str(tmp_path / "app.py")


LATER = """
awk "$AF_AWK$AF_PROCESSES$AF_WRITABLE"'BEGIN {
    need(%d); read_processes(); read_files()
    need(%d); read_processes(); read_files()
    print exe[%d]; print exe[%d]
}'
"""


def test_a_process_that_is_told_of_later_is_looked_at_there_as_well(bare: Gate) -> None:
    """What stands above no claimed port is known only once its manager has told of it."""
    with running(sys.executable, "-c", "print(flush=True); input()") as (pid, _):
        script = program() + LATER % (os.getpid(), pid, os.getpid(), pid)
        done = subprocess.run(bare.shell, input=script.encode(), capture_output=True, timeout=20, check=True)
    assert done.stderr == b""
    ours = os.path.realpath(sys.executable)
    assert done.stdout.decode().splitlines() == [ours, ours]


@pytest.mark.law(13)
@pytest.mark.threat("E4")
def test_hostile_text_forges_nothing_there_either(bare: Gate, tmp_path: Path) -> None:
    folder = tmp_path / "x\n1 (a) S 0\nl 1 1" / "1 exe -> "
    folder.mkdir(parents=True)
    argv = (sys.executable, "-c", "print(flush=True); input()", "1/stat:1 (x) S 0\n1/cmdline:y")
    with running(*argv, cwd=folder) as (pid, _):
        seen = bare.probe(claim(path=str(tmp_path)))
    assert seen.processes[pid].ppid == os.getpid()
    assert seen.processes[1].ppid == 0
    assert seen.processes[1].exe != "/bin/y"


@pytest.mark.law(6)
def test_it_burns_there_once(bare: Gate) -> None:
    assert bare.result(ID)[0].get("state") == "unspent"
    assert bare.burn(ID)[0].get("state") == "burned"
    assert bare.result(ID)[0].get("state") == "burned"
