"""Every command: what it answers, in words and JSON, and how it ends: 0 yes, 1 no, 2 could not tell."""

import asyncio
import json
import os
import pty
import shlex
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from app.core.lifecycle import Request
from app.flow.ports import World
from tests.integration.cli.conftest import ROOT, RUN, Command
from tests.integration.cli.test_approve import with_world
from tests.integration.web.seed import plant

REGISTRY = """
hosts:
  - name: alpha
    address: 127.0.0.1
    port: 9
    host_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGvc5ozaLlUtGDjMC+RMTvv4ifkvUI68FLacWSJlUURb"]
    environment: production
services:
  - name: pypnm-gui
    host: alpha
    owner: lab-team
    manager: supervisor
    unit: lab:pypnm-gui
policies:
  - environment: production
    groups: [lab-team]
"""
AS_ED = {"ASKFIRST_AS": "ed@example.org"}


def write(askfirst: Command, text: str) -> str:
    path = askfirst.folder / "registry.yaml"
    path.write_text(text)
    return str(path)


def test_a_person_is_added_with_a_password_that_is_shown_once(askfirst: Command) -> None:
    added = askfirst.json("user", "add", "Ada", "--email", "ada@example.org", "--role", "requester")
    listed = askfirst.json("user", "list")
    assert len(added["password"]) >= 16
    assert [(each["email"], each["roles"]) for each in listed] == [("ada@example.org", ["requester"])]
    assert added["password"] not in json.dumps(listed)


def test_a_password_may_come_from_standard_input_and_is_then_not_repeated(askfirst: Command) -> None:
    words = ("user", "add", "Ada", "--email", "ada@example.org", "--role", "requester", "--password-stdin")
    assert "short" not in askfirst(*words, given="short\n").stdout
    done = askfirst(*words, given="a long enough sentence\n")
    assert done.exit_code == 0
    assert "sentence" not in done.stdout
    fresh = askfirst("user", "password", "ada@example.org", "--password-stdin", given="another long sentence\n")
    assert fresh.exit_code == 0


def test_a_person_who_is_there_already_is_a_no_with_what_to_do(people: Command) -> None:
    done = people("user", "add", "Ed", "--email", "ed@example.org", "--role", "editor")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 2


def test_a_token_is_shown_once_listed_without_its_secret_and_revoked(people: Command) -> None:
    made = people.json("token", "create", "ci", "--scope", "read", **AS_ED)
    (listed,) = people.json("token", "list", **AS_ED)
    assert made["token"].startswith("af_")
    assert (listed["name"], listed["scopes"], listed["revoked_at"]) == ("ci", ["read"], None)
    assert made["token"] not in json.dumps(listed)
    assert people("token", "revoke", listed["id"], **AS_ED).exit_code == 0
    assert people.json("token", "list", **AS_ED)[0]["revoked_at"] is not None


def test_who_acts_is_asked_for_and_has_to_exist(people: Command) -> None:
    nobody = people("token", "create", "ci")
    stranger = people("token", "create", "ci", "--as", "eve@example.org")
    assert (nobody.exit_code, stranger.exit_code) == (1, 2)
    assert "--as EMAIL" in nobody.stderr


def test_a_registry_is_planned_applied_and_exported(people: Command) -> None:
    file = write(people, REGISTRY)
    planned = people("registry", "plan", file)
    assert planned.stdout.splitlines() == ["+ host alpha", "+ service pypnm-gui", "+ policy production"]
    assert people("registry", "export").stdout.startswith("hosts: []")
    assert people("registry", "apply", file, **AS_ED).stdout.splitlines()[-1] == "Applied."
    exported = people("registry", "export").stdout
    assert people("registry", "plan", "-", given=exported).stdout == "Nothing to change.\n"


def test_a_pipe_that_failed_removes_nothing_and_an_empty_registry_is_written_out(people: Command) -> None:
    people("registry", "apply", write(people, REGISTRY), **AS_ED)
    for word in ("plan", "apply"):
        done = people("registry", word, "-", given="", **AS_ED)
        assert (done.exit_code, "-:1:1: file: nothing is in it" in done.stdout) == (1, True)
    assert people.json("registry", "export")["revision"] == 1
    assert people("registry", "apply", "-", given="hosts: []\n", **AS_ED).stdout.splitlines()[-1] == "Applied."


