"""The contract of a process manager: what one file under ``managers`` must offer, and the values it answers with.

Everything here is pure: facts in, value out. No other file knows a manager's name. Keeps law 4 (the argv is made here,
as an array) and, with ``owner``, law 1 (a manager speaks for a process only where its own list names it).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Protocol

from app.core.facts import Facts, Process
from app.core.service import Problem, Service
from app.core.verdict import Sign


class Action(StrEnum):
    """What a warrant does to a unit, the gentlest first. All but START and RESTART leave its process alive."""

    DAEMON_RELOAD = "daemon-reload"
    RELOAD = "reload"
    START = "start"
    RESTART = "restart"


class Nearness(IntEnum):
    """How near a manager stands to a process; the smallest wins."""

    CONTAINER = 0
    ANCESTOR = 1
    UNIT = 2
    NOBODY = 3


@dataclass(frozen=True, slots=True)
class Owner:
    """Who runs a process, seen from the process upwards.

    ``unit`` is the manager's own name for it (None where the manager could not be asked or has none), ``main`` the pid
    of its main process. ``is_believed`` holds only where the manager's own process is what it says and its own list
    names this process. ``evidence`` is a short sentence ("supervisord 612 → gunicorn 4711"). ``depth`` counts
    generations between the process and its manager, for managers inside managers. ``config`` is what a claim has to
    name where it is not the usual one (several supervisord on a host).
    """

    manager: str
    unit: str | None
    nearness: Nearness
    depth: int
    main: int | None
    is_believed: bool
    evidence: str
    config: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a manager knows by a name, seen from the name downwards.

    ``main`` holds the main process of each instance (several for replicas), empty where nothing runs. ``ports`` are the
    host's ports that the manager itself publishes for it (containers). ``user`` and ``path`` are the manager's own word
    where the processes cannot tell. ``obstacle`` says why the manager would refuse a restart (masked, …).
    """

    unit: str
    state: str
    main: tuple[int, ...] = ()
    ports: tuple[int, ...] = ()
    user: str | None = None
    path: str | None = None
    obstacle: str = ""


@dataclass(frozen=True, slots=True)
class Missing:
    """The manager answered, and does not know the name. ``near`` holds like names."""

    near: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unseen:
    """The manager could not be asked: what was missing, and what would grant it."""

    why: str
    next_step: str


@dataclass(frozen=True, slots=True)
class Several:
    """The name fits more than one unit of the manager."""

    units: tuple[str, ...]


Lookup = Found | Missing | Unseen | Several


@dataclass(frozen=True, slots=True)
class Command:
    """An argv and the OS user of the host that it runs as."""

    argv: tuple[str, ...]
    user: str


@dataclass(frozen=True, slots=True)
class Offered:
    """What the manager would be told for one action, as it follows from a proof. By hand ``argv`` is empty."""

    action: str
    argv: tuple[str, ...]
    user: str


class Manager(Protocol):
    """One process manager. ``MANAGER`` at the end of each file under ``managers`` is such a value.

    Its class inherits from this one, which has what several do alike: the restart starts too, nothing is gentler,
    there are no signs of their own.

    ``name`` is the registry's word, ``label`` the page's. ``is_driven`` tells whether this release restarts through
    it; ``is_claimable`` whether a claim may name it at all. ``is_by_hand`` tells that a person restarts it: whoever
    runs the process now agrees, as long as the process is the claimed one. ``takes_args`` tells that a claim may hold
    arguments: it names what is run itself. ``shell`` is the fragment of the gate, POSIX sh: ``af_watch`` lines and one
    function ``facts_NAME`` ('-' in the name becomes '_'), which prints records and identity lines, and changes nothing;
    the comment in ``gate/frame.sh`` says how.
    """

    name: str
    label: str
    is_driven: bool
    is_claimable: bool = True
    is_by_hand: bool = False
    takes_args: bool = False
    shell: str

    def problems(self, service: Service) -> list[Problem]:
        """Say what in a claim contradicts this manager (the form of a name, a missing path)."""

    def recognise(self, chain: tuple[Process, ...], port: int | None, facts: Facts) -> Owner | None:
        """Say whether this manager runs the first process of the chain, which may hold ``port``."""

    def find(self, service: Service, facts: Facts) -> Lookup:
        """Look the claimed name up in the manager's own list."""

    def restart(self, service: Service, unit: str, facts: Facts) -> Command:
        """Make the restart of ``unit``, the canonical name that was proved; facts tell whose daemon has to be asked.

        By hand it is an empty argv of user ``-``. Raises Refused where this version does not drive the manager.
        """

    def start(self, service: Service, unit: str, facts: Facts) -> Command:
        """Make the start of ``unit``, under which nothing runs: the restart, where there is nothing else for it."""
        return self.restart(service, unit, facts)

    def gentler(self, service: Service, unit: str, facts: Facts, *, ever: bool = False) -> Mapping[Action, Command]:
        """Offer what the manager can do with ``unit`` while its process stays alive, the gentlest first; or nothing.

        ``ever`` asks for what it may offer at any time, whether or not there is occasion for it now.
        """
        return {}

    def signs(self, service: Service, facts: Facts) -> tuple[Sign, ...]:
        """Give the signs of need that only this manager can see."""
        return ()

    def mark(self, identity: tuple[str, ...]) -> tuple[str, ...]:
        """Return what, of the identity lines, changes with each new incarnation and with nothing else.

        A restart has happened where no element of the mark before is left in the mark after.
        """
