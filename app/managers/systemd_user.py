"""systemd --user: a user's own service manager, and the units that it runs as that user.

It speaks only for processes of that user. A user can make control groups by hand inside of his own slice, and can move
his systemd's socket aside and answer in its place. So what is believed is: the process that PID 1 says is the main one
of ``user@UID.service``, of that user, from root's program file; asked over a socket that the kernel says this very
process listens on, in the folder of ``/run/user`` that root made; which lists the unit with the control group that the
process is in, and is above it.

It is asked as the user, with ``XDG_RUNTIME_DIR``: ``systemctl --user -M USER@`` would leave a dbus-daemon behind. A
user who does not linger has a systemd only while signed in; without one nothing can be looked up or started, which is
not the same as a unit that does not exist.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from app.core.errors import Refused
from app.core.facts import Facts, Process, Record
from app.core.manager import Action, Command, Found, Lookup, Manager, Nearness, Owner, Unseen
from app.core.service import Problem, Service
from app.core.verdict import Sign
from app.managers._processes import above, described, is_roots_program, named, runs
from app.managers._systemd import Units, mark, problems

# …/user@1000.service/app.slice/gui.service, or below it where the unit has groups of its own
UNIT = re.compile(r"/user@(\d+)\.service/(?:[^/]+\.slice/)*([^/]+\.(?:service|scope))(?:/|$)")

SHELL = r"""
af_watch systemd
facts_systemd_user() {
    case $AF_CLAIMS$AF_CGROUPS in '') return ;; *user@* | [!/]*) ;; *) return ;; esac
    for person in $(systemd_user_people | sort -u); do
        af_user "$person" && systemd_user_of
    done
}

# The users that claims name, and those in whose part of the control groups the processes in question are.
systemd_user_people() {
    printf '%s\n' "$AF_CLAIMS" | cut -d ' ' -f 3
    [ "$AF_VERB" = probe ] || return
    printf '%s\n' "$AF_CGROUPS" | sed -n 's|.*/user@\([0-9]\{1,10\}\)\.service\(/.*\)*$|\1|p' | sort -u |
        xargs getent passwd | cut -d : -f 1
}

systemd_user_of() {
    place=/run/user/$AF_USER_UID linger=no own=no why=''
    daemon=$(af_limit systemctl show -p MainPID --value "user@$AF_USER_UID.service")
    case $daemon in *[!0-9]* | '') daemon=0 ;; esac
    [ ! -e "/var/lib/systemd/linger/$AF_USER" ] || linger=yes
    if [ "$daemon" = 0 ]; then why='it does not run'
    elif [ "$AF_NAME" = "$AF_USER" ]; then words=''
    elif [ "$AF_UID" != 0 ]; then why="$AF_NAME may not ask it"
    else words=$(af_switch) || why='there is no tool to become that user (setpriv or runuser)'
    fi
    [ -n "$why" ] || why=$(systemd_user_strange)
    SYSTEMD_OF=$AF_USER SYSTEMD_PID=$daemon SYSTEMD_UID=$AF_USER_UID SYSTEMD_LINGER=$linger SYSTEMD_WHY=$why \
        awk "$AF_AWK"'BEGIN {
            rec("systemd-user.manager"); put("of", ENVIRON["SYSTEMD_OF"]); put("uid", ENVIRON["SYSTEMD_UID"])
            if (ENVIRON["SYSTEMD_PID"] > 0) put("pid", ENVIRON["SYSTEMD_PID"])
            put("linger", ENVIRON["SYSTEMD_LINGER"]); put("why", ENVIRON["SYSTEMD_WHY"])
            done()
        }'
    [ -z "$why" ] || return 0
    words="$words env XDG_RUNTIME_DIR=$place systemctl --user"
    listing="$words --no-pager --no-legend --plain --full"
    SYSTEMD_KIND=systemd-user SYSTEMD_OF=$AF_USER SYSTEMD_PID=$daemon SYSTEMD_BASE="/user@$AF_USER_UID.service" \
        SYSTEMD_CONTROL=$words \
        SYSTEMD_NAMES="exec 2>/dev/null; timeout 5 $listing list-unit-files '*.service'
            exec timeout 5 $listing list-units --all '*.service'" awk "$AF_AWK$SYSTEMD_AWK"
}

