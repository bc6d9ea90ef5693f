"""s6: one ``s6-supervise`` for each service directory, the parent of what the directory's ``run`` became.

Seen with 2.11: ``s6-svc -r`` returns at once, and with ``-wr`` only when the service has ended and is up again; a
process that was killed is run again at once. ``s6-svstat`` reads the supervisor's list. Root's services often run
``su``, or an s6 program that becomes the service. ``s6-svc -h`` is no reload: what a program does at that signal,
which ends most, is its own affair.
"""

from app.core.manager import Action
from app.managers._directories import Directories

SHELL = r"""
af_watch s6-supervise
facts_s6() {
    if ! command -v s6-svstat >/dev/null; then
        af_blind 's6 services' 's6-svstat is not on the PATH' s6
        return
    fi
    directories_of s6 s6-supervise
}

# pid, whether it is up, and whether it shall be: `1195 true true`, `-1 false true`.
s6_state() {
    # shellcheck disable=SC2046  # words are wanted
    set -- $(af_as "$1" s6-svstat -o pid,up,wantedup "$2")
    case $2:$3 in
    true:true) echo "$1 run" ;;
    true:false) echo "$1 run, want down" ;;
    false:true) echo '0 down, want up' ;;
    false:false) echo '0 down' ;;
    esac
}
"""
_WAIT = "30000"  # milliseconds
_WORDS = {Action.RESTART: ("-wr", "-r"), Action.START: ("-wu", "-u")}


class S6(Directories):
    """An s6-supervise."""

    name = "s6"
    label = "s6"
    program = "s6-supervise"
    shell = SHELL

    def commands(self, action: Action, directory: str) -> tuple[str, ...]:
        wait, what = _WORDS[action]
        return ("s6-svc", wait, "-T", _WAIT, what, directory)


MANAGER = S6()
