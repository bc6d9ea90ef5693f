"""Which database a command acts on: one that is there and of this version, but for the first steps; and it is named."""

import asyncio
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Command
from tests.integration.cli.test_nobody_named import POLICY
from tests.integration.databases import moved, raw

HELD = (
    ("freeze", "on"),
    ("freeze", "off", "--reason", "x"),
    ("freeze", "list"),
    ("audit", "verify"),
    ("audit", "export"),
    ("audit", "bundle", "R-7F3K"),
    ("user", "list"),
    ("user", "password", "ada@example.org"),
    ("token", "create", "--as", "ada@example.org"),
    ("registry", "plan", "-"),
    ("registry", "export"),
    ("verify", "gui"),
    ("discover", "alpha"),
    ("docs", "alpha"),
    ("host", "scan", "alpha"),
    ("host", "kit", "alpha"),
    ("db", "backup", "kept"),
    ("db", "recover", "--reason", "x"),
)

# Their 1 is what they found: an older database tells them nothing.
ASKS = (("audit", "verify"), ("host", "scan"), "verify", "docs")


def _url(askfirst: Command) -> str:
    return f"sqlite:///{askfirst.environment['ASKFIRST_DATA_DIR']}/askfirst.db"


@pytest.mark.parametrize("words", HELD, ids=" ".join)
def test_a_database_that_is_not_there_is_named_and_not_made(askfirst: Command, words: tuple[str, ...]) -> None:
    done = askfirst(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    why, what = done.stderr.splitlines()
    assert f"no database of Askfirst at sqlite+aiosqlite:///{askfirst.folder}/data/askfirst.db" in why
    assert "ASKFIRST_DATA_DIR" in what
    assert list(askfirst.folder.iterdir()) == []


@pytest.mark.parametrize(
    "words", [("user", "add", "ada", "--role", "editor"), ("registry", "apply", "-"), ("db", "upgrade")], ids=" ".join
)
def test_a_first_step_makes_it(askfirst: Command, words: tuple[str, ...]) -> None:
    assert askfirst(*words, given=POLICY).exit_code == 0
    assert askfirst("audit", "verify").exit_code == 0


def test_a_copy_from_a_name_that_is_mistyped_makes_nothing(people: Command) -> None:
    there = people.folder / "there.db"
    done = people("db", "copy", f"sqlite:///{people.folder}/typo.db", f"sqlite:///{there}")
    assert (done.exit_code, "no database of Askfirst at" in done.stderr, "typo.db" in done.stderr) == (2, True, True)
    assert [each.name for each in people.folder.iterdir()] == ["data"]


def test_the_switch_names_the_database_it_acted_on_without_its_password(people: Command) -> None:
    name = f"Database: sqlite+aiosqlite:///{people.folder}/data/askfirst.db"
    for words in (("on",), ("list",), ("off", "--reason", "x"), ("list",)):
        assert people("freeze", *words).stdout.splitlines()[-1] == name


@pytest.mark.threat("G7")
@pytest.mark.parametrize("words", [*HELD, ("user", "add", "cy", "--role", "editor"), ("registry", "apply", "-")])
def test_only_a_start_and_an_upgrade_bring_an_older_database_up(people: Command, words: tuple[str, ...]) -> None:
    asyncio.run(moved(_url(people), "0003"))
    done = people(*words, given=POLICY)
    assert (done.exit_code, done.stdout) == (2 if words[:2] in ASKS or words[0] in ASKS else 1, "")
    why, what = done.stderr.splitlines()
    assert why.endswith("askfirst.db is older than this version of Askfirst.")
    assert what == "Make a backup with the version that wrote it, then run `askfirst db upgrade`."
    assert raw(_url(people), "SELECT version_num FROM alembic_version") == [("0003",)]
    assert not Path("kept").exists()


def test_an_upgrade_brings_it_up(people: Command) -> None:
    asyncio.run(moved(_url(people), "0003"))
    assert people("freeze", "list").exit_code == 1
    assert people("db", "upgrade").exit_code == 0
    assert people("freeze", "list").exit_code == 0
