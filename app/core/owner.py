"""Who runs a process: the nearest manager, from the process upwards.

Its container where it is in one; otherwise the nearest supervising ancestor; otherwise the unit of its control group;
otherwise nobody. supervisord is itself a systemd unit, and so is Docker: the nearest counts. Which manager recognises
what stands in the managers' own files; here only the distances are compared, and nothing is judged.

Keeps law 1: an owner found behind ancestors that could not be seen is not believed, since a nearer one may be hidden.
"""

from collections.abc import Mapping
from dataclasses import replace

from app.core.facts import Facts, Process
from app.core.manager import Manager, Nearness, Owner

NOBODY = "none"


def owner_of(pid: int, facts: Facts, managers: Mapping[str, Manager], port: int | None = None) -> Owner:
    """Return who runs a process. ``port`` is the one that it was found by: some hold a port for another."""
    chain = facts.chain(pid)
    if not chain:
        return Owner(NOBODY, None, Nearness.NOBODY, 0, None, False, f"process {pid} could not be seen")
    found = [owner for manager in managers.values() if (owner := manager.recognise(chain, port, facts))]
    nearest = min(found, key=_distance) if found else _nobody(chain)
    if nearest.nearness < Nearness.UNIT or is_whole(chain):
        return nearest
    return replace(nearest, is_believed=False, evidence=f"{nearest.evidence}; not all ancestors could be seen")


def holding(port: int, facts: Facts) -> tuple[int, ...]:
    """Return the pids that hold a port, the smallest first."""
    return tuple(sorted({pid for each in facts.listeners if each.port == port for pid in each.pids}))


def is_whole(chain: tuple[Process, ...]) -> bool:
    """Tell whether a chain goes up to the first process (or to one put in from outside), with none missing."""
    return bool(chain) and chain[-1].ppid == 0


def _distance(owner: Owner) -> tuple[Nearness, int, bool, str]:
    """Of two at one distance the one that is proved counts: the other is only what something calls itself."""
    return owner.nearness, owner.depth, not owner.is_believed, owner.manager


def _nobody(chain: tuple[Process, ...]) -> Owner:
    return Owner(NOBODY, None, Nearness.NOBODY, len(chain), chain[0].pid, True, "no manager among its ancestors")
