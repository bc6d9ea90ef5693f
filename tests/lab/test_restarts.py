"""Real restarts, from the question to the proof that it came back, under each manager that this version drives."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.lifecycle import State
from app.core.service import JsonCheck
from app.core.verdict import Code
from app.flow import by_hand, evidence
from tests.lab.flow_world import (
    API,
    CLUSTER,
    GUI,
    OWN,
    PLAIN,
    PM2,
    POD,
    ROOTLESS,
    RUNIT,
    S6,
    SCRIPT,
    SECOND,
    TMUX,
    UNIT,
    Scene,
    aside,
    container,
    holder,
    make_old,
    runs,
    scene,
    standing,
    starts,
)
from tests.lab.hosts import Lab, LabHost
from tests.lab.truth import CODE, NEW_TFTP

EVERY = (GUI, UNIT, PLAIN, API, TMUX, PM2, CLUSTER, SECOND, RUNIT, S6, OWN, SCRIPT, POD, ROOTLESS)


@pytest.fixture(scope="module")
def bravo(lab: Lab) -> LabHost:
    return standing(lab)


@pytest.fixture
async def stage(bravo: LabHost, tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(bravo, tmp_path, *EVERY) as made:
        yield made


def constellation(host: LabHost, port: int) -> str:
    return host.run(["curl", "-s", f"http://127.0.0.1:{port}/api/constellation"]).out


@pytest.mark.law(11)
async def test_the_pulled_fix_is_live_after_one_approved_restart(stage: Scene) -> None:
    """The GUI on supervisor and its twins under every other manager that runs it on the host itself, side by side."""
    host, twins = stage.lab, (GUI, UNIT, PM2, RUNIT, S6, OWN, SCRIPT)
    commit = make_old(host, *twins)
    was = {each.name: (holder(host, each.ports[0]), starts(host, each)) for each in twins}
    asked = {}
    for each in twins:
        assert NEW_TFTP not in constellation(host, each.ports[0])
        request = asked[each.name] = await stage.waiting(each)
        proof = await evidence.of(stage.world.db, request)
        assert proof is not None
        assert (request.state, request.need) == (State.WAITING, "NEEDED")
        assert any(commit[:12] in sign.text for sign in proof.need.signs), proof.need.signs
        assert [check.is_green for check in proof.checks] == [True, False]
        assert holder(host, each.ports[0]) == was[each.name][0]  # asking and proving restart nothing
        await stage.approve(request)
    async with stage.working():
        ended = {name: await stage.until(request) for name, request in asked.items()}
    for each in twins:
        request, (process, count) = ended[each.name], was[each.name]
        after = await evidence.of_outcome(stage.world.db, request)
        assert after is not None
        assert request.state is State.SUCCEEDED, request.outcome
        assert [(check.is_green, NEW_TFTP in check.seen) for check in after.checks] == [(True, False), (True, True)]
        assert NEW_TFTP in constellation(host, each.ports[0])
        assert holder(host, each.ports[0]) != process
        assert (starts(host, each), runs(host, request.id)) == (count + 1, 1)
        assert await stage.story(request) == ["asked", "verified", "approved", "run_started", "run_ended", "settled"]
    assert "lab:pypnm-gui: started" in await stage.printed(ended[GUI.name])


@pytest.mark.law(11)
async def test_every_worker_of_a_cluster_is_new_though_its_port_is_held_by_the_same_daemon(stage: Scene) -> None:
    """And the application of the user's second PM2 home, at once."""
    host = stage.lab
    was = {each.name: (workers(host), holder(host, each.ports[0]), starts(host, each)) for each in (CLUSTER, SECOND)}
    asked = {each.name: await stage.approved(each) for each in (CLUSTER, SECOND)}
    async with stage.working():
        ended = {name: await stage.until(request) for name, request in asked.items()}
    for each in (CLUSTER, SECOND):
        request = ended[each.name]
        assert request.state is State.SUCCEEDED, request.outcome
        assert runs(host, request.id) == 1
    before, daemon, count = was[CLUSTER.name]
    assert len(before) == 2
    assert before & workers(host) == set()
    assert holder(host, 5067) == daemon
    assert starts(host, CLUSTER) == count + 2
    assert holder(host, 5068) != was[SECOND.name][1]
    assert starts(host, SECOND) == was[SECOND.name][2] + 1
    assert not (host.root / "root/.pm2").exists()


