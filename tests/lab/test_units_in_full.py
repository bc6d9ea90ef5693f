"""systemd in full: each kind of unit that a host may have, what is proved of it, and real restarts."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.core.lifecycle import State
from app.core.service import Service
from app.flow.prove import look_at
from app.store import requests
from tests.lab.flow_world import Scene, claim, holder, runs, scene
from tests.lab.hosts import Lab, LabHost
from tests.lab.truth import CODE

SERVE = "/usr/bin/python3 -m http.server --bind 127.0.0.1"
UNITS = f"""
set -e
cd /etc/systemd/system
unit() {{ printf '[Unit]\\n%b\\n[Service]\\nUser=rbron\\nWorkingDirectory=/srv\\n%b\\n' "$2" "$3" >"$1"; }}
unit refuses-start.service RefuseManualStart=yes 'ExecStart={SERVE} 5721'
unit refuses-stop.service RefuseManualStop=yes 'ExecStart={SERVE} 5722'
unit once.service '' 'Type=oneshot\\nRemainAfterExit=yes\\nExecStart=/bin/true'
unit forks.service '' 'Type=forking\\nExecStart=/bin/sh -c "{SERVE} 5723 & sleep 0.3"'
unit broken.service '' 'Restart=always'
unit dropped.service '' 'ExecStart={SERVE} 5724'
mkdir -p dropped.service.d && printf '[Service]\\nNice=3\\n' >dropped.service.d/nice.conf
unit woken.service '' 'ExecStart=/usr/bin/gunicorn -w 1 app:app --chdir {CODE}'
printf '[Socket]\\nListenStream=127.0.0.1:5725\\n' >woken.socket
systemctl daemon-reload
# One that refuses to be started by hand is started by another that wants it.
printf '[Unit]\\nWants=refuses-start.service\\n[Service]\\nType=oneshot\\nExecStart=/bin/true\\n' >wants.service
systemctl daemon-reload
systemctl start wants.service refuses-stop once forks dropped woken.socket
curl -s -o /dev/null -m 5 --retry 5 http://127.0.0.1:5725/health
for port in 5721 5722 5723 5724; do until curl -s -o /dev/null -m 3 http://127.0.0.1:$port/; do sleep 0.1; done; done
"""


@dataclass(frozen=True)
class Case:
    """A claim, the verdict on it, and a word of what is said."""

    unit: str
    port: int | None
    verdict: str
    said: str = ""
    path: str | None = "/srv"


CASES = (
    Case("gui-5054.service", 5054, "VERIFIED", path=None),
    Case("gui-alias.service", 5054, "VERIFIED", "the claimed name is another name of it", path=None),
    Case("gui-5054", 5054, "VERIFIED", path=None),
    Case("guitpl@5061.service", 5061, "VERIFIED", path=None),
    Case("guitpl@5062.service", 5062, "DOWN", "inactive/dead", path=None),
    Case("ghost-masked.service", None, "NO_SUCH_UNIT", "it is masked", path=None),
    Case("refuses-start.service", 5721, "NO_SUCH_UNIT", "RefuseManualStart"),
    Case("refuses-stop.service", 5722, "NO_SUCH_UNIT", "RefuseManualStop"),
    Case("once.service", None, "NO_SUCH_UNIT", "Type=oneshot", path=None),
    Case("broken.service", None, "NO_SUCH_UNIT", "could not load it", path=None),
    Case("forks.service", 5723, "VERIFIED"),
    Case("dropped.service", 5724, "VERIFIED"),
    Case("woken.service", 5725, "VERIFIED", path=CODE),
    Case("lazy.service", 5059, "AMBIGUOUS", "lazy.socket", path=None),
    Case("gui-5060.service", 5060, "WRONG_MANAGER", "is run by", path=None),
)


def of(case: Case) -> Service:
    name = case.unit.split(".")[0].replace("@", "-").lower() + ("" if "." in case.unit else "-bare")
    ports = (case.port,) if case.port else ()
    return claim(name, "systemd", case.unit, 0, ports=ports, path=case.path, user=None)


@pytest.fixture(scope="module")
def host(lab: Lab) -> Iterator[LabHost]:
    with lab.lend("units", "systemd") as made:
        made.run(UNITS)
        yield made


@pytest.fixture
async def stage(host: LabHost, tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(host, tmp_path, *map(of, CASES)) as made:
        yield made


@pytest.mark.law(1)
async def test_each_kind_of_unit_gets_its_verdict(stage: Scene) -> None:
    registry = await stage.registry()
    seen = {each.service.name: each for each in await look_at(stage.world, registry, [of(case) for case in CASES])}
    wrong = []
    for case in CASES:
        verdict = seen[of(case).name].verdict
        words = "; ".join(each.observed for each in verdict.findings)
        print(f"{case.unit:24} {case.port or '-':>5}  {verdict.code:14} {verdict.unit}")
        if verdict.code != case.verdict or case.said not in words:
            wrong.append((case.unit, verdict.code, words))
    assert wrong == []


@pytest.mark.law(5)
async def test_an_alias_is_shown_and_bound_by_its_own_name(stage: Scene) -> None:
    request = await stage.waiting(of(CASES[1]))
    text = await requests.text(stage.world.db, request.warrant or "") or ""
    assert "\nunit gui-5054.service\n" in text
    assert "\nargv systemctl\nargv restart\nargv gui-5054.service\n" in text
    ended = await stage.run(await stage.approve(request))
    assert ended.state is State.SUCCEEDED, ended.outcome


@pytest.mark.law(11)
@pytest.mark.parametrize("unit", ["woken.service", "forks.service", "guitpl@5061.service", "dropped.service"])
async def test_it_is_restarted_and_the_new_one_is_proved(stage: Scene, unit: str) -> None:
    (case,) = (each for each in CASES if each.unit == unit)
    assert case.port is not None
    was = stage.lab.run(f"systemctl show -p MainPID --value {unit}").out
    ended = await stage.run(await stage.approve(await stage.waiting(of(case))))
    assert ended.state is State.SUCCEEDED, ended.outcome
    assert runs(stage.lab, ended.id) == 1
    assert stage.lab.run(f"systemctl show -p MainPID --value {unit}").out not in {was, "0\n"}
    stage.lab.run(f"curl -s -o /dev/null -m 5 --retry 5 --retry-connrefused http://127.0.0.1:{case.port}/")


async def test_the_unit_whose_port_a_person_took_is_left_alone_and_the_person_named(stage: Scene) -> None:
    was = holder(stage.lab, 5060)
    (case,) = (each for each in CASES if each.unit == "gui-5060.service")
    request = await stage.waiting(of(case))
    assert (request.state, request.verdict) == (State.BLOCKED, "WRONG_MANAGER")
    assert holder(stage.lab, 5060) == was
