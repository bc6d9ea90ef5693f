"""The demo as a newcomer meets it: a page, three people, a blocked and a waiting request; and commands beside it."""

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cli import browser
from app.cli.claims import REPORT
from app.shapes.discovery import Discovery
from app.shapes.verification import Verification
from tests.integration.demo.conftest import RUN, Demo, Visited, start

# One worker starts the demo, not each.
ADA, BO, CY = "ada@example.org", "bo@example.org", "cy@example.org"
SHAPED = (("discover", "alpha"), ("verify", "pypnm-gui"))


def wait_for(look: Callable[[], Any]) -> Any:
    """Look until there is something to see."""
    deadline = time.monotonic() + 60
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def test_it_prints_an_address_and_three_people_who_can_sign_in(demo: Demo) -> None:
    assert set(demo.passwords) == {ADA, BO, CY}
    assert len(set(demo.passwords.values())) == 3
    assert len(demo.asked) == 2


def test_a_wrong_claim_is_blocked_and_the_right_one_waits_when_the_page_opens(visited: Visited) -> None:
    wrong, right = visited.wrong, visited.right
    assert (wrong["service"], wrong["state"]) == (REPORT[0].service, "blocked")
    assert wrong["verification"]["next"]
    assert (right["service"], right["state"]) == ("pypnm-gui", "waiting")
    assert right["verification"]["need"]["answer"] == "NEEDED"


def test_every_claim_is_proved_before_the_page_opens(visited: Visited) -> None:
    services = dict(visited.services)
    assert services.pop("pypnm-gui") == "VERIFIED"
    # Where the demo itself runs as a unit of systemd, what it starts by hand is that unit's.
    assert services.pop("pypnm-api") in {"VERIFIED", "WRONG_MANAGER"}
    assert {each.service: services[each.service] in each.verdicts for each in REPORT} == dict.fromkeys(services, True)


async def test_in_four_clicks_the_approver_restarts_a_real_process(visited: Visited) -> None:
    with visited.api() as client:
        link = waiting(client)
        before = gui(client)
        async with browser.signed_in(visited.demo.url, BO, visited.demo.passwords[BO]) as bo:
            inbox = await bo.open("/")
            assert f'href="{link}"' in inbox.text
            await bo.press(await bo.open(link), "Approve")
        ended = wait_for(lambda: (one := client.get(f"/api/v1{link}").json())["has_ended"] and one)
        after = gui(client)
    assert ended["state"] == "succeeded", ended["outcome"]
    assert ended["approvals"][0]["name"] == "Bo"
    assert (after["port"], after["manager"], after["unit"]) == (before["port"], "supervisor", "lab:pypnm-gui")
    assert after["pid"] != before["pid"]


def gui(client: httpx.Client) -> dict[str, Any]:
    """Return what listens where the GUI is claimed."""
    found = client.get("/api/v1/hosts/alpha/discovery").json()["listeners"]
    (one,) = [each for each in found if each["service"] == "pypnm-gui"]
    return dict(one)


def ended(client: httpx.Client) -> None:
    """Let nothing be open for the GUI: what waits is taken back, what runs is waited for."""
    page = client.get("/api/v1/requests", params={"service": "pypnm-gui", "limit": 1}).json()["requests"]
    if page:
        path = f"/api/v1/requests/{page[0]['id']}"
        client.post(f"{path}/cancel")
        wait_for(lambda: client.get(path).json()["has_ended"])


def waiting(client: httpx.Client) -> str:
    """Return the page of a request for the GUI that waits: the demo's own, or a new one."""
    query = {"service": "pypnm-gui", "state": "waiting"}
    if not client.get("/api/v1/requests", params=query).json()["requests"]:
        ended(client)
        client.post("/api/v1/requests", json={"service": "pypnm-gui", "reason": "Once more"})
    (row,) = wait_for(lambda: client.get("/api/v1/requests", params=query).json()["requests"])
    return f"/requests/{row['id']}"


def test_discovery_names_every_owner_and_what_is_not_registered(visited: Visited) -> None:
    with visited.api() as client:
        found = client.get("/api/v1/hosts/alpha/discovery").json()["listeners"]
    managers = {each["service"]: each["manager"] for each in found if each["service"] in {"pypnm-gui", "pypnm-api"}}
    assert managers["pypnm-gui"] == "supervisor"
    assert managers["pypnm-api"] != "supervisor"
    assert any(each["service"] is None for each in found)


def test_a_host_that_shows_another_key_is_a_bad_gateway_and_not_looked_at(visited: Visited) -> None:
    with visited.api() as client:
        answer = client.get("/api/v1/hosts/beta/discovery")
    assert (answer.status_code, answer.json()["code"]) == (502, "host_key_changed")


