"""A kit's values, for tests: three services of one host, two humans who may sign."""

from dataclasses import replace

from app.core.level import Level
from app.gate.kit import Allowed, Kit, Signer

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGvc5ozaLlUtGDjMC+RMTvv4ifkvUI68FLacWSJlUURb"
OTHER = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIGvc5ozaLlUtGDjMC+RMTvv4ifkvUI68FLa="
GUI = Allowed(
    "pypnm-gui", "supervisor", "lab:pypnm-gui", "restart", "root", ("supervisorctl", "restart", "lab:pypnm-gui")
)
UNIT = Allowed(
    "gui-unit", "systemd", "gui-5054.service", "restart", "root", ("systemctl", "restart", "gui-5054.service")
)
ANEW = replace(UNIT, action="daemon-reload", argv=("systemctl", "daemon-reload"))
ENFORCED = Kit(
    host="alpha",
    account="askfirst",
    level=Level.ENFORCED,
    host_keys=(KEY,),
    key=KEY,
    cooldown=60,
    per_hour=12,
    ports=(("127.0.0.1", 5054), ("127.0.0.1", 5050), ("::1", 8000)),
    allowed=(UNIT, ANEW, GUI),
    approvals={"pypnm-gui": 1, "gui-unit": 2},
    left_out=(("gui-tmux", "A person restarts it by hand; Askfirst proves before and after."),),
)
SIGNERS = (Signer(("bo@example.org", "bo.l@example.net"), (KEY, OTHER)), Signer(("cy@example.org",), (OTHER,)))
SEALED = replace(ENFORCED, level=Level.SEALED, signers={"pypnm-gui": SIGNERS, "gui-unit": SIGNERS[:1]})
CERTIFIED = replace(ENFORCED, certificates=True)
EVERY = {"enforced": ENFORCED, "sealed": SEALED, "certificates": CERTIFIED}