def test_only_an_editor_changes_the_registry(people: Command) -> None:
    done = people("registry", "apply", write(people, REGISTRY), "--as", "bo@example.org")
    assert done.exit_code == 1
    assert people.json("registry", "export")["revision"] == 0


@pytest.mark.threat("K2")
def test_with_a_second_editor_a_change_waits_for_that_person(people: Command) -> None:
    people("user", "add", "Fay", "--email", "fay@example.org", "--role", "editor")
    made = people.json("registry", "apply", write(people, REGISTRY), "--note", "first", **AS_ED)
    assert made["proposal"]
    assert people.json("registry", "export")["revision"] == 0


def test_everything_wrong_with_a_file_is_told_with_line_and_column(people: Command) -> None:
    text = REGISTRY.replace("unit:", "unti:").replace("port: 9", "port: 90000") + "  - environment: production\n"
    file = write(people, text)
    done = people("registry", "plan", file)
    told = people.json("registry", "plan", file)
    assert done.exit_code == 1
    assert f"{file}:13:5: services.0.unti: unknown key" in done.stdout
    assert (13, 5) in [(each["line"], each["column"]) for each in told["problems"]]
    assert people("registry", "apply", file, **AS_ED).exit_code == 1


@pytest.mark.parametrize("text", ["a: &a [*a]", "hosts: [", "\ufeff%", "hosts: 3", "x" * 2_000_000])
def test_a_file_that_is_no_registry_is_refused_in_words(people: Command, text: str) -> None:
    done = people("registry", "plan", write(people, text))
    assert done.exit_code == 1
    assert "registry.yaml:" in done.stdout


def test_a_file_that_is_not_there_or_not_text_is_told(people: Command) -> None:
    assert "No such file" in people("registry", "plan", "missing.yaml").stderr
    binary = people.folder / "registry.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in people("registry", "plan", str(binary)).stderr


def test_verify_could_not_tell_where_the_host_does_not_answer(people: Command) -> None:
    people("registry", "apply", write(people, REGISTRY), **AS_ED)
    done = people("verify", "pypnm-gui")
    told = people.json("verify", "pypnm-gui")
    assert done.exit_code == 2
    assert told["verdict"] == "UNREACHABLE"
    assert set(told) >= {"service", "verdict", "findings", "need", "identity"}
    assert set(told["findings"][0]) >= {"aspect", "claimed", "observed", "agrees"}
    assert set(told["need"]) >= {"answer", "signs"}


def test_verify_of_no_service_offers_like_names_as_a_question(people: Command) -> None:
    people("registry", "apply", write(people, REGISTRY), **AS_ED)
    done = people("verify", "pypnm-gu")
    assert done.exit_code == 2
    assert "Did you mean pypnm-gui?" in done.stderr


def test_discover_and_scan_could_not_tell_where_nothing_answers(people: Command) -> None:
    people("registry", "apply", write(people, REGISTRY), **AS_ED)
    assert people("discover", "alpha").exit_code == 2
    assert people("discover", "omega").exit_code == 2
    assert people("host", "scan", "alpha").exit_code == 2
    assert people("host", "scan", "a b").exit_code == 2


def test_a_freeze_is_set_listed_and_released_with_reasons(people: Command) -> None:
    by = {"ASKFIRST_AS": "bo@example.org"}
    assert people("freeze", "on", "--scope", "host:alpha", "--reason", "maintenance", **by).exit_code == 2
    people("registry", "apply", write(people, REGISTRY), **AS_ED)
    assert people("freeze", "on", "--scope", "host:alpha", "--reason", "maintenance", **by).exit_code == 0
    (listed,) = people.json("freeze", "list")
    assert (listed["scope"], listed["by"], listed["reason"]) == ("host:alpha", "Bo", "maintenance")
    assert people("freeze", "on", "--scope", "host:alpha", "--reason", "again", **by).exit_code == 1
    assert people("freeze", "off", "--scope", "host:alpha", "--reason", "done", **by).exit_code == 0
    assert people("freeze", "list").stdout.startswith("Nothing is frozen.\n")


