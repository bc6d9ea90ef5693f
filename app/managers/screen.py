"""GNU screen: a terminal that lives on after its person has gone. It starts programs, and restarts none.

Recognised by its server among the ancestors, which calls itself ``SCREEN`` (a client is ``screen``), never driven.
"""

from app.core.facts import Process
from app.managers._processes import runs
from app.managers._undriven import Supervising, quiet


class Screen(Supervising):
    """A screen server."""

    name = "screen"
    label = "GNU screen"
    is_claimable = False
    shell = quiet(name)

    def is_supervisor(self, process: Process) -> bool:
        return process.comm == "screen" and process.argv[:1] == ("SCREEN",) and runs(process, "screen")


MANAGER = Screen()
