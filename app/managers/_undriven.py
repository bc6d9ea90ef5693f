"""What those have in common that are recognised and never restarted through: terminals, clusters, nobody.

Nothing of one manager stands here. Their own lists are not asked, so none of them is ever believed: being recognised
tells a person where to look, and is no proof.
"""

from app.core.errors import Refused
from app.core.facts import Facts, Process
from app.core.manager import Command, Lookup, Manager, Nearness, Owner, Unseen
from app.core.service import Problem, Service
from app.managers._processes import above, described, named, process_lines

BY_HAND = "Register the service as manual: Askfirst then proves before and after, and a person restarts it."


class Undriven(Manager):
    """The part of a manager that is the same wherever nothing is asked and nothing is run."""

    is_driven = False

    def problems(self, service: Service) -> list[Problem]:
        return []

    def find(self, service: Service, facts: Facts) -> Lookup:
        return Unseen(f"{self.label} is recognised, and has nothing that could be asked for a name", BY_HAND)

    def restart(self, service: Service, unit: str, facts: Facts) -> Command:
        raise Refused(
            f"{self.label} is recognised, and not driven: {service.name} ({unit}) cannot be restarted through it.",
            code="not_driven",
            next_step=BY_HAND,
        )

    def mark(self, identity: tuple[str, ...]) -> tuple[str, ...]:
        return process_lines(identity)


class Supervising(Undriven):
    """One that starts its programs as its own children, and is recognised among their ancestors."""

    def recognise(self, chain: tuple[Process, ...], port: int | None, facts: Facts) -> Owner | None:
        depth = above(chain, self.is_supervisor)
        if depth is None:
            return None
        supervisor, main = chain[depth], chain[depth - 1]
        return Owner(
            manager=self.name,
            unit=None,
            nearness=Nearness.ANCESTOR,
            depth=depth,
            main=main.pid,
            is_believed=False,
            evidence=f"{named(supervisor)} → {described(main)}",
        )

    def is_supervisor(self, process: Process) -> bool:
        """Say whether a process is the manager's own, as far as can be told without asking it."""
        raise NotImplementedError


def quiet(name: str) -> str:
    """Write the fragment of a manager that the host is asked nothing about."""
    return f"facts_{name.replace('-', '_')}() {{ :; }}\n"
