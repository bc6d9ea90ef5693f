"""s6: one ``s6-supervise`` for each service directory, the parent of what the directory's ``run`` became.

Recognised in this version, not driven yet: ``s6-svstat``, which reads its own list, is not asked, so nothing is
believed. The name of a service is that of its directory, which ``s6-supervise`` was given.
"""

from app.core.facts import Facts, Process
from app.managers._processes import directory_name, runs
from app.managers._undriven import Supervising, quiet


class S6(Supervising):
    """An s6-supervise."""

    name = "s6"
    label = "s6"
    privilege = "root for the system's own services: their supervise directories are root's."
    shell = quiet(name)

    def is_supervisor(self, process: Process) -> bool:
        return process.comm == "s6-supervise" and runs(process, "s6-supervise")

    def unit_of(self, main: Process, supervisor: Process, facts: Facts) -> str | None:
        return directory_name(supervisor)


MANAGER = S6()
