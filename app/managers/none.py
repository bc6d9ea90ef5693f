"""Nobody: a process that no manager runs, started by a hand in a shell, by a job of cron, or left behind by either.

It is recognised where nobody else is nearer, and never restarted: there is no argv that would bring it back. What can
be said is whose it is, since when, and which command line it came from. What a job of cron started lies in cron's own
unit, whose restart would neither end nor start it: so it is nobody's, and cron is named.
"""

import re

from app.core.facts import Facts, Process
from app.core.manager import Nearness, Owner
from app.managers._processes import above, described, is_roots_program, named, topmost
from app.managers._undriven import Undriven, quiet

_CRON = ("cron", "crond", "anacron", "atd")
_CRONS_OWN = re.compile(rf"/system\.slice/(?:{'|'.join(_CRON)})\.service")


class Nobody(Undriven):
    """No manager."""

    name = "none"
    label = "no manager"
    is_claimable = False
    shell = quiet(name)

    def recognise(self, chain: tuple[Process, ...], port: int | None, facts: Facts) -> Owner:
        """Say that nobody restarts a process, and whether a job of cron started it."""
        main = topmost(chain) if chain else None
        job = _job(chain)
        evidence = f"nobody restarts it: {described(main)}" if main else "it was gone before it could be looked at"
        return Owner(
            manager=self.name,
            unit=None,
            nearness=Nearness.ANCESTOR if job else Nearness.NOBODY,
            depth=(above(chain, _is_cron) if job else None) or len(chain),
            main=main.pid if main else None,
            is_believed=True,
            evidence=f"{job}; {evidence}" if job else evidence,
        )


def _is_cron(process: Process) -> bool:
    return process.comm.lower() in _CRON and process.uid == 0 and is_roots_program(process, *_CRON)


def _job(chain: tuple[Process, ...]) -> str:
    """Say which cron started a process by one of its jobs, empty where none did."""
    depth = above(chain, _is_cron)
    if depth is not None:
        return f"started by a job of {named(chain[depth])}"
    if chain and not _is_cron(chain[0]) and _CRONS_OWN.fullmatch(chain[0].cgroup):
        return f"left behind by a job of {chain[0].cgroup.rsplit('/', 1)[-1]}"
    return ""


MANAGER = Nobody()
