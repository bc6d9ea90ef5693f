"""A service that a person restarts by hand, whatever runs it. Askfirst proves before and after, and runs nothing.

There is no name to come down from: its processes are found by the claimed ports, or the path. ``unit`` is a label for
people.
"""

from app.core.facts import Facts, Process
from app.core.manager import Command, Found, Lookup, Manager, Owner, Several, Unseen
from app.core.service import Problem, Service
from app.managers._places import ASKING, mains, problems
from app.managers._processes import process_lines

SHELL = r"""
facts_manual() {
  [ -n "$AF_CLAIMS" ] || return 0
  awk "$AF_AWK$PLACES_AWK"'
    BEGIN {
      count = claims()
      for (i = 1; i <= count; i++) {
        in_place(i)
        for (pid in main) identity_pid(claim_service[i], pid)
      }
    }'
}
"""


class Manual(Manager):
    """A person."""

    name = "manual"
    label = "a person, by hand"
    is_driven = False
    is_by_hand = True
    shell = ASKING + SHELL

    def problems(self, service: Service) -> list[Problem]:
        found = problems(service, "a manual service")
        if service.config is not None:
            found.append(Problem("config", "a person needs no manager's configuration file: leave it out"))
        return found

    def recognise(self, chain: tuple[Process, ...], port: int | None, facts: Facts) -> Owner | None:
        return None

    def find(self, service: Service, facts: Facts) -> Lookup:
        main = mains(service, facts)
        if isinstance(main, Unseen | Several):
            return main
        return Found(unit=service.unit, state="running" if main else "not running", main=main)

    def restart(self, service: Service, unit: str, facts: Facts) -> Command:
        return Command((), "-")

    def mark(self, identity: tuple[str, ...]) -> tuple[str, ...]:
        return process_lines(identity)


MANAGER = Manual()
