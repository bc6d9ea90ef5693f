"""PM2: a user's own daemon (``PM2 v5.3.0: God Daemon (/home/node/.pm2)``), the parent of its applications.

A claim's ``config`` is the daemon's home where it is not the user's ``~/.pm2``. What is believed: a daemon whose
program is root's or its own user's, whose home is its user's and closed to others, and whose own list names a child of
its own; one that is not root's speaks only for processes of its own user. Its client is run as the daemon's user and
never as anyone else: it leaves a new daemon behind wherever it finds none.

In cluster mode the daemon itself holds the port for its workers, and nothing tells for which application: it is taken
for the one application in cluster mode, and for nobody's where there are several. Seen with 7.0: a restart makes new
processes, with the environment that they had; so does ``pm2 reload``, which therefore is nothing gentler. A restart
also starts what is stopped, while ``pm2 start`` would take an unknown name for a file.
"""

import re

from app.core.display import visible
from app.core.facts import Facts, Process, Record
from app.core.manager import Command, Found, Lookup, Manager, Missing, Nearness, Owner, Unseen
from app.core.service import Problem, Service
from app.core.verdict import Sign
from app.managers._climbing import climbing
from app.managers._near import near
from app.managers._pm2_fragment import SHELL
from app.managers._processes import above, described, named, process_lines, runs

_TITLE = re.compile(r"PM2 v\S* God Daemon \((/.*)\)")
# What PM2's client takes for something else than a name: everything, a file, a pattern. A number is an application's.
_NO_NAME = re.compile(r"all|[^/\n]*/.*|.*\.(?:json|ya?ml|config\.).*")
_NUMBER = re.compile(r"0[xXbBoO][0-9a-fA-F]+|[0-9.]+(?:[eE]-?[0-9]+)?|Infinity")
_CLUSTER = "cluster_mode"


class Pm2(Manager):
    """A PM2 daemon."""

    name = "pm2"
    label = "PM2"
    is_driven = True
    shell = SHELL

    def problems(self, service: Service) -> list[Problem]:
        found = []
        if service.user is None:
            found.append(Problem("user", "every user has a PM2 of their own: name the user whose daemon it is"))
        if _is_no_name(service.unit):
            found.append(Problem("unit", "name one application, as `pm2 list` shows it: PM2 reads this otherwise"))
        return found

    def recognise(self, chain: tuple[Process, ...], port: int | None, facts: Facts) -> Owner | None:
        """Say which application of which daemon a process is of, or for which one the daemon holds the port."""
        if port is not None and chain and _is_god(chain[0]):
            return self._holding(chain[0], facts)
        depth = above(chain, _is_god)
        if depth is None:
            return None
        god, main = chain[depth], chain[depth - 1]
        app = next((each for each in _apps(god, facts) if each.number("main") == main.pid), None)
        doubt = _doubt(god, main, facts) if app else "its own list does not name it"
        return Owner(
            manager=self.name,
            unit=app.get("name") if app else None,
            nearness=Nearness.ANCESTOR,
            depth=depth,
            main=main.pid,
            is_believed=doubt == "",
            evidence=f"{_named(god)} → {described(main)}" + (f"; {visible(doubt, 300)}" if doubt else ""),
            config=_config_of(god, facts),
        )

    def _holding(self, god: Process, facts: Facts) -> Owner | None:
        """Say whose port a daemon holds. Of several applications in cluster mode nothing tells which one's."""
        apps = _in_cluster(god, facts)
        if not apps:
            return None
        names = sorted({each.get("name") for each in apps})
        mains = [facts.processes.get(each.number("main")) for each in apps]
        doubt = next((each for main in mains if (each := _doubt(god, main, facts))), "")
        which = names[0] if len(names) == 1 else f"one of {', '.join(names[:4])}: nothing tells which"
        return Owner(
            manager=self.name,
            unit=names[0] if len(names) == 1 else None,
            nearness=Nearness.ANCESTOR,
            depth=0,
            main=apps[0].number("main"),
            is_believed=doubt == "",
            evidence=f"{_named(god)} holds it in cluster mode for {visible(doubt or which, 300)}",
            config=_config_of(god, facts),
        )

    def find(self, service: Service, facts: Facts) -> Lookup:
        """Look an application up in the list of the daemon that the claim means."""
        where = service.config or f"{service.user}'s own home"
        daemons = _daemons(service, facts)
        if len(daemons) != 1:
            many = f"{len(daemons)} PM2 daemons call {where} theirs" if daemons else f"no PM2 daemon of {where} runs"
            return Unseen(many, "Look on the host for `PM2 … God Daemon` among the processes of that user.")
        (daemon,) = daemons
        god = facts.processes.get(daemon.number("pid"))
        if daemon.get("answered") != "yes" or god is None:
            why = daemon.get("distrust") or "it did not answer the gate"
            step = (
                "Let Askfirst's user become root on the host (sudo: true), and look whether `pm2 list` answers there."
            )
            return Unseen(f"the PM2 daemon of {where} could not be asked: {why}", step)
        known = _apps(god, facts)
        apps = [each for each in known if each.get("name") == service.unit]
        if not apps:
            return Missing(near(service.unit, [each.get("name") for each in known]))
        doubt = _doubt_of_daemon(god, daemon)
        return Found(
            unit=service.unit,
            state=", ".join(dict.fromkeys(each.get("state") for each in apps)),
            main=tuple(sorted({each.number("main") for each in apps} - {0})),
            ports=_ports(service.unit, god, facts),
            obstacle=visible(doubt, 300),
        )

    def restart(self, service: Service, unit: str, facts: Facts) -> Command:
        """Make ``pm2 restart UNIT``, by the daemon's user; its home is named where the claim names it."""
        home = ("env", f"PM2_HOME={service.config}") if service.config else ()
        daemons = _daemons(service, facts)
        god = facts.processes.get(daemons[0].number("pid")) if len(daemons) == 1 else None
        return Command((*home, "pm2", "restart", unit), god.user if god else service.user or "nobody")

    def signs(self, service: Service, facts: Facts) -> tuple[Sign, ...]:
        """Give what PM2 says of an application that does not stay. Its other count holds restarts by people too."""
        daemons = _daemons(service, facts)
        god = facts.processes.get(daemons[0].number("pid")) if len(daemons) == 1 else None
        signs: list[Sign] = []
        for app in _apps(god, facts) if god else ():
            if app.get("name") != service.unit:
                continue
            process = facts.processes.get(app.number("main"))
            if app.get("state") == "errored":
                signs.append(Sign("state", f"PM2 has given up on {visible(service.unit, 200)}: it is errored."))
            elif process is not None:
                signs += climbing("PM2", service.unit, app.number("unstable"), process.started_at, facts.now)
        return tuple(dict.fromkeys(signs))

    def mark(self, identity: tuple[str, ...]) -> tuple[str, ...]:
        """Return the lines of its processes: PM2 has no other mark of an incarnation."""
        return process_lines(identity)


