"""podman: containers without a daemon, each with a ``conmon`` above its main process; root's, and those of each user.

``unit`` names a container of root's by its name, and a user's as ``USER/NAME``: each user has a podman of their own,
and the same name may be in several. The claim's ``user`` cannot say whose it is: it is the user that the container's
process runs as, which may be any user of the container's own, in root's as in others'.

There is no daemon to believe. What is believed: the kernel's control group of the process holds the id of a container
that the user's own podman lists, with a main process among its ancestors; the process above that one is the conmon that
podman names, of that very user, from root's program file. A user's podman speaks only for processes of that user, and
of user ids that the host knows no account for (those of a user namespace). A published port is held by conmon itself,
or by a helper of that user (``rootlessport``, ``slirp4netns``, ``pasta``).

A container that systemd runs by a unit of its own (Quadlet, ``podman generate systemd``) is systemd's to restart.
``path``, where it is claimed, is a folder of the host that is mounted into the container. Keeps law 4: the argv is made
here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from app.core.facts import Facts, Process, Record
from app.core.manager import Command, Found, Lookup, Manager, Missing, Nearness, Owner, Unseen
from app.core.service import USER, Problem, Service
from app.core.verdict import Sign
from app.managers import _containers
from app.managers._containers import Container, container_from, name_problem, text_from
from app.managers._near import near
from app.managers._podman_fragment import ASKING
from app.managers._processes import described, is_roots_program, named, runs

# …/libpod-<id>.scope, …/libpod-payload-<id>.scope, or …/<id> under the scope of a user's podman
_ID = re.compile(r"/(libpod-(?:payload-)?)?([0-9a-f]{64})(?:\.scope)?(?=/|$)")
_HELPERS = ("rootlessport", "slirp4netns", "pasta", "pasta.avx2", "passt", "passt.avx2")

SHELL = r"""
af_watch conmon 'rootlessport*' slirp4netns 'pasta*'
facts_podman() {
    unset CONTAINER_HOST CONTAINER_SSHKEY CONTAINERS_CONF CONTAINERS_STORAGE_CONF
    for person in $(podman_people | sort -u); do af_user "$person" && podman_of; done
}

# The users whose podman is claimed, and those whose conmon or port helper is among the processes that matter.
podman_people() {
    printf '%s\n' "$AF_UNITS" | awk -F / 'NF { print (NF == 1 ? "root" : $1) }'
    printf '%s\n' "$AF_COMMS" | while read -r pid name; do
        case $name in conmon | rootlessport* | slirp4netns | pasta*) stat -c %U "/proc/$pid" ;; esac
    done
}
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """A container, and whose podman keeps it: ``of`` by name, ``uid`` as the host printed it."""

    container: Container
    of: str
    uid: str
    conmon: int
    systemd_unit: str

    @property
    def unit(self) -> str:
        """What a claim calls it."""
        return self.container.name if self.of == "root" else f"{self.of}/{self.container.name}"

    def is_above(self, main: Process, facts: Facts) -> bool:
        """Whether a main process stands below the conmon that podman names, and is one that this podman speaks for."""
        conmon = facts.processes.get(self.conmon)
        if conmon is None or main.ppid != conmon.pid or not is_roots_program(conmon, "conmon"):
            return False
        is_spoken_for = self.uid == "0" or str(main.uid) in {self.uid, main.user}
        return str(conmon.uid) == self.uid and is_spoken_for


class Podman(Manager):
    """podman, root's and the users' own."""

    name = "podman"
    label = "podman"
    is_driven = True
    shell = ASKING + SHELL

    def problems(self, service: Service) -> list[Problem]:
        """Say what in a claim names no container of podman's."""
        user, slash, name = service.unit.rpartition("/")
        found = [problem for problem in (name_problem(name, "podman ps"),) if problem]
        if slash and (user == "root" or USER.fullmatch(user) is None):
            found = [Problem("unit", "a container of root's by its name, and one of a user's as USER/NAME")]
        if service.config is not None:
            found.append(Problem("config", "podman has no configuration file for one container: leave it out"))
        return found

    def recognise(self, chain: tuple[Process, ...], port: int | None, facts: Facts) -> Owner | None:
        """Say which container a process is in, or holds a port for."""
        if not chain:
            return None
        first = chain[0]
        if port is not None and (owner := _publisher(first, port, facts)):
            return owner
        ids = list(_ID.finditer(first.cgroup))
        kept = next((each for one in reversed(ids) for each in _kept(facts) if each.container.id == one[2]), None)
        if kept is None:
            return _unlisted(chain) if any(one[1] for one in ids) else None
        is_systemds = any(
            part.endswith(".service") and not part.startswith("user@") for part in first.cgroup.split("/")
        )
        return None if kept.systemd_unit and is_systemds else _owned(kept, chain, facts)

    def find(self, service: Service, facts: Facts) -> Lookup:
        """Look a container up in the list of the podman that the claim means."""
        of = service.unit.rpartition("/")[0] or "root"
        asked = next((each for each in facts.records("podman.user") if each.get("of") == of), None)
        if asked is None:
            return Unseen(f"the host tells of no podman of {of}", "Look which user's container it is.")
        if asked.get("why"):
            step = (
                f"Let Askfirst's user become root there (`sudo: true`), and {of} run `podman ps` once; then ask again."
            )
            return Unseen(f"the podman of {of} could not be asked: {asked.get('why')}", step)
        if asked.get("scope") != "all":
            return Unseen("the host's gate did not ask podman", "Probe again; where it stays so, renew the host's kit.")
        known = {each.unit: each for each in _kept(facts)}
        kept = known.get(service.unit)
        if kept is None:
            return Missing(near(service.unit, known))
        container = kept.container
        return Found(
            unit=kept.unit,
            state=container.state,
            main=(container.pid,) if container.is_running else (),
            ports=container.ports,
            user=_containers.user_of(container, facts),
            path=container.path_for(service.path),
            obstacle=_obstacle(kept),
        )

    def restart(self, service: Service, unit: str, facts: Facts) -> Command:
        """Make ``podman restart NAME``, by the user whose container it is."""
        return _podman("restart", unit)

    def start(self, service: Service, unit: str, facts: Facts) -> Command:
        """Make ``podman start NAME``, by the user whose container it is."""
        return _podman("start", unit)

    def signs(self, service: Service, facts: Facts) -> tuple[Sign, ...]:
        own = (each.container for each in _kept(facts) if each.unit == service.unit)
        return tuple(sign for each in own for sign in _containers.signs(each, service, facts, "podman"))

    def mark(self, identity: tuple[str, ...]) -> tuple[str, ...]:
        return _containers.mark(identity)


