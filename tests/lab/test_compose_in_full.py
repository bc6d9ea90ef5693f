"""Docker Compose in full, with plain Docker beside it: replicas, profiles, the host's network, changed files."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.lifecycle import State
from app.core.service import HttpCheck, Service
from app.flow import ask
from app.flow.evidence import Evidence
from app.flow.prove import look, look_at
from tests.lab.flow_world import PLAIN, Scene, claim, container, runs, scene
from tests.lab.hosts import Lab, LabHost

PROJECT = "/opt/shop"
FILES = f"""
set -e
mkdir -p {PROJECT}
cat >{PROJECT}/compose.yml <<'X'
services:
  web:
    image: pypnm-api:lab
    init: true
    ports: ["127.0.0.1:5731-5732:8000"]
    restart: unless-stopped
    deploy: {{replicas: 2}}
  side:
    image: pypnm-api:lab
    init: true
    network_mode: host
    command: ["/bin/httpd", "-f", "-p", "5733", "-h", "/www"]
  extra:
    image: pypnm-api:lab
    init: true
    ports: ["127.0.0.1:5734:8000"]
    profiles: [tools]
  never:
    image: pypnm-api:lab
    profiles: [other]
X
cd {PROJECT}
docker compose --profile tools up -d 2>/dev/null
for port in 5731 5732 5733 5734; do until curl -s -o /dev/null -m 3 http://127.0.0.1:$port/; do sleep 0.1; done; done
"""
# Another image under the same name.
REBUILD = (
    "cd $(mktemp -d) && printf 'FROM pypnm-api:lab\\nLABEL made=again\\n' >Dockerfile"
    " && docker build -q -t pypnm-api:lab . >/dev/null 2>&1"
)


def of(name: str, *ports: int, **other: object) -> Service:
    made = claim(name, "compose", f"shop/{name}", 0, ports=ports, user="root", path=PROJECT)
    return replace(made, **other)  # type: ignore[arg-type]


WEB = of(
    "web", 5731, 5732, checks=(HttpCheck("http://127.0.0.1:5731/health"), HttpCheck("http://127.0.0.1:5732/health"))
)
SIDE = of("side", 5733)
EXTRA = of("extra", 5734)
HOSTNET = replace(PLAIN, name="hostnet", unit="hostnet", ports=(8002,), checks=())
EVERY = (
    (WEB, "VERIFIED", "2 running"),
    (SIDE, "VERIFIED", "started by nobody after a reboot"),
    (EXTRA, "VERIFIED", ""),
    (of("never"), "NO_SUCH_UNIT", "no such name"),
    (replace(of("web", 5731, 5732), name="elsewhere", path="/opt/elsewhere"), "WRONG_PATH", PROJECT),
    (
        replace(of("web", 5731), name="as-docker", manager="docker", unit="shop-web-1", path=None),
        "WRONG_MANAGER",
        "Compose",
    ),
    (replace(PLAIN, name="as-compose", manager="compose", unit="shop/plain"), "NO_SUCH_UNIT", "run by Docker"),
    (replace(SIDE, name="native", manager="systemd", unit="docker.service", path=None), "WRONG_MANAGER", "Compose"),
    (PLAIN, "VERIFIED", "started by nobody after a reboot"),
    (HOSTNET, "VERIFIED", ""),
)


@pytest.fixture(scope="module")
def host(lab: Lab) -> Iterator[LabHost]:
    with lab.lend("shop", "docker") as made:
        made.run(FILES)
        yield made


@pytest.fixture
async def stage(host: LabHost, tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(host, tmp_path, *(service for service, _, _ in EVERY)) as made:
        yield made


def started(host: LabHost, name: str) -> tuple[str, str]:
    return container(host, replace(PLAIN, unit=name))


async def seen(stage: Scene, service: Service) -> Evidence:
    return (await look(stage.world, await stage.registry(), service)).evidence()


@pytest.mark.law(1)
async def test_each_container_gets_its_verdict(stage: Scene) -> None:
    looks = await look_at(stage.world, await stage.registry(), [service for service, _, _ in EVERY])
    wrong = []
    for (service, verdict, said), found in zip(EVERY, looks, strict=True):
        words = "; ".join(each.observed for each in found.verdict.findings)
        print(f"{service.name:12} {service.manager:8} {service.unit:16} {found.verdict.code}")
        if found.verdict.code != verdict or said not in words:
            wrong.append((service.name, found.verdict.code, words))
    assert wrong == []


@pytest.mark.law(11)
async def test_all_replicas_are_restarted_and_no_other_service_of_the_project(stage: Scene) -> None:
    names = ("shop-web-1", "shop-web-2", "shop-side-1", "shop-extra-1")
    was = {name: started(stage.lab, name) for name in names}
    ended = await stage.run(await stage.approve(await stage.waiting(WEB)))
    assert ended.state is State.SUCCEEDED, ended.outcome
    now = {name: started(stage.lab, name) for name in names}
    assert [name for name in names if now[name] != was[name]] == ["shop-web-1", "shop-web-2"]
    assert runs(stage.lab, ended.id) == 1


@pytest.mark.law(11)
async def test_a_service_of_a_profile_is_restarted_without_naming_the_profile(stage: Scene) -> None:
    was = started(stage.lab, "shop-extra-1")
    ended = await stage.run(await stage.approve(await stage.waiting(EXTRA)))
    assert ended.state is State.SUCCEEDED, ended.outcome
    assert started(stage.lab, "shop-extra-1") != was


async def test_a_changed_compose_file_and_a_moved_image_are_signs_that_no_gentler_way_would_mend(stage: Scene) -> None:
    assert [sign.kind for sign in (await seen(stage, SIDE)).need.signs if sign.kind in {"config", "image"}] == []
    stage.lab.run(f"sleep 1.1; echo 'A=1' >{PROJECT}/.env; echo '# by hand' >>{PROJECT}/compose.yml")
    found = {sign.kind: sign for sign in (await seen(stage, SIDE)).need.signs}
    assert found["config"].text.startswith(f"{PROJECT}/compose.yml was changed")
    assert found["environment"].text.startswith(f"{PROJECT}/.env was changed")
    assert found["config"].at == pytest.approx(float(stage.lab.run(f"stat -c %Y {PROJECT}/compose.yml").out), abs=1)
    stage.lab.run(REBUILD)
    moved = [sign.kind for sign in (await seen(stage, SIDE)).need.signs]
    assert "image" in moved


@pytest.mark.law(3)
async def test_a_container_has_no_gentler_way(stage: Scene) -> None:
    asked = await ask.ask(stage.world, stage.who["ada"], "plain", "New settings.", action="reload")
    blocked = await ask.prove(stage.world, asked)
    assert (blocked.state, blocked.verdict) == (State.BLOCKED, "NO_SUCH_UNIT")
