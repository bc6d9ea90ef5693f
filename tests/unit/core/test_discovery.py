"""What runs on the incident's host, from one recording: each thing once, and how it stands to the registry."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from app.core.discovery import Port, Running, Standing
from app.core.facts import Facts, Listener, Process
from app.core.registry import Registry
from app.core.service import service_problems
from app.core.verdict import Code
from app.flow.discover import Discovery, discovered
from app.managers import MANAGERS
from tests.output.whole import HOST, REGISTRY, facts

FACTS = facts()
FOUND = discovered(REGISTRY, HOST, FACTS)
NOTHING = Registry((HOST,), (), ())


def unit(name: str, found: Discovery = FOUND) -> Running:
    (one,) = [each for each in found.running if each.unit == name]
    return one


def on(port: int, found: Discovery = FOUND) -> Running:
    (one,) = [each for each in found.running if port in {held.port for held in each.ports}]
    return one


def test_every_port_that_is_listened_on_is_told_once_and_every_process_too() -> None:
    told = sorted(port for _, port in FOUND.listening)
    assert told == sorted({Port(each.port, each.address) for each in FACTS.listeners})
    pids = [each.pid for one in FOUND.running for each in one.processes]
    assert sorted(pids) == sorted(set(FACTS.processes) - {1})


def test_a_unit_and_its_workers_are_one_thing() -> None:
    one = unit("lab:pypnm-gui")
    assert (one.manager, [each.port for each in one.ports], len(one.processes)) == ("supervisor", [5050], 3)
    assert one.main == one.processes[0]
    assert one.standing is Standing.REGISTERED


def test_a_claim_that_is_not_proved_stands_beside_the_one_that_is() -> None:
    claims = {each.service: each.verdict for each in unit("lab:pypnm-gui").claims}
    assert claims == {"pypnm-gui": Code.VERIFIED, "pypnm-gui-backend": Code.NO_SUCH_UNIT}
    assert [each.service for each in unit("lab:pypnm-gui").wrong] == ["pypnm-gui-backend"]


def test_a_thing_that_is_claimed_wrong_is_wrong_and_not_unregistered() -> None:
    one = unit("guitpl@5061.service")
    assert (one.standing, one.claim) == (Standing.WRONG, None)
    assert [(each.service, each.verdict) for each in one.claims] == [("gui-5061", Code.WRONG_USER)]


def test_claims_that_fit_nothing_that_runs_are_told() -> None:
    assert [(each.service, each.verdict) for each in FOUND.lost] == [
        ("lazy", Code.VERIFIED),
        ("old", Code.NO_SUCH_UNIT),
    ]
    assert FOUND.counts[Standing.WRONG] == 2, "gui-5061, and old"


def test_a_container_has_the_port_that_a_proxy_holds_for_it() -> None:
    one = unit("plain")
    assert (one.manager, {each.port for each in one.ports}) == ("docker", {8001})
    assert [each.comm for each in one.processes] == ["httpd"]
    assert unit("docker.service").standing is Standing.SYSTEM, "it only keeps others"


def test_a_socket_that_nothing_runs_behind_is_told_and_nothing_is_suggested_for_it() -> None:
    one = unit("lazy.socket")
    assert (one.standing, one.processes, one.claim) == (Standing.UNREGISTERED, (), None)
    assert one.main
    assert one.main.pid == 1


def test_the_machines_own_and_keepers_are_told_apart_and_told() -> None:
    own = {
        each.unit or (each.face.comm if each.face else "") for each in FOUND.running if each.standing is Standing.SYSTEM
    }
    assert {"ssh.service", "cron.service", "systemd-journald.service", "supervisor.service"} <= own
    assert {"tmux: server", "runsvdir", "s6-svscan"} <= own
    assert "gui-5066.service" not in own


def supervised(**changes: object) -> Facts:
    """The host, with one more process that listens on nothing, of a unit of its own."""
    extra = Process(9001, 1, 99, FACTS.now - 60, 0, "root", "worker", ("/opt/worker",), "/system.slice/worker.service")
    process = replace(extra, **changes)  # type: ignore[arg-type]
    return replace(FACTS, processes={**FACTS.processes, 9001: process})


def standing(found: Facts) -> Standing:
    (one,) = [each for each in discovered(REGISTRY, HOST, found).running if 9001 in {one.pid for one in each.processes}]
    return one.standing


def test_what_listens_on_nothing_is_shown_too() -> None:
    assert standing(supervised(exe="/opt/worker", exe_uid=0)) is Standing.UNREGISTERED
    assert standing(supervised(exe="/usr/sbin/rsyslogd", exe_uid=0)) is Standing.SYSTEM
    nobodys = supervised(cgroup="/user.slice/user-1000.slice/session-4.scope")
    assert standing(nobodys) is Standing.SYSTEM, "it neither listens nor is kept"


@pytest.mark.law(13)
def test_nobody_hides_among_the_machines_own_by_a_name() -> None:
    assert standing(supervised(comm="sshd", exe="/home/eve/sshd", exe_uid=1001)) is Standing.UNREGISTERED
    assert standing(supervised(comm="sshd", exe=None)) is Standing.UNREGISTERED
    by_hand = supervised(exe="/usr/sbin/sshd", exe_uid=0, cgroup="/user.slice/user-1000.slice/session-4.scope")
    listening = replace(by_hand, listeners=(*by_hand.listeners, Listener(2222, "::", 0, (9001,))))
    assert standing(listening) is Standing.UNREGISTERED, "root's program, and nobody's unit"


def test_a_port_whose_holder_could_not_be_seen_is_nobodys() -> None:
    hidden = replace(FACTS, listeners=(*FACTS.listeners, Listener(7777, "::", 0, ())))
    one = on(7777, discovered(REGISTRY, HOST, hidden))
    assert (one.standing, one.manager, one.main, one.claim) == (Standing.UNSEEN, "", None, None)


def claims_of(found: Discovery) -> Mapping[int, Running]:
    return {port.port: each for each, port in found.listening if each.claim}


def test_what_is_suggested_is_a_claim_that_the_registry_would_take_but_for_its_owner() -> None:
    found = discovered(NOTHING, HOST, facts(NOTHING))
    claims = [each.claim for each in found.running if each.claim]
    assert len(claims) >= 15
    assert len({each.name for each in claims}) == len(claims)
    for claim in claims:
        fields = {each.field for each in (*service_problems(claim), *MANAGERS[claim.manager].problems(claim))}
        assert fields == {"owner"}, claim


def test_a_name_that_the_registry_has_is_not_suggested_again() -> None:
    taken = Registry((HOST,), tuple(replace(each, name="plain") for each in REGISTRY.services[:1]), ())
    claim = unit("plain", discovered(taken, HOST, facts(taken))).claim
    assert claim
    assert claim.name == "plain-8001"


@pytest.mark.parametrize(
    ("port", "manager", "unit", "user"),
    [
        (5066, "systemd", "gui-5066.service", "root"),
        (8001, "docker", "plain", None),
        (5053, "manual", "gunicorn", "rbron"),
        (5058, "manual", "screen-gunicorn-5058", "rbron"),
        (5064, "manual", "python3-5064", "node"),
        (5065, "manual", "python3-5065", "node"),
    ],
)
def test_a_claim_is_suggested_by_the_manager_where_it_is_driven_and_by_hand_where_not(
    port: int, manager: str, unit: str, user: str | None
) -> None:
    claim = claims_of(FOUND)[port].claim
    assert claim
    assert (claim.host, claim.manager, claim.unit, claim.user, claim.ports) == ("alpha", manager, unit, user, (port,))
    assert claim.owner == ""


@pytest.mark.law(13)
def test_what_no_claim_may_hold_is_not_suggested() -> None:
    hostile = supervised(user="$(reboot)", cwd="/srv/a b", cgroup="/user.slice/x", comm="`id`;\n")
    listening = replace(hostile, listeners=(*FACTS.listeners, Listener(9100, "::", 0, (9001,))))
    claim = on(9100, discovered(REGISTRY, HOST, listening)).claim
    assert claim
    assert (claim.name, claim.unit, claim.user, claim.path) == ("id", "id", None, None)
    (one,) = [each for each in discovered(REGISTRY, HOST, hostile).running if each.main and each.main.pid == 9001]
    assert one.claim is None, "neither port nor path is left to find it by"


def test_alike_names_of_two_users_are_two_things() -> None:
    """Each user's systemd may call a unit alike."""
    mine = unit("gui.service")
    assert mine.main
    records = {manager: tuple(each) for manager, each in FACTS.own.items()}
    path = mine.main.cgroup.replace("1000", "1001")
    other = replace(mine.main, pid=9001, user="node", uid=1001, cgroup=path, start=99)
    both = replace(FACTS, own=records, processes={**FACTS.processes, 9001: other})
    told = [each for each in discovered(REGISTRY, HOST, both).running if 9001 in {one.pid for one in each.processes}]
    assert [each.processes for each in told] == [(other,)]
