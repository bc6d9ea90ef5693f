"""The incident's own host: for each of its ports right and wrong claims, and the verdict that each has to get.

What is expected here was reasoned from the scenario and the table of verdicts, not copied from what the program says.
All claims of one account are judged from one probe, between two looks at the whole host that must not differ.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from app.core.registry import Registry, problems
from app.core.service import Host, Service
from app.core.verdict import Answer, Code
from app.flow.ports import Limits, News, World
from app.flow.prove import Look, look_at
from app.main import SystemClock
from app.managers import MANAGERS
from app.ssh.gate import SshHosts
from app.store.engine import Database
from tests.lab.flow_world import API, GUI, PLAIN, UNIT, claim, pinned
from tests.lab.hosts import Lab, LabHost
from tests.lab.truth import CODE, HELD
from tests.lab.world import World as Seen
from tests.lab.world import changes, world

OK = Code.VERIFIED
REPORTED = "pypnm-gui-backend.service"
REPORTED_PATH = "/opt/pypnm/PyPNM"


@dataclass(frozen=True)
class Row:
    """One claim about one port, and the verdict that it has to get. ``name`` is what it says, in words."""

    port: int
    name: str
    service: Service
    expected: Code


def rows() -> list[Row]:
    made = [*_by_port(), *_of_units(), *_of_lists(), *_of_containers()]
    return [replace(row, service=replace(row.service, name=f"claim-{n}")) for n, row in enumerate(made)]


def _row(port: int, manager: str, unit: str, expected: Code, note: str = "", **other: object) -> Row:
    name = " ".join([manager, unit, *(f"{key}={value}" for key, value in other.items()), note]).strip()
    fields = {"path": None, "user": None, **other} if manager in {"docker", "compose", "podman"} else other
    return Row(port, name, claim("x", manager, unit, port, **fields), expected)


def _elsewhere(port: int, holder: str) -> list[Row]:
    """Claims that name something real, which is not what holds the port."""
    foreign = [
        ("supervisor", GUI.unit),
        ("systemd", UNIT.unit),
        ("docker", PLAIN.unit),
        ("compose", API.unit),
        ("pm2", "gui-pm2"),
        ("runit", "gui"),
        ("s6", "gui"),
    ]
    wrong = Code.WRONG_MANAGER
    return [_row(port, manager, unit, wrong, user=None, path=None) for manager, unit in foreign if manager != holder]


def _by_hand(port: int, user: str = "rbron", path: str = CODE) -> list[Row]:
    """A person restarts it: true whoever runs it now, and still only for the claimed user and path."""
    other = {"rbron": "root", "node": "rbron"}[user]
    return [
        _row(port, "manual", f"by-hand-{port}", OK, user=user, path=path),
        _row(port, "manual", f"by-hand-{port}", Code.WRONG_USER, user=other, path=path),
        _row(port, "manual", f"by-hand-{port}", Code.WRONG_PATH, user=user, path=REPORTED_PATH),
    ]


def _by_port() -> Iterator[Row]:
    # The report's own, first of all.
    yield _row(5050, "systemd", REPORTED, Code.NO_SUCH_UNIT, "the report", user="root", path=REPORTED_PATH)
    yield _row(5050, "systemd", REPORTED, Code.NO_SUCH_UNIT)
    yield _row(5050, "supervisor", GUI.unit, Code.WRONG_PATH, path=REPORTED_PATH)
    yield _row(5050, "supervisor", GUI.unit, Code.WRONG_USER, user="root")
    yield _row(5050, "docker", "pypnm-gui", Code.NO_SUCH_UNIT)
    yield _row(8000, "systemd", "pypnm-api.service", Code.NO_SUCH_UNIT, user="root", path=None)
    yield _row(5050, "supervisor", GUI.unit, OK)
    yield _row(5050, "supervisor", "pypnm-gui", Code.NO_SUCH_UNIT, "without its group")
    yield _row(5050, "systemd", "supervisor.service", Code.WRONG_MANAGER, user="root", path=None)
    yield _row(5050, "supervisor", GUI.unit, Code.WRONG_PORT, "port nobody holds", ports=(5099,))
    yield _row(5050, "supervisor", GUI.unit, Code.WRONG_MANAGER, "another's port too", ports=(5050, 5054))
    yield from _elsewhere(5050, "supervisor")
    yield from _of_a_user()
    yield from _of_a_script()
    yield _row(5052, "systemd", "gui.service", Code.NO_SUCH_UNIT, "another user's bus")
    for port in (5051, 5052, 5053, 5055, 5056, 5057, 5058, 5060, 5070):
        yield from _by_hand(port, "node" if port == 5055 else "rbron")
        yield from _elsewhere(port, {5055: "pm2", 5056: "runit", 5057: "s6"}.get(port, ""))
        if port != 5060:
            yield _row(port, "systemd", f"gui-{port}.service", Code.NO_SUCH_UNIT)
    yield _row(5062, "systemd", "cron.service", Code.WRONG_MANAGER, "its control group")
    # Those that try to be taken for something else.
    yield from _by_hand(5063, "rbron", "/srv")
    yield from _by_hand(5064, "node", "/srv")
    yield from _by_hand(5065, "node", "/srv")
    for port in (5063, 5064, 5065):
        yield from _elsewhere(port, "")
        yield _row(port, "supervisor", "lab:serve", Code.NO_SUCH_UNIT, user="node", path="/srv")


def _of_a_user() -> Iterator[Row]:
    yield _row(5052, "systemd-user", "gui.service", OK)
    yield _row(5052, "systemd-user", "gui", OK)
    yield _row(5052, "systemd-user", "pypnm-gui.service", Code.NO_SUCH_UNIT)
    yield _row(5052, "systemd-user", "gui.service", Code.WRONG_PATH, path=REPORTED_PATH)
    yield _row(5052, "systemd-user", "gui.service", Code.WRONG_PORT, "port nobody holds", ports=(5099,))
    # That user's systemd does not run: whether it knows the unit is not known.
    yield _row(5052, "systemd-user", "gui.service", Code.BLIND, user="blind")
    yield _row(5054, "systemd-user", "gui.service", Code.WRONG_MANAGER, "the system's port")
    yield _row(5053, "systemd-user", "gui.service", Code.WRONG_MANAGER, "nobody's process")


def _of_a_script() -> Iterator[Row]:
    script = "/usr/local/sbin/restart-gui"
    yield _row(5070, "script", script, OK, args=("5070",))
    yield _row(5070, "script", f"{script}s", Code.NO_SUCH_UNIT)
    yield _row(5070, "script", "/usr/bin/awk", Code.NO_SUCH_UNIT, "a symbolic link")
    yield _row(5070, "script", "/etc/passwd", Code.NO_SUCH_UNIT, "no program")
    yield _row(5070, "script", "/usr/local/sbin", Code.NO_SUCH_UNIT, "a folder")
    yield _row(5070, "script", script, Code.WRONG_USER, user="root")
    yield _row(5070, "script", script, Code.WRONG_PATH, path=REPORTED_PATH)
    yield _row(5070, "script", script, Code.DOWN, "port nobody holds", ports=(5099,))
    yield _row(5070, "script", script, OK, "port nobody holds, may be started", ports=(5099,), start=True)
    # Root would run what rbron may rewrite.
    yield _row(5070, "script", "/srv/serve-5066", Code.UNSAFE)
    for port in (5050, 5051, 5052, 5054, 5055, 5056, 5057, 5058):
        user = "node" if port == 5055 else "rbron"
        yield _row(port, "script", script, Code.WRONG_MANAGER, "a manager's process", user=user)


def _of_units() -> Iterator[Row]:
    yield _row(5054, "systemd", UNIT.unit, OK)
    yield _row(5054, "systemd", "gui-alias.service", OK)
    yield _row(5054, "systemd", "gui-5054.service", Code.WRONG_USER, user="root")
    yield _row(5054, "systemd", "gui-5054.service", Code.WRONG_PATH, path=REPORTED_PATH)
    yield _row(5054, "systemd", "gui-5054.service", Code.WRONG_PORT, "port nobody holds", ports=(5099,))
    yield _row(5054, "systemd", "gui-5060.service", Code.AMBIGUOUS, "another unit's port")
    yield _row(5054, "systemd", "guitpl@5061.service", Code.AMBIGUOUS, "another unit's port")
    yield _row(5054, "systemd", "gui-5054x.service", Code.NO_SUCH_UNIT)
    # A name that leads to /dev/null is no unit.
    yield _row(5054, "systemd", "ghost-masked.service", Code.NO_SUCH_UNIT)
    yield from _elsewhere(5054, "systemd")
    # PID 1 holds the port for a socket; the service behind it never ran.
    yield _row(5059, "systemd", "lazy.service", Code.AMBIGUOUS, "its socket holds the port")
    yield _row(5059, "systemd", "lazy.service", Code.DOWN, "no port claimed", ports=(), path=None)
    yield _row(5059, "systemd", "lazy.service", OK, "and may be started", ports=(), path=None, start=True)
    yield _row(5059, "systemd", "lazy-gui.service", Code.NO_SUCH_UNIT)
    yield _row(5059, "systemd", UNIT.unit, Code.AMBIGUOUS, "another unit's port")
    yield _row(5059, "supervisor", GUI.unit, Code.WRONG_MANAGER)
    yield _row(5059, "docker", PLAIN.unit, Code.WRONG_MANAGER)
    # The unit exists and is inactive; a hand-started process holds its port.
    yield _row(5060, "systemd", "gui-5060.service", Code.WRONG_MANAGER)
    yield _row(5060, "systemd", "gui-5060.service", Code.WRONG_MANAGER, "and may be started", start=True)
    yield _row(5060, "systemd", "gui-5060.service", Code.DOWN, "no port claimed", ports=(), path=None)
    # Every instance of a template is "loaded", a mistyped one too.
    yield _row(5061, "systemd", "guitpl@5061.service", OK)
    yield _row(5061, "systemd", "guitpl@9999.service", Code.AMBIGUOUS)
    yield _row(5061, "systemd", "guitpl@9999.service", Code.DOWN, "its own port", ports=(9999,))
    yield _row(5061, "systemd", "guitpl@5061.service", Code.WRONG_USER, user="root")
    yield _row(5061, "systemd", "guitpl@5061.service", Code.WRONG_PATH, path="/srv")
    yield _row(5061, "systemd", UNIT.unit, Code.AMBIGUOUS, "another unit's port")
    yield from _elsewhere(5061, "systemd")
    # Root runs a script that an ordinary user can write.
    yield _row(5066, "systemd", "gui-5066.service", Code.UNSAFE, user="root", path="/srv")
    yield _row(5066, "systemd", "gui-5066.service", Code.WRONG_USER, path="/srv")
    yield _row(5066, "systemd", "gui-5066.service", Code.WRONG_PATH, user="root")
    yield _row(5066, "systemd", UNIT.unit, Code.AMBIGUOUS, "another unit's port")
    yield from _elsewhere(5066, "systemd")


def _of_lists() -> Iterator[Row]:
    """Managers that keep a list of their own children: PM2 in two homes, runit under two users, s6."""
    second = {"user": "node", "config": "/home/node/.pm2-b"}
    own = "/home/rbron/service/own"
    for port, manager, unit, fields in (
        (5055, "pm2", "gui-pm2", {"user": "node"}),
        (5067, "pm2", "web", {"user": "node", "path": "/srv/web"}),
        (5068, "pm2", "second", second),
        (5056, "runit", "gui", {}),
        (5069, "runit", own, {}),
        (5057, "s6", "gui", {}),
    ):
        yield _row(port, manager, unit, OK, **fields)
        yield _row(port, manager, unit, Code.WRONG_USER, **{**fields, "user": "blind"})
        yield _row(port, manager, unit, Code.WRONG_PATH, **{**fields, "path": REPORTED_PATH})
        yield _row(port, manager, unit, Code.WRONG_PORT, "port nobody holds", **{**fields, "ports": (5099,)})
        yield _row(port, manager, f"{unit}-backend", Code.NO_SUCH_UNIT, **fields)
        if port > 5060:
            yield from _elsewhere(port, manager)
    # The daemon holds the one port for what it runs in cluster mode, and its child holds the other.
    yield _row(5067, "pm2", "gui-pm2", Code.AMBIGUOUS, "another application's port", user="node")
    yield _row(5055, "pm2", "web", Code.AMBIGUOUS, "another application's port", user="node", path="/srv/web")
    yield _row(5068, "pm2", "second", Code.NO_SUCH_UNIT, "without its home", user="node")
    yield _row(5055, "pm2", "gui-pm2", Code.NO_SUCH_UNIT, "in another home", **second)
    for unit in ("/etc/service/gui", "/etc/sv/gui"):
        yield _row(5056, "runit", unit, OK)
    yield _row(5056, "runit", own, Code.AMBIGUOUS, "another user's, on another port")
    yield _row(5056, "runit", "gui/log", Code.AMBIGUOUS, "its log", user="root", path="/etc/sv/gui/log")
    yield _row(5056, "runit", "gui/log", OK, "its log", user="root", path="/etc/sv/gui/log", ports=())
    yield _row(5069, "runit", "own", Code.NO_SUCH_UNIT, "only root's are known by name")
    yield _row(5057, "s6", "/srv/s6/gui", OK)
    yield _row(5057, "s6", "gui/log", OK, "its log", user="root", path="/srv/s6/gui/log", ports=())


def _of_containers() -> Iterator[Row]:
    yield _row(8000, "compose", API.unit, OK, user="root", path=CODE)
    yield _row(8000, "compose", API.unit, Code.WRONG_USER, user="rbron", path=CODE)
    yield _row(8000, "compose", API.unit, Code.WRONG_PATH, user="root", path=REPORTED_PATH)
    yield _row(8000, "compose", "pypnm/pypnm-api", Code.NO_SUCH_UNIT)
    yield _row(8000, "docker", "pypnm-api", Code.WRONG_MANAGER, "compose's own")
    yield _row(8000, "systemd", "docker.service", Code.WRONG_MANAGER, user="root", path=None)
    yield from _elsewhere(8000, "compose")
    yield _row(8001, "docker", "plain", OK, user="root")
    yield _row(8001, "docker", "plain", Code.WRONG_USER, user="rbron")
    yield _row(8001, "docker", "hostnet", Code.AMBIGUOUS, "another container's port")
    yield _row(8001, "docker", "plain", Code.WRONG_PORT, "port nobody holds", ports=(8099,))
    yield _row(8001, "systemd", "plain.service", Code.NO_SUCH_UNIT, user="root", path=None)
    yield from _elsewhere(8001, "docker")
    yield _row(8002, "docker", "hostnet", OK, user="root")
    yield _row(8002, "docker", "hostnet", Code.WRONG_USER, user="rbron")
    yield _row(8002, "docker", "plain", Code.AMBIGUOUS, "another container's port")
    yield _row(8002, "systemd", "docker.service", Code.WRONG_MANAGER, user="root", path=None)
    yield from _elsewhere(8002, "docker")
    yield _row(8003, "podman", "pod", OK, user="root")
    yield _row(8003, "podman", "pod", Code.WRONG_USER, user="rbron")
    yield _row(8003, "podman", "pod", Code.WRONG_PATH, path=CODE)
    yield _row(8003, "podman", "pods", Code.NO_SUCH_UNIT)
    yield _row(8003, "podman", "published", Code.AMBIGUOUS, "another container's port")
    yield _row(8003, "podman", "pod", Code.WRONG_PORT, "port nobody holds", ports=(8099,))
    yield _row(8001, "podman", "pod", Code.WRONG_MANAGER, "Docker's port")
    yield _row(8003, "docker", "pod", Code.NO_SUCH_UNIT, user="root")
    yield _row(8003, "docker", "hostnet", Code.WRONG_MANAGER, user="root")
    yield _row(8003, "systemd", "docker.service", Code.WRONG_MANAGER, user="root", path=None)
    yield from _elsewhere(8003, "podman")
    yield _row(8004, "podman", "published", OK, user="root")
    yield from _elsewhere(8004, "podman")
    yield _row(8013, "podman", "rbron/web", OK, user="rbron")
    yield _row(8013, "podman", "rbron/web", Code.WRONG_USER, user="root")
    yield _row(8013, "podman", "web", Code.NO_SUCH_UNIT, "root has none of this name")
    yield _row(8013, "podman", "rbron/webs", Code.NO_SUCH_UNIT)
    yield _row(8013, "podman", "node/web", Code.BLIND, "a podman that has not run")
    yield from _elsewhere(8013, "podman")


ROWS = rows()


@dataclass(frozen=True)
class Outcome:
    """What one probe by each account came to, and the whole host before the first and after the last."""

    looks: dict[str, Look]
    blind: list[Look]
    before: Seen
    after: Seen


def looked(host: Host, key: LabHost, claims: list[Service]) -> list[Look]:
    """Probe once, and judge all of these claims."""

    async def probe() -> list[Look]:
        hosts = SshHosts(key.key_path, answer_seconds=20)
        nothing: Database = None  # type: ignore[assignment]  # looking needs no store
        one = World(nothing, hosts, SystemClock(), News(), Limits(), "one")
        try:
            return await look_at(one, Registry((host,), tuple(claims), ()), claims)
        finally:
            await hosts.close()

    return asyncio.run(probe())


@pytest.fixture(scope="module")
def outcome(alpha: LabHost) -> Outcome:
    before = world(alpha)
    looks = looked(pinned(alpha), alpha, [row.service for row in ROWS])
    blind = looked(pinned(alpha, user="blind", sudo=False), alpha, [row.service for row in ROWS])
    return Outcome({look.service.name: look for look in looks}, blind, before, world(alpha))


def test_the_table_has_for_each_port_a_right_claim_and_three_wrong_ones() -> None:
    # A manager that is only recognised, a unit that root must not run and a service that never ran: their right claim
    # is the one that names them, and its verdict says what stands in the way.
    best = {5059: Code.DOWN, 5066: Code.UNSAFE}
    for held in HELD:
        about = [row for row in ROWS if row.port == held.port]
        right = [row for row in about if row.expected is best.get(held.port, OK)]
        assert right, held
        assert len(about) - len(right) >= 3, held


@pytest.mark.law(1)
@pytest.mark.threat("A1")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.port} {row.name}")
def test_each_claim_gets_its_documented_verdict(outcome: Outcome, row: Row) -> None:
    verdict = outcome.looks[row.service.name].verdict
    assert verdict.code is row.expected, [(each.aspect, each.observed, each.code) for each in verdict.findings]
    assert verdict.next_step


def test_the_table_is_shown(outcome: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print("\n\n port  verdict         need        claim")
        for row in ROWS:
            look = outcome.looks[row.service.name]
            print(f" {row.port}  {look.verdict.code:<15} {look.need.answer:<11} {row.name}")
        blind = sum(look.verdict.code is Code.BLIND for look in outcome.blind)
        print(f"\n {len(ROWS)} claims, one probe as askfirst; one as blind, who may not look: {blind} times BLIND")
    assert len({look.at for look in outcome.looks.values()}) == 1  # one probe


@pytest.mark.law(2)
def test_no_probe_has_changed_anything_on_the_host(outcome: Outcome) -> None:
    assert changes(outcome.before, outcome.after) == []


@pytest.mark.law(1)
def test_an_account_that_cannot_see_proves_nothing_right_and_nothing_wrong(outcome: Outcome) -> None:
    held = {each.port for each in HELD}
    about_held = [look for look in outcome.blind if held & set(look.service.ports)]
    assert len(about_held) > 150
    assert [look.service for look in about_held if look.verdict.code is not Code.BLIND] == []
    assert not any(look.verdict.is_verified for look in outcome.blind)
    steps = {look.verdict.next_step for look in outcome.blind if look.service.manager == "supervisor"}
    assert any("sudo" in step for step in steps), steps


def test_the_need_names_the_pulled_fix_where_the_code_runs_on_the_host(alpha: LabHost, outcome: Outcome) -> None:
    commit = alpha.run(["su", "rbron", "-c", f"git -C {CODE} rev-parse HEAD"]).out[:12]
    right = {row.port: outcome.looks[row.service.name] for row in ROWS if row.expected is OK and row.port < 5062}
    for port in (5050, 5051, 5053, 5054, 5055, 5060, 5061):
        need = right[port].need
        assert need.answer is Answer.NEEDED, port
        assert any(sign.kind == "code" and commit in sign.text for sign in need.signs), need.signs


def test_a_manager_that_does_not_run_is_not_one_that_knows_no_such_name(outcome: Outcome) -> None:
    """Asking it would start it: so nobody asks, and the answer says what a person can do."""
    rows = [row for row in ROWS if row.expected is Code.BLIND]
    assert {row.service.manager for row in rows} == {"systemd-user", "podman"}
    for row in rows:
        verdict = outcome.looks[row.service.name].verdict
        told = " ".join(each.observed for each in verdict.findings)
        assert "has no systemd running" in told or "has not run since the host is up" in told, row.name
        assert "enable-linger" in verdict.next_step or "podman ps" in verdict.next_step, row.name


@pytest.mark.parametrize(
    ("port", "words"),
    [(5051, "in tmux"), (5053, "No manager runs"), (5058, "in GNU screen"), (5062, "by a job of cron")],
)
def test_what_no_manager_runs_says_whose_it_is_since_when_and_from_which_command(
    outcome: Outcome, port: int, words: str
) -> None:
    claims = [row.service.name for row in ROWS if row.port == port and row.service.manager == "supervisor"]
    (manager,) = (each for each in outcome.looks[claims[0]].verdict.findings if each.aspect == "manager")
    told = manager.observed + manager.next_step
    for each in (words, "of rbron", "since 20", f"-b 127.0.0.1:{port}", "Ask rbron", "`manager: manual`"):
        assert each in told, told


@pytest.mark.law(13)
@pytest.mark.threat("E1")
@pytest.mark.threat("E3")
@pytest.mark.threat("E5")
def test_nothing_that_is_said_of_a_hostile_process_is_raw(outcome: Outcome) -> None:
    for row in ROWS:
        verdict = outcome.looks[row.service.name].verdict
        said = "".join(f"{each.observed}{each.next_step}" for each in verdict.findings) + verdict.next_step
        assert all(char.isprintable() for char in said), row.name
        assert "hunter2" not in said, row.name
    hostile = outcome.looks[next(row.service.name for row in ROWS if row.port == 5063 and row.expected is OK)]
    assert "‹U+202E›" in " ".join(each.observed for each in hostile.verdict.findings)


@pytest.mark.parametrize(
    ("manager", "unit"),
    [
        ("tmux", "gui"),
        ("screen", "gui"),
        ("none", "orphan"),
        ("kubernetes", "gui"),
        ("systemd", "lazy.socket"),
        ("systemd", "guitpl@.service"),
    ],
)
def test_the_registry_refuses_what_can_never_be_restarted(alpha: LabHost, manager: str, unit: str) -> None:
    found = problems(Registry((pinned(alpha),), (claim("gui", manager, unit, 5051),)), MANAGERS)
    assert {(kind, name) for kind, name, _ in found} == {("service", "gui")}


@pytest.mark.threat("D3")
def test_another_host_key_is_not_a_host_that_could_be_asked(alpha: LabHost, lab: Lab) -> None:
    other = lab.host("dark")
    try:
        forged = pinned(alpha, host_keys=pinned(other).host_keys)
        assert looked(forged, alpha, [GUI])[0].verdict.code is Code.HOST_KEY_CHANGED
        # Never switched on: nothing answers at its address.
        assert looked(pinned(other), alpha, [GUI])[0].verdict.code is Code.UNREACHABLE
    finally:
        other.discard()
