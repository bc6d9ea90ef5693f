"""What the gate tells of the code under a path: git is asked as its owner, and changes and starts nothing."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.records import read

GATE = Path("app/gate")
NONCE = "0" * 32
OWNER = 12_345


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other users may walk into."""
    with tempfile.TemporaryDirectory() as made:
        path = Path(made)
        path.chmod(0o755)
        yield path


def git(path: Path, *words: str) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_GLOBAL": "/dev/null"}
    name = ("-c", "user.name=R", "-c", "user.email=r@example.org", "-c", "safe.directory=*")
    command = ["git", *name, "-C", str(path), *words]
    return subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout


@pytest.fixture
def checkout(folder: Path) -> Path:
    """A checkout whose one commit is pushed."""
    path, upstream = folder / "gui", folder / "gui.git"
    path.mkdir()
    git(folder, "init", "-q", "--bare", "-b", "main", str(upstream))
    git(path, "init", "-q", "-b", "main")
    (path / "app.py").write_text("pass\n")
    git(path, "add", "-A")
    git(path, "commit", "-qm", "First")
    git(path, "remote", "add", "origin", str(upstream))
    git(path, "push", "-q", "-u", "origin", "main")
    return path


def told(path: Path, uid: int | None = None, asks: str = "1") -> list[str]:
    """What code.sh prints of a path."""
    asker = str(os.getuid() if uid is None else uid)
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "AF_UID": asker, "AF_GIT": asks}
    script = (GATE / "code.sh").read_text()
    done = subprocess.run(
        ["sh", "-c", script, "code", str(path)], env=environment, capture_output=True, check=True, text=True, timeout=20
    )
    return done.stdout.splitlines()


def state(path: Path) -> str:
    """What is told of a checkout's state: numbers of changed and untracked files and of commits, and the upstream."""
    found = record(*told(path))
    return found["untold"] or " ".join(found[name] or "-" for name in ("changed", "untracked", "ahead", "upstream"))


def test_a_checkout_of_which_all_is_pushed(checkout: Path) -> None:
    lines = told(checkout)
    assert state(checkout) == "0 0 0 origin/main"
    (fetched,) = [line for line in lines if line.startswith("fetched ")]
    assert int(fetched.split()[1]) == int((checkout / ".git/refs/remotes/origin/main").stat().st_mtime)


def test_git_is_only_asked_where_somebody_wants_to_know(checkout: Path) -> None:
    lines = told(checkout, asks="")
    assert any(line.startswith("commit ") for line in lines)
    assert not any(line.startswith(("git-", "ungit", "fetched")) for line in lines)


def test_what_is_changed_untracked_and_not_pushed_is_counted(checkout: Path) -> None:
    (checkout / "app.py").write_text("import os\n")
    git(checkout, "commit", "-qam", "Second")
    (checkout / "app.py").write_text("import sys\n")
    (checkout / "new.py").touch()
    (checkout / "with a\nnewline").touch()
    assert state(checkout) == "1 2 1 origin/main"


def test_a_branch_that_follows_none_is_ahead_of_nothing_that_could_be_told(checkout: Path) -> None:
    git(checkout, "checkout", "-q", "-b", "own")
    assert state(checkout) == "0 0 - -"


@pytest.mark.law(2)
def test_nothing_is_changed_even_where_git_would_like_to_refresh_its_index(checkout: Path) -> None:
    index = checkout / ".git/index"
    os.utime(checkout / "app.py", (1_700_000_000, 1_700_000_000))
    before = (index.read_bytes(), index.stat().st_mtime_ns, sorted((checkout / ".git").iterdir()))
    assert state(checkout) == "0 0 0 origin/main"
    assert (index.read_bytes(), index.stat().st_mtime_ns, sorted((checkout / ".git").iterdir())) == before
    git(checkout, "status")  # so the trap is one: plain git does write it
    assert index.read_bytes() != before[0]


