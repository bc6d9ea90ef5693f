"""PM2: a user's own daemon (``PM2 v5.3.0: God Daemon (/home/node/.pm2)``), the parent of its applications.

Recognised in this version, not driven yet: only its own command-line client can ask it for its list, and that client
starts a daemon where there is none, which a probe must not. The pid files in its home name the applications. The user
can write whatever he likes there, so they name, and prove nothing.
"""

import re

from app.core.facts import Facts, Process
from app.core.service import Problem, Service
from app.managers._processes import runs
from app.managers._undriven import Supervising

# A home is of plain characters, or its pid files are not looked for. Only numbers leave the host, at most 200. They are
# the user's own words: no process is looked at because they name it, which a field called ``pid`` would ask for.
SHELL = r"""
af_watch 'PM2 v*'
facts_pm2() {
  printf '%s\n' "$AF_COMMS" | awk "$AF_AWK"'
    function home(god,  line) {
      getline line < ("/proc/" god "/cmdline"); close("/proc/" god "/cmdline")
      return match(line, /God Daemon \(\/[A-Za-z0-9@._\/+-]+\)/) ? substr(line, RSTART + 12, RLENGTH - 13) : ""
    }
    $2 ~ /^PM2%20v/ && (dir = home($1)) != "" {
      files = "timeout 3 find " dir "/pids -maxdepth 1 -type f -name \"*.pid\" -size -4 " \
        "-exec awk \"FNR == 1 { print length(FILENAME), FILENAME, \\$1 }\" {} + 2>/dev/null"
      while ((files | getline line) > 0) {
        long = line + 0; line = substr(line, length(long) + 2)
        name = substr(line, 1, long); pid = substr(line, long + 2)
        sub(/.*\//, "", name); sub(/-[0-9]+\.pid$/, "", name)
        if (pid !~ /^[0-9]+$/ || ++apps > 200) continue
        rec("pm2.app"); put("god", $1); put("name", name); put("main", pid); done()
      }
      close(files)
    }'
}
"""


class Pm2(Supervising):
    """A PM2 daemon."""

    name = "pm2"
    label = "PM2"
    privilege = "None to recognise it; root to become the user whose daemon it is."
    shell = SHELL

    def problems(self, service: Service) -> list[Problem]:
        if service.user is None:
            return [Problem("user", "every user has a PM2 of their own: name the user whose daemon it is")]
        return []

    def is_supervisor(self, process: Process) -> bool:
        says_so = re.match(r"PM2 v\d", process.comm) and process.argv and "God Daemon" in process.argv[0]
        return bool(says_so) and runs(process, "node", "nodejs", "bun")

    def unit_of(self, main: Process, supervisor: Process, facts: Facts) -> str | None:
        for record in facts.records("pm2.app"):
            if (record.get("god"), record.get("main")) == (str(supervisor.pid), str(main.pid)):
                return record.get("name")
        return None


MANAGER = Pm2()