@pytest.mark.parametrize("words", [("--scope", "everything"), ("--scope", "host:A")])
def test_a_scope_that_is_none_is_refused(people: Command, words: tuple[str, ...]) -> None:
    done = people("freeze", "on", "--reason", "x", "--as", "bo@example.org", *words)
    assert done.exit_code == 1
    assert "environment:NAME" in done.stderr


def test_the_log_is_verified_and_a_changed_row_is_found(people: Command) -> None:
    whole = people.json("audit", "verify")
    assert whole["is_whole"]
    path = Path(people.environment["ASKFIRST_DATA_DIR"]) / "askfirst.db"
    with sqlite3.connect(path) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        connection.execute(
            "UPDATE audit SET body = CAST(replace(CAST(body AS TEXT), 'approver', 'admin') AS BLOB) WHERE seq = 2"
        )
    connection.close()
    broken = people("audit", "verify")
    assert broken.exit_code == 1
    assert people.json("audit", "verify")["first_broken"] == 2


ASKING = [("audit", "verify"), ("verify", "gui"), ("docs", "alpha", "--check", "copy"), ("host", "scan", "alpha")]


@pytest.mark.parametrize("words", [*ASKING, ("request", "show", "R-7F3K")], ids=" ".join)
def test_a_question_that_a_setting_keeps_from_its_answer_could_not_tell(
    people: Command, words: tuple[str, ...]
) -> None:
    done = people(*words, ASKFIRST_STEP_UP_SECONDS="soon")
    assert (done.exit_code, "ASKFIRST_STEP_UP_SECONDS" in done.stderr) == (2, True)


@pytest.mark.parametrize("words", ASKING, ids=" ".join)
def test_a_question_that_files_keep_from_its_answer_could_not_tell(people: Command, words: tuple[str, ...]) -> None:
    data = Path(people.environment["ASKFIRST_DATA_DIR"])
    for place, mode, said in (("ssh_key", 0o644, "can read the private key"), ("", 0o757, "Anybody on this machine")):
        before = (data / place).stat().st_mode
        (data / place).chmod(mode)
        done = people(*words)
        assert (done.exit_code, said in done.stderr) == (2, True), done.stderr
        assert people("freeze", "on").exit_code == 1  # it is known not to be done
        (data / place).chmod(before)


def test_a_log_that_somebody_else_holds_is_not_called_broken(people: Command) -> None:
    path = Path(people.environment["ASKFIRST_DATA_DIR"]) / "askfirst.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        done = people("audit", "verify")
    assert (done.exit_code, "Another process holds the database" in done.stderr) == (2, True)


def test_the_log_is_exported_a_line_for_each_event(people: Command) -> None:
    rows = people.json("audit", "verify")["rows"]
    lines = people("audit", "export").stdout.splitlines()
    assert [json.loads(line)["body"]["seq"] for line in lines] == list(range(rows, 0, -1))
    assert people("audit", "export", "--format", "csv").stdout.startswith("seq,at,type,by")


def test_the_log_of_one_request_is_exported_by_either_id_and_an_unknown_one_is_refused(askfirst: Command) -> None:
    async def plant_it(world: World) -> Request:
        return await (await plant(world)).waiting()

    waiting: Request = asyncio.run(with_world(askfirst, plant_it))
    for name in (waiting.id, waiting.short_id):
        lines = askfirst("audit", "export", "--request", name).stdout.splitlines()
        assert [json.loads(line)["body"]["type"] for line in lines] == ["verified", "asked"]
    for form in ("jsonl", "csv"):
        unknown = askfirst("audit", "export", "--format", form, "--request", "R-0000")
        assert (unknown.exit_code, unknown.stdout) == (2, "")
        assert "There is no request R-0000." in unknown.stderr


def test_asking_needs_a_server_and_a_token_and_says_so(people: Command) -> None:
    without = people("request", "pypnm-gui", "--reason", "because")
    silent = people("request", "pypnm-gui", "--reason", "because", ASKFIRST_TOKEN="af_x")
    assert (without.exit_code, silent.exit_code) == (1, 2)
    assert "askfirst token create" in without.stderr
    assert "No server answers at http://127.0.0.1:9" in silent.stderr


