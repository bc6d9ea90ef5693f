"""Services that are found by where they are: for managers that keep no list by which a name could lead to a process.

The main processes are those that hold the claimed ports (where none is claimed, that work in the claimed path) and
descend from no other such process. Where a path alone fits several programs, it says so instead of choosing. Who runs
them is not told here.
"""

from collections.abc import Set as AbstractSet

from app.core.facts import Facts
from app.core.manager import Several, Unseen
from app.core.service import Problem, Service

# The same choice in the gate. PID 1 holds the ports of socket units, and is nobody's main process. `in_place(i)` puts
# the pids of claim number i in `main`, each once.
ASKING = r"""
PLACES_AWK='
function in_place(i,    pid) {
    split("", there); split("", main)
    if (claim_ports[i] != "-") by_ports(claim_ports[i])
    else if (claim_path[i] != "-") by_path(claim_path[i])
    for (pid in there) if (!is_below(pid)) main[pid] = 1
}

function by_ports(ports,    held, holder, k, word) {
    held = split(ENVIRON["AF_HOLDERS"], holder, NEWLINE)
    for (k = 1; k <= held; k++) {
        split(holder[k], word, " ")
        if (index("," ports ",", "," word[1] ",") && word[2] > 1) there[word[2]] = 1
    }
}

function by_path(path,    held, holder, command, line, cut, k, word, listening, some, pid) {
    command = "cd /proc && exec ls -ldn [0-9]*/cwd 2>/dev/null"
    while ((command | getline line) > 0) {
        cut = index(line, "/cwd -> ")
        if (!cut || substr(line, cut + 8) != path || !match(substr(line, 1, cut - 1), /[0-9]+$/)) continue
        there[substr(line, RSTART, cut - RSTART)] = 1
    }
    close(command)
    held = split(ENVIRON["AF_HOLDERS"], holder, NEWLINE)
    for (k = 1; k <= held; k++) {
        split(holder[k], word, " ")
        if (word[2] in there) { listening[word[2]] = 1; some = 1 }
    }
    if (some) { split("", there); for (pid in listening) there[pid] = 1 }
}

function is_below(pid,    stat, steps) {
    while (steps++ < 100 && read_stat(pid, stat)) {
        pid = stat[2]
        if (pid in there) return 1
    }
    return 0
}
'
"""


def problems(service: Service, whose: str) -> list[Problem]:
    """Say what is missing in a claim to find ``whose`` processes."""
    found: list[Problem] = []
    if not service.ports and service.path is None:
        found.append(Problem("ports", f"{whose} is found by its ports, or by its path: name one of them"))
    return found


def mains(service: Service, facts: Facts) -> tuple[int, ...] | Unseen | Several:
    """Return the main processes that are where the claim says."""
    held = [listener for listener in facts.listeners if listener.port in service.ports]
    hidden = next((listener.port for listener in held if not listener.pids), None)
    if hidden is not None:
        step = "Let Askfirst's user run the gate as root (`sudo: true` for the host)."
        return Unseen(f"who holds port {hidden} could not be seen", step)
    if service.ports:
        return _topmost({pid for listener in held for pid in listener.pids if pid > 1}, facts)
    main = _topmost(_working_in(service.path, facts), facts)
    if len(main) > 1:
        return Several(tuple(f"{facts.processes[pid].comm} {pid}" for pid in main))
    return main


def _working_in(path: str | None, facts: Facts) -> AbstractSet[int]:
    there = {process.pid for process in facts.processes.values() if path is not None and process.cwd == path}
    return {pid for listener in facts.listeners for pid in listener.pids if pid in there} or there


def _topmost(pids: AbstractSet[int], facts: Facts) -> tuple[int, ...]:
    return tuple(sorted(pid for pid in pids if not pids & {above.pid for above in facts.chain(pid)[1:]}))
