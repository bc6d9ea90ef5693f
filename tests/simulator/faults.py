"""What goes wrong in a simulated world, of what kind, how often; and the record of what happened, in order."""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from tests.simulator.loop import Process


class Fault(StrEnum):
    """One kind of fault each, as the last line of a run counts them."""

    KILL = "kill -9"
    STOP = "process stopped"
    DRAIN = "process ended politely"
    COMMIT_UNTOLD = "commit done, answer lost"
    COMMIT_UNDONE = "commit lost"
    LINE = "database line cut"
    FULL = "disk full"
    AWAY = "database away"
    SLOW = "answer delayed"
    SSH_BEFORE = "ssh cut before"
    SSH_SENT = "ssh cut after the bytes"
    SSH_MIDDLE = "ssh cut in the run"
    SSH_ANSWER = "ssh answer lost"
    LATE = "warrant delivered late"
    TWICE = "warrant delivered twice"
    DOWN = "host down"
    REBOOT = "host rebooted"
    REPLACED = "service replaced"
    CLOCK = "clock jumped"
    AGAIN = "click repeated"
    FREEZE = "freeze set"
    LAST_MOMENT = "yes at the last moment"
    LOOK = "person looked"
    RIVAL = "asked by two"
    IDLE = "nobody restarted"
    SILENT = "restarted without a word"
    LIE = "said and not done"
    DENY = "denied meanwhile"
    CANCEL = "cancelled meanwhile"


OF_A_PROCESS = (Fault.KILL, Fault.STOP, Fault.DRAIN)
# How likely each is where a seed has it: by turn of a process, by statement, by talk with a host, or by moment.
_RATES: dict[Fault, float] = {
    Fault.KILL: 0.002,
    Fault.STOP: 0.0015,
    Fault.DRAIN: 0.0008,
    Fault.COMMIT_UNTOLD: 0.08,
    Fault.COMMIT_UNDONE: 0.08,
    Fault.LINE: 0.006,
    Fault.FULL: 0.01,
    Fault.AWAY: 0.05,
    Fault.SLOW: 0.02,
    Fault.SSH_BEFORE: 0.05,
    Fault.SSH_SENT: 0.4,
    Fault.SSH_MIDDLE: 0.25,
    Fault.SSH_ANSWER: 0.08,
    Fault.LATE: 0.5,
    Fault.TWICE: 0.6,
    Fault.DOWN: 0.03,
    Fault.REBOOT: 0.02,
    Fault.REPLACED: 0.012,
    Fault.CLOCK: 0.05,
    Fault.AGAIN: 0.3,
    Fault.FREEZE: 1.0,
    Fault.LAST_MOMENT: 0.3,
    Fault.LOOK: 0.35,
    Fault.RIVAL: 0.35,
    Fault.IDLE: 0.5,
    Fault.SILENT: 0.6,
    Fault.LIE: 0.6,
    Fault.DENY: 1.0,
    Fault.CANCEL: 1.0,
}
# On one file there is one process, and no line to a server.
_OF_A_SERVER = frozenset({Fault.COMMIT_UNTOLD, Fault.COMMIT_UNDONE, Fault.LINE, Fault.AWAY})
_PRESENT = 0.35
_MOST_TURNS = 4000


@dataclass
class Record:
    """What happened. ``digest`` is over all of it, ``order`` over who did what after whom, without any time."""

    keeps_lines: bool = False
    is_closed: bool = False
    lines: list[str] = field(default_factory=list)
    faults: Counter[Fault] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    now: Callable[[], float] = lambda: 0.0
    _all: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    _order: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def note(self, who: str, what: str, details: str = "") -> None:
        if self.is_closed:
            return
        line = f"{self.now():10.4f} {who:8} {what} {details}".rstrip()
        self._all.update(line.encode() + b"\n")
        self._order.update(f"{who} {what}\n".encode())
        if self.keeps_lines:
            self.lines.append(line)

    def fault(self, fault: Fault, who: str, details: str = "") -> None:
        self.faults[fault] += 1
        self.note(who, f"! {fault}", details)

    def breaks(self, invariant: str, details: str) -> None:
        if self.is_closed:
            return
        self.note("!!", invariant, details)
        self.broken.append(f"{invariant}: {details}")

    @property
    def digest(self) -> str:
        return self._all.hexdigest()

    @property
    def order(self) -> bytes:
        return self._order.digest()[:12]


class Chances:
    """Which faults this seed has, and whether one strikes now. Each seed has some of the kinds, so that they mix."""

    def __init__(self, chance: Random, record: Record, *, is_served: bool) -> None:
        self.chance = chance
        self.record = record
        self.is_over = False
        possible = [each for each in Fault if is_served or each not in _OF_A_SERVER]
        self.rates = {
            each: _RATES[each] * chance.choice((0.5, 1, 2)) for each in possible if chance.random() < _PRESENT
        }

    def strikes(self, fault: Fault, who: str, details: str = "") -> bool:
        """Say whether a fault strikes, and count it."""
        rate = self.rates.get(fault)
        if rate is None or self.is_over or self.chance.random() >= rate:
            return False
        self.record.fault(fault, who, details)
        return True

    def turns_until(self, *faults: Fault) -> int:
        """Return after how many turns of a process one of these strikes; -1 for never."""
        rate = sum(self.rates.get(each, 0.0) for each in faults)
        if not rate or self.is_over:
            return -1
        return max(1, min(_MOST_TURNS, int(self.chance.expovariate(rate))))

    def aim(self, process: Process, *faults: Fault) -> None:
        """Let one of these strike a process soon, now and then: what it does now is what counts."""
        if not self.is_over and any(each in self.rates for each in faults) and self.chance.random() < 0.3:
            process.fuse = self.chance.randint(1, 90)

    def one_of(self, *faults: Fault) -> Fault:
        """Choose one of the faults that this seed has."""
        there = [each for each in faults if each in self.rates]
        return self.chance.choices(there, [self.rates[each] for each in there])[0]

    def moment(self, most: float = 0.02) -> float:
        """Return how long an answer takes, in seconds: mostly short, now and then long."""
        if not self.is_over and Fault.SLOW in self.rates and self.chance.random() < self.rates[Fault.SLOW]:
            self.record.faults[Fault.SLOW] += 1
            return self.chance.uniform(0.0, 4.0)
        return self.chance.random() * most