@pytest.mark.parametrize(("url", "token"), [("http://[x", "af_x"), ("gopher:", "af_x"), ("http://127.0.0.1:9", "ü")])
def test_an_address_or_a_token_that_is_none_is_told_in_words(askfirst: Command, url: str, token: str) -> None:
    done = askfirst("request", "show", "R-0000", ASKFIRST_BASE_URL=url, ASKFIRST_TOKEN=token)
    assert done.exit_code in {1, 2}
    assert "a fault" not in done.stderr


@pytest.mark.threat("L6")
def test_a_fault_of_ours_is_a_sentence_and_its_place_is_shown_on_request(people: Command) -> None:
    with sqlite3.connect(Path(people.environment["ASKFIRST_DATA_DIR"]) / "askfirst.db") as connection:
        connection.execute("UPDATE registry_revision SET revision = 'none'")
    connection.close()
    done = people.process("registry", "export")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "fault of Askfirst" in done.stderr
    assert "Traceback" in people.process("registry", "export", ASKFIRST_TRACE="1").stderr


def test_an_error_is_json_too_where_json_was_asked_for(people: Command) -> None:
    done = people("verify", "nothing", "--json")
    assert json.loads(done.stdout)["code"] == "no_such_service"


def test_the_database_is_upgraded_from_nothing(askfirst: Command) -> None:
    assert askfirst("db", "upgrade").exit_code == 0
    assert (Path(askfirst.environment["ASKFIRST_DATA_DIR"]) / "askfirst.db").exists()


def test_a_setting_that_does_not_fit_is_named(askfirst: Command) -> None:
    done = askfirst("user", "list", ASKFIRST_STEP_UP_SECONDS="soon")
    assert done.exit_code == 1
    assert "ASKFIRST_STEP_UP_SECONDS" in done.stderr
    assert "ASKFIRST_DATABASE_URL" in askfirst("user", "list", ASKFIRST_DATABASE_URL="mysql://x").stderr


def test_a_data_directory_that_cannot_be_made_is_told(askfirst: Command) -> None:
    (askfirst.folder / "file").write_text("")
    done = askfirst("user", "add", "ada", "--role", "editor", ASKFIRST_DATA_DIR=str(askfirst.folder / "file" / "data"))
    assert done.exit_code == 1
    assert "askfirst doctor" in done.stderr


@pytest.mark.law(13)
@pytest.mark.threat("E2")
@pytest.mark.threat("E3")
def test_a_hostile_name_cannot_steer_the_terminal(askfirst: Command) -> None:
    askfirst("user", "add", "A\x1b[2J\u202eB", "--email", "a@example.org", "--role", "requester")
    done = askfirst("user", "list")
    assert "\x1b" not in done.stdout
    assert "A‹ESC›[2J‹U+202E›B" in done.stdout


def test_the_command_is_installed_and_says_its_version_and_its_exits(askfirst: Command) -> None:
    assert askfirst.process("--version").stdout.startswith("askfirst ")
    told = askfirst.process("--help")
    assert "0 yes, 1 no, 2 could not tell" in told.stdout
    wrong = askfirst.process("verify")
    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr


def test_a_reader_that_goes_away_ends_a_long_answer_without_a_word(people: Command) -> None:
    line = f"{' '.join(map(shlex.quote, RUN))} audit export | true"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **people.environment}
    done = subprocess.run(["/bin/sh", "-c", line], env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_colour_is_for_terminals_and_not_where_it_is_not_wanted(people: Command) -> None:
    def seen(**variables: str) -> bytes:
        ours, theirs = pty.openpty()
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **people.environment, **variables}
        subprocess.run([*RUN, "audit", "verify"], env=environment, stdout=theirs, check=True)
        os.close(theirs)
        return os.read(ours, 4096)

    assert b"\x1b[" in seen(NO_COLOR="")
    assert b"\x1b[" not in seen(NO_COLOR="1")
