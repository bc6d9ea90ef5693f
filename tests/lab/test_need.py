"""Is a restart called for, would less do, and is the code pushed: what a real host shows of it."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.lifecycle import Request, State
from app.core.service import Service
from app.core.verdict import Answer
from app.flow import ask, evidence
from app.flow.evidence import Evidence
from app.flow.prove import look
from tests.lab.flow_world import UNIT, Scene, claim, holder, runs, scene
from tests.lab.hosts import Lab, LabHost
from tests.lab.truth import CODE, NEW_TFTP

# One process each, that serves a folder: it ignores SIGHUP, or ends by it, or its reload fails.
SERVES = claim("kind", "systemd", "kind.service", 5711, path="/opt/kinds")
ENDS = claim("ends", "systemd", "ends.service", 5712, path="/opt/kinds")
FAILS = claim("fails", "systemd", "fails.service", 5713, path="/opt/kinds")
COPIED = claim("copied", "systemd", "copied.service", 5714, path="/opt/kinds")
UNITS = """
set -e
install -d -o rbron /opt/kinds
cp /usr/bin/python3 /opt/kinds-python
for each in 'kind:5711:/bin/true' 'ends:5712:/bin/kill -9 $MAINPID' 'fails:5713:/bin/false' 'copied:5714:/bin/true'; do
  name=${each%%:*} rest=${each#*:}
  program=/usr/bin/python3
  [ $name != copied ] || program=/opt/kinds-python
  cat >/etc/systemd/system/$name.service <<X
[Unit]
StartLimitIntervalSec=0
[Service]
User=rbron
WorkingDirectory=/opt/kinds
EnvironmentFile=-/etc/default/$name
Restart=always
RestartSec=0.1
ExecStart=$program -m http.server --bind 127.0.0.1 ${rest%%:*}
ExecReload=${rest#*:}
X
  systemctl daemon-reload
  systemctl restart $name
done
for port in 5711 5712 5713 5714; do until curl -s -o /dev/null -m 3 http://127.0.0.1:$port/; do sleep 0.1; done; done
"""


@pytest.fixture(scope="module")
def host(lab: Lab) -> Iterator[LabHost]:
    with lab.lend("need", "systemd") as made:
        made.run(UNITS)
        yield made


@pytest.fixture
async def stage(host: LabHost, tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(host, tmp_path, UNIT, SERVES, ENDS, FAILS, COPIED) as made:
        yield made


def pull_the_fix(host: LabHost) -> str:
    """Have somebody push the fix from elsewhere, and rbron pull it on the host. Returns its commit."""
    push = (
        f"cd /tmp && rm -rf theirs && git clone -q /srv/git/pypnm-gui-lab.git theirs && cd theirs && sleep 1.1 &&"
        f" echo '{{\"tftp\": \"{NEW_TFTP}\"}}' >constellation.json && git -c user.name='T. Weaver'"
        " -c user.email=tweaver@example.org commit -qam 'Use the new TFTP server' && git push -q"
    )
    host.run(["su", "rbron", "-c", push])
    host.run(["su", "rbron", "-c", f"git -C {CODE} pull -q"])
    return host.run(["su", "rbron", "-c", f"git -C {CODE} rev-parse HEAD"]).out.strip()


async def seen(stage: Scene, service: Service) -> Evidence:
    found = (await look(stage.world, await stage.registry(), service, git=True)).evidence()
    assert found.verdict.is_verified, found.verdict.findings
    return found


async def kinds(stage: Scene, service: Service) -> list[str]:
    return [sign.kind for sign in (await seen(stage, service)).need.signs]


async def asked(stage: Scene, service: Service, action: str) -> Request:
    request = await ask.ask(stage.world, stage.who["ada"], service.name, "New settings.", action=action)
    return await ask.prove(stage.world, request)


async def done(stage: Scene, service: Service, action: str) -> Request:
    """Ask for something gentler, have it approved, and let a worker bring it to its end."""
    request = await asked(stage, service, action)
    assert request.state is State.WAITING
    return await stage.run(await stage.approve(request))


async def test_after_a_pull_a_restart_is_needed_by_the_commit_and_right_after_it_is_not(stage: Scene) -> None:
    commit = pull_the_fix(stage.lab)
    request = await stage.waiting(UNIT)
    proof = await evidence.of(stage.world.db, request)
    assert proof is not None
    assert (request.state, request.need) == (State.WAITING, Answer.NEEDED)
    (sign,) = [each for each in proof.need.signs if each.kind == "code"]
    assert f"Commit {commit[:12]} " in sign.text
    assert sign.at == pytest.approx(float(stage.lab.run(f"stat -c %Y {CODE}/constellation.json").out), abs=2)
    ended = await stage.run(await stage.approve(request))
    assert ended.state is State.SUCCEEDED, ended.outcome
    again = await stage.waiting(UNIT)
    after = await evidence.of(stage.world.db, again)
    assert after is not None
    assert (again.need, after.need.signs) == (Answer.NOT_NEEDED, ())
    assert "code newer than the process" in after.need.looked_for


async def test_whether_the_code_is_pushed_is_told_by_git_and_changes_nothing(stage: Scene) -> None:
    def as_owner(command: str) -> None:
        stage.lab.run(["su", "rbron", "-c", f"cd {CODE} && {command}"])

    as_owner("git push -q")
    found = (await seen(stage, UNIT)).committed
    assert found is not None
    assert found.agrees is True, found.observed
    as_owner("touch loose.py && git -c user.name=R -c user.email=r@example.org commit -q --allow-empty -m Empty")
    index = stage.lab.run(f"stat -c %y {CODE}/.git/index").out
    found = (await seen(stage, UNIT)).committed
    assert found is not None
    assert (found.agrees, found.observed[:18]) == (False, "1 file not tracked")
    as_owner("rm loose.py")
    found = (await seen(stage, UNIT)).committed
    assert found is not None
    assert (found.agrees, found.observed.partition(" by ")[0]) == (False, "1 commit is not on origin/main")
    assert stage.lab.run(f"stat -c %y {CODE}/.git/index").out == index
    as_owner("git push -q")


@pytest.mark.law(11)
async def test_a_reload_leaves_the_same_process_and_is_proved_by_it(stage: Scene) -> None:
    was = holder(stage.lab, 5711)
    offered = evidence.gentler(await seen(stage, SERVES))
    assert [(each.action, each.argv) for each in offered] == [("reload", ("systemctl", "reload", "kind.service"))]
    ended = await done(stage, SERVES, "reload")
    assert ended.state is State.SUCCEEDED, ended.outcome
    assert ended.outcome == f"The same process ({was[0]}) runs on as claimed, 1 s after the reload."
    assert (holder(stage.lab, 5711), runs(stage.lab, ended.id)) == (was, 1)
    after = await evidence.of_outcome(stage.world.db, ended)
    assert after is not None
    assert after.gone == ()


@pytest.mark.law(11)
async def test_a_reload_that_ends_the_process_or_is_refused_has_failed_and_says_so(stage: Scene) -> None:
    ended = await done(stage, ENDS, "reload")
    assert ended.state is State.FAILED
    assert "a reload was approved, which leaves the process as it is" in ended.outcome
    was = holder(stage.lab, 5713)
    ended = await done(stage, FAILS, "reload")
    assert ended.state is State.FAILED
    assert "The reload was refused. The same process runs on." in ended.outcome
    assert holder(stage.lab, 5713) == was


@pytest.mark.law(11)
async def test_a_daemon_reload_takes_the_changed_file_in_and_touches_no_process(stage: Scene) -> None:
    was = holder(stage.lab, 5711)
    stage.lab.run("sleep 1.1; echo '# by hand' >>/etc/systemd/system/kind.service")
    found = await seen(stage, SERVES)
    assert {sign.kind for sign in found.need.signs} == {"unit", "daemon-reload"}
    assert all(sign.at for sign in found.need.signs)
    assert [each.action for each in evidence.gentler(found)] == ["daemon-reload", "reload"]
    ended = await done(stage, SERVES, "daemon-reload")
    assert ended.state is State.SUCCEEDED, ended.outcome
    assert holder(stage.lab, 5711) == was
    assert stage.lab.run("systemctl show -p NeedDaemonReload --value kind.service").out.strip() == "no"
    assert await kinds(stage, SERVES) == ["unit"]  # the process still runs by the old file


@pytest.mark.law(3)
async def test_what_a_unit_cannot_do_is_blocked_with_what_it_can(stage: Scene) -> None:
    for action in ("reload", "daemon-reload"):
        request = await asked(stage, UNIT, action)
        proof = await evidence.of(stage.world.db, request)
        assert proof is not None
        assert request.state is State.BLOCKED
        assert proof.verdict.findings[-1].observed.endswith("it offers: restart.")


@pytest.mark.law(5)
async def test_a_process_that_is_another_by_then_is_not_reloaded(stage: Scene) -> None:
    request = await stage.approve(await asked(stage, SERVES, "reload"))
    stage.lab.run("systemctl restart kind.service")
    ended = await stage.run(request)
    assert (ended.state, runs(stage.lab, ended.id)) == (State.STALE, 0)


async def test_files_libraries_and_counters_of_the_manager_are_signs_until_a_restart(stage: Scene) -> None:
    assert await kinds(stage, COPIED) == []
    stage.lab.run("sleep 1.1; echo A=1 >/etc/default/copied")
    assert await kinds(stage, COPIED) == ["environment"]
    stage.lab.run("cp /opt/kinds-python /opt/other; mv /opt/other /opt/kinds-python")
    found = await seen(stage, COPIED)
    assert [sign.kind for sign in found.need.signs] == ["replaced", "environment"]
    assert evidence.gentler(found) == ()  # a reload would not do
    stage.lab.run("systemctl restart copied.service; sleep 0.5")
    assert await kinds(stage, COPIED) == []
    stage.lab.run(f"kill -9 {holder(stage.lab, 5714)[0]}; sleep 1; rm /etc/default/copied")
    found = await seen(stage, COPIED)
    (sign,) = found.need.signs
    assert sign.text.startswith("systemd has restarted copied.service once by itself, last ")
    assert sign.at == pytest.approx(found.touched[0].started_at)
    stage.lab.run("systemctl restart copied.service; sleep 0.5")
    assert await kinds(stage, COPIED) == []


async def test_what_runs_as_root_is_not_asked_of_git_as_root(stage: Scene) -> None:
    """The checkout's own settings name a program: nobody starts it."""
    stage.lab.run(["su", "rbron", "-c", f"git -C {CODE} config core.fsmonitor 'touch /tmp/started;'"])
    try:
        found = (await seen(stage, replace(UNIT))).committed
        assert found is not None
        assert found.agrees is True, found.observed
        assert not (stage.lab.root / "tmp/started").exists()
    finally:
        stage.lab.run(["su", "rbron", "-c", f"git -C {CODE} config --unset core.fsmonitor"])
