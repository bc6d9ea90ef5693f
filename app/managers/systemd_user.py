"""systemd --user: a user's own service manager, and the units that it runs as that user.

Recognised in this version by the control group, not driven yet: the user's manager is not asked, and a user can make
such control groups by hand, so nothing is believed.
"""

import re

from app.core.facts import Facts, Process
from app.core.manager import Nearness, Owner
from app.core.service import Problem, Service
from app.managers._processes import above, described, named, runs
from app.managers._undriven import Undriven, quiet

# …/user@1000.service/app.slice/gui.service, or below it where the unit has groups of its own
UNIT = re.compile(r"/user@(\d+)\.service/(?:[^/]+\.slice/)*([^/]+\.(?:service|scope))(?:/|$)")


class SystemdUser(Undriven):
    """A user's systemd."""

    name = "systemd-user"
    label = "systemd --user"
    privilege = "root, to become the user: nobody else may speak with a user's manager."
    shell = quiet(name)

    def problems(self, service: Service) -> list[Problem]:
        if service.user is None:
            return [Problem("user", "every user has a systemd of their own: name the user whose unit it is")]
        return []

    def recognise(self, chain: tuple[Process, ...], port: int | None, facts: Facts) -> Owner | None:
        here = UNIT.search(chain[0].cgroup) if chain else None
        if here is None or here[2] == "init.scope":
            return None
        depth = above(chain, _is_users)
        inside = [process for process in chain[:depth] if process.cgroup == chain[0].cgroup]
        manager = named(chain[depth]) if depth is not None else f"the systemd of user id {here[1]}"
        return Owner(
            manager=self.name,
            unit=here[2],
            nearness=Nearness.UNIT,
            depth=depth if depth is not None else len(chain),
            main=inside[-1].pid,
            is_believed=False,
            evidence=f"{manager} → {here[2]} by its control group → {described(inside[-1])}",
        )


def _is_users(process: Process) -> bool:
    return process.comm == "systemd" and process.pid != 1 and runs(process, "systemd")


MANAGER = SystemdUser()
