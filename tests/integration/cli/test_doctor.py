"""The doctor finds what is amiss, names the next step, and changes nothing."""

import json
import os
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from app.store.log import canonical, link
from tests.integration.cli.conftest import ROOT, RUN, Command


def found(command: Command) -> dict[str, tuple[bool | None, str]]:
    return {each["name"]: (each["holds"], each["next"]) for each in command.json("doctor")}


def data(command: Command) -> Path:
    return Path(command.environment["ASKFIRST_DATA_DIR"])


def test_a_machine_with_nothing_on_it_could_not_be_told_about(askfirst: Command) -> None:
    assert askfirst("doctor").exit_code == 2
    assert found(askfirst)["database"] == (None, "`askfirst serve` makes it.")
    assert not data(askfirst).exists()


def test_a_sound_database_is_told_and_not_changed_by_looking(people: Command) -> None:
    before = people.json("audit", "verify")
    seen = found(people)
    assert seen["database"][0] is True
    assert seen["append-only log"][0] is True
    assert seen["people"][0] is True
    assert people.json("audit", "verify") == before


def test_a_log_that_can_be_edited_is_found(people: Command) -> None:
    with sqlite3.connect(data(people) / "askfirst.db") as connection:
        for name, table in connection.execute(
            "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            if table == "audit":
                connection.execute(f'DROP TRIGGER "{name}"')
    connection.close()
    assert people("doctor").exit_code == 1
    assert found(people)["append-only log"][0] is False
    assert people.json("audit", "verify")["is_whole"]


@pytest.mark.threat("F2")
@pytest.mark.parametrize(
    ("trigger", "instead", "seen"),
    [
        (
            "audit_is_only_appended",
            # It looks at the numbers alone: a row that takes another's id would push that one out, silently.
            """CREATE TRIGGER audit_is_only_appended BEFORE INSERT ON audit BEGIN
                 SELECT RAISE(ABORT, 'no') WHERE NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM audit);
               END""",
            "INSERT OR REPLACE INTO is possible",
        ),
        ("audit_is_never_deleted", "SELECT 1", "DELETE FROM is possible"),
        ("audit_is_never_updated", "SELECT 1", "UPDATE is possible"),
    ],
)
def test_a_log_that_gives_way_in_one_way_alone_is_found_and_nothing_of_the_attempt_stays(
    people: Command, trigger: str, instead: str, seen: str
) -> None:
    before = people.json("audit", "verify")
    with sqlite3.connect(data(people) / "askfirst.db") as connection:
        connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute(instead)
    connection.close()
    told = next(each for each in people.json("doctor") if each["name"] == "append-only log")
    assert (told["holds"], told["seen"]) == (False, seen)
    assert people.json("audit", "verify") == before


@pytest.mark.threat("F6")
@pytest.mark.threat("T16")
def test_a_log_that_is_not_the_anchored_one_or_is_no_longer_anchored_is_found(people: Command) -> None:
    bare = next(each for each in people.json("doctor") if each["name"] == "anchor")
    assert (bare["holds"], bare["seen"]) == (None, f"The anchor {data(people)}/anchor holds none of the log's 3 rows.")
    assert "its disk may not be mounted" in bare["next"]
    path = data(people) / "askfirst.db"
    with sqlite3.connect(path) as connection:
        seq, hashed = connection.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
        anchor = data(people) / "anchor"
        anchor.write_text(f"{seq} {hashed.hex()} 2026-01-27T10:15:00.250Z\n")
        assert found(people)["anchor"][0] is True
        body = {"at": "2026-01-27T10:15:00.250Z", "by": "ada", "data": {}, "id": "old", "type": "noted", "seq": seq + 1}
        row = (seq + 1, canonical(body), hashed, link(hashed, canonical(body)))
        connection.execute("INSERT INTO audit (seq, body, prev, hash) VALUES (?, ?, ?, ?)", row)
        connection.execute("UPDATE audit_head SET seq = ?, hash = ?", (row[0], row[3]))
    told = next(each for each in people.json("doctor") if each["name"] == "anchor")
    assert (told["holds"], told["seen"].startswith("rows 4 to 4 are not anchored")) == (False, True)
    with anchor.open("a") as file:
        file.write(f"{seq + 9} {'0' * 64} 2026-01-27T10:16:00.250Z\n")
    assert found(people)["anchor"][0] is False
    assert "askfirst db restore" in found(people)["anchor"][1]
    connection.close()
    verified = people("audit", "verify")
    assert (verified.exit_code, "8 events are gone" in verified.stdout) == (1, True)
    assert "askfirst db restore" in verified.stdout
    told = people.json("audit", "verify")
    assert (told["is_whole"], "8 events are gone" in told["differences"][-1]) == (False, True)


def test_a_folder_and_a_key_that_others_can_read_are_found(people: Command) -> None:
    data(people).chmod(0o755)
    (data(people) / "ssh_key").chmod(0o644)
    seen = found(people)
    assert seen["data directory"] == (False, f"chmod 700 {data(people)}")
    assert seen["SSH key"][0] is False


def test_a_key_that_is_none_and_a_database_that_is_none_are_found(people: Command) -> None:
    (data(people) / "ssh_key").write_text("not a key")
    (data(people) / "askfirst.db").write_bytes(b"not a database, and long enough to be read as one" * 100)
    for beside in ("askfirst.db-wal", "askfirst.db-shm"):
        (data(people) / beside).unlink(missing_ok=True)
    seen = found(people)
    assert (seen["SSH key"][0], seen["database"][0]) == (False, False)


def test_a_damaged_file_hides_no_check_but_the_one_that_meets_the_damage(people: Command) -> None:
    path = data(people) / "askfirst.db"
    with sqlite3.connect(path) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'people'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    told = {each["name"]: each for each in people.json("doctor")}
    assert (told["people"]["holds"], told["people"]["seen"]) == (False, "The database's file is damaged.")
    assert (told["append-only log"]["holds"], told["disk"]["holds"]) == (True, True)
    assert {"durability", "clock", "registry", "anchor", "sweeps"} <= set(told)


def test_a_full_disk_is_found(people: Command) -> None:
    script = """mount -t tmpfs -o size=2m,mode=700 none "$1" && cp -a "$2"/. "$1"
cat /dev/zero >"$1/filled"
shift 2 && exec "$@" """
    place = people.folder / "small"
    place.mkdir()
    argv = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(place), str(data(people))]
    environment = {**os.environ, **people.environment, "ASKFIRST_DATA_DIR": str(place), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*argv, *RUN, "doctor", "--json"], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    if "unshare" in done.stderr:
        pytest.skip("needs a name space of its own for a small disk: unshare --map-root-user --mount")
    (disk,) = (each for each in json.loads(done.stdout) if each["name"] == "disk")
    assert (disk["holds"], disk["seen"]) == (False, "0 MiB free where the database lies")


