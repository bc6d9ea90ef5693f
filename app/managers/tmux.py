"""tmux: a terminal that lives on after its person has gone. It starts programs, and restarts none.

Recognised by its server among the ancestors, never driven: whoever attaches to it sees what runs there.
"""

from app.core.facts import Process
from app.managers._processes import runs
from app.managers._undriven import Supervising, quiet


class Tmux(Supervising):
    """A tmux server."""

    name = "tmux"
    label = "tmux"
    is_claimable = False
    shell = quiet(name)

    def is_supervisor(self, process: Process) -> bool:
        return process.comm == "tmux: server" and runs(process, "tmux")


MANAGER = Tmux()
