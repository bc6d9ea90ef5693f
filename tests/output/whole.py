"""The incident's host looked at as a whole, as it was recorded once, with a registry that holds some of what runs.

    python -m tests.output.whole HOST        records it anew on a lab host that runs the scenario `incident`

Process numbers and times are of that one moment. After recording anew the text beside it is written anew too
(`ASKFIRST_WRITE_OUTPUT=1 pytest tests/output`), and read as a difference.
"""

import sys
from dataclasses import replace
from pathlib import Path

from app.core.facts import Facts
from app.core.policy import Policy
from app.core.reading import facts as facts_of
from app.core.records import read
from app.core.registry import Registry
from app.core.service import Host, HttpCheck, JsonCheck, Service, TcpCheck
from app.gate import build
from tests.lab.hosts import Lab

RECORDING = Path(__file__).with_name("whole.rec")
NONCE = "0" * 32
CODE = "/opt/pypnm-gui-lab"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGvc5ozaLlUtGDjMC+RMTvv4ifkvUI68FLacWSJlUURb"
HOST = Host("alpha", "172.31.77.10", "production", (KEY,), sudo=True)
GUI = Service(
    "pypnm-gui",
    "alpha",
    "lab-team",
    "supervisor",
    "lab:pypnm-gui",
    "rbron",
    CODE,
    (5050,),
    checks=(
        TcpCheck(5050),
        HttpCheck("http://127.0.0.1:5050/health"),
        JsonCheck("http://127.0.0.1:5050/api/constellation", "tftp.server", "172.22.147.18"),
    ),
    docs="Backend of the lab GUI. Ask rbron *first*.\n# Not a heading\n<b>not bold</b>",
)
REGISTRY = Registry(
    (HOST,),
    (
        GUI,
        # The report's own claim.
        Service(
            "pypnm-gui-backend", "alpha", "lab-team", "systemd", "pypnm-gui-backend.service", "root", None, (5050,)
        ),
        Service("gui-unit", "alpha", "ada@example.org", "systemd", "gui-5054.service", "rbron", CODE, (5054,)),
        Service("gui-5061", "alpha", "lab-team", "systemd", "guitpl@5061.service", "root", CODE, (5061,)),
        Service("gui-tmux", "alpha", "R. Bron", "manual", "gui-in-tmux", "rbron", CODE, (5051,)),
        Service("pypnm-api", "alpha", "lab-team", "compose", "pypnm-gui-lab/pypnm-api", "root", CODE, (8000,)),
        Service("lazy", "alpha", "lab-team", "systemd", "lazy.service", start=True),
        Service("old", "alpha", "net-team", "systemd", "old.service", None, None, (9999,)),
    ),
    (Policy(environment="production", groups=("lab-team",)),),
)


def facts(registry: Registry = REGISTRY) -> Facts:
    """Read the recording as if this version's gate had printed it. Askfirst's clock was the host's own."""
    records = read(RECORDING.read_bytes(), NONCE, "probe")
    now = next(float(record.get("now")) for record in records if record.kind == "host")
    seen = facts_of(records, now, REGISTRY.services)
    return replace(seen, gate=build.DIGEST, asked=tuple(each.name for each in registry.services))


if __name__ == "__main__":
    answer = Lab().find(sys.argv[1]).run(build.probe_input(NONCE, REGISTRY.services, whole=True).decode()).out
    read(answer.encode(), NONCE, "probe")
    RECORDING.write_text(answer)
