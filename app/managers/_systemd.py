"""What a systemd tells of its units, for the two managers whose units one keeps: the system's, and a user's.

It does not say which systemd runs a process, nor whether that systemd is what it says: that is each manager's own part.
Seen on Debian 12: a restart changes ``InvocationID`` and the main process, never ``NRestarts``; ``restart`` of a unit
that is down starts it, and of a mistyped instance of a template starts something new (so only a live main process
proves a unit); while systemd itself holds a socket for a service, that service need not run.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from app.core.display import span, visible
from app.core.facts import Facts, Process, Record
from app.core.manager import Action, Command, Found, Lookup, Missing, Nearness, Owner, Unseen
from app.core.service import Problem, Service
from app.core.verdict import Sign
from app.managers._climbing import climbing
from app.managers._near import near

KINDS = ("service", "socket", "device", "mount", "automount", "swap", "target", "path", "timer", "slice", "scope")
ALIVE = frozenset({"active", "activating", "reloading", "deactivating", "refreshing"})


@dataclass(frozen=True, slots=True)
class Units:
    """The records of one systemd: of its units, of the claims on them, of the names that it knows."""

    manager: str
    units: tuple[Record, ...]
    claims: tuple[Record, ...]
    names: tuple[Record, ...]

    @classmethod
    def of(cls, manager: str, facts: Facts, user: str = "") -> "Units":
        """Take the records of a manager, of one user's systemd where it has one for each."""

        def own(kind: str) -> tuple[Record, ...]:
            return tuple(each for each in facts.records(f"{manager}.{kind}") if each.get("of") == user)

        return cls(manager, own("unit"), facts.records(f"{manager}.claim"), own("names"))

    def unit(self, name: str) -> Record | None:
        """Find a unit by any of its names: an alias leads to the unit itself."""
        full = full_name(name)
        return next(
            (each for each in self.units if full == each.get("id") or full in each.get("names").split(" ")), None
        )

    def owner(self, name: str, chain: tuple[Process, ...]) -> Owner:
        """Say how far it is proved that a unit, named by its control group, is the owner of a process."""
        unit = self.unit(name)
        main = unit.number("pid") if unit else 0
        depth = next((index for index, process in enumerate(chain) if process.pid == main), len(chain))
        group = unit.get("cgroup") if unit else ""
        is_listed = group != "" and (chain[0].cgroup + "/").startswith(group + "/")
        return Owner(
            manager=self.manager,
            unit=unit.get("id") if unit else None,
            nearness=Nearness.UNIT,
            depth=depth,
            main=main or None,
            is_believed=is_listed and unit is not None and unit.get("active") in ALIVE,
            evidence=f"control group of {name}" + (f" → main process {main}" if main else ""),
        )

    def handing_over(self, port: int) -> Owner | None:
        """Say for which unit systemd itself holds a port: it starts that when somebody connects."""
        for socket in self.units:
            if port not in ports_of(socket):
                continue
            service = self.unit(socket.get("triggers").split(" ")[0])
            main = service.number("pid") if service else 0
            owner = service if service and main else socket
            return Owner(
                manager=self.manager,
                unit=owner.get("id"),
                nearness=Nearness.UNIT,
                depth=0,
                main=main or None,
                is_believed=True,
                evidence=f"systemd holds it for {socket.get('id')}, which starts {socket.get('triggers') or 'nothing'}",
            )
        return None

    def look_up(self, name: str) -> Lookup:
        """Look a unit up. While it runs, the ports that systemd holds for it are its own."""
        unit = self.unit(name)
        if unit is None:
            return Unseen("systemctl did not tell of the unit", "Look on the host whether `systemctl show` answers.")
        if unit.get("load") == "not-found":
            return Missing(
                near(full_name(name), [each for names in self.names for each in names.get("list").split(" ")])
            )
        main = unit.number("pid")
        sockets = [each for each in self.units if unit.get("id") in each.get("triggers").split(" ")]
        return Found(
            unit=unit.get("id"),
            state=f"{unit.get('active')}/{unit.get('sub')}",
            main=(main,) if main else (),
            ports=tuple(sorted({port for socket in sockets for port in ports_of(socket)})) if main else (),
            user=unit.get("user") or None,
            path=unit.get("dir") or None,
            obstacle=_obstacle(unit),
        )

    def gentler(self, name: str, systemctl: Callable[..., Command], *, ever: bool) -> Mapping[Action, Command]:
        """Offer to have systemd read changed files, and to have a unit that can be reloaded reload itself."""
        unit = self.unit(name)
        found: dict[Action, Command] = {}
        if unit is not None and (ever or unit.get("reload") == "yes"):
            found[Action.DAEMON_RELOAD] = systemctl("daemon-reload")
        if unit is not None and unit.get("can-reload") == "yes" and (ever or unit.get("active") == "active"):
            found[Action.RELOAD] = systemctl("reload", name)
        return found

    def signs(self, service: Service, facts: Facts) -> tuple[Sign, ...]:
        """Give what systemd itself says of the unit: changed files, failures, restarts of its own."""
        unit = self.unit(service.unit)
        if unit is None:
            return ()
        name, process = visible(unit.get("id"), 200), facts.processes.get(unit.number("pid"))
        claim = next((each for each in self.claims if each.get("service") == service.name), None)
        signs = [*_changed(claim, process)] if claim and process else []
        if unit.get("reload") == "yes":
            text = (
                f"systemd has not read the changed files of {name} yet: a restart alone would still use the old ones"
                " (systemctl daemon-reload)."
            )
            signs.append(Sign("daemon-reload", text, claim.number("files-at") or None if claim else None))
        if process is not None:
            signs += climbing("systemd", unit.get("id"), unit.number("restarts"), process.started_at, facts.now)
        elif unit.get("sub") == "auto-restart":
            signs.append(Sign("restarts", f"systemd is restarting {name} by itself: it does not stay."))
        if unit.get("result") not in {"", "success"}:
            signs.append(Sign("result", f"The last run of {name} ended with {visible(unit.get('result'), 60)}."))
        return tuple(signs)


