"""Whose container a process is in. Shared by ``docker`` and ``compose``, which split the containers between them.

A process is in a container where its control group says so, *and* Docker's own list names that container with a main
process among the process's ancestors: any user can make a control group with such a name. A published port is held by
Docker's proxy, or by its daemon where there is no proxy; either is believed as root's own program, and leads to the
container that Docker says publishes the port. Keeps law 1.
"""

import re

from app.core.facts import Facts, Process
from app.core.manager import Nearness, Owner
from app.managers._containers import Container, by_id, publishing
from app.managers._processes import described, is_roots_program, named, runs

# …/docker/<id>, …/docker-<id>.scope, or …/<id> under a parent of the operator's choice; processes may stand below it.
_ID = re.compile(r"/(docker[/-])?([0-9a-f]{64})(?:\.scope)?(?=/|$)")
_PROXIES = ("docker-proxy", "dockerd")


def container_of(chain: tuple[Process, ...], port: int | None, facts: Facts) -> Container | None:
    """Lead a process to a container that Docker tells of, by the port that it holds for it or by its control group."""
    if port is not None and chain and _is_proxy(chain[0]):
        return publishing(port, facts)
    ids = [match[2] for match in _ids(chain)]
    return next((container for each in reversed(ids) if (container := by_id(each, facts))), None)


def owned(manager: str, unit: str, container: Container, chain: tuple[Process, ...]) -> Owner:
    """Say how far it is proved that a container, under its manager's name for it, is the owner of a process."""
    if _is_proxy(chain[0]):
        evidence = f"{chain[0].comm} {chain[0].pid} → container {container.name}, main process {container.pid}"
        is_believed = is_roots_program(chain[0], *_PROXIES)
        return Owner(manager, unit, Nearness.CONTAINER, 0, container.pid, is_believed, evidence)
    depth = next((depth for depth, process in enumerate(chain) if process.pid == container.pid), None)
    if depth is None:
        evidence = f"in the control group of container {container.name}, yet not below its main process {container.pid}"
        return Owner(manager, unit, Nearness.CONTAINER, len(chain), container.pid or None, False, evidence)
    main = chain[depth]
    is_believed = container.id in main.cgroup
    evidence = f"container {container.name} ({container.id[:12]}) → {main.comm} {main.pid}"
    return Owner(manager, unit, Nearness.CONTAINER, depth + 1, main.pid, is_believed, evidence)


def unlisted(manager: str, chain: tuple[Process, ...], port: int | None, facts: Facts) -> Owner | None:
    """Say that a process points at a container which Docker did not tell of, None where it does not.

    Docker may not have been asked, or had no answer: then its proxy must not be taken for a part of ``docker.service``.
    Of ports that its daemon holds, some are the daemon's own; those are told apart by Docker's list alone.
    """
    if port is not None and chain and _is_proxy(chain[0]):
        if chain[0].comm == "dockerd" and facts.records("docker.list"):
            return None
        evidence = f"{named(chain[0])} holds port {port} for a container that Docker did not tell of"
        return Owner(manager, None, Nearness.CONTAINER, 0, None, False, evidence)
    if not any(match[1] for match in _ids(chain)):
        return None
    evidence = f"the control group of a container that Docker does not list: {described(chain[0])}"
    return Owner(manager, None, Nearness.CONTAINER, len(chain), None, False, evidence)


def _is_proxy(process: Process) -> bool:
    return process.comm in _PROXIES and process.uid == 0 and runs(process, *_PROXIES)


def _ids(chain: tuple[Process, ...]) -> list[re.Match[str]]:
    return list(_ID.finditer(chain[0].cgroup)) if chain else []
