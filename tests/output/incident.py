"""The incident's host as it was recorded once, with right claims and the report's own wrong ones.

    python -m tests.output.incident HOST        records it anew on a lab host that runs the scenario `incident`

The recording is what the gate printed. Process numbers and times are of that one moment: after recording anew, the
texts beside it are written anew too (`ASKFIRST_WRITE_OUTPUT=1 pytest tests/output`), and read as a difference.
"""

import sys
from pathlib import Path

from app.core.facts import Facts
from app.core.reading import facts as facts_of
from app.core.records import HEADER, read
from app.core.service import JsonCheck, Service
from app.core.verdict import Code
from app.gate import build
from tests.lab.hosts import Lab

RECORDING = Path(__file__).with_name("incident.rec")
NONCE = "0" * 32
CODE = "/opt/pypnm-gui-lab"
TFTP = JsonCheck("http://127.0.0.1:5050/api/constellation", "tftp.server", "172.22.147.18")


def _claim(
    name: str,
    manager: str,
    unit: str,
    user: str | None = None,
    path: str | None = None,
    *ports: int,
    start: bool = False,
) -> Service:
    checks = (TFTP,) if 5050 in ports else ()
    return Service(name, "alpha", "lab-team", manager, unit, user, path, ports, start=start, checks=checks)


# What is said of the host, and what the host's answer to it is.
CLAIMS: dict[Service, Code] = {
    # Right claims.
    _claim("gui", "supervisor", "lab:pypnm-gui", "rbron", CODE, 5050): Code.VERIFIED,
    _claim("gui-by-path", "supervisor", "lab:pypnm-gui", "rbron", CODE): Code.VERIFIED,
    _claim("gui-5054", "systemd", "gui-5054.service", "rbron", CODE, 5054): Code.VERIFIED,
    _claim("gui-5054-by-name", "systemd", "gui-5054.service"): Code.VERIFIED,
    _claim("gui-5054-by-alias", "systemd", "gui-alias.service", "rbron", CODE, 5054): Code.VERIFIED,
    _claim("gui-5061", "systemd", "guitpl@5061.service", "rbron", CODE, 5061): Code.VERIFIED,
    _claim("api", "compose", "pypnm-gui-lab/pypnm-api", "root", CODE, 8000): Code.VERIFIED,
    _claim("plain", "docker", "plain", "root", None, 8001): Code.VERIFIED,
    _claim("hostnet", "docker", "hostnet", "root", None, 8002): Code.VERIFIED,
    _claim("gui-5051-by-hand", "manual", "gui-in-tmux", "rbron", CODE, 5051): Code.VERIFIED,
    _claim("gui-5053-by-hand", "manual", "gui-orphan", "rbron", CODE, 5053): Code.VERIFIED,
    _claim("lazy-start", "systemd", "lazy.service", start=True): Code.VERIFIED,
    # The report's own wrong claims.
    _claim("report-unit", "systemd", "pypnm-gui-backend.service", "root", "/opt/pypnm/PyPNM", 5050): Code.NO_SUCH_UNIT,
    _claim("report-path", "supervisor", "lab:pypnm-gui", "rbron", "/opt/pypnm/PyPNM", 5050): Code.WRONG_PATH,
    _claim("report-user", "supervisor", "lab:pypnm-gui", "root", CODE, 5050): Code.WRONG_USER,
    _claim("report-docker-gui", "docker", "pypnm-gui", None, None, 5050): Code.NO_SUCH_UNIT,
    _claim("report-systemd-api", "systemd", "pypnm-api.service", None, None, 8000): Code.NO_SUCH_UNIT,
    # What else a person may get wrong.
    _claim("group-left-out", "supervisor", "pypnm-gui", "rbron", CODE, 5050): Code.NO_SUCH_UNIT,
    _claim("whole-supervisor", "systemd", "supervisor.service", None, None, 5050): Code.WRONG_MANAGER,
    _claim("whole-docker", "systemd", "docker.service", None, None, 8000): Code.WRONG_MANAGER,
    _claim("composed", "docker", "pypnm-api", None, None, 8000): Code.WRONG_MANAGER,
    _claim("hand-started", "systemd", "gui-5060.service", "rbron", CODE, 5060): Code.WRONG_MANAGER,
    _claim("hand-started-start", "systemd", "gui-5060.service", "rbron", CODE, 5060, start=True): Code.WRONG_MANAGER,
    _claim("in-tmux", "systemd", "gui-5051.service", "rbron", CODE, 5051): Code.NO_SUCH_UNIT,
    _claim("in-screen", "systemd", "gui-5054.service", "rbron", CODE, 5058): Code.WRONG_MANAGER,
    _claim("wrong-port", "supervisor", "lab:pypnm-gui", "rbron", CODE, 5099): Code.WRONG_PORT,
    _claim("another-unit", "systemd", "gui-5054.service", "rbron", CODE, 5061): Code.AMBIGUOUS,
    _claim("its-socket", "systemd", "lazy.service", None, None, 5059): Code.AMBIGUOUS,
    _claim("down", "systemd", "lazy.service"): Code.DOWN,
    _claim("mistyped-instance", "systemd", "guitpl@9999.service"): Code.DOWN,
    _claim("masked", "systemd", "ghost-masked.service"): Code.NO_SUCH_UNIT,
    _claim("unsafe", "systemd", "gui-5066.service", "root", "/srv", 5066): Code.UNSAFE,
    _claim("not-told", "pm2", "gui-pm2", "node", CODE, 5055): Code.BLIND,
    _claim("not-told-5052", "systemd-user", "gui.service", "rbron", CODE, 5052): Code.BLIND,
    _claim("not-told-5056", "runit", "gui", "rbron", CODE, 5056): Code.BLIND,
    _claim("not-told-5057", "s6", "gui", "rbron", CODE, 5057): Code.BLIND,
    _claim("not-told-8003", "podman", "pod", "root", None, 8003): Code.BLIND,
    _claim("forged", "supervisor", "lab:gui", "node", "/srv", 5064): Code.NO_SUCH_UNIT,
    _claim("hostile", "systemd", "gui-5063.service", "rbron", "/srv", 5063): Code.NO_SUCH_UNIT,
}


def claim(name: str) -> Service:
    """Return the claim of this name."""
    return next(service for service in CLAIMS if service.name == name)


def facts() -> Facts:
    """Read the recording. Askfirst's clock was the host's own."""
    records = read(RECORDING.read_bytes(), NONCE, "probe")
    now = next(float(record.get("now")) for record in records if record.kind == "host")
    assert records[0].kind == HEADER
    return facts_of(records, now, list(CLAIMS))


if __name__ == "__main__":
    answer = Lab().find(sys.argv[1]).run(build.probe_input(NONCE, list(CLAIMS)).decode()).out
    read(answer.encode(), NONCE, "probe")
    RECORDING.write_text(answer)