def workers(host: LabHost) -> set[str]:
    return set(host.run("pgrep -u node -f '^node /srv/web/web.js'").out.split())


@pytest.mark.law(11)
async def test_containers_come_back_as_new_ones_of_the_same_name(stage: Scene) -> None:
    """Docker's, Compose's, podman's and a user's own: all at once, since each ignores the signal for ten seconds."""
    host = stage.lab
    names = {each.name: each for each in (PLAIN, API, POD, ROOTLESS)}
    before = {name: (container(host, each), starts(host, each)) for name, each in names.items()}
    requests = {name: await stage.approved(each) for name, each in names.items()}
    async with stage.working():
        ended = {name: await stage.until(each) for name, each in requests.items()}
    for name, request in ended.items():
        assert request.state is State.SUCCEEDED, (name, request.outcome)
        was, count = before[name]
        now = container(host, names[name])
        assert now[0] != was[0], name
        assert now[1] != was[1], name
        assert (starts(host, names[name]), runs(host, request.id)) == (count + 1, 1)
        assert request.exit_status == 0
    assert "plain" in await stage.printed(ended["plain"])


@pytest.mark.law(1)
async def test_what_is_down_is_started_where_its_claim_allows_it(stage: Scene) -> None:
    """Under PM2, runit and s6 at once; without that word in its claim the same service is DOWN."""
    host, down = stage.lab, {each: replace(each, start=True) for each in (PM2, RUNIT, S6)}
    host.run(
        "su - node -c 'pm2 stop gui-pm2' && sv -w 30 stop /etc/sv/gui && s6-svc -wD -T 30000 -d /srv/s6/gui", timeout=90
    )
    await stage.register(*down)
    for each in down:
        refused = await stage.waiting(each)
        proof = await evidence.of(stage.world.db, refused)
        assert proof is not None
        assert (refused.state, proof.verdict.code) == (State.BLOCKED, Code.DOWN)
    await stage.register(*down.values())
    asked = {each.name: await stage.approved(each) for each in down.values()}
    async with stage.working():
        ended = {name: await stage.until(request) for name, request in asked.items()}
    for each in down:
        request = ended[each.name]
        assert request.state is State.SUCCEEDED, (each.name, request.outcome)
        assert runs(host, request.id) == 1
        assert NEW_TFTP in constellation(host, each.ports[0])


async def test_a_manual_service_is_handed_over_and_proved_after_a_person_restarted_it(stage: Scene) -> None:
    host = stage.lab
    was = holder(host, 5051)
    request = await stage.approved(TMUX)
    async with stage.working():
        request = await stage.until(request, State.RUNNING)
        assert request.is_by_hand
        assert holder(host, 5051) == was  # Askfirst restarts nothing here
        command = f"cd {CODE} && /usr/bin/gunicorn -w 2 app:app --chdir {CODE} -b 127.0.0.1:5051"
        # By its pid: the signal of a closed tmux only makes gunicorn read its settings again.
        restart = f"kill {was[0]}; while kill -0 {was[0]}; do sleep 0.1; done; tmux new-session -d -s gui '{command}'"
        await aside(lambda: host.run(["su", "-", "rbron", "-s", "/bin/sh", "-c", restart]))
        await by_hand.say_done(stage.world, stage.who["ada"], request.id)
        request = await stage.until(request)
    assert request.state is State.SUCCEEDED, request.outcome
    assert holder(host, 5051) != was
    assert await stage.story(request) == ["asked", "verified", "approved", "handed_over", "run_ended", "settled"]
    assert runs(host, request.id) == 0