def problems(service: Service) -> list[Problem]:
    """Say what in a claim is no unit that a restart could be proved of."""
    name, _, kind = service.unit.rpartition(".")
    found = []
    if "/" in service.unit or service.unit.partition("@")[2] == ".service" or service.unit.endswith("@"):
        found.append(Problem("unit", "name one unit; of a template one instance, such as gui@5061.service"))
    elif name and kind in KINDS and kind != "service":
        found.append(Problem("unit", f"a {kind} has no process of its own that could be proved: name the .service"))
    if service.config is not None:
        found.append(Problem("config", "systemd has no configuration file of its own: leave it out"))
    if service.start and "@" in service.unit:
        found.append(Problem("start", "any instance of a template can be started, a mistyped one too: not allowed"))
    return found


def mark(identity: tuple[str, ...]) -> tuple[str, ...]:
    """Return the line of the InvocationID: systemd makes a new one for each start, whatever started it."""
    return tuple(line for line in identity if line.startswith("invocation "))


def full_name(name: str) -> str:
    """Write a unit's name with its ending, as systemctl takes it."""
    return name if name.rpartition(".")[2] in KINDS and "." in name else f"{name}.service"


def ports_of(socket: Record) -> set[int]:
    """Read the ports of ``Listen=127.0.0.1:5059 (Stream)`` and ``[::]:80 (Stream)``."""
    found = set()
    for line in socket.get("listen").splitlines():
        address, _, kind = line.partition(" ")
        port = address.rpartition(":")[2]
        if kind == "(Stream)" and port.isdecimal() and not address.startswith("/"):
            found.add(int(port))
    return found


def _changed(claim: Record, process: Process) -> Iterator[Sign]:
    """Say which file of a unit, or of the environment that it is given, is newer than its process."""
    for kind, named, at, what in (
        ("unit", "file", "files-at", "the unit file"),
        ("environment", "environment", "environment-at", "the environment file"),
    ):
        changed = claim.number(at)
        if changed > process.started_at:
            after = span(changed - process.started_at)
            text = f"{visible(claim.get(named), 300) or what} was changed {after} after process {process.pid} started."
            yield Sign(kind, text[0].upper() + text[1:], changed)


def _obstacle(unit: Record) -> str:
    if unit.get("load") == "masked":
        return "it is masked: systemd refuses to start it"
    if unit.get("load") != "loaded":
        return f"systemd could not load it ({unit.get('load')})"
    if unit.get("refuse-start") == "yes" or unit.get("refuse-stop") == "yes":
        return "its unit file refuses a restart by hand (RefuseManualStart or RefuseManualStop)"
    if unit.get("type") == "oneshot":
        return "it runs once and ends (Type=oneshot): no process stays that could be proved"
    return ""
