"""A start and stop script of the operator's own.

Known in this version, not driven yet. A process does not show that a script once started it, so nothing is recognised
as a script's: it looks like nobody's, or like that of the manager which ran the script.
"""

from app.core.facts import Facts, Process
from app.core.manager import Owner
from app.managers._undriven import Undriven, quiet


class Script(Undriven):
    """A script of the operator's own."""

    name = "script"
    label = "a script"
    privilege = "Whatever the script needs."
    shell = quiet(name)

    def recognise(self, chain: tuple[Process, ...], port: int | None, facts: Facts) -> Owner | None:
        return None


MANAGER = Script()
