"""Service directories, each with a supervisor of its own: what runit and s6 have in common.

A service is named as its supervisor was given it (``gui``, ``gui/log``) where root runs that, and by its directory
otherwise; commands name the directory. What is believed: a supervisor whose executable is root's and whose directory
is root's or its own user's, that is the parent of the process which its own list names; one that is not root's speaks
only for processes of its own user. Where root's ``su`` (or its like) only waits for the one process that it runs as
somebody else, that process is the main one.
"""

from app.core.display import visible
from app.core.facts import Facts, Process, Record
from app.core.manager import Action, Command, Found, Lookup, Manager, Missing, Nearness, Owner, Several, Unseen
from app.core.service import Problem, Service
from app.core.verdict import Sign
from app.managers._near import near
from app.managers._processes import above, described, is_roots_program, named, process_lines, runs

_WAITING = ("su", "sudo", "runuser", "doas")


class Directories(Manager):
    """The part of such a manager that is the same for both; a subclass says what its programs are called."""

    program: str
    is_driven = True

    def commands(self, action: Action, directory: str) -> tuple[str, ...]:
        """Write the argv of a restart or a start of the service in a directory."""
        raise NotImplementedError

    def problems(self, service: Service) -> list[Problem]:
        found = []
        if service.config is not None:
            found.append(Problem("config", "name the service's directory as its unit instead: /home/node/sv/gui"))
        if service.unit.endswith("/") or {"..", "."} & set(service.unit.split("/")):
            found.append(Problem("unit", "name one service, such as gui, or its directory, such as /etc/sv/gui"))
        elif "/" in service.unit.removesuffix("/log").removeprefix("/") and not service.unit.startswith("/"):
            found.append(Problem("unit", "write the name of the service alone, or the whole path of its directory"))
        return found

    def recognise(self, chain: tuple[Process, ...], port: int | None, facts: Facts) -> Owner | None:
        """Say which service of which supervisor the process descends from."""
        depth = above(chain, lambda each: each.comm == self.program and runs(each, self.program))
        if depth is None:
            return None
        supervisor, top = chain[depth], chain[depth - 1]
        record = self._service_of(supervisor, top, facts)
        doubt = self._doubt(record, facts) if record else "its own list does not name it"
        main = record.number("pid") if record and not doubt else top.pid
        return Owner(
            manager=self.name,
            unit=record.get("name") if record else None,
            nearness=Nearness.ANCESTOR,
            depth=depth,
            main=main,
            is_believed=doubt == "",
            evidence=f"{named(supervisor)} → {described(facts.processes.get(main, top))}"
            + (f"; {visible(doubt, 300)}" if doubt else ""),
        )

    def find(self, service: Service, facts: Facts) -> Lookup:
        """Look up the service that a claim means: by its directory, or by the name that root's supervisor has."""
        claim = next((each for each in self._records("claim", facts) if each.get("service") == service.name), None)
        if claim is None:
            return Unseen(
                f"nothing was told of {self.label}'s services",
                "Let Askfirst's user become root on the host (sudo: true), then ask again.",
            )
        directories = claim.get("dirs").split()
        if not directories:
            names = [name for each in self._records("names", facts) for name in each.get("list").split(" ")]
            return Missing(near(service.unit, [*names, *(each.get("dir") for each in self._services(facts))]))
        if len(directories) > 1:
            return Several(tuple(directories))
        record = next((each for each in self._services(facts) if each.get("dir") == directories[0]), None)
        if record is None or record.get("state") == "":
            return self._untold(directories[0], record)
        main = (record.number("pid"),) if record.get("is-up") == "yes" else ()
        supervisor = facts.processes.get(record.number("supervisor"))
        is_real = supervisor is not None and self._is_real(supervisor)
        return Found(
            unit=record.get("name"),
            state=record.get("state"),
            main=main,
            obstacle="" if is_real else f"what calls itself {self.program} there is not proved to be root's program",
        )

    def restart(self, service: Service, unit: str, facts: Facts) -> Command:
        """Make the restart of the service in its directory, by the user of its supervisor."""
        return self._command(Action.RESTART, service, unit, facts)

    def start(self, service: Service, unit: str, facts: Facts) -> Command:
        """Make the start of the service in its directory, by the user of its supervisor."""
        return self._command(Action.START, service, unit, facts)

    def signs(self, service: Service, facts: Facts) -> tuple[Sign, ...]:
        """Give what the supervisor says: it wants the service to run, and it does not."""
        record = self._claimed(service, facts)
        if record is None or record.get("is-up") == "yes" or "want up" not in record.get("state"):
            return ()
        return (Sign("state", f"{self.label} wants {visible(record.get('name'), 200)} to run, and it does not."),)

    def mark(self, identity: tuple[str, ...]) -> tuple[str, ...]:
        """Return the lines of its process: there is no other mark of an incarnation."""
        return process_lines(identity)

    def _command(self, action: Action, service: Service, unit: str, facts: Facts) -> Command:
        record = self._claimed(service, facts)
        supervisor = facts.processes.get(record.number("supervisor")) if record else None
        directory = record.get("dir") if record else unit
        return Command(self.commands(action, directory), supervisor.user if supervisor else "root")

    def _records(self, kind: str, facts: Facts) -> tuple[Record, ...]:
        return facts.records(f"{self.name}.{kind}")

    def _services(self, facts: Facts) -> tuple[Record, ...]:
        return self._records("service", facts)

    def _claimed(self, service: Service, facts: Facts) -> Record | None:
        """Return the one service that a claim means."""
        claim = next((each for each in self._records("claim", facts) if each.get("service") == service.name), None)
        named = claim.get("dirs") if claim else ""
        return next((each for each in self._services(facts) if named and each.get("dir") == named), None)

    def _service_of(self, supervisor: Process, top: Process, facts: Facts) -> Record | None:
        """Return the service of a supervisor whose list names this child of its."""
        own = [each for each in self._services(facts) if each.number("supervisor") == supervisor.pid]
        return next((each for each in own if each.number("listed") == top.pid), None)

    def _doubt(self, record: Record, facts: Facts) -> str:
        """Say why what a supervisor and its list say of a process is no proof; nothing where it is one."""
        supervisor = facts.processes.get(record.number("supervisor"))
        listed, main = facts.processes.get(record.number("listed")), facts.processes.get(record.number("pid"))
        if supervisor is None or listed is None or main is None:
            return "not all of it could be seen"
        if not self._is_real(supervisor):
            return f"its {self.program} is not proved to be root's program"
        if record.get("distrust"):
            return record.get("distrust")
        if supervisor.uid not in {0, listed.uid}:
            return f"a {self.program} of {supervisor.user} speaks for no process of {listed.user}"
        is_waiting = is_roots_program(listed, *_WAITING) and main.ppid == listed.pid
        if main is not listed and not is_waiting:
            return f"{main.comm} {main.pid} is not the process that its list names"
        return ""

    def _is_real(self, supervisor: Process) -> bool:
        return supervisor.comm == self.program and is_roots_program(supervisor, self.program)

    def _untold(self, directory: str, record: Record | None) -> Unseen:
        distrust = record.get("distrust") if record else ""
        if distrust:
            return Unseen(
                f"{distrust}, so that what it says there proves nothing",
                f"Let root, or the user whose {self.program} it is, own {directory} and what is in it, and nobody else"
                " write there; then ask again.",
            )
        return Unseen(
            f"the {self.program} of {directory} told nothing of its service",
            "Let Askfirst's user become root on the host (sudo: true), and look whether the manager's tool answers.",
        )
