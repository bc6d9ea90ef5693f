"""supervisor: a supervisord and the programs that it started as its children.

It knows the system's supervisord, and others by the ``config`` of a claim; one that no claim names is recognised and
not believed. What is believed: a supervisord whose executable is root's or its own user's, that answers on the socket
its configuration names (which nobody else could have put there), with its own pid, and lists the child; one that is
not root's speaks only for processes of its own user. Seen with 4.2 and 4.3: the group is part of a name (``lab:pypnm-
gui``, where they differ); a program's pid and start time tell a new incarnation; ``restart`` does not read a changed
configuration.
"""

from collections.abc import Mapping

from app.core.facts import Facts, Process, Record
from app.core.manager import Action, Command, Found, Lookup, Missing, Nearness, Owner, Unseen
from app.core.service import Problem, Service
from app.core.verdict import Sign
from app.managers._near import near
from app.managers._processes import above, described, process_lines

_SHELL = r"""
af_watch supervisord
facts_supervisor() {
    # The places where supervisorctl looks when it is told none, in its order.
    for default in /usr/local/etc/supervisord.conf /etc/supervisord.conf /etc/supervisor/supervisord.conf ''; do
        [ -f "$default" ] && break
    done
    configs=$(printf '%s\n' "$AF_CLAIMS" | cut -d ' ' -f 5 | sort -u)
    case $AF_VERB$AF_NEWLINE$configs$AF_NEWLINE in
    probe* | *"$AF_NEWLINE-$AF_NEWLINE"*) supervisor_of "$default" yes ;;
    esac
    for config in $configs; do
        [ "$config" = - ] || [ "$config" = "$default" ] || supervisor_of "$config" no
    done
}

# One supervisord, by its configuration: asked over its socket (by curl, or python3), else through supervisorctl.
supervisor_of() {
    config=$1 is_default=$2
    if [ ! -f "$config" ] || [ ! -r "$config" ]; then
        supervisor_blind "$AF_NAME finds no configuration of its that can be read"
        return
    fi
    socket=$(timeout 5 awk -v here="${config%/*}" "$SUPERVISOR_SOCKET_AWK" "$config")
    answer='' by=''
    if [ -z "$socket" ]; then
        :
    elif command -v curl >/dev/null; then
        by=curl
        answer=$(supervisor_question | af_limit curl -sS --noproxy '*' --unix-socket "$socket" \
            -H 'Content-Type: text/xml' --data-binary @- http://localhost/RPC2 2>&1) || answer="$? $answer"
    elif command -v python3 >/dev/null; then
        by=python3
        answer=$(supervisor_question |
            af_limit python3 -I -S -c "$SUPERVISOR_PYTHON" "$socket" 2>&1) || answer="$? $answer"
    fi
    case $answer in
    *'<methodResponse>'*) ;;
    '124 '*)
        supervisor_blind "it did not answer $AF_NAME within 5 seconds"
        return
        ;;
    *)
        # Its code may be read from where the configuration says: so never as anyone but the configuration's owner.
        by=supervisorctl owner=$(stat -c %U "$config") complaint=$answer
        answer=$(af_as "$owner" supervisorctl -c "$config" status 2>&1
            printf 'pid ' && af_as "$owner" supervisorctl -c "$config" pid 2>&1)
        case $answer in
        *"${AF_NEWLINE}pid "[1-9]*) ;;
        *)
            supervisor_blind "it did not answer $AF_NAME: ${complaint:-$answer}"
            return
            ;;
        esac
        ;;
    esac
    # The first number is what getPID answered; supervisorctl's stands behind the last `pid`.
    case $by in
    supervisorctl) daemon=${answer##*"${AF_NEWLINE}pid "} ;;
    *) daemon=${answer#*<int>} daemon=${daemon%%<*} ;;
    esac
    case $daemon in *[!0-9]*) daemon=0 ;; esac
    {
        stat -L -c 'file %u %a %Y %n' "$config" "/proc/$daemon" ${socket:+"$socket" "${socket%/*}"}
        printf '%s\n' "$answer"
    } | SUPERVISOR_CONFIG=$config SUPERVISOR_SOCKET=$socket SUPERVISOR_BY=$by SUPERVISOR_PID=$daemon \
        SUPERVISOR_DEFAULT=$is_default awk "$AF_AWK$SUPERVISOR_AWK"
}

# Says it of the services that this supervisord is claimed to run, and not of those of another.
supervisor_blind() {
    SUPERVISOR_CONFIG=$config SUPERVISOR_DEFAULT=$is_default SUPERVISOR_WHY=$1 awk "$AF_AWK$SUPERVISOR_BLIND_AWK"
}

SUPERVISOR_BLIND_AWK='
BEGIN {
    config = ENVIRON["SUPERVISOR_CONFIG"]
    what = "supervisord" (config == "" ? "" : " of " config)
    claimed = claims()
    for (i = 1; i <= claimed; i++) {
        if (claim_config[i] != config && (claim_config[i] != "-" || ENVIRON["SUPERVISOR_DEFAULT"] != "yes")) continue
        blind(what, ENVIRON["SUPERVISOR_WHY"], claim_service[i])
    }
    if (!claimed && config != "") blind(what, ENVIRON["SUPERVISOR_WHY"], "supervisor")
}
'

supervisor_question() {
    printf '%s' '<methodCall><methodName>system.multicall</methodName><params><param><value><array><data>'
    for method in getPID getAllProcessInfo; do
        printf '<value><struct>%s<value><string>supervisor.%s</string></value></member>%s</struct></value>' \
            '<member><name>methodName</name>' "$method" \
            '<member><name>params</name><value><array><data></data></array></value></member>'
    done
    printf '%s' '</data></array></value></param></params></methodCall>'
}

SUPERVISOR_SOCKET_AWK='
/^\[/ { section = $0; sub(/\].*/, "]", section) }
section != "[unix_http_server]" { next }
/^file[ \t]*=/ {
    sub(/^[^=]*=[ \t]*/, ""); sub(/[ \t]+;.*/, ""); sub(/[ \t]+$/, ""); sub(/%\(here\)s/, here)
    file = $0
}
/^(username|password)[ \t]*=/ { locked = 1 }
END { if (!locked && file ~ /^\/[A-Za-z0-9\/._-]+$/) print file }
'

SUPERVISOR_PYTHON='
import socket, sys
asked = sys.stdin.buffer.read()
line = socket.socket(socket.AF_UNIX)
line.settimeout(5)
line.connect(sys.argv[1])
line.sendall(b"POST /RPC2 HTTP/1.0\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n" % len(asked) + asked)
sys.stdout.buffer.write(b"".join(iter(lambda: line.recv(65536), b"")))
'

SUPERVISOR_AWK='
# How the files stand first, then the answer, of which no line looks so: XML begins by "<", a status by a name and its
# state.
/^file [0-9]+ [0-7]+ [0-9]+ \// && text == "" { owner[$5] = $2; mode[$5] = $3; changed[$5] = $4; next }
{ text = text $0 NEWLINE }

END {
    config = ENVIRON["SUPERVISOR_CONFIG"]
    daemon = ENVIRON["SUPERVISOR_PID"]
    if (ENVIRON["SUPERVISOR_BY"] == "supervisorctl") from_status(); else from_answer()
    look_at_files()
    rec("supervisor.daemon")
    put("config", config); put("default", ENVIRON["SUPERVISOR_DEFAULT"]); put("pid", daemon)
    put("socket", ENVIRON["SUPERVISOR_SOCKET"]); put("is-own", is_own); put("by", ENVIRON["SUPERVISOR_BY"])
    done()
    for (i = 1; i <= programs; i++) {
        rec("supervisor.program")
        put("config", config); put("name", name[i]); put("state", state[i]); put("pid", pid[i])
        put("error", error[i])
        done()
        number[name[i]] = i
        number[alias[i]] = i
    }
    claimed = claims()
    for (i = 1; i <= claimed; i++)
        if (claim_config[i] == config || claim_config[i] == "-" && ENVIRON["SUPERVISOR_DEFAULT"] == "yes") say_claim(i)
}

# The answers of getPID and getAllProcessInfo; every text in them is escaped by XML, so a tag is a tag.
function from_answer(    struct, member, i, j, members, key, value, field) {
    programs = split(text, struct, "<struct>") - 1
    for (i = 1; i <= programs; i++) {
        split("", field)
        members = split(struct[i + 1], member, "<member>")
        for (j = 2; j <= members; j++) {
            key = member[j]; sub(/^[^<]*<name>/, "", key); sub(/<.*/, "", key)
            value = member[j]; sub(/^.*<value>(<[a-z0-9]+>)?/, "", value); sub(/<\/.*/, "", value)
            field[key] = plain_text(value)
        }
        take(i, field["group"], field["name"], field["statename"], field["pid"], field["spawnerr"])
    }
}

function plain_text(value) {
    gsub(/&lt;/, "<", value); gsub(/&gt;/, ">", value); gsub(/&quot;/, "\"", value); gsub(/&amp;/, "\\&", value)
    return value
}

# The lines of `supervisorctl status`, and `pid N` behind them.
function from_status(    line, word, count, i, cut, own_name, group_name) {
    STATES = "^(RUNNING|STARTING|STOPPED|STOPPING|BACKOFF|EXITED|FATAL|UNKNOWN)$"
    count = split(text, line, NEWLINE)
    for (i = 1; i <= count; i++) {
        if (split(line[i], word, /[ ,]+/) < 2 || word[2] !~ STATES) continue
        cut = index(word[1], ":")
        own_name = substr(word[1], cut + 1)
        group_name = cut ? substr(word[1], 1, cut - 1) : own_name
        take(++programs, group_name, own_name, word[2], word[3] == "pid" ? word[4] : 0, "")
    }
}

function take(i, group_name, own_name, state_name, process, failure) {
    name[i] = group_name == own_name ? own_name : group_name ":" own_name
    alias[i] = group_name ":" own_name
    state[i] = state_name; pid[i] = process; error[i] = failure
}

# Whether the socket is the one of that daemon: of the same user, or where only that user or root puts files.
function look_at_files(    socket, folder) {
    socket = folder = ENVIRON["SUPERVISOR_SOCKET"]
    sub(/\/[^\/]*$/, "", folder)
    user = owner["/proc/" daemon]
    is_own = user == "" ? "no" : "yes"
    if (socket == "" || owner[socket] == user) return
    if (owner[folder] != 0 && owner[folder] != user || mode[folder] ~ /[2367].?$/) is_own = "no"
}

function say_claim(i,    service, n) {
    service = claim_service[i]
    if (!(claim_unit[i] in number)) return
    n = number[claim_unit[i]]
    identity(service, "program " enc(name[n]) " " enc(state[n]))
    identity(service, "config " enc(config) " " changed[config])
    identity_pid(service, pid[n])
    if (user == 0) guard(service, config)
}
'
"""


