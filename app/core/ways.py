"""The two ways between a claim and the live processes, walked once: down from the name, and up from the port.

Down: manager → unit → main processes. Up: port (or, where none is claimed, path) → process → owner. Nothing is judged
here; ``aspects`` compares what was met, and ``judge`` says what it amounts to.

Keeps law 1: what leads from one end to the other is computed from both ends apart, never one from the other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.core.facts import Facts, Process
from app.core.manager import Found, Lookup, Manager, Nearness, Owner
from app.core.owner import holding, is_whole, owner_of
from app.core.service import Service


@dataclass(frozen=True, slots=True)
class Holder:
    """A process met on the way up, and who runs it. ``port`` is None where it was met by path, or as a main process."""

    pid: int
    port: int | None
    owner: Owner


@dataclass(frozen=True, slots=True)
class Ways:
    """Both ways. ``lookup`` is None where this version has no such manager; ``mains`` are pids met on the way down.

    ``holders`` were met by port or path, ``owners`` are the owners of the main processes. ``hidden`` are claimed ports
    on which somebody listens who could not be seen, ``free`` those on which nobody does.
    """

    service: Service
    facts: Facts
    managers: Mapping[str, Manager]
    manager: Manager | None
    lookup: Lookup | None
    mains: tuple[int, ...]
    holders: tuple[Holder, ...]
    owners: tuple[Holder, ...]
    hidden: tuple[int, ...]
    free: tuple[int, ...]

    @property
    def is_by_hand(self) -> bool:
        """Whether a person restarts it, whoever runs it now."""
        return self.manager is not None and self.manager.is_by_hand

    @property
    def found(self) -> Found | None:
        """What the manager knows by the claimed name."""
        return self.lookup if isinstance(self.lookup, Found) else None

    @property
    def unit(self) -> str:
        """The manager's canonical name, or the claimed one while there is none."""
        return self.found.unit if self.found else self.service.unit

    @property
    def live(self) -> tuple[Process, ...]:
        """The main processes, as far as they were seen."""
        return tuple(self.facts.processes[pid] for pid in self.mains if pid in self.facts.processes)

    @property
    def is_down(self) -> bool:
        """Whether the manager knows the name, and nothing runs under it."""
        return self.found is not None and not self.mains

    @property
    def is_contained(self) -> bool:
        """Whether it runs in containers, whose own view is not the host's."""
        return any(holder.owner.nearness is Nearness.CONTAINER for holder in self.owners)

    @property
    def heads(self) -> tuple[Holder, ...]:
        """The holders that descend from no other holder: masters without their workers."""
        pids = {holder.pid for holder in self.holders}
        tops = set(_topmost(pids, self.facts))
        return tuple(holder for holder in self.holders if holder.pid in tops)

    @property
    def subjects(self) -> tuple[Process, ...]:
        """Whose user and path are compared: the main processes, or else those that were met instead of them."""
        if self.mains:
            return self.live
        stand = (self.standing(holder) for holder in self.heads)
        return tuple({each.pid: each for each in stand if each is not None}.values())

    def standing(self, holder: Holder) -> Process | None:
        """Return the process that stands for a holder: a proxy holds a container's port for its main process."""
        is_contained = holder.owner.nearness is Nearness.CONTAINER and holder.owner.main is not None
        return self.facts.processes.get(holder.owner.main or 0 if is_contained else holder.pid)

    def is_ours(self, owner: Owner) -> bool:
        """Whether an owner is the claimed manager, believed, with the claimed unit."""
        if self.is_by_hand:
            return True
        return (
            self.found is not None
            and owner.is_believed
            and owner.manager == self.service.manager
            and owner.unit == self.found.unit
        )

    def meets(self, holder: Holder) -> bool:
        """Whether the ways meet at a holder: it descends from a main process, or the manager publishes its port."""
        if not self.is_ours(holder.owner):
            return False
        is_published = self.found is not None and holder.port in self.found.ports
        return is_published or any(each.pid in self.mains for each in self.facts.chain(holder.pid))

    def is_clear_above(self, holder: Holder) -> bool:
        """Whether every process between a holder and its owner was seen, so that no nearer owner can be hidden."""
        return holder.owner.nearness < Nearness.UNIT or is_whole(self.facts.chain(holder.pid))


def walk(service: Service, facts: Facts, managers: Mapping[str, Manager]) -> Ways:
    """Walk both ways for one claim."""
    manager = managers.get(service.manager)
    lookup = manager.find(service, facts) if manager else None
    mains = lookup.main if isinstance(lookup, Found) else ()
    pids = _by_port(service, facts) if service.ports else _by_path(service, facts, mains)
    listening = {each.port for each in facts.listeners}
    return Ways(
        service=service,
        facts=facts,
        managers=managers,
        manager=manager,
        lookup=lookup,
        mains=mains,
        holders=tuple(Holder(pid, port, owner_of(pid, facts, managers, port)) for pid, port in pids),
        owners=tuple(Holder(pid, None, owner_of(pid, facts, managers)) for pid in mains),
        hidden=tuple(p for p in service.ports if any(each.port == p and not each.pids for each in facts.listeners)),
        free=tuple(port for port in service.ports if port not in listening),
    )


def _by_port(service: Service, facts: Facts) -> list[tuple[int, int | None]]:
    return [(pid, port) for port in service.ports for pid in holding(port, facts)]


def _by_path(service: Service, facts: Facts, mains: Iterable[int]) -> list[tuple[int, int | None]]:
    """Find who works in the claimed path. A path may be shared: a main process that is there answers for itself."""
    there = {pid: each for pid, each in facts.processes.items() if service.path and each.cwd == service.path}
    own = [pid for pid in mains if pid in there]
    listening = [pid for pid in there if any(pid in each.pids for each in facts.listeners)]
    return [(pid, None) for pid in own or _topmost(set(listening or there), facts)]


def _topmost(pids: set[int], facts: Facts) -> tuple[int, ...]:
    """Return those of the pids that descend from none of the others."""
    return tuple(sorted(pid for pid in pids if not pids & {each.pid for each in facts.chain(pid)[1:]}))
