"""`docker compose up` for real: two replicas, a proxy and PostgreSQL, built and run by the README's words alone."""

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.lab.composed import THERE, Composed, deliver, tunnel, words
from tests.lab.flow_world import ROOT, pinned, runs
from tests.lab.hosts import Lab, LabHost

SECONDS = 120.0
# The first process ignores SIGTERM: whoever restarts it waits for as long as it is given to stop. It counts its starts.
_CONTAINER = """docker run -d --name {name} --stop-timeout {seconds} -p {port}:8000 pypnm-api:lab \\
  /bin/sh -c 'echo started >>/www/starts; exec /bin/httpd -f -p 8000 -h /www'"""
SERVICES = {"quick": (8008, 1), "slow": (8009, 20)}


@pytest.fixture(scope="module")
def there(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabHost]:
    with lab.lend("composed") as host:
        deliver(host, tmp_path_factory.mktemp("wheels"))
        host.replay("docker")
        for name, (port, seconds) in SERVICES.items():
            host.run(_CONTAINER.format(name=name, port=port, seconds=seconds))
        yield host


@pytest.fixture(scope="module")
def composed(there: LabHost) -> Iterator[Composed]:
    """The project after the README's commands, each run as it stands there; the registry is one of the lab's."""
    host = pinned(there)
    (there.root / THERE.lstrip("/") / "registry.yaml").write_text(
        f"hosts:\n  - {{name: alpha, address: {host.address}, sudo: true, environment: lab,"
        f" host_keys: ['{host.host_keys[0]}']}}\n"
        "services:\n"
        + "".join(
            f"  - {{name: {name}, host: alpha, owner: lab-team, manager: docker, unit: {name}, user: root,"
            f" ports: [{port}], settle: 1s}}\n"
            for name, (port, _) in SERVICES.items()
        )
        + "policies:\n  - {environment: lab, approvers: 1, groups: [lab-team], assurance: click, expires: 15m}\n"
    )
    made = Composed(there, "")
    printed = {}
    for line in words():
        printed[line] = made.run(line, timeout=600)
        if email := re.search(r"--email (\S+)", line):
            shown = re.search(r"once: (\S+)", printed[line])
            assert shown, printed[line]
            made.passwords[email[1]] = shown[1]
        if "ssh_key.pub" in line:
            with (there.root / "home/askfirst/.ssh/authorized_keys").open("a") as keys:
                keys.write(printed[line])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tunnel(there, port) as made.address:
        yield made


@pytest.fixture
def people(composed: Composed) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """Ada, who asks, and Bo, who approves, signed in just now."""
    with composed.signed_in("ada@example.org") as ada, composed.signed_in("bo@example.org") as bo:
        yield ada, bo


def starts(there: LabHost, service: str) -> int:
    """How often the container was started, in its own words."""
    return len(there.run(["curl", "-sf", f"http://127.0.0.1:{SERVICES[service][0]}/starts"]).out.splitlines())


def until(look: Callable[[], Any], what: str) -> Any:
    """Look until something is there."""
    deadline = time.monotonic() + SECONDS
    while not (seen := look()):
        assert time.monotonic() < deadline, what
        time.sleep(0.2)
    return seen


def ask(ada: httpx.Client, service: str) -> str:
    """Ask for a restart on the page, and return the request's address."""
    form = ada.get(f"/requests/new?service={service}").text
    csrf, key = (re.search(rf'name="{name}" value="([^"]+)"', form) for name in ("csrf", "key"))
    assert csrf
    assert key
    fields = {"service": service, "reason": "The proxy's test.", "csrf": csrf[1], "key": key[1]}
    sent = ada.post("/requests/new", data=fields)
    assert sent.status_code == 303, sent.text
    return str(sent.headers["location"])


def approve(bo: httpx.Client, path: str) -> None:
    """Wait until the host has proved it, read the digest on the page, and click."""

    def button() -> re.Match[str] | None:
        return re.search(r'name="digest" value="(\w{64})"', bo.get(path).text)

    digest = until(button, f"nothing to approve: {bo.get(path).text[:2000]}")
    csrf = re.search(r'name="csrf" value="(\w+)"', bo.get(path).text)
    assert csrf
    answer = bo.post(f"{path}/approve", data={"digest": digest[1], "csrf": csrf[1]})
    assert answer.status_code == 303, answer.text


def told(composed: Composed, request_id: str) -> list[dict[str, Any]]:
    """The request's events, oldest first, in the words of the database itself."""
    asked = f"SELECT convert_from(body, 'UTF8') FROM audit WHERE request = '{request_id}' ORDER BY seq"  # noqa: S608 - an id of ours
    psql = f'docker compose exec -T database psql -U postgres -d askfirst -Atc "{asked}"'
    return [json.loads(line) for line in composed.run(psql).splitlines()]


def ended(composed: Composed, request_id: str) -> list[str]:
    """Wait for the end, and return the types of the request's events."""

    def kinds() -> list[str]:
        found = [each["type"] for each in told(composed, request_id)]
        return found if found[-1:] == ["settled"] else []

    found: list[str] = until(kinds, "the request did not end")
    return found


