"""runit: one ``runsv`` for each service directory, the parent of what the directory's ``run`` became.

Seen with 2.1.2: ``sv restart`` ends the process and waits for the new one; a process that was killed is run again at
once; a restart of a service that is down starts it. ``runsv`` stands in the service's directory itself, whatever links
led it there; a ``log`` in it is a second service of the same ``runsv``. ``supervise/pid`` and ``supervise/stat`` are
its list. ``sv hup`` is no reload: what a program does at that signal, which ends most, is its own affair.
"""

from app.core.manager import Action
from app.managers._directories import Directories
from app.managers._directories_fragment import ASKING

SHELL = r"""
af_watch runsv
facts_runit() { directories_of runit runsv; }

# `1167 run`, `down`, `1167 run, got TERM, want down`, `1168 finish`.
runit_state() {
    # shellcheck disable=SC2046  # words are wanted
    set -- $(af_as "$1" cat "$2/supervise/pid" "$2/supervise/stat" 2>/dev/null | head -c 100)
    case $*:$1 in
    *[!a-zA-Z0-9,:\ ]*:* | :) ;;
    *:*[!0-9]*) echo "0 $*" ;;
    *) echo "$*" ;;
    esac
}
"""
_WAIT = "30"  # seconds; without it sv waits for 7


class Runit(Directories):
    """A runsv."""

    name = "runit"
    label = "runit"
    program = "runsv"
    shell = ASKING + SHELL

    def commands(self, action: Action, directory: str) -> tuple[str, ...]:
        return ("sv", "-w", _WAIT, action.value, directory)


MANAGER = Runit()
