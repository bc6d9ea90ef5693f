"""A service that a person restarts by hand, whatever runs it. Askfirst proves before and after, and runs nothing.

There is no name to come down from: the main processes are those that hold the claimed ports (where none is claimed,
that work in the claimed path) and descend from no other such process. ``unit`` is a label for people. Where a path
alone fits several programs, it says so instead of choosing.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from app.core.facts import Facts, Process
from app.core.manager import Action, Command, Found, Lookup, Owner, Several, Unseen
from app.core.service import Problem, Service
from app.core.verdict import Sign
from app.managers._processes import process_lines

# The same choice as in `find` below. PID 1 holds the ports of socket units, and is nobody's main process.
SHELL = r"""
facts_manual() {
  [ -n "$AF_CLAIMS" ] || return 0
  awk "$AF_AWK"'
    BEGIN {
      count = claims()
      held = split(ENVIRON["AF_HOLDERS"], holder, "\n")
      for (i = 1; i <= count; i++) {
        split("", there)
        if (claim_ports[i] != "-") by_ports(claim_ports[i])
        else if (claim_path[i] != "-") by_path(claim_path[i])
        for (pid in there) if (!is_below(pid)) identity_pid(claim_service[i], pid)
      }
    }
    function by_ports(ports,    k, word) {
      for (k = 1; k <= held; k++) {
        split(holder[k], word, " ")
        if (index("," ports ",", "," word[1] ",") && word[2] > 1) there[word[2]] = 1
      }
    }
    function by_path(path,    command, line, cut, k, word, listening, some) {
      command = "cd /proc && exec ls -ldn [0-9]*/cwd 2>/dev/null"
      while ((command | getline line) > 0) {
        cut = index(line, "/cwd -> ")
        if (!cut || substr(line, cut + 8) != path || !match(substr(line, 1, cut - 1), /[0-9]+$/)) continue
        there[substr(line, RSTART, cut - RSTART)] = 1
      }
      close(command)
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
    }'
}
"""


class Manual:
    """A person."""

    name = "manual"
    label = "a person, by hand"
    is_driven = False
    is_claimable = True
    is_by_hand = True
    privilege = "root, to see who holds a port."
    shell = SHELL

    def problems(self, service: Service) -> list[Problem]:
        found: list[Problem] = []
        if not service.ports and service.path is None:
            found.append(Problem("ports", "a manual service is found by its ports, or by its path: name one of them"))
        if service.config is not None:
            found.append(Problem("config", "a person needs no manager's configuration file: leave it out"))
        return found

    def recognise(self, chain: tuple[Process, ...], port: int | None, facts: Facts) -> Owner | None:
        return None

    def find(self, service: Service, facts: Facts) -> Lookup:
        held = [listener for listener in facts.listeners if listener.port in service.ports]
        hidden = next((listener.port for listener in held if not listener.pids), None)
        if hidden is not None:
            step = "Let Askfirst's user run the gate as root (`sudo: true` for the host)."
            return Unseen(f"who holds port {hidden} could not be seen", step)
        if service.ports:
            main = _topmost({pid for listener in held for pid in listener.pids if pid > 1}, facts)
        else:
            main = _topmost(_working_in(service.path, facts), facts)
            if len(main) > 1:
                return Several(tuple(f"{facts.processes[pid].comm} {pid}" for pid in main))
        return Found(unit=service.unit, state="running" if main else "not running", main=main)

    def restart(self, service: Service, unit: str, facts: Facts) -> Command:
        return Command((), "-")

    def start(self, service: Service, unit: str, facts: Facts) -> Command:
        return self.restart(service, unit, facts)

    def gentler(self, service: Service, unit: str, facts: Facts) -> Mapping[Action, Command]:
        return {}

    def signs(self, service: Service, facts: Facts) -> tuple[Sign, ...]:
        return ()

    def mark(self, identity: tuple[str, ...]) -> tuple[str, ...]:
        return process_lines(identity)


def _working_in(path: str | None, facts: Facts) -> AbstractSet[int]:
    there = {process.pid for process in facts.processes.values() if path is not None and process.cwd == path}
    return {pid for listener in facts.listeners for pid in listener.pids if pid in there} or there


def _topmost(pids: AbstractSet[int], facts: Facts) -> tuple[int, ...]:
    return tuple(sorted(pid for pid in pids if not pids & {above.pid for above in facts.chain(pid)[1:]}))


MANAGER = Manual()
