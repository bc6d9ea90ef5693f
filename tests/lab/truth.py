"""What is true on a host after the incident's scenario: who holds each port, and what that thing is called there.

Tests compare what was proved with this table; the scenarios make it so.
"""

from dataclasses import dataclass

CODE = "/opt/pypnm-gui-lab"
OLD_TFTP, NEW_TFTP = "10.0.0.1", "172.22.147.18"


@dataclass(frozen=True, slots=True)
class Held:
    """One port. `answers` is what GET /health says there, or None where asking would start something."""

    port: int
    manager: str
    name: str
    user: str
    path: str = CODE
    answers: int | None = 200


HELD = (
    Held(5050, "supervisor", "lab:pypnm-gui", "rbron"),
    Held(5051, "tmux", "gui", "rbron"),
    Held(5052, "systemd-user", "gui.service", "rbron"),
    Held(5053, "none", "", "rbron"),
    Held(5054, "systemd", "gui-5054.service", "rbron"),
    Held(5055, "pm2", "gui-pm2", "node"),
    Held(5056, "runit", "gui", "rbron"),
    Held(5057, "s6", "gui", "rbron"),
    Held(5058, "screen", "gui", "rbron"),
    # PID 1 holds it for lazy.service, which never ran.
    Held(5059, "systemd", "lazy.socket", "root", path="", answers=None),
    # gui-5060.service exists and is inactive: a person started this one by hand.
    Held(5060, "none", "", "rbron"),
    Held(5061, "systemd", "guitpl@5061.service", "rbron"),
    # A child of cron's, in cron's own unit.
    Held(5062, "none", "", "rbron"),
    Held(5063, "none", "", "rbron", path="/srv", answers=404),
    # Their parents only call themselves supervisord, and `sup) S 1 1`.
    Held(5064, "none", "", "node", path="/srv", answers=404),
    Held(5065, "none", "", "node", path="/srv", answers=404),
    # Root runs a script that rbron can write.
    Held(5066, "systemd", "gui-5066.service", "root", path="/srv", answers=404),
    # In cluster mode PM2's daemon holds the port, from wherever it was started, for the workers in /srv/web.
    Held(5067, "pm2", "web", "node", path=""),
    Held(5068, "pm2", "second", "node"),
    # Of rbron's own runsvdir.
    Held(5069, "runit", "/home/rbron/service/own", "rbron"),
    # Root's script started it; nothing on the process tells so.
    Held(5070, "script", "/usr/local/sbin/restart-gui", "rbron"),
    Held(8000, "compose", "pypnm-gui-lab/pypnm-api", "root"),
    Held(8001, "docker", "plain", "root", path=""),
    Held(8002, "docker", "hostnet", "root", path=""),
    Held(8003, "podman", "pod", "root", path=""),
    # conmon holds it for the container.
    Held(8004, "podman", "published", "root", path=""),
    Held(8013, "podman", "rbron/web", "rbron", path=""),
)
