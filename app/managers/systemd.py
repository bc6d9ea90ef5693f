"""systemd, the system's own: services that are units, by their control group.

It does not speak for a user's units (``systemd-user``), nor for sessions and other scopes, in which processes were
started by hand. What is believed: the kernel's control group of the process, where systemd's own list gives that
group to that unit. Seen on Debian 12: a restart changes ``InvocationID`` and the main process, never ``NRestarts``;
``restart`` of a unit that is down starts it, and of a mistyped instance of a template starts something new (so only a
live main process proves a unit); while systemd itself holds a socket for a service, that service need not run.
"""

from collections.abc import Mapping

from app.core.errors import Refused
from app.core.facts import Facts, Process, Record
from app.core.manager import Action, Command, Found, Lookup, Missing, Nearness, Owner, Unseen
from app.core.service import Problem, Service
from app.core.verdict import Sign
from app.managers._near import near

_KINDS = ("service", "socket", "device", "mount", "automount", "swap", "target", "path", "timer", "slice", "scope")
_ALIVE = frozenset({"active", "activating", "reloading", "deactivating", "refreshing"})

_SHELL = r"""
af_watch systemd
facts_systemd() {
    if [ ! -d /run/systemd/system ]; then
        awk "$AF_AWK"'BEGIN { rec("systemd.manager"); put("state", "absent"); done() }'
        return
    fi
    awk "$AF_AWK"'
    BEGIN {
        NAMES = "Id id Names names LoadState load ActiveState active SubState sub Result result Type type " \
            "MainPID pid ControlGroup cgroup InvocationID invocation NRestarts restarts User user " \
            "WorkingDirectory dir FragmentPath fragment " \
            "DropInPaths dropins UnitFileState enabled NeedDaemonReload reload RefuseManualStart refuse-start " \
            "RefuseManualStop refuse-stop TriggeredBy triggered-by Triggers triggers Listen listen " \
            "EnvironmentFiles environment ExecStartPre run ExecStart run ExecStartPost run ExecStop run " \
            "ExecStopPost run"
        count = split(NAMES, word, " ")
        for (i = 1; i < count; i += 2) {
            field[word[i]] = word[i + 1]
            properties = properties (i > 1 ? "," : "") word[i]
        }
        KINDS = "[.](service|socket|device|mount|automount|swap|target|path|timer|slice|scope)$"
        claimed = claims()
        for (i = 1; i <= claimed; i++) ask(claim_unit[i])
        if (ENVIRON["AF_VERB"] == "probe") {
            count = split(ENVIRON["AF_CGROUPS"], path, NEWLINE)
            for (i = 1; i <= count; i++) ask(unit_of(path[i]))
            if (holds_for_others()) asked = asked " \"*.socket\""
        }
        show()
        read_times()
        for (i = 1; i <= units; i++) say_unit(i)
        for (i = 1; i <= claimed; i++) say_claim(i)
        if (unknown && ENVIRON["AF_VERB"] == "probe") say_names()
    }

    # Whether systemd itself holds one of the ports in question, for a service that it starts when somebody connects.
    function holds_for_others(    count, line, word, i) {
        count = split(ENVIRON["AF_HOLDERS"], line, NEWLINE)
        for (i = 1; i <= count; i++) {
            split(line[i], word, " ")
            if (word[2] == 1 && is_in_question(word[1])) return 1
        }
        return 0
    }

    function is_in_question(port,    count, claim, word, i) {
        count = split(ENVIRON["AF_ALL_CLAIMS"], claim, NEWLINE)
        for (i = 1; i <= count; i++) { split(claim[i], word, " "); if (index("," word[7] ",", "," port ",")) return 1 }
        return !count
    }

    function ask(name) {
        if (name == "" || name ~ /%/ || name in is_asked) return
        is_asked[name] = 1
        asked = asked " " quoted(name)
    }

    # The unit of a control group: its first part that is no slice. What is under user@ is another systemd, not this.
    function unit_of(path,    part, parts, i) {
        parts = split(path, part, "/")
        for (i = 2; i < parts && part[i] ~ /\.slice$/; i++) ;
        return part[i] ~ /\.service$/ && part[i] !~ /^user@/ ? part[i] : ""
    }

    function show(    command, line, cut, key, text) {
        if (asked == "") return
        command = "exec timeout 5 systemctl --no-pager --no-ask-password show -p " properties " --" asked " 2>&1"
        units = 1
        while ((command | getline line) > 0) {
            if (line == "") { if (has[units]) units++; continue }
            cut = index(line, "=")
            key = substr(line, 1, cut - 1)
            if (!(key in field)) { if (!cut || line !~ /^[A-Z][A-Za-z]*=/) complaint = line; continue }
            key = field[key]
            has[units] = 1
            text = substr(line, cut + 1)
            unit[units, key] = unit[units, key] (unit[units, key] == "" ? "" : NEWLINE) text
        }
        if (close(command) != 0 && complaint == "") complaint = "it did not answer within 5 seconds"
        if (!has[units]) units--
        for (i = 1; i <= units; i++) {
            cut = split(unit[i, "names"], word, " ")
            for (key = 1; key <= cut; key++) number[word[key]] = i
            number[unit[i, "id"]] = i
        }
        if (complaint != "" && !units) blind("systemctl", complaint, "systemd")
    }

    # When the files of the claimed units last changed: an edited unit is not the one that was proved.
    function read_times(    i, n, count, list, line, command, path, cut) {
        for (i = 1; i <= claimed; i++) {
            if (!(n = unit_number(claim_unit[i]))) continue
            count = split(unit[n, "fragment"] " " unit[n, "dropins"], path, " ")
            for (; count > 0; count--) list = list " " quoted(path[count])
        }
        if (list == "") return
        command = "exec stat -L -c \"%Y %n\"" list " 2>/dev/null"
        while ((command | getline line) > 0) {
            cut = index(line, " ")
            changed[substr(line, cut + 1)] = substr(line, 1, cut - 1)
        }
        close(command)
    }

    function unit_number(name,    full) {
        full = name
        if (name !~ KINDS) full = name ".service"
        return number[full]
    }

    function say_unit(n,    i, count, word) {
        if (unit[n, "id"] in said) return
        said[unit[n, "id"]] = 1
        rec("systemd.unit")
        count = split(NAMES, word, " ")
        for (i = 2; i <= count; i += 2)
            if (word[i] !~ /^(environment|run)$/ && unit[n, word[i]] != "") put(word[i], unit[n, word[i]])
        done()
    }

    function say_claim(i,    n, count, path, service, newest) {
        service = claim_service[i]
        n = unit_number(claim_unit[i])
        if (!n) return
        if (unit[n, "load"] == "not-found") { unknown = 1; return }
        identity(service, "unit " enc(unit[n, "id"]) " " unit[n, "active"] "/" unit[n, "sub"])
        if (unit[n, "invocation"] != "") identity(service, "invocation " unit[n, "invocation"])
        identity_pid(service, unit[n, "pid"])
        count = split(unit[n, "fragment"] " " unit[n, "dropins"], path, " ")
        for (; count > 0; count--) {
            if (!(path[count] in changed)) continue
            identity(service, "fragment " enc(path[count]) " " changed[path[count]])
            guard(service, path[count])
            if (changed[path[count]] > newest) newest = changed[path[count]]
        }
        if (ENVIRON["AF_VERB"] != "probe") return
        rec("systemd.claim"); put("service", service); put("id", unit[n, "id"]); put("files-at", newest); done()
        if (unit[n, "user"] != "" && unit[n, "user"] != "root") return
        # Root runs it: so what it runs and reads has to be safe from others. `{ path=/x ; argv[]=/x /etc/x.conf ; … }`
        count = split(unit[n, "environment"] NEWLINE unit[n, "run"], path, /[ \n]/)
        for (; count > 0; count--) { sub(/^(path|argv\[\])=/, "", path[count]); guard(service, path[count]) }
    }

    # Only where a claimed name is unknown: what names there are, so that a person can be asked which was meant. The
    # folders are read here: `list-unit-files` makes systemd read every file, which takes it half a second.
    function say_names(    command, line, word, names, seen) {
        command = "cd /; exec 2>/dev/null; ls etc/systemd/system run/systemd/system usr/local/lib/systemd/system " \
            "usr/lib/systemd/system; exec timeout 5 systemctl --no-pager --no-legend --plain --full list-units --all " \
            "\"*.service\""
        while ((command | getline line) > 0 && length(names) < 60000) {
            split(line, word, " ")
            if (word[1] !~ /^[!-~]+\.service$/ || word[1] in seen) continue
            seen[word[1]] = 1
            names = names (names == "" ? "" : "%20") enc(word[1])
        }
        close(command)
        rec("systemd.names"); put_escaped("list", names); done()
    }'
}
"""