class Supervisor:
    """A supervisord."""

    name = "supervisor"
    label = "supervisor"
    is_driven = True
    is_claimable = True
    is_by_hand = False
    privilege = "root, or the user of that supervisord: its socket is closed to others."
    shell = _SHELL

    def problems(self, service: Service) -> list[Problem]:
        """Say what in a claim contradicts supervisor."""
        if service.unit.count(":") > 1 or service.unit.endswith(":"):
            return [Problem("unit", "name one program, as supervisorctl status shows it: program, or group:program")]
        return []

    def recognise(self, chain: tuple[Process, ...], port: int | None, facts: Facts) -> Owner | None:
        """Say which program of which supervisord the process descends from."""
        depth = above(chain, _is_supervisord)
        if depth is None:
            return None
        supervisord, main = chain[depth], chain[depth - 1]
        program = _program_of(main, supervisord, facts)
        return Owner(
            manager=self.name,
            unit=program.get("name") if program else None,
            nearness=Nearness.ANCESTOR,
            depth=depth,
            main=main.pid,
            is_believed=program is not None,
            evidence=f"{described(supervisord)} → {main.comm} {main.pid}",
        )

    def find(self, service: Service, facts: Facts) -> Lookup:
        """Look a program up in the list of the supervisord that the claim means."""
        daemon = _daemon(service, facts)
        if daemon is None:
            where = service.config or "the system's configuration"
            return Unseen(
                f"no supervisord of {where} answered",
                "Look on the host whether it runs, and let Askfirst's user become root there (sudo: true).",
            )
        programs = [each for each in facts.records("supervisor.program") if each.get("config") == daemon.get("config")]
        program = next((each for each in programs if service.unit in _names(each)), None)
        if program is None:
            return Missing(near(service.unit, [each.get("name") for each in programs]))
        main = program.number("pid")
        trust = _distrust(daemon, facts)
        return Found(
            unit=program.get("name"),
            state=program.get("state"),
            main=(main,) if main else (),
            obstacle=trust,
        )

    def restart(self, service: Service, unit: str, facts: Facts) -> Command:
        """Make ``supervisorctl restart UNIT``, by the user of the supervisord that was proved."""
        return _supervisorctl("restart", service, unit, facts)

    def start(self, service: Service, unit: str, facts: Facts) -> Command:
        """Make ``supervisorctl start UNIT``, by the user of the supervisord that was proved."""
        return _supervisorctl("start", service, unit, facts)

    def gentler(self, service: Service, unit: str, facts: Facts) -> Mapping[Action, Command]:
        return {}

    def signs(self, service: Service, facts: Facts) -> tuple[Sign, ...]:
        """Give what supervisor itself says: a program that fails to start, or does not stay."""
        daemon = _daemon(service, facts)
        signs = []
        for program in facts.records("supervisor.program"):
            is_it = daemon and program.get("config") == daemon.get("config") and service.unit in _names(program)
            if is_it and program.get("state") in {"BACKOFF", "FATAL", "EXITED", "UNKNOWN"}:
                why = f": {program.get('error')}" if program.get("error") else ""
                signs.append(Sign("state", f"supervisor says that it is {program.get('state')}{why}"))
        return tuple(signs)

    def mark(self, identity: tuple[str, ...]) -> tuple[str, ...]:
        """Return the lines of its processes: supervisor has no other mark of an incarnation."""
        return process_lines(identity)


