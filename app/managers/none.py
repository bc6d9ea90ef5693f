"""Nobody: a process that no manager runs, started by a hand in a shell or left behind by one.

It is recognised where nobody else is nearer, and never restarted: there is no argv that would bring it back. What can
be said is whose it is, since when, and which command line it came from.
"""

from app.core.facts import Facts, Process
from app.core.manager import Nearness, Owner
from app.managers._processes import described, topmost
from app.managers._undriven import Undriven, quiet


class Nobody(Undriven):
    """No manager."""

    name = "none"
    label = "no manager"
    is_claimable = False
    shell = quiet(name)

    def recognise(self, chain: tuple[Process, ...], port: int | None, facts: Facts) -> Owner:
        main = topmost(chain) if chain else None
        evidence = f"nobody restarts it: {described(main)}" if main else "it was gone before it could be looked at"
        return Owner(
            manager=self.name,
            unit=None,
            nearness=Nearness.NOBODY,
            depth=len(chain),
            main=main.pid if main else None,
            is_believed=True,
            evidence=evidence,
        )


MANAGER = Nobody()
