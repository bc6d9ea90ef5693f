"""A server that should not start says in a sentence why not, and what to do; then nothing listens."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.store.engine import lock_for_serving
from tests.integration.cli.conftest import Command

SERVER = "postgresql://askfirst_app:{}@127.0.0.1:9/askfirst"


def refused(askfirst: Command, **variables: str) -> Sequence[str]:
    """Start a server that is refused, and return its two sentences."""
    done = askfirst("serve", ASKFIRST_LISTEN="127.0.0.1:0", **variables)
    assert done.exit_code in {1, 2}
    assert done.stdout == ""
    sentences: list[str] = done.stderr.splitlines()
    assert len(sentences) == 2, sentences
    return sentences


def data(askfirst: Command) -> Path:
    return Path(askfirst.environment["ASKFIRST_DATA_DIR"])


@pytest.mark.threat("A13")
@pytest.mark.parametrize("password", ["", "askfirst", "Postgres", "changeme", "askfirst_app"])
def test_a_password_that_anybody_would_try_is_refused_and_not_shown(askfirst: Command, password: str) -> None:
    why, what = refused(askfirst, ASKFIRST_DATABASE_URL=SERVER.format(password))
    assert why == "The database's password in ASKFIRST_DATABASE_URL is one that anybody would try."
    assert "PGPASSFILE" in what
    other, _ = refused(askfirst, ASKFIRST_DATABASE_URL=SERVER.format("q7-fmx2-kk9s"))
    assert "does not answer" in other


@pytest.mark.threat("A13")
@pytest.mark.threat("L6")
def test_a_settings_file_with_a_password_that_others_can_read_is_refused(askfirst: Command) -> None:
    file = askfirst.folder / "settings"
    file.write_text(f"ASKFIRST_DATABASE_URL={SERVER.format('q7-fmx2-kk9s')}\n")
    file.chmod(0o640)
    done = askfirst.process("serve", ASKFIRST_FILE=str(file))
    assert done.returncode == 1
    assert f"chmod 600 {file}" in done.stderr
    file.chmod(0o600)
    assert "does not answer" in askfirst.process("serve", ASKFIRST_FILE=str(file)).stderr


def test_a_settings_file_that_is_not_there_is_refused_and_nothing_is_made(askfirst: Command) -> None:
    for file in (askfirst.folder / "typo", askfirst.folder):
        done = askfirst.process("serve", ASKFIRST_FILE=str(file), ASKFIRST_LISTEN="nowhere")
        why, _ = done.stderr.splitlines()
        assert (done.returncode, done.stdout) == (1, "")
        assert why == f"A setting does not fit: ASKFIRST_FILE names {file}, where there is no file."
    assert not data(askfirst).exists()
    assert "ASKFIRST_LISTEN" in askfirst.process("serve", ASKFIRST_FILE="", ASKFIRST_LISTEN="nowhere").stderr


@pytest.mark.threat("A13")
@pytest.mark.threat("L6")
def test_a_file_of_passwords_that_others_can_read_is_refused(askfirst: Command) -> None:
    file = askfirst.folder / "pgpass"
    file.write_text("*:*:*:*:q7-fmx2-kk9s\n")
    url = "postgresql://askfirst_app@127.0.0.1:9/askfirst"
    file.chmod(0o604)
    _, what = refused(askfirst, ASKFIRST_DATABASE_URL=url, PGPASSFILE=str(file))
    assert f"chmod 600 {file}" in what
    file.chmod(0o600)
    assert "does not answer" in refused(askfirst, ASKFIRST_DATABASE_URL=url, PGPASSFILE=str(file))[0]


@pytest.mark.threat("L6")
def test_a_data_directory_in_which_others_may_write_is_refused(askfirst: Command) -> None:
    data(askfirst).mkdir(mode=0o700)
    data(askfirst).chmod(0o770)
    why, what = refused(askfirst)
    assert "Others may write" in why
    assert f"chmod 700 {data(askfirst)}" in what


@pytest.mark.threat("A13")
@pytest.mark.threat("L6")
def test_a_private_key_that_others_can_read_is_refused(people: Command) -> None:
    (data(people) / "ssh_key").chmod(0o644)
    why, what = refused(people)
    assert "can read the private key" in why
    assert "chmod 600" in what


@pytest.mark.threat("G7")
def test_a_database_of_a_version_that_it_does_not_know_is_refused(people: Command) -> None:
    with sqlite3.connect(data(people) / "askfirst.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    why, what = refused(people)
    assert "newer version of Askfirst (schema 9999)" in why
    assert "restore the backup" in what


@pytest.mark.threat("F6")
@pytest.mark.threat("T19")
def test_an_old_copy_of_the_database_is_refused_until_somebody_says_that_it_is_meant(people: Command) -> None:
    (data(people) / "anchor").write_text(f"57 {'ab' * 32} 2026-01-27T10:15:00.250Z\n")
    why, what = refused(people)
    assert why == (
        f"The log ends at row 3; its anchor {data(people)}/anchor holds row 57 of 2026-01-27T10:15:00.250Z: "
        "54 events are gone."
    )
    assert "askfirst db recover --reason TEXT" in what
    with lock_for_serving(f"sqlite:///{data(people)}/askfirst.db"):
        assert "Another server" in people("db", "recover", "--reason", "The disk died.").stderr
    assert people.json("db", "recover", "--reason", "The disk died.") == {"lost": 54}
    assert [each["scope"] for each in people.json("freeze", "list")] == ["all"]
    assert "ASKFIRST_LISTEN" in people("serve", ASKFIRST_LISTEN="nowhere").stderr  # only that is wrong now
    assert people.json("audit", "verify")["is_whole"]


@pytest.mark.threat("F6")
def test_an_anchor_that_is_not_there_is_told_before_it_is_begun_anew(people: Command) -> None:
    begun = people("serve", ASKFIRST_LISTEN="nowhere").stdout
    assert f"The anchor {data(people)}/anchor holds none of the log's 3 rows." in begun
    assert "its disk may not be mounted" in begun


def test_a_backup_by_command_is_restored_by_command(people: Command) -> None:
    kept = people.folder / "kept"
    made = people.json("db", "backup", str(kept))
    assert (made["rows"]["people"], people("db", "backup", str(kept)).exit_code) == (3, 1)
    full = people("db", "restore", str(kept))
    assert (full.exit_code, "not empty" in full.stderr) == (1, True)
    for file in data(people).glob("askfirst.db*"):
        file.unlink()
    empty = people("db", "restore", str(kept), "--reason", " ")
    (data(people) / "anchor").write_text("no anchor\n")
    unread = people("db", "restore", str(kept))
    assert (empty.exit_code, unread.exit_code, "cannot be read" in unread.stderr) == (1, 1, True)
    assert not (data(people) / "askfirst.db").exists(), "nothing is copied before it is known what to say"
    (data(people) / "anchor").unlink()
    restored = people.json("db", "restore", str(kept), "--reason", "The disk died.")
    assert (restored["rows"]["audit"], restored["lost"]) == (made["rows"]["audit"] + 2, 0)
    assert people.json("audit", "verify")["rows"] == made["rows"]["audit"] + 2
    assert len(people.json("user", "list")) == 3
    assert [each["scope"] for each in people.json("freeze", "list")] == ["all"]