@pytest.mark.law(2)
@pytest.mark.parametrize(
    ("name", "is_asked"),
    [
        ("core.fsmonitor", True),
        ("core.hooksPath", True),
        ("filter.trap.clean", False),
        ("filter.trap.process", False),
        ("remote.origin.promisor", False),
        ("extensions.partialClone", False),
    ],
)
def test_no_program_that_a_checkouts_settings_name_is_started(checkout: Path, name: str, is_asked: bool) -> None:
    trap, made = checkout.parent / "hooks", checkout.parent / "made"
    trap.mkdir()
    program = trap / "post-index-change"
    program.write_text(f"#!/bin/sh\ntouch {made}\ncat\n")
    program.chmod(0o755)
    value = {"core.hooksPath": str(trap), "remote.origin.promisor": "true", "extensions.partialClone": "origin"}
    git(checkout, "config", name, value.get(name, str(program)))
    (checkout / ".gitattributes").write_text("*.py filter=trap\n")
    os.utime(checkout / "app.py", (1_700_000_000, 1_700_000_000))
    assert state(checkout).startswith("0 1 0" if is_asked else "its settings name programs")
    assert not made.exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to another user")
def test_git_is_asked_as_the_owner_of_the_checkout(checkout: Path) -> None:
    for path in (checkout, *checkout.rglob("*")):
        os.chown(path, OWNER, OWNER)
    assert state(checkout) == "0 0 0 origin/main"


def test_where_one_may_not_become_the_owner_git_is_not_asked(checkout: Path) -> None:
    lines = told(checkout, uid=OWNER)
    assert "ungit the checkout is of another user than the one who asks" in lines
    assert any(line.startswith("commit ") for line in lines)


def test_a_folder_without_git_is_no_checkout(folder: Path) -> None:
    (folder / "x").touch()
    assert [line.split(" ")[0] for line in told(folder)] == ["file"]


def record(*lines: str) -> dict[str, str]:
    """The record that code.awk makes of what was told of a path."""
    program = "".join((GATE / name).read_text() for name in ("escape.awk", "library.awk", "code.awk"))
    text = "".join(f"{line}\n" for line in ("path /srv", *lines, "ended 0"))
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "AF_CODE": "gui /srv"}
    out = subprocess.run(["awk", program], input=text, env=environment, capture_output=True, check=True, text=True)
    header = f"askfirst-gate 1 nonce={NONCE} verb=probe gate=x\n"
    answer = f"{header}{out.stdout}end nonce={NONCE} count={out.stdout.count(chr(10)) + 1}\n"
    (found,) = [each for each in read(answer.encode(), NONCE, "probe") if each.kind == "code"]
    return dict(found.fields)


PUSHED = ("# branch.oid " + "a" * 40, "# branch.head main", "# branch.upstream origin/main", "# branch.ab +0 -2")


def test_the_record_holds_what_git_said() -> None:
    status = (*PUSHED[:3], "# branch.ab +3 -0", "1 .M N... 100644 x", "u UU", "? new", "? newer", "? newest")
    found = record("commit " + "a" * 40, "git-begin", *status, "git-end 0", "fetched 10", "fetched 12", "file 5 /srv/a")
    assert [found[name] for name in ("changed", "untracked", "ahead", "upstream", "fetched-at", "untold")] == [
        *("2", "3", "3", "origin/main", "12", "")
    ]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (("fatal: not a git repository", "git-end 128"), "git says: fatal: not a git repository"),
        ((*PUSHED, "git-end 124"), "git did not answer within 2 seconds"),
        (("git-end 3",), "its settings name programs, or other machines, that git would turn to"),
    ],
)
def test_a_git_that_did_not_end_well_told_nothing(lines: tuple[str, ...], why: str) -> None:
    found = record("commit " + "a" * 40, "git-begin", *lines, "file 5 /srv/a")
    assert [found[name] for name in ("changed", "untracked", "ahead", "upstream", "untold")] == ["", "", "", "", why]


@pytest.mark.law(13)
def test_the_name_of_a_file_cannot_say_that_all_is_pushed() -> None:
    forged = ("git-begin", *PUSHED, "git-end 0", "fetched 99")
    found = record("commit " + "a" * 40, "git-begin", "1 .M", "git-end 0", "file 5 /srv/x", *forged)
    assert (found["changed"], found["upstream"], found["fetched-at"]) == ("1", "", "")
    found = record("commit " + "a" * 40, "ungit git is not on this host", "file 5 /srv/x", *forged)
    assert (found["changed"], found["untold"]) == ("", "git is not on this host")
