"""An installation on PostgreSQL by the commands alone: its roles, its move there, and what the doctor makes of it."""

import re
from typing import Any

import httpx

from tests.integration.cli.conftest import Command
from tests.integration.cli.test_serve import serving
from tests.integration.cluster import Cluster
from tests.integration.databases import disarmed, set_clock

CY = ("user", "add", "Cy", "--email", "cy@example.org", "--role", "requester")


def found(command: Command, url: str) -> dict[str, tuple[bool | None, str]]:
    answer: list[dict[str, Any]] = command.json("doctor", ASKFIRST_DATABASE_URL=url)
    return {each["name"]: (each["holds"], each["seen"]) for each in answer}


def test_an_installation_is_moved_to_a_server_and_goes_on_there(people: Command, ruled: Cluster) -> None:
    migrator, app, auditor = (ruled.url("ruled", f"askfirst_{role}") for role in ("migrator", "app", "auditor"))
    source = f"sqlite:///{people.environment['ASKFIRST_DATA_DIR']}/askfirst.db"
    before = people.json("audit", "verify")
    assert people("db", "upgrade", ASKFIRST_DATABASE_URL=migrator).exit_code == 0
    copied = people.json("db", "copy", source, app)
    assert (copied["rows"]["audit"], copied["rows"]["people"]) == (before["rows"], 3)
    for url in (app, auditor):
        assert people.json("audit", "verify", ASKFIRST_DATABASE_URL=url) == before
    assert people(*CY, ASKFIRST_DATABASE_URL=app).exit_code == 0
    again = people("db", "copy", source, app)
    assert (again.exit_code, "not empty" in again.stderr) == (1, True)


def test_the_doctor_tries_to_change_the_log_as_whoever_the_server_signs_in_as(people: Command, ruled: Cluster) -> None:
    migrator, app = (ruled.url("ruled", f"askfirst_{role}") for role in ("migrator", "app"))
    people("db", "upgrade", ASKFIRST_DATABASE_URL=migrator)
    people(*CY, ASKFIRST_DATABASE_URL=app)
    for url, durable in ((app, True), (migrator, None), (ruled.url("ruled"), None)):
        seen = found(people, url)
        assert seen["append-only log"] == (True, "each of 5 ways to change it is refused"), url
        assert seen["durability"][0] is durable, url
        assert people.json("audit", "verify", ASKFIRST_DATABASE_URL=url)["is_whole"]
    assert "administrator" in found(people, ruled.url("ruled"))["durability"][1]
    of_the_auditor = found(people, ruled.url("ruled", "askfirst_auditor"))
    assert (of_the_auditor["people"][0], of_the_auditor["clock"][0]) == (None, True)
    disarmed(ruled.url("ruled"))
    assert found(people, app)["append-only log"][0] is True  # its rights alone stop it
    assert found(people, migrator)["append-only log"] == (False, "UPDATE is possible")
    assert people.json("audit", "verify", ASKFIRST_DATABASE_URL=app)["is_whole"]


def test_a_worker_and_a_server_whose_port_is_taken_leave_a_printed_link_alone(
    askfirst: Command, cluster: Cluster
) -> None:
    url = cluster.place()
    cluster.create(url)
    with serving(askfirst, ASKFIRST_DATABASE_URL=url, ASKFIRST_ROLE="web") as pages:
        (link,) = re.findall(r"http://\S+/setup/\S+", "".join(pages.lines))
        with serving(askfirst, ASKFIRST_DATABASE_URL=url, ASKFIRST_ROLE="worker") as worker:
            assert "/setup/" not in "".join(worker.lines)
        taken = askfirst("serve", ASKFIRST_DATABASE_URL=url, ASKFIRST_LISTEN=pages.url.removeprefix("http://"))
        assert (taken.stdout, "Nothing can listen on" in taken.stderr) == ("", True)
        assert httpx.get(link, trust_env=False).status_code == 200
    cluster.drop(url)


def test_a_server_that_is_not_there_is_told_in_a_sentence_and_no_password_is_shown(askfirst: Command) -> None:
    url = "postgresql://askfirst_app:guess@127.0.0.1:9/askfirst"
    for words in (("doctor",), ("db", "upgrade"), ("audit", "verify")):
        done = askfirst(*words, ASKFIRST_DATABASE_URL=url)
        assert done.exit_code != 0
        assert "guess" not in done.output
        assert "Look whether PostgreSQL runs" in done.output


def test_the_script_of_the_roles_takes_no_name_that_says_more_than_a_name(askfirst: Command) -> None:
    assert "CREATE DATABASE ops OWNER" in askfirst.json("db", "roles", "--database", "ops")["sql"]
    for name in ("a b", "x; DROP ROLE postgres", "", "Ops", "a" * 64):
        assert askfirst("db", "roles", "--database", name).exit_code == 1


def test_a_machine_whose_clock_is_not_the_server_s_is_found(people: Command, ruled: Cluster) -> None:
    """The age of a proof, say, goes by it: this is what the engineer who wonders is told."""
    url = ruled.url("ruled")
    people("db", "upgrade", ASKFIRST_DATABASE_URL=url)
    assert found(people, url)["clock"][0] is True
    for off, side in (("-", "ahead of"), ("+", "behind")):
        set_clock(url, f"pg_catalog.clock_timestamp() {off} interval '2 hours'")
        holds, seen = found(people, url)["clock"]
        assert holds is False
        assert re.fullmatch(rf"this machine's clock is 7\d\d\d s {side} the database's", seen)