# Why the socket that systemctl would ask is not the one of the user's systemd; nothing where it is. The kernel tells
# the file that each listening socket was bound to, wherever that was moved to since: it has to be the very file, and
# the socket one that this process holds. A path may hold anything, whole lines of ours too: then one socket is there
# twice.
systemd_user_strange() {
    if ! command -v ss >/dev/null; then
        echo 'without ss (iproute2) nobody can tell whether it is the one that answers'
        return
    fi
    file=$(stat -c '%i %d' "$place/systemd/private") || file='0 0'
    {
        ls -ln "/proc/$daemon/fd"
        ss -Hxle
    } | SYSTEMD_FILE="$file $(stat -c %u "$place" "${place%/*}" | tr '\n' ' ')" SYSTEMD_UID=$AF_USER_UID awk '
        BEGIN {
            split(ENVIRON["SYSTEMD_FILE"], file, " ")
            # The number of the device is the one of programs; ss takes the one of the kernel for such a number.
            device = int(file[2] / 256) % 4096 * 1048576 + file[2] % 256 + int(file[2] / 1048576) * 256
            wanted = "ino:" file[1] " dev:" int(device / 256) % 4096 "/" device % 256 + int(device / 1048576) * 256
        }
        split($0, part, " -> ") == 2 && part[2] ~ /^socket:\[[0-9]+\]$/ { holds[part[2]] = 1; next }
        match($0, / [0-9]+ \* 0 .*ino:[0-9]+ dev:[0-9]+\/[0-9]+ peers:[ 0-9]*$/) {
            split(substr($0, RSTART + 1), word, " ")
            seen[word[1]]++
            if (substr($0, RSTART) ~ ("[ >]" wanted " peers:[ 0-9]*$")) { listens = word[1]; bound++ }
        }
        END {
            if (bound != 1 || seen[listens] != 1 || !(("socket:[" listens "]") in holds) ||
                file[3] != ENVIRON["SYSTEMD_UID"] || file[4] != 0) print "somebody else may answer on its socket"
        }'
}
"""


class SystemdUser(Manager):
    """A user's systemd."""

    name = "systemd-user"
    label = "systemd --user"
    is_driven = True
    shell = SHELL

    def problems(self, service: Service) -> list[Problem]:
        """Say what in a claim is no unit of a user that a restart could be proved of."""
        found = problems(service)
        if service.user is None:
            found.append(Problem("user", "every user has a systemd of their own: name the user whose unit it is"))
        return found

    def recognise(self, chain: tuple[Process, ...], port: int | None, facts: Facts) -> Owner | None:
        """Say which unit of a user the process is in by its control group, or his systemd holds the port for."""
        first = chain[0] if chain else None
        for manager in facts.records("systemd-user.manager"):
            if first is not None and port is not None and first.pid == manager.number("pid"):
                owner = Units.of(self.name, facts, manager.get("of")).handing_over(port)
                return owner and replace(owner, is_believed=not _distrust(manager, facts))
        here = UNIT.search(first.cgroup) if first else None
        if here is None or here[2] == "init.scope":
            return None
        known = next((each for each in facts.records("systemd-user.manager") if each.get("uid") == here[1]), None)
        if known is None or Units.of(self.name, facts, known.get("of")).unit(here[2]) is None:
            return _unasked(chain, here)
        owner = Units.of(self.name, facts, known.get("of")).owner(here[2], chain)
        is_below = any(each.pid == known.number("pid") for each in chain[1:])
        is_own = is_below and str(chain[0].uid) == here[1] and not _distrust(known, facts)
        evidence = f"systemd {known.get('pid')} of {known.get('of')} → {owner.evidence}"
        return replace(owner, is_believed=owner.is_believed and is_own, evidence=evidence)

    def find(self, service: Service, facts: Facts) -> Lookup:
        """Look a unit up in the list of the user's own systemd."""
        user = service.user or "nobody"
        known = next((each for each in facts.records("systemd-user.manager") if each.get("of") == user), None)
        if known is None:
            return Unseen(f"the host tells of no user {user}", "Look which user's unit it is, and name that user.")
        if not known.number("pid"):
            step = (
                f"Let {user} sign in on the host, or let root run `loginctl enable-linger {user}` there (its units then"
                " run from boot on); then ask again."
            )
            return Unseen(f"{user} has no systemd running: it runs while {user} is signed in, or lingers", step)
        if why := _distrust(known, facts):
            step = "Let Askfirst's user become root there (`sudo: true` for the host), or ask an administrator of it."
            return Unseen(f"the systemd of {user} is not proved: {why}", step)
        found = Units.of(self.name, facts, user).look_up(service.unit)
        if not isinstance(found, Found):
            return found
        ends = "" if known.get("linger") == "yes" else f", until {user}'s last login ends (no lingering)"
        return replace(found, state=f"{found.state}{ends}", user=user)

    def restart(self, service: Service, unit: str, facts: Facts) -> Command:
        """Make ``systemctl --user restart UNIT``, by the user whose unit it is."""
        return _systemctl(service)("restart", unit)

    def start(self, service: Service, unit: str, facts: Facts) -> Command:
        """Make ``systemctl --user start UNIT``, by the user whose unit it is."""
        return _systemctl(service)("start", unit)

    def gentler(self, service: Service, unit: str, facts: Facts, *, ever: bool = False) -> Mapping[Action, Command]:
        """Offer to have the user's systemd read changed files, and a unit that can be reloaded reload itself."""
        return Units.of(self.name, facts, service.user or "").gentler(unit, _systemctl(service), ever=ever)

    def signs(self, service: Service, facts: Facts) -> tuple[Sign, ...]:
        """Give what the user's systemd itself says of the unit."""
        return Units.of(self.name, facts, service.user or "").signs(service, facts)

    def mark(self, identity: tuple[str, ...]) -> tuple[str, ...]:
        return mark(identity)


def _systemctl(service: Service) -> Callable[..., Command]:
    user = service.user
    if user is None:
        raise Refused(
            f"Whose unit {service.unit} is, is not said.",
            code="no_restart",
            next_step="Name the user in the registry, then ask again.",
        )
    return lambda *words: Command(("systemctl", "--user", *words), user)


def _unasked(chain: tuple[Process, ...], here: re.Match[str]) -> Owner:
    """Name a unit by its control group alone, where the user's systemd did not tell of it: nothing is proved."""
    depth = above(chain, lambda process: process.comm == "systemd" and process.pid != 1 and runs(process, "systemd"))
    inside = [process for process in chain[:depth] if process.cgroup == chain[0].cgroup]
    manager = named(chain[depth]) if depth is not None else f"the systemd of user id {here[1]}"
    return Owner(
        manager=MANAGER.name,
        unit=here[2],
        nearness=Nearness.UNIT,
        depth=depth if depth is not None else len(chain),
        main=inside[-1].pid,
        is_believed=False,
        evidence=f"{manager} → {here[2]} by its control group → {described(inside[-1])}",
    )


def _distrust(manager: Record, facts: Facts) -> str:
    """Say why a user's systemd is not what PID 1 and the kernel say it is, empty where it is."""
    if manager.get("why"):
        return manager.get("why")
    process = facts.processes.get(manager.number("pid"))
    if process is None:
        return "its process was not there when it was looked at"
    place = f"/user@{manager.get('uid')}.service"
    if process.ppid != 1 or str(process.uid) != manager.get("uid") or not f"{process.cgroup}/".count(f"{place}/"):
        return f"process {process.pid} is not of that user, or not started by PID 1 in {place[1:]}"
    if not is_roots_program(process, "systemd"):
        return f"process {process.pid} runs no systemd from a file of root's"
    return ""


MANAGER = SystemdUser()