def _supervisorctl(what: str, service: Service, unit: str, facts: Facts) -> Command:
    daemon = _daemon(service, facts)
    process = facts.processes.get(daemon.number("pid")) if daemon else None
    config = ("-c", service.config) if service.config else ()
    return Command(("supervisorctl", *config, what, unit), process.user if process else "root")


def _is_supervisord(process: Process) -> bool:
    """Tell by the program that its interpreter was given. Anyone can be given that: it only tells whom to ask."""
    return any(word.rsplit("/", 1)[-1] == "supervisord" for word in process.argv[:2])


def _names(program: Record) -> tuple[str, ...]:
    """Return the ways to write a program's name: supervisorctl takes ``gui`` and ``gui:gui`` alike."""
    name = program.get("name")
    return (name,) if ":" in name else (name, f"{name}:{name}")


def _daemon(service: Service, facts: Facts) -> Record | None:
    daemons = facts.records("supervisor.daemon")
    if service.config is None:
        return next((each for each in daemons if each.get("default") == "yes"), None)
    return next((each for each in daemons if each.get("config") == service.config), None)


def _distrust(daemon: Record, facts: Facts) -> str:
    """Say why a supervisord that answered is not what it says, empty where it is."""
    process = facts.processes.get(daemon.number("pid"))
    if process is None:
        return "the supervisord that answered names a process that is not there"
    if daemon.get("is-own") != "yes":
        return "anyone could have put the socket there that supervisord is reached by"
    if not _is_supervisord(process) or process.exe_uid not in {0, process.uid}:
        return f"process {process.pid} is no supervisord, or its program file belongs to someone else"
    return ""


def _program_of(main: Process, supervisord: Process, facts: Facts) -> Record | None:
    """Find the program by both ends: the child of a supervisord that is what it says, and that lists the child."""
    if supervisord.uid not in {0, main.uid}:
        return None
    for daemon in facts.records("supervisor.daemon"):
        if daemon.get("pid") != str(supervisord.pid) or _distrust(daemon, facts):
            continue
        for program in facts.records("supervisor.program"):
            if program.get("config") == daemon.get("config") and program.get("pid") == str(main.pid):
                return program
    return None


MANAGER = Supervisor()