class Systemd:
    """The system's systemd."""

    name = "systemd"
    label = "systemd"
    is_driven = True
    is_claimable = True
    is_by_hand = False
    privilege = "None to look a unit up; root to see who holds a port, and to restart."
    shell = _SHELL

    def problems(self, service: Service) -> list[Problem]:
        """Say what in a claim is no unit that a restart could be proved of."""
        name, _, kind = service.unit.rpartition(".")
        found = []
        if "/" in service.unit or service.unit.partition("@")[2] == ".service" or service.unit.endswith("@"):
            found.append(Problem("unit", "name one unit; of a template one instance, such as gui@5061.service"))
        elif name and kind in _KINDS and kind != "service":
            found.append(Problem("unit", f"a {kind} has no process of its own that could be proved: name the .service"))
        if service.config is not None:
            found.append(Problem("config", "systemd has no configuration file of its own: leave it out"))
        if service.start and "@" in service.unit:
            found.append(Problem("start", "any instance of a template can be started, a mistyped one too: not allowed"))
        return found

    def recognise(self, chain: tuple[Process, ...], port: int | None, facts: Facts) -> Owner | None:
        """Say which unit's control group the process is in, or for which unit systemd itself holds the port."""
        if chain[0].pid == 1:
            return None if port is None else self._handing_over(port, facts)
        name = _unit_of(chain[0].cgroup)
        if name is None:
            return None
        unit = _unit(name, facts)
        main = unit.number("pid") if unit else 0
        depth = next((index for index, process in enumerate(chain) if process.pid == main), len(chain))
        group = unit.get("cgroup") if unit else ""
        is_listed = group != "" and (chain[0].cgroup + "/").startswith(group + "/")
        return Owner(
            manager=self.name,
            unit=unit.get("id") if unit else None,
            nearness=Nearness.UNIT,
            depth=depth,
            main=main or None,
            is_believed=is_listed and unit is not None and unit.get("active") in _ALIVE,
            evidence=f"control group of {name}" + (f" → main process {main}" if main else ""),
        )

    def _handing_over(self, port: int, facts: Facts) -> Owner | None:
        for socket in facts.records("systemd.unit"):
            if port not in _ports(socket):
                continue
            service = _unit(socket.get("triggers").split(" ")[0], facts)
            main = service.number("pid") if service else 0
            owner = service if service and main else socket
            return Owner(
                manager=self.name,
                unit=owner.get("id"),
                nearness=Nearness.UNIT,
                depth=0,
                main=main or None,
                is_believed=True,
                evidence=f"systemd holds it for {socket.get('id')}, which starts {socket.get('triggers') or 'nothing'}",
            )
        return None

    def find(self, service: Service, facts: Facts) -> Lookup:
        """Look a unit up in systemd's own list. While it runs, the ports that systemd holds for it are its own."""
        if any(record.get("state") == "absent" for record in facts.records("systemd.manager")):
            return Missing()
        unit = _unit(service.unit, facts)
        if unit is None:
            return Unseen("systemctl did not tell of the unit", "Look on the host whether `systemctl show` answers.")
        if unit.get("load") == "not-found":
            names = [name for record in facts.records("systemd.names") for name in record.get("list").split(" ")]
            return Missing(near(_full(service.unit), names))
        main = unit.number("pid")
        units = facts.records("systemd.unit")
        sockets = [each for each in units if unit.get("id") in each.get("triggers").split(" ")]
        return Found(
            unit=unit.get("id"),
            state=f"{unit.get('active')}/{unit.get('sub')}",
            main=(main,) if main else (),
            ports=tuple(sorted({port for socket in sockets for port in _ports(socket)})) if main else (),
            user=unit.get("user") or None,
            path=unit.get("dir") or None,
            obstacle=_obstacle(unit),
        )

    def restart(self, service: Service, unit: str, facts: Facts) -> Command:
        """Make ``systemctl restart UNIT``, by root."""
        return _systemctl("restart", unit)

    def start(self, service: Service, unit: str, facts: Facts) -> Command:
        """Make ``systemctl start UNIT``, by root."""
        return _systemctl("start", unit)

    def gentler(self, service: Service, unit: str, facts: Facts) -> Mapping[Action, Command]:
        return {}

    def signs(self, service: Service, facts: Facts) -> tuple[Sign, ...]:
        """Give what systemd itself says of the unit: changed files, failures, restarts of its own."""
        unit = _unit(service.unit, facts)
        if unit is None:
            return ()
        signs = []
        process = facts.processes.get(unit.number("pid"))
        for claim in facts.records("systemd.claim"):
            changed = claim.number("files-at")
            if claim.get("service") == service.name and process and changed > process.started_at:
                signs.append(Sign("unit", f"the files of {unit.get('id')} changed after its process started", changed))
        if unit.get("reload") == "yes":
            signs.append(
                Sign(
                    "daemon-reload",
                    f"systemd has not read the changed files of {unit.get('id')} yet: a restart alone "
                    "would still use the old ones (systemctl daemon-reload)",
                )
            )
        if (restarts := unit.number("restarts")) > 0:
            signs.append(Sign("restarts", f"systemd has restarted it {restarts} times by itself"))
        if unit.get("result") not in {"", "success"}:
            signs.append(Sign("result", f"its last run ended with {unit.get('result')}"))
        return tuple(signs)

    def mark(self, identity: tuple[str, ...]) -> tuple[str, ...]:
        """Return the line of the InvocationID: systemd makes a new one for each start, whatever started it."""
        return tuple(line for line in identity if line.startswith("invocation "))