def _is_god(process: Process) -> bool:
    """Tell a daemon by what it calls itself. Anyone can: it only tells whom to ask."""
    says_so = re.match(r"PM2 v\d", process.comm) and process.argv and _TITLE.match(process.argv[0])
    return bool(says_so) and runs(process, "node", "nodejs", "bun")


def _named(god: Process) -> str:
    """Name a daemon with its home, by which one user's several differ."""
    title = _TITLE.match(god.argv[0])
    return named(god) + (f" ({visible(title[1], 100)})" if title else "")


def _is_no_name(unit: str) -> bool:
    return _NO_NAME.fullmatch(unit) is not None or _NUMBER.fullmatch(unit) is not None


def _daemons(service: Service, facts: Facts) -> tuple[Record, ...]:
    """Return the daemons that a claim may mean, of which there should be one.

    Where the claimed user has none, one that runs an application of that name as another user is looked at: a daemon of
    root's may run it as the claimed one, and of any other it can be said that the user is wrong.
    """
    daemons = facts.records("pm2.daemon")
    if service.config is not None:
        return tuple(each for each in daemons if each.get("home") == service.config)
    usual = [each for each in daemons if each.get("default") == "yes"]
    own = tuple(each for each in usual if each.get("user") == service.user)
    named = {each.get("god") for each in facts.records("pm2.app") if each.get("name") == service.unit}
    others = tuple(each for each in usual if each.get("pid") in named)
    return own or (others if len(others) == 1 else ())


def _config_of(god: Process, facts: Facts) -> str | None:
    """Return the home that a claim about a daemon's application has to name, None for its user's own."""
    own = (each for each in facts.records("pm2.daemon") if each.number("pid") == god.pid)
    return next((each.get("home") for each in own if each.get("default") != "yes"), None)


def _apps(god: Process, facts: Facts) -> tuple[Record, ...]:
    return tuple(each for each in facts.records("pm2.app") if each.number("god") == god.pid)


def _in_cluster(god: Process, facts: Facts) -> tuple[Record, ...]:
    return tuple(each for each in _apps(god, facts) if each.get("mode") == _CLUSTER and each.number("main"))


def _ports(unit: str, god: Process, facts: Facts) -> tuple[int, ...]:
    """Return the ports that a daemon holds for the one application that it runs in cluster mode."""
    if {each.get("name") for each in _in_cluster(god, facts)} != {unit}:
        return ()
    return tuple(sorted({each.port for each in facts.listeners if god.pid in each.pids}))


def _doubt(god: Process, main: Process | None, facts: Facts) -> str:
    """Say why a daemon's word on a process is no proof; nothing where it is one."""
    daemon = next((each for each in facts.records("pm2.daemon") if each.number("pid") == god.pid), None)
    if daemon is None or main is None:
        return "not all of it could be seen"
    if main.ppid != god.pid:
        return "the process that its list names is not its child"
    if god.uid not in {0, main.uid}:
        return f"a PM2 of {god.user} speaks for no process of {main.user}"
    return _doubt_of_daemon(god, daemon)


def _doubt_of_daemon(god: Process, daemon: Record) -> str:
    title = _TITLE.match(god.argv[0]) if god.argv and _is_god(god) else None
    if title is None or title[1] != daemon.get("home"):
        return "it does not call itself the daemon of that home"
    if god.exe_uid is None or god.exe_uid not in {0, god.uid}:
        return "its program is neither root's nor its own user's"
    return daemon.get("distrust")


MANAGER = Pm2()
