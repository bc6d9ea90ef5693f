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


@pytest.mark.threat("A13")
@pytest.mark.threat("L6")
@pytest.mark.parametrize("name", ["ASKFIRST_VAULT_TOKEN_FILE", "ASKFIRST_VAULT_SECRET_ID_FILE"])
def test_a_secret_for_vault_that_others_can_read_is_refused_and_one_that_is_absent_is_found(
    people: Command, name: str
) -> None:
    file = people.folder / "vault"
    vault = {"ASKFIRST_VAULT_ADDR": "https://127.0.0.1:9", "ASKFIRST_VAULT_ROLE_ID": "r", name: str(file)}
    absent = {each["name"]: each for each in people.json("doctor", **vault)}
    assert (absent["certificates"]["holds"], str(file) in absent["certificates"]["seen"]) == (False, True)
    file.write_text("hvs.q7-fmx2-kk9s\n")
    file.chmod(0o644)
    why, what = refused(people, **vault)
    assert ("Vault" in why, f"chmod 600 {file}" in what) == (True, True)
    told = {each["name"]: each for each in people.json("doctor", **vault)}
    assert (told["secrets"]["holds"], told["secrets"]["seen"], told["certificates"]["holds"]) == (False, why, True)
    file.chmod(0o600)
    assert {each["name"]: each["holds"] for each in people.json("doctor", **vault)}["secrets"] is True


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_what_is_no_private_key_is_named_and_no_mode_of_it_is_to_be_changed(people: Command, mode: int) -> None:
    folder, other = people.folder / "keys", people.folder / "passwd"
    folder.mkdir()
    folder.chmod(mode)
    other.write_text("root:x:0:0::/root:/bin/sh\n")
    other.chmod(0o644)
    for place in (folder, other):
        why, what = refused(people, ASKFIRST_SSH_KEY=str(place))
        assert (why, "chmod" in what) == (f"{place} is no file that holds a private key.", False)
        told = {each["name"]: each for each in people.json("doctor", ASKFIRST_SSH_KEY=str(place))}
        assert (told["SSH key"]["seen"], "chmod" in told["SSH key"]["next"]) == (why, False)


@pytest.mark.parametrize(
    "url",
    ["askfirst.example.org", "askfirst.example.org:8770", "ftp://a", "https://a/askfirst", "https://", "http://a?x"],
)
def test_an_address_with_which_no_link_can_begin_is_refused(askfirst: Command, url: str) -> None:
    why, _ = refused(askfirst, ASKFIRST_BASE_URL=url)
    assert "ASKFIRST_BASE_URL" in why
    assert "with its scheme and without a path" in why


def test_a_slash_at_the_end_of_the_address_is_no_path(askfirst: Command) -> None:
    told = {each["name"]: each["seen"] for each in askfirst.json("doctor", ASKFIRST_BASE_URL="HTTP://127.0.0.1:9/")}
    assert told["server"].startswith("http://127.0.0.1:9 does not answer")


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
