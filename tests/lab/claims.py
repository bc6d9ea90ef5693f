"""Right and wrong claims about each port of the incident's host, with the verdict that each has to get.

What is expected here was reasoned from the scenario and the table of verdicts, not copied from what the program says.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from app.core.service import Service
from app.core.verdict import Code
from tests.lab.flow_world import API, GUI, PLAIN, UNIT, claim
from tests.lab.truth import CODE

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
    for port in (5051, 5052, 5053, 5055, 5056, 5057, 5058, 5060, 5062, 5070):
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
    yield _row(5052, "systemd-user", "dirmngr.service", Code.AMBIGUOUS, "another unit's port")
    yield _row(5052, "systemd-user", "dirmngr.service", Code.DOWN, "no port claimed", ports=(), path=None)
    yield _row(5052, "systemd-user", "dirmngr.service", OK, "and may be started", ports=(), path=None, start=True)
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
    yield _row(5060, "script", "/srv/serve-5066", Code.UNSAFE)
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
    yield _row(8003, "podman", "idle", Code.DOWN, "no port claimed", ports=())
    yield _row(8003, "podman", "idle", OK, "and may be started", ports=(), start=True)
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
