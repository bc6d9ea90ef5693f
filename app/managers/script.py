"""A script of the operator's own, run by root to restart a service. ``unit`` is its absolute path, ``args`` the words.

A script keeps no list and leaves no mark on what it started. So the processes are found by the claimed ports, or the
path, and have to be run by no manager at all: where one runs them, it and the script would fight. What is bound is the
script itself, by its SHA-256, owner and mode. It has to be a plain file that only root can write, in folders that only
root can write, run by an interpreter of root's; what it calls in turn is not looked at. Its user is claimed too: the
one thing besides port and path that the kernel vouches for.

The same argv starts the service where nothing runs. Keeps law 4: the words reach the script as an array.
"""

from app.core.facts import Facts, Process, Record
from app.core.manager import Command, Found, Lookup, Manager, Missing, Nearness, Owner, Several, Unseen
from app.core.service import PATH, Problem, Service
from app.managers import _places
from app.managers._near import near
from app.managers._processes import described, process_lines

# What a warrant says of the place where its processes were found stands in its identity: `found-by PATH PORTS`.
SHELL = r"""
facts_script() {
    [ -n "$AF_CLAIMS" ] || return 0
    [ "$AF_VERB" != restart ] || script_place
    for file in $(printf '%s\n' "$AF_UNITS" | sort -u); do script_file "$file"; done |
        awk "$AF_AWK$PLACES_AWK$SCRIPT_AWK"
}

# In a restart: the claim as it was proved, and who holds its ports now.
script_place() {
    place=${AF_WARRANTED##*"${AF_NEWLINE}found-by "}
    place=${place%%"$AF_NEWLINE"*}
    case $place in /*\ * | -\ *) ;; *) place='- -' ;; esac
    AF_CLAIMS="${AF_CLAIMS%% *} $AF_UNITS - ${place% *} - ${place#* }"
    AF_ALL_CLAIMS="${AF_CLAIMS%% *} script $AF_UNITS - ${place% *} - ${place#* }" AF_VERB=probe
    af_scan
    AF_VERB=restart
    export AF_CLAIMS
}

# `file PATH STATE UID MODE SHA256 INTERPRETER`, of a path of plain characters.
script_file() {
    owner='- -' sum=- program=-
    if [ -L "$1" ]; then state='link'
    elif [ ! -e "$1" ]; then state=missing
    elif [ ! -f "$1" ]; then state=special
    elif [ ! -r "$1" ]; then state=unread
    else
        state=plain
        [ -x "$1" ] || state=unrunnable
        owner=$(stat -c '%u %a' "$1")
        sum=$(af_limit sha256sum "$1")
        program=$(af_limit head -c 256 "$1" | awk '
            NR == 1 && sub(/^#! */, "") { print $1 ~ /\/env$/ && $2 !~ /^-/ ? $2 : $1 }
            { exit }')
        case $program in *[!A-Za-z0-9@._:/+-]* | '') program=- ;; *) program=$(command -v "$program") ;; esac
    fi
    echo "file $1 $state $owner ${sum%% *} ${program:--}"
    [ "$state" = missing ] && [ "$AF_VERB" = probe ] || return 0
    ls "${1%/*}/" | head -n 500 | while IFS= read -r name; do printf 'name %s\n' "${1%/*}/$name"; done
}

SCRIPT_AWK='
BEGIN { count = claims() }
$1 == "name" { if ($0 ~ /^name \/[!-~]+$/) names = names (names == "" ? "" : "%20") enc($2); next }
$1 == "file" {
    state[$2] = $3; line[$2] = "script " enc($2) " " $6 " " $4 " " $5; program[$2] = $7
    rec("script.file"); put("path", $2); put("state", $3); put("uid", $4); put("mode", $5); put("sha256", $6); done()
}
END {
    if (names != "") { rec("script.names"); put_escaped("list", names); done() }
    for (i = 1; i <= count; i++) {
        if (state[claim_unit[i]] ~ /^(missing|unread)$/) continue
        identity(claim_service[i], line[claim_unit[i]])
        identity(claim_service[i], "found-by " claim_path[i] " " claim_ports[i])
        guard(claim_service[i], claim_unit[i])
        guard(claim_service[i], program[claim_unit[i]])
        in_place(i)
        for (pid in main) {
            identity_pid(claim_service[i], pid)
            if (state[claim_unit[i]] != "plain") continue
            rec("script.process"); put("unit", claim_unit[i]); put("pid", pid); done()
        }
    }
}
'
"""

_STATES = {
    "link": "it is a symbolic link, which can lead elsewhere by the time that it is run: claim the file itself",
    "special": "it is no regular file",
    "unrunnable": "it is not executable",
}


class Script(Manager):
    """A script that root runs."""

    name = "script"
    label = "a script"
    is_driven = True
    takes_args = True
    shell = SHELL

    def problems(self, service: Service) -> list[Problem]:
        """Say what in a claim is no script, or would not be found."""
        found = _places.problems(service, "what a script starts")
        parts = service.unit[1:].split("/")
        if not PATH.fullmatch(service.unit) or {"", ".", ".."} & set(parts):
            found.append(Problem("unit", "the script's absolute path as the host writes it, without '..'"))
        if service.user is None:
            found.append(Problem("user", "name the user that its process runs as: a script leaves no other mark on it"))
        if service.config is not None:
            found.append(Problem("config", "a script is given arguments, and no manager's configuration: leave it out"))
        return found

    def recognise(self, chain: tuple[Process, ...], port: int | None, facts: Facts) -> Owner | None:
        """Say for which registered script a process was found. Any manager is nearer to what it runs."""
        listed = {each.number("pid"): each.get("unit") for each in facts.records("script.process")}
        depth = next((depth for depth, process in enumerate(chain) if process.pid in listed), None)
        if depth is None:
            return None
        main = chain[depth]
        return Owner(
            manager=self.name,
            unit=listed[main.pid],
            nearness=Nearness.NOBODY,
            depth=depth,
            main=main.pid,
            is_believed=True,
            evidence=f"no manager runs {described(main)}",
        )

    def find(self, service: Service, facts: Facts) -> Lookup:
        """Look at the script, and at what is where the claim says."""
        file = next((each for each in facts.records("script.file") if each.get("path") == service.unit), None)
        if file is None or file.get("state") == "unread" or (_is_there(file) and len(file.get("sha256")) != 64):
            why = "the script could not be read" if file else "the host did not tell of the script"
            return Unseen(why, "Let Askfirst's user run the gate as root (`sudo: true` for the host).")
        if file.get("state") == "missing":
            return Missing(_near(service.unit, facts))
        main = _places.mains(service, facts)
        if isinstance(main, Unseen | Several):
            return main
        return Found(
            unit=service.unit,
            state="running" if main else "not running",
            main=main,
            obstacle=_STATES.get(file.get("state"), ""),
        )

    def restart(self, service: Service, unit: str, facts: Facts) -> Command:
        """Make the script's own argv, by root."""
        return Command((unit, *service.args), "root")

    def mark(self, identity: tuple[str, ...]) -> tuple[str, ...]:
        """Return the lines of its processes: a script has no other mark of an incarnation."""
        return process_lines(identity)


def _near(path: str, facts: Facts) -> tuple[str, ...]:
    """Return like names of the same folder."""
    folder, _, name = path.rpartition("/")
    paths = [each.rpartition("/") for record in facts.records("script.names") for each in record.get("list").split(" ")]
    return tuple(f"{folder}/{each}" for each in near(name, [last for first, _, last in paths if first == folder]))


def _is_there(file: Record) -> bool:
    return file.get("state") in {"plain", "unrunnable"}


MANAGER = Script()