@pytest.mark.law(11)
async def test_a_word_that_it_is_done_is_no_proof(stage: Scene) -> None:
    """What a person tried is what anybody would: a closed terminal, whose signal this program takes for a reload."""
    stage.world = replace(stage.world, limits=replace(stage.world.limits, settle_timeout_seconds=2))
    request = await stage.approved(TMUX)
    async with stage.working():
        request = await stage.until(request, State.RUNNING)
        stage.lab.run(["pkill", "-HUP", "-u", "rbron", "-f", "127.0.0.1:5051"])
        await by_hand.say_done(stage.world, stage.who["ada"], request.id)
        request = await stage.until(request)
    assert request.state is State.FAILED
    assert "was not restarted" in request.outcome


@pytest.mark.law(11)
@pytest.mark.threat("D22")
async def test_a_service_that_does_not_come_back_well_has_failed_though_its_command_exits_with_0(
    stage: Scene, bravo: LabHost
) -> None:
    """Three at once: one crashes after its start, one stays up with a check that stays red, one will not stay."""
    bravo.run(FLAWED)
    claims = {
        name: replace(
            UNIT,
            name=name,
            unit=f"{name}.service",
            ports=(port,),
            path="/srv",
            settle_seconds=2.0,
            checks=(JsonCheck(f"http://127.0.0.1:{port}/is.json", "tftp.server", NEW_TFTP),) if name == "red" else (),
        )
        for name, port in (("crash", 5701), ("red", 5702), ("flap", 5703))
    }
    stage.world = replace(stage.world, limits=replace(stage.world.limits, settle_timeout_seconds=4))
    await stage.register(*claims.values())
    asked = {name: await stage.approved(each) for name, each in claims.items()}
    bravo.run("touch /run/flaw")  # from now on they are broken: what was proved before is still true
    async with stage.working():
        ended = {name: await stage.until(each) for name, each in asked.items()}
    seen = {name: (request.state, request.exit_status, runs(bravo, request.id)) for name, request in ended.items()}
    assert seen == dict.fromkeys(claims, (State.FAILED, 0, 1)), {n: r.outcome for n, r in ended.items()}
    assert "Not green: tftp.server" in ended["red"].outcome
    bravo.run("systemctl stop crash red flap; rm -f /run/flaw")


# Each serves until /run/flaw is there: then `crash` ends a moment after its start, `red` serves another answer, and
# `flap` ends again and again, restarted by systemd each time. Type=simple: `systemctl restart` exits with 0 for all.
FLAWED = """
set -e
mkdir -p /srv/red && echo '{"tftp": {"server": "10.0.0.1"}}' >/srv/is.json
cat >/srv/flawed.sh <<'X'
#!/bin/sh
cd /srv
[ -e /run/flaw ] || exec /usr/bin/python3 -m http.server --bind 127.0.0.1 "$2"
case $1 in
crash) sleep 0.3; exit 0 ;;
flap) timeout 0.8 /usr/bin/python3 -m http.server --bind 127.0.0.1 "$2" ;;
red) exec /usr/bin/python3 -m http.server --bind 127.0.0.1 "$2" ;;
esac
X
chmod 755 /srv/flawed.sh
for each in crash:5701:no red:5702:no flap:5703:always; do
  name=${each%%:*} rest=${each#*:}
  cat >/etc/systemd/system/$name.service <<X
[Unit]
StartLimitIntervalSec=0
[Service]
User=rbron
WorkingDirectory=/srv
Restart=${rest#*:}
RestartSec=0.2
ExecStart=/srv/flawed.sh $name ${rest%:*}
X
done
systemctl daemon-reload
rm -f /run/flaw
systemctl start crash red flap
for port in 5701 5702 5703; do
  until curl -s -o /dev/null -m 3 http://127.0.0.1:$port/; do sleep 0.1; done
done
"""
