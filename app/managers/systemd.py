"""systemd, the system's own: services that are units, by their control group.

It does not speak for a user's units (``systemd-user``), nor for sessions and other scopes, in which processes were
started by hand. What is believed: the kernel's control group of the process, where systemd's own list gives that
group to that unit.
"""

from collections.abc import Mapping

from app.core.errors import Refused
from app.core.facts import Facts, Process
from app.core.manager import Action, Command, Lookup, Manager, Missing, Owner
from app.core.service import Problem, Service
from app.core.verdict import Sign
from app.managers._systemd import Units, mark, problems
from app.managers._systemd_fragment import ASKING

_SHELL = r"""
af_watch systemd
facts_systemd() {
    if [ ! -d /run/systemd/system ]; then
        awk "$AF_AWK"'BEGIN { rec("systemd.manager"); put("state", "absent"); done() }'
        return
    fi
    SYSTEMD_KIND=systemd SYSTEMD_OF='' SYSTEMD_PID=1 SYSTEMD_BASE='' SYSTEMD_CONTROL=systemctl \
        SYSTEMD_NAMES=$SYSTEMD_LISTING awk "$AF_AWK$SYSTEMD_AWK"
}

# The folders are read here: `list-unit-files` makes systemd read every file, which takes it half a second.
SYSTEMD_LISTING='cd /; exec 2>/dev/null
    ls etc/systemd/system run/systemd/system usr/local/lib/systemd/system usr/lib/systemd/system
    exec timeout 5 systemctl --no-pager --no-legend --plain --full list-units --all "*.service"'
"""


class Systemd(Manager):
    """The system's systemd."""

    name = "systemd"
    label = "systemd"
    is_driven = True
    shell = ASKING + _SHELL

    def problems(self, service: Service) -> list[Problem]:
        """Say what in a claim is no unit that a restart could be proved of."""
        return problems(service)

    def recognise(self, chain: tuple[Process, ...], port: int | None, facts: Facts) -> Owner | None:
        """Say which unit's control group the process is in, or for which unit systemd itself holds the port."""
        units = Units.of(self.name, facts)
        if chain[0].pid == 1:
            return None if port is None else units.handing_over(port)
        name = _unit_of(chain[0].cgroup)
        return units.owner(name, chain) if name else None

    def find(self, service: Service, facts: Facts) -> Lookup:
        """Look a unit up in systemd's own list. While it runs, the ports that systemd holds for it are its own."""
        if any(record.get("state") == "absent" for record in facts.records("systemd.manager")):
            return Missing()
        return Units.of(self.name, facts).look_up(service.unit)

    def restart(self, service: Service, unit: str, facts: Facts) -> Command:
        """Make ``systemctl restart UNIT``, by root."""
        return _systemctl("restart", unit)

    def start(self, service: Service, unit: str, facts: Facts) -> Command:
        """Make ``systemctl start UNIT``, by root."""
        return _systemctl("start", unit)

    def gentler(self, service: Service, unit: str, facts: Facts, *, ever: bool = False) -> Mapping[Action, Command]:
        """Offer to have systemd read changed files, and to have a unit that can be reloaded reload itself."""
        units = Units.of(self.name, facts)
        return units.gentler(unit, lambda *words: Command(("systemctl", *words), "root"), ever=ever)

    def signs(self, service: Service, facts: Facts) -> tuple[Sign, ...]:
        """Give what systemd itself says of the unit: changed files, failures, restarts of its own."""
        return Units.of(self.name, facts).signs(service, facts)

    def mark(self, identity: tuple[str, ...]) -> tuple[str, ...]:
        return mark(identity)


def _systemctl(what: str, unit: str) -> Command:
    if not unit.endswith(".service"):
        raise Refused(
            f"{unit} is no .service of systemd's.",
            code="no_restart",
            next_step="Name the service in the registry, then ask again.",
        )
    return Command(("systemctl", what, unit), "root")


def _unit_of(cgroup: str) -> str | None:
    """Return the service that a control group belongs to, as systemd reckons: its first part that is no slice."""
    first = next((part for part in cgroup.split("/") if part and not part.endswith(".slice")), "")
    return first if first.endswith(".service") and not first.startswith("user@") else None


MANAGER = Systemd()