def _podman(what: str, unit: str) -> Command:
    user, _, name = unit.rpartition("/")
    return Command(("podman", what, name), user or "root")


def _obstacle(kept: Kept) -> str:
    if kept.systemd_unit:
        return f"systemd runs it by its unit {kept.systemd_unit}, and would undo what podman does: claim that unit"
    if kept.container.state in {"removing", "stopping", "configured", "improper"}:
        return f"podman says that it is {kept.container.state}"
    return ""


def _kept(facts: Facts) -> Iterator[Kept]:
    uids = {each.get("of"): each.get("uid") for each in facts.records("podman.user") if not each.get("why")}
    for record in facts.records("podman.container"):
        if record.get("of") in uids:
            yield _read(record, uids[record.get("of")])


def _read(record: Record, uid: str) -> Kept:
    systemd_unit = text_from(record.get("systemd-unit"))
    return Kept(container_from(record), record.get("of"), uid, record.number("conmon"), systemd_unit)


def _owned(kept: Kept, chain: tuple[Process, ...], facts: Facts) -> Owner:
    container = kept.container
    depth = next((depth for depth, process in enumerate(chain) if process.pid == container.pid), None)
    if depth is None:
        evidence = f"in the control group of container {kept.unit}, yet not below its main process {container.pid}"
        return Owner(MANAGER.name, kept.unit, Nearness.CONTAINER, len(chain), container.pid or None, False, evidence)
    main = chain[depth]
    is_believed = container.id in main.cgroup and kept.is_above(main, facts)
    evidence = f"conmon {kept.conmon} of {kept.of} → container {kept.unit} → {main.comm} {main.pid}"
    return Owner(MANAGER.name, kept.unit, Nearness.CONTAINER, depth + 1, main.pid, is_believed, evidence)


def _publisher(first: Process, port: int, facts: Facts) -> Owner | None:
    """Lead a holder of a port that stands outside of every container to the one that it holds it for."""
    is_conmon = first.comm == "conmon" and runs(first, "conmon")
    if not is_conmon and not (first.comm.startswith(_HELPERS) and runs(first, *_HELPERS)):
        return None
    for kept in _kept(facts):
        container = kept.container
        is_its_own = first.pid == kept.conmon if is_conmon else str(first.uid) == kept.uid
        if port not in container.ports or not container.is_running or not is_its_own:
            continue
        main = facts.processes.get(container.pid)
        is_believed = main is not None and kept.is_above(main, facts) and is_roots_program(first, "conmon", *_HELPERS)
        evidence = f"{first.comm} {first.pid} of {kept.of} → container {kept.unit}, main process {container.pid}"
        return Owner(MANAGER.name, kept.unit, Nearness.CONTAINER, 0, container.pid, is_believed, evidence)
    if not is_conmon and not first.comm.startswith("rootlessport"):
        return None
    evidence = f"{named(first)} → port {port}, published for a container that podman did not tell of"
    return Owner(MANAGER.name, _after("-n", first), Nearness.CONTAINER, 0, None, False, evidence)


def _unlisted(chain: tuple[Process, ...]) -> Owner:
    """Name a container by its conmon alone, where no podman told of it: nothing is proved."""
    inside = [process for process in chain if _ID.search(process.cgroup) and process.comm != "conmon"]
    conmon = next((process for process in chain if process.comm == "conmon" and runs(process, "conmon")), None)
    above = named(conmon) if conmon else "a conmon that was not seen"
    main = inside[-1] if inside else chain[0]
    evidence = f"{above} → {described(main)}"
    unit = _after("-n", conmon) if conmon else None
    return Owner(MANAGER.name, unit, Nearness.CONTAINER, len(inside), main.pid, False, evidence)


def _after(option: str, process: Process) -> str | None:
    return next((value for word, value in pairwise(process.argv) if word == option), None)


MANAGER = Podman()
