"""What the demo's registry says about the fleet: two right claims, and the wrong ones that the incident's report made.

``REPORT`` tells for each wrong claim what the report said and which verdicts are right; where a machine has no systemd
or no Docker, or they cannot be asked, nothing proves that the name is missing, and BLIND is the honest answer.
"""

from dataclasses import dataclass

from app.cli.fleet import GUI_PROGRAM, NEW_SERVER, STOPPED_PROGRAM, Fleet
from app.core.errors import Refused
from app.core.policy import Policy
from app.core.registry import Registry
from app.core.service import ACCOUNT, USER, Host, HttpCheck, JsonCheck, Service, TcpCheck
from app.core.verdict import Code

RIGHT = "pypnm-gui"
BY_HAND = "pypnm-api"
GROUP = "lab-team"
ENVIRONMENT = "production"
_HOST, _REPLACED = "alpha", "beta"


@dataclass(frozen=True, slots=True)
class Wrong:
    """One wrong claim of the report: the service that holds it, what was said, and the right verdicts."""

    service: str
    said: str
    verdicts: frozenset[Code]


_MISSING = frozenset({Code.NO_SUCH_UNIT, Code.BLIND})
REPORT = (
    Wrong("report-gui-unit", "The GUI is the systemd unit pypnm-gui-backend.service.", _MISSING),
    Wrong("report-gui-docker", "The GUI is a Docker container.", _MISSING),
    Wrong("report-gui-path", "The GUI runs from /opt/pypnm/PyPNM.", frozenset({Code.WRONG_PATH})),
    Wrong("report-gui-user", "The GUI runs as another user.", frozenset({Code.WRONG_USER})),
    Wrong("report-api-unit", "The API is a systemd unit.", _MISSING),
    Wrong("report-api-supervisor", "The API is run by supervisor.", frozenset({Code.WRONG_MANAGER})),
    Wrong("report-beta", "beta is still the machine that it was.", frozenset({Code.HOST_KEY_CHANGED})),
)


def registry(fleet: Fleet) -> Registry:
    """Return the registry of a fleet that is up."""
    hosts = (_host(_HOST, fleet, fleet.host_key), _host(_REPLACED, fleet, fleet.replaced_key))
    services = sorted((*_right(fleet), *_wrong(fleet)), key=lambda each: each.name)
    policy = Policy(environment=ENVIRONMENT, approvers=1, groups=(GROUP,), expires_seconds=8 * 3600)
    return Registry(hosts=hosts, services=tuple(services), policies=(policy,))


def _host(name: str, fleet: Fleet, key: str) -> Host:
    return Host(
        name=name,
        address="127.0.0.1",
        environment=ENVIRONMENT,
        host_keys=(key,),
        port=fleet.ssh_port,
        user=fleet.user if ACCOUNT.fullmatch(fleet.user) else "askfirst",
    )


def _user(fleet: Fleet) -> str:
    if not USER.fullmatch(fleet.user):
        raise Refused(
            f"The demo's claims name the user who runs it, and none can hold {fleet.user!a}.",
            code="odd_user",
            next_step="Run it as a user whose name has letters, digits and . _ @ - only.",
        )
    return fleet.user


def _right(fleet: Fleet) -> tuple[Service, ...]:
    gui, hand = f"http://127.0.0.1:{fleet.gui_port}", fleet.hand_port
    return (
        Service(
            name=RIGHT,
            host=_HOST,
            owner=GROUP,
            manager="supervisor",
            unit=f"lab:{GUI_PROGRAM}",
            user=_user(fleet),
            path=str(fleet.gui_path),
            ports=(fleet.gui_port,),
            config=str(fleet.supervisor_config),
            settle_seconds=2.0,
            checks=(
                HttpCheck(f"{gui}/health"),
                JsonCheck(f"{gui}/api/constellation", "tftp.server", NEW_SERVER),
            ),
            docs="Backend of the lab GUI. It reads its constellation once, when it starts.",
        ),
        Service(
            name=BY_HAND,
            host=_HOST,
            owner=GROUP,
            manager="manual",
            unit=BY_HAND,
            user=_user(fleet),
            path=str(fleet.hand_path),
            ports=(hand,),
            checks=(TcpCheck(hand),),
            docs="Started by hand, so it is restarted by hand: Askfirst proves before and after.",
        ),
    )


def _wrong(fleet: Fleet) -> tuple[Service, ...]:
    """The report's claims. No two entries may claim one port, so these name what they are about by its path."""
    gui, api, config = str(fleet.gui_path), str(fleet.hand_path), str(fleet.supervisor_config)
    gui_unit = f"lab:{GUI_PROGRAM}"
    another = "rbron" if fleet.user == "root" else "root"

    def claim(name: str, manager: str, unit: str, **more: str | None) -> Service:
        return Service(name=name, host=_HOST, owner="the report", manager=manager, unit=unit, **more)  # type: ignore[arg-type]  # texts

    return (
        claim("report-gui-unit", "systemd", "pypnm-gui-backend.service", path=gui),
        claim("report-gui-docker", "docker", "pypnm-gui"),
        claim("report-gui-path", "supervisor", gui_unit, path="/opt/pypnm/PyPNM", config=config),
        claim("report-gui-user", "supervisor", gui_unit, path=gui, user=another, config=config),
        claim("report-api-unit", "systemd", "pypnm-api.service", path=api),
        claim("report-api-supervisor", "supervisor", f"lab:{STOPPED_PROGRAM}", path=api, config=config),
        Service(name="report-beta", host=_REPLACED, owner="the report", manager="systemd", unit="pypnm-gui.service"),
    )
