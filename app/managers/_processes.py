"""What a process tells of itself, without any manager being asked: its program, its ancestors, whose it is since when.

None of it proves a manager: an ordinary user chooses a process's name and command line, and can call a program of his
own whatever he likes. It serves to recognise, and to say what was recognised.
"""

from collections.abc import Callable

from app.core.display import argv, moment
from app.core.facts import Process

_COMMAND_CAP = 200
_GONE = " (deleted)"


def runs(process: Process, *programs: str) -> bool:
    """Say whether a process may run one of these programs. Where its executable was not seen, its name has to do."""
    if process.exe is None:
        return True
    return process.exe.removesuffix(_GONE).rsplit("/", 1)[-1] in programs


def is_roots_program(process: Process, *programs: str) -> bool:
    """Say whether a process was seen to run one of these programs, from a file that root owns."""
    return process.exe is not None and process.exe_uid == 0 and runs(process, *programs)


def above(chain: tuple[Process, ...], is_it: Callable[[Process], bool]) -> int | None:
    """Return how many generations above its first process a chain holds such a process, the nearest."""
    return next((depth for depth, process in enumerate(chain) if depth > 0 and is_it(process)), None)


def topmost(chain: tuple[Process, ...]) -> Process:
    """Return the process that the first one descends from by forking only: the master of a worker."""
    found = chain[0]
    for parent in chain[1:]:
        is_same = parent.uid == found.uid and (parent.argv == found.argv or (parent.exe and parent.exe == found.exe))
        if parent.pid == 1 or not is_same or parent.cgroup != found.cgroup:
            break
        found = parent
    return found


def named(process: Process) -> str:
    """Name a process for a person: what, which, whose."""
    return f"{process.comm} {process.pid} of {process.user}"


def described(process: Process) -> str:
    """Name a process, and say since when it runs and with which command line."""
    words = [word for word in process.argv if word]
    return f"{named(process)}, since {moment(process.started_at)}: {argv(words, _COMMAND_CAP) or 'no command line'}"


def process_lines(identity: tuple[str, ...]) -> tuple[str, ...]:
    """Return the identity lines of processes, each with its boot: a pid and a start time may come again after one."""
    boot = next((line for line in identity if line.startswith("boot ")), "")
    return tuple(f"{boot} {line}" for line in identity if line.startswith("process "))