def test_a_request_goes_through_the_proxy_from_the_form_to_the_proof(
    composed: Composed, there: LabHost, people: tuple[httpx.Client, httpx.Client]
) -> None:
    assert len(composed.replicas()) == 2
    before = starts(there, "quick")
    ada, bo = people
    path = ask(ada, "quick")
    approve(bo, path)
    request_id = path.rpartition("/")[2]
    ended(composed, request_id)
    assert "It came back" in ada.get(path).text
    assert (starts(there, "quick") - before, runs(there, request_id)) == (1, 1)


@pytest.mark.law(6)
@pytest.mark.law(12)
def test_a_replica_is_killed_in_the_middle_of_a_run_and_the_other_one_finishes_the_story(
    composed: Composed, there: LabHost, people: tuple[httpx.Client, httpx.Client]
) -> None:
    before = starts(there, "slow")
    ada, bo = people
    path = ask(ada, "slow")
    request_id = path.rpartition("/")[2]
    approve(bo, path)
    until(lambda: runs(there, request_id), "no run was begun")
    claimed = told(composed, request_id)[-1]
    assert claimed["type"] == "run_started"
    composed.run(f"docker kill {claimed['data']['worker'].partition(':')[0]}")
    assert told(composed, request_id)[-1] == claimed  # it was killed in the middle, and has told nobody
    assert len(composed.replicas()) == 1
    kinds = ended(composed, request_id)
    assert kinds.count("run_started") == 1
    page = bo.get(path).text  # the same session, by the replica that is left
    assert "It came back" in page
    assert (starts(there, "slow") - before, runs(there, request_id)) == (1, 1)
    composed.run("docker compose up --detach", timeout=300)
    until(lambda: len(composed.replicas()) == 2, "the second replica did not come back")
    replica = composed.replicas()[0]
    assert json.loads(composed.run(f"docker exec {replica} askfirst audit verify --json"))["is_whole"]


@pytest.mark.threat("L3")
@pytest.mark.threat("L6")
def test_no_image_holds_a_secret_and_nothing_runs_as_root(composed: Composed) -> None:
    listed = "docker run --rm --network none --user 0 --entrypoint find askfirst:local / -xdev"
    found = composed.run(f"{listed} ! -path '/proc/*' -type f \\( -name 'ssh_key*' -o -name pgpass -o -name '*.db' \\)")
    assert found == ""
    searched = "docker run --rm --network none --user 0 --entrypoint grep askfirst:local -rlE"
    keys = composed.run(
        f"{searched} 'BEGIN ([A-Z]+ )?PRIVATE KEY' /opt/askfirst/bin /usr/local /var/lib /etc /run || true"
    )
    assert keys == ""
    for container in composed.run("docker compose ps -q askfirst proxy").split():
        assert composed.run(f"docker exec {container} id -u").strip() in {"10001", "10002"}
    shown = composed.run("docker compose config; docker inspect $(docker compose ps -aq)")
    pgpass = composed.run("docker compose exec -T askfirst cat /run/askfirst/pgpass")
    secrets = [line.rpartition(":")[2] for line in pgpass.splitlines()]
    assert len(set(secrets)) == 3
    assert not [each for each in secrets if each in shown]


@pytest.mark.threat("A10")
@pytest.mark.threat("A12")
def test_whoever_guesses_passwords_holds_up_nobody_else_behind_the_proxy(composed: Composed) -> None:
    with composed.client() as client:

        def guess(name: str, address: str) -> int:
            fields = {"email": f"{name}@example.org", "password": "wrong"}
            return client.post("/sign-in", data=fields, headers={"X-Forwarded-For": address}).status_code

        answers = [guess(f"nobody-{number}", f"198.51.100.{number}, 203.0.113.7") for number in range(40)]
        assert answers[0] == 403
        assert answers[-1] == 429
        assert guess("somebody", "203.0.113.8") == 403


def test_the_container_that_answers_is_healthy_and_one_that_cannot_reach_its_database_is_not(
    composed: Composed,
) -> None:
    replica = composed.replicas()[0]
    state = f"docker inspect -f '{{{{.State.Health.Status}}}}' {replica}"
    until(lambda: composed.run(state).strip() == "healthy", "it is not healthy")
    composed.run("docker compose pause database")
    try:
        until(lambda: composed.run(state).strip() == "unhealthy", "it stayed healthy without a database")
    finally:
        composed.run("docker compose unpause database")
    until(lambda: composed.run(state).strip() == "healthy", "it did not get well again")


def test_a_backup_is_put_back_by_the_words_of_the_page_on_operating(composed: Composed, there: LabHost) -> None:
    """Last in this file: what it puts back is frozen."""
    page = (ROOT / "docs" / "operating.md").read_text()
    block = re.search(r"```\n(.*?)```", page.partition("With Docker Compose, `/backups` belongs")[2], re.DOTALL)
    assert block
    there.run(["install", "-d", "-o", "10001", "/backups"])
    for line in block[1].splitlines():
        composed.run(line, timeout=300)
    until(lambda: len(composed.replicas()) == 2, "the replicas did not come back")
    replica = composed.replicas()[0]
    assert json.loads(composed.run(f"docker exec {replica} askfirst audit verify --json"))["is_whole"]
    (frozen,) = json.loads(composed.run(f"docker exec {replica} askfirst freeze list --json"))
    assert frozen["scope"] == "all"
    assert composed.run("docker compose exec -T database psql -U postgres -d askfirst_before -Atc 'SELECT 1'") == "1\n"
