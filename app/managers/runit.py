"""runit: one ``runsv`` for each service directory, the parent of what the directory's ``run`` became.

Recognised in this version, not driven yet: ``supervise/pid``, its own list, is not read, so nothing is believed. The
name of a service is that of its directory, which ``runsv`` was given.
"""

from app.core.facts import Facts, Process
from app.managers._processes import directory_name, runs
from app.managers._undriven import Supervising, quiet


class Runit(Supervising):
    """A runsv."""

    name = "runit"
    label = "runit"
    privilege = "root for the system's own services: their supervise directories are root's."
    shell = quiet(name)

    def is_supervisor(self, process: Process) -> bool:
        return process.comm == "runsv" and runs(process, "runsv")

    def unit_of(self, main: Process, supervisor: Process, facts: Facts) -> str | None:
        return directory_name(supervisor)


MANAGER = Runit()
