"""supervisor: a supervisord and the programs that it started as its children.

It knows the system's supervisord, and others by the ``config`` of a claim; one that no claim names is recognised and
not believed. What is believed: a supervisord whose executable is root's or its own user's, that answers on the socket
its configuration names (which nobody else could have put there), with its own pid, and lists the child; one that is
not root's speaks only for processes of its own user. Seen with 4.2 and 4.3: the group is part of a name (``lab:pypnm-
gui``, where they differ); a program's pid and start time tell a new incarnation; ``restart`` does not read a changed
configuration.
"""

from app.core.display import span, visible
from app.core.facts import Facts, Process, Record
from app.core.manager import Command, Found, Lookup, Manager, Missing, Nearness, Owner, Unseen
from app.core.service import Problem, Service
from app.core.verdict import Sign
from app.managers._near import near
from app.managers._processes import above, described, process_lines
from app.managers._supervisor_fragment import ASKING


class Supervisor(Manager):
    """A supervisord."""

    name = "supervisor"
    label = "supervisor"
    is_driven = True
    shell = ASKING

    def problems(self, service: Service) -> list[Problem]:
        """Say what in a claim contradicts supervisor."""
        if service.unit.count(":") > 1 or service.unit.endswith(":"):
            return [Problem("unit", "name one program, as supervisorctl status shows it: program, or group:program")]
        return []

    def recognise(self, chain: tuple[Process, ...], port: int | None, facts: Facts) -> Owner | None:
        """Say which program of which supervisord the process descends from."""
        depth = above(chain, _is_supervisord)
        if depth is None:
            return None
        supervisord, main = chain[depth], chain[depth - 1]
        program = _program_of(main, supervisord, facts)
        return Owner(
            manager=self.name,
            unit=program.get("name") if program else None,
            nearness=Nearness.ANCESTOR,
            depth=depth,
            main=main.pid,
            is_believed=program is not None,
            evidence=f"{described(supervisord)} → {main.comm} {main.pid}",
            config=_config_of(program, facts) if program else None,
        )

    def find(self, service: Service, facts: Facts) -> Lookup:
        """Look a program up in the list of the supervisord that the claim means."""
        daemon = _daemon(service, facts)
        if daemon is None:
            where = service.config or "the system's configuration"
            return Unseen(
                f"no supervisord of {where} answered",
                "Look on the host whether it runs, and let Askfirst's user become root there (sudo: true).",
            )
        programs = [each for each in facts.records("supervisor.program") if each.get("config") == daemon.get("config")]
        program = next((each for each in programs if service.unit in _names(each)), None)
        if program is None:
            return Missing(near(service.unit, [each.get("name") for each in programs]))
        main = program.number("pid")
        trust = _distrust(daemon, facts)
        return Found(
            unit=program.get("name"),
            state=program.get("state"),
            main=(main,) if main else (),
            obstacle=trust,
        )

    def restart(self, service: Service, unit: str, facts: Facts) -> Command:
        """Make ``supervisorctl restart UNIT``, by the user of the supervisord that was proved."""
        return _supervisorctl("restart", service, unit, facts)

    def start(self, service: Service, unit: str, facts: Facts) -> Command:
        """Make ``supervisorctl start UNIT``, by the user of the supervisord that was proved."""
        return _supervisorctl("start", service, unit, facts)

    def signs(self, service: Service, facts: Facts) -> tuple[Sign, ...]:
        """Give what supervisor itself says: a program that fails to start, or does not stay."""
        daemon = _daemon(service, facts)
        signs = []
        for program in facts.records("supervisor.program"):
            is_it = daemon and program.get("config") == daemon.get("config") and service.unit in _names(program)
            if is_it and program.get("state") in {"BACKOFF", "FATAL", "EXITED", "UNKNOWN"}:
                why = f": {program.get('error')}" if program.get("error") else ""
                signs.append(Sign("state", f"supervisor says that it is {program.get('state')}{why}"))
            process = facts.processes.get(program.number("pid")) if is_it else None
            if daemon and process and daemon.number("newest-at") > process.started_at:
                signs.append(_changed(daemon, process))
        return tuple(signs)

    def mark(self, identity: tuple[str, ...]) -> tuple[str, ...]:
        """Return the lines of its processes: supervisor has no other mark of an incarnation."""
        return process_lines(identity)


def _supervisorctl(what: str, service: Service, unit: str, facts: Facts) -> Command:
    daemon = _daemon(service, facts)
    process = facts.processes.get(daemon.number("pid")) if daemon else None
    config = ("-c", service.config) if service.config else ()
    return Command(("supervisorctl", *config, what, unit), process.user if process else "root")


def _changed(daemon: Record, process: Process) -> Sign:
    """Say that supervisor was given new settings, which ``supervisorctl restart`` does not read."""
    changed = daemon.number("newest-at")
    text = (
        f"{visible(daemon.get('newest'), 300)} was changed {span(changed - process.started_at)} after process"
        f" {process.pid} started: supervisorctl restart alone keeps the old settings (supervisorctl reread and update"
        " take them)."
    )
    return Sign("config", text, changed)


def _is_supervisord(process: Process) -> bool:
    """Tell by the program that its interpreter was given. Anyone can be given that: it only tells whom to ask."""
    return any(word.rsplit("/", 1)[-1] == "supervisord" for word in process.argv[:2])


def _names(program: Record) -> tuple[str, ...]:
    """Return the ways to write a program's name: supervisorctl takes ``gui`` and ``gui:gui`` alike."""
    name = program.get("name")
    return (name,) if ":" in name else (name, f"{name}:{name}")


def _daemon(service: Service, facts: Facts) -> Record | None:
    daemons = facts.records("supervisor.daemon")
    if service.config is None:
        return next((each for each in daemons if each.get("default") == "yes"), None)
    return next((each for each in daemons if each.get("config") == service.config), None)


def _distrust(daemon: Record, facts: Facts) -> str:
    """Say why a supervisord that answered is not what it says, empty where it is."""
    process = facts.processes.get(daemon.number("pid"))
    if process is None:
        return "the supervisord that answered names a process that is not there"
    if daemon.get("is-own") != "yes":
        return "anyone could have put the socket there that supervisord is reached by"
    if not _is_supervisord(process) or process.exe_uid not in {0, process.uid}:
        return f"process {process.pid} is no supervisord, or its program file belongs to someone else"
    return ""


def _program_of(main: Process, supervisord: Process, facts: Facts) -> Record | None:
    """Find the program by both ends: the child of a supervisord that is what it says, and that lists the child."""
    if supervisord.uid not in {0, main.uid}:
        return None
    for daemon in facts.records("supervisor.daemon"):
        if daemon.get("pid") != str(supervisord.pid) or _distrust(daemon, facts):
            continue
        for program in facts.records("supervisor.program"):
            if program.get("config") == daemon.get("config") and program.get("pid") == str(main.pid):
                return program
    return None


def _config_of(program: Record, facts: Facts) -> str | None:
    """Return the configuration that a claim about the program has to name, None for the usual one."""
    config = program.get("config")
    usual = [each.get("config") for each in facts.records("supervisor.daemon") if each.get("default") == "yes"]
    return None if config in usual else config


MANAGER = Supervisor()