def _full(name: str) -> str:
    return name if name.rpartition(".")[2] in _KINDS and "." in name else f"{name}.service"


def _systemctl(what: str, unit: str) -> Command:
    if not unit.endswith(".service"):
        raise Refused(
            f"{unit} is no .service of systemd's.",
            code="no_restart",
            next_step="Name the service in the registry, then ask again.",
        )
    return Command(("systemctl", what, unit), "root")


def _unit(name: str, facts: Facts) -> Record | None:
    """Find a unit by any of its names: an alias leads to the unit itself."""
    full = _full(name)
    units = facts.records("systemd.unit")
    return next((unit for unit in units if full == unit.get("id") or full in unit.get("names").split(" ")), None)


def _unit_of(cgroup: str) -> str | None:
    """Return the service that a control group belongs to, as systemd reckons: its first part that is no slice."""
    first = next((part for part in cgroup.split("/") if part and not part.endswith(".slice")), "")
    return first if first.endswith(".service") and not first.startswith("user@") else None


def _ports(socket: Record) -> set[int]:
    """Read the ports of ``Listen=127.0.0.1:5059 (Stream)`` and ``[::]:80 (Stream)``."""
    found = set()
    for line in socket.get("listen").splitlines():
        address, _, kind = line.partition(" ")
        port = address.rpartition(":")[2]
        if kind == "(Stream)" and port.isdecimal() and not address.startswith("/"):
            found.add(int(port))
    return found


def _obstacle(unit: Record) -> str:
    if unit.get("load") == "masked":
        return "it is masked: systemd refuses to start it"
    if unit.get("load") != "loaded":
        return f"systemd could not load it ({unit.get('load')})"
    if unit.get("refuse-start") == "yes" or unit.get("refuse-stop") == "yes":
        return "its unit file refuses a restart by hand (RefuseManualStart or RefuseManualStop)"
    if unit.get("type") == "oneshot":
        return "it runs once and ends (Type=oneshot): no process stays that could be proved"
    return ""


MANAGER = Systemd()