def test_a_proof_over_the_api_has_the_documented_shape(visited: Visited) -> None:
    with visited.api() as client:
        proof = client.post("/api/v1/services/pypnm-gui/verify").json()
    assert proof["verdict"] == "VERIFIED"
    assert any(line.startswith("process ") for line in proof["identity"])
    assert all(each["agrees"] is True for each in proof["findings"])


def test_a_command_answers_programs_in_the_shape_of_the_api(visited: Visited) -> None:
    with visited.api() as client:
        host = client.get("/api/v1/hosts/alpha/discovery").json()
        proof = client.post("/api/v1/services/pypnm-gui/verify").json()
    told = {words[0]: json.loads(visited.demo.command(*words, "--json").stdout) for words in SHAPED}
    beside = {name: told["verify"].pop(name) for name in ("freshness", "freshness_why")}
    assert beside == {"freshness": "fresh", "freshness_why": ""}
    assert told["verify"].keys() == proof.keys()
    for one in (host, told["discover"]):
        Discovery.model_validate(one)
    for one in (proof, told["verify"]):
        Verification.model_validate(one)
    assert (host["level"], host["registered_level"]) == ("open", "open")


@pytest.mark.parametrize(("service", "status"), [("pypnm-gui", 0), ("report-gui-path", 1), ("report-beta", 2)])
def test_the_exit_of_verify_is_yes_no_or_could_not_tell(demo: Demo, service: str, status: int) -> None:
    done = demo.command("verify", service)
    assert done.returncode == status, done.stdout + done.stderr


def test_discover_and_scan_work_beside_the_running_server(demo: Demo) -> None:
    discovered, scanned = demo.command("discover", "alpha"), demo.command("host", "scan", "alpha")
    assert discovered.returncode == 0
    assert re.search(r"^supervisor:\n  lab:pypnm-gui on \d+: pypnm-gui VERIFIED", discovered.stdout, re.MULTILINE)
    assert scanned.returncode == 0
    assert "(ED25519)" in scanned.stdout
    assert demo.command("host", "scan", "beta").returncode == 1


async def test_request_waits_for_a_human_and_tells_the_run_as_it_happens(visited: Visited) -> None:
    with visited.api() as client:
        ended(client)
    with subprocess.Popen(
        [*RUN, "request", "pypnm-gui", "--reason", "Once more", "--wait"],
        env={**visited.demo.environment, "ASKFIRST_TOKEN": visited.token},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as asking:
        with visited.api() as client:
            query = {"service": "pypnm-gui", "state": "waiting"}
            (asked,) = wait_for(
                lambda: client.get("/api/v1/requests", params=query).json()["requests"] or asking.poll() is not None
            )
        async with browser.signed_in(visited.demo.url, BO, visited.demo.passwords[BO]) as bo:
            await bo.press(await bo.open(f"/requests/{asked['id']}"), "Approve")
        printed, _ = asking.communicate()  # a request always ends: at the latest when its time runs out
    assert asking.returncode == 0, printed
    assert "| lab:pypnm-gui: started" in printed
    assert f"{asked['short_id']} pypnm-gui on alpha: SUCCEEDED" in printed
    shown = visited.demo.command("request", "show", asked["short_id"], ASKFIRST_TOKEN=visited.token)
    assert shown.returncode == 0


def test_a_request_that_the_host_refutes_is_a_no(visited: Visited) -> None:
    done = visited.demo.command("request", "report-gui-user", "--reason", "x", "--wait", ASKFIRST_TOKEN=visited.token)
    assert done.returncode == 1
    assert "BLOCKED" in done.stdout
    assert "Next: " in done.stdout


def test_doctor_finds_nothing_amiss(demo: Demo) -> None:
    done = demo.command("doctor", "--json")
    found = {each["name"]: each["holds"] for each in json.loads(done.stdout)}
    assert False not in found.values(), done.stdout
    assert found["append-only log"] is True
    assert found["server"] is True


def test_the_log_is_whole_beside_the_running_server(demo: Demo) -> None:
    assert demo.command("audit", "verify").returncode == 0


def test_a_second_demo_runs_beside_the_first_and_leaves_nothing(
    tmp_path_factory: pytest.TempPathFactory, demo: Demo
) -> None:
    folder = Path(str(demo.folder) + "2")
    folder.mkdir()
    second = start(folder)
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*") if str(folder).encode() in read(path / "cmdline")]
    assert second.url != demo.url
    assert pids
    second.process.terminate()
    assert second.process.wait(60) == 130
    assert list(folder.iterdir()) == []
    assert [pid for pid in pids if str(folder).encode() in read(Path(f"/proc/{pid}/cmdline"))] == []
    folder.rmdir()


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