def test_nobody_who_could_approve_is_found(askfirst: Command) -> None:
    askfirst("user", "add", "Ada", "--email", "ada@example.org", "--role", "requester")
    assert found(askfirst)["people"][0] is False


def test_a_host_without_a_pinned_key_and_an_environment_without_a_policy_are_found(people: Command) -> None:
    file = people.folder / "registry.yaml"
    file.write_text("hosts: [{name: alpha, address: 192.0.2.1, environment: lab}]\n")
    people("registry", "apply", str(file), "--as", "ed@example.org")
    assert found(people)["registry"] == (False, "askfirst host scan alpha")
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGvc5ozaLlUtGDjMC+RMTvv4ifkvUI68FLacWSJlUURb"
    file.write_text(f"hosts: [{{name: alpha, address: 192.0.2.1, environment: lab, host_keys: ['{key}']}}]\n")
    people("registry", "apply", str(file), "--as", "ed@example.org")
    assert found(people)["registry"] == (False, "Nobody can approve there: add one.")


def test_sweeps_that_have_not_run_are_found(people: Command) -> None:
    assert found(people)["sweeps"] == (None, "")
    file = people.folder / "registry.yaml"
    file.write_text(
        "hosts: [{name: alpha, address: 192.0.2.1, environment: lab}]\n"
        "services: [{name: gui, host: alpha, owner: lab-team, manager: supervisor, unit: 'lab:gui'}]\n"
    )
    people("registry", "apply", str(file), "--as", "ed@example.org")
    told = next(each for each in people.json("doctor") if each["name"] == "sweeps")
    assert told["holds"] is False
    assert "1 of 1 hosts not swept in the last 1200 s, such as alpha; no host ever was" in told["seen"]
    assert "askfirst serve" in told["next"]
    for ago, holds in ((60, True), (1300, False)):
        with sqlite3.connect(data(people) / "askfirst.db") as connection:
            connection.execute("DELETE FROM sweeps")
            connection.execute("INSERT INTO sweeps (host, at, misses) VALUES ('alpha', ?, 0)", (time.time() - ago,))
        connection.close()
        assert found(people)["sweeps"][0] is holds
    off = people.json("doctor", ASKFIRST_SWEEP_EVERY="0")
    assert next(each for each in off if each["name"] == "sweeps")["holds"] is None


def test_an_interval_is_a_duration_and_one_that_would_flood_is_refused(people: Command) -> None:
    assert people("doctor", ASKFIRST_SWEEP_EVERY="20m").exit_code in {0, 1, 2}
    refused = people("doctor", ASKFIRST_SWEEP_EVERY="5s")
    assert refused.exit_code == 1
    assert "ASKFIRST_SWEEP_EVERY" in refused.stderr
    assert "at least 10s" in refused.stderr
