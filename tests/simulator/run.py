"""Runs seeds: each is one world with its own schedule and faults, and is the same whenever it is run again.

python -m tests.simulator.run --seeds 10000          all of them, one line at the end
python -m tests.simulator.run --seed 4711 --trace    one of them, line by line
"""

import argparse
import asyncio
import gc
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_context
from random import Random
from typing import Any, TypeVar

import structlog

from app.store.verify import verify
from tests.simulator.faults import Fault, Record
from tests.simulator.loop import Stuck
from tests.simulator.people import Story, release
from tests.simulator.store import chance_from, database
from tests.simulator.template import APPROVERS, EXPIRES_SECONDS, clean_up, copied, prepare, template
from tests.simulator.world import Planted, Stage

_MOST_SECONDS = 400.0
T = TypeVar("T")
# A warrant that was sent, and given up for lost, may arrive for as long.
_LATEST_SECONDS = 30.0
# What is asked for, and how often; and how often a host is swept.
_SCENES = {("pypnm-gui",): 65, ("tftp",): 19, ("pypnm-gui", "pypnm-api"): 8, ("pypnm-gui", "tftp"): 8}
_SWEEP_SECONDS = {0.0: 72, 10.0: 12, 20.0: 16}
_BATCH, _SAID_EVERY = 50, 1000


@dataclass
class Outcome:
    """What came of some seeds. ``orders`` are the interleavings, each by its digest."""

    seeds: int = 0
    steps: int = 0
    faults: Counter[Fault] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    orders: set[bytes] = field(default_factory=set)
    broken: dict[int, list[str]] = field(default_factory=dict)

    def add(self, other: "Outcome") -> None:
        self.seeds += other.seeds
        self.steps += other.steps
        self.faults += other.faults
        self.ends += other.ends
        self.orders |= other.orders
        self.broken |= other.broken

    def line(self) -> str:
        """Say all in one line."""
        faults = ", ".join(f"{fault} {self.faults[fault]}" for fault in Fault)
        broken = sum(map(len, self.broken.values()))
        return (
            f"seeds {self.seeds}, steps {self.steps}, distinct interleavings {len(self.orders)}; "
            f"faults {self.faults.total()}: {faults}; invariants broken {broken}"
        )


@dataclass(frozen=True, slots=True)
class Run:
    """One seed's run: its record, how many turns it took, and how its requests ended."""

    record: Record
    steps: int
    ends: tuple[str, ...]


def simulate(seed: int, planted: Planted | None = None, *, keeps_lines: bool = False) -> Run:
    """Run one seed."""
    _warm_up()
    return _simulate(seed, planted or Planted(), keeps_lines=keeps_lines)


@cache
def _warm_up() -> None:
    """Let SQLAlchemy ask what it asks of a database once, so that no seed depends on which one was first."""
    _simulate(-1, Planted(), keeps_lines=False)


def _simulate(seed: int, planted: Planted, *, keeps_lines: bool) -> Run:
    chance = Random(f"askfirst {seed}")
    record = Record(keeps_lines)
    is_served = chance.random() < 0.75
    file = copied(template(*chance.choices(APPROVERS, (7, 3)), *chance.choices(EXPIRES_SECONDS, (75, 25))))
    gc.disable()
    with chance_from(Random(f"ids {seed}")), _logging_to(record):
        stage = Stage(chance, record, file, is_served, planted, _drawn(chance, _SCENES), _drawn(chance, _SWEEP_SECONDS))
        try:
            stage.in_the_world("world", _live(stage))
            stage.model.ended()
            _verified(stage)
        except Stuck:
            record.breaks("the world comes to rest", f"{stage.loop.turns} steps")
        finally:
            steps = stage.loop.turns
            stage.close()
            gc.enable()
    for each in stage.loop.unhandled:
        record.breaks("nothing fails unseen", each)
    ends = tuple(str(each.request.state) for each in stage.model.told.values())
    return Run(record, steps, ends)


def _drawn(chance: Random, weights: dict[T, int]) -> T:
    return chance.choices(list(weights), list(weights.values()))[0]


async def _live(stage: Stage) -> None:
    """Let a world live through its faults, then mend it, and wait until all has ended."""
    for _ in range(stage.chance.choice((1, 2, 2, 3)) if stage.is_served else 1):
        stage.start()
    chaos = stage.loop.start(stage.loop.process("chaos"), stage.chaos())
    stories = [Story(stage, each) for each in stage.services]
    if stage.chances.strikes(Fault.RIVAL, "people"):
        stories.append(Story(stage, stage.services[0], "cy"))
    await asyncio.gather(*(each.tell() for each in stories))
    stage.heal()
    await chaos
    await release(stage)
    until = stage.loop.time() + _MOST_SECONDS
    while stage.loop.time() < until and not stage.is_at_rest():
        await asyncio.gather(*(each.nudge() for each in stories))
    await asyncio.sleep(_LATEST_SECONDS)


def _verified(stage: Stage) -> None:
    """Let the real verifier read the whole log, and rebuild every row from it."""
    db = database(stage.model, is_served=stage.is_served)
    report = stage.in_the_world("auditor", verify(db))
    if not report.is_whole:
        stage.record.breaks("the log verifies and rebuilds every row", f"{report.why} {report.differences[:3]}")


@contextmanager
def _logging_to(record: Record) -> Iterator[None]:
    """Take what Askfirst logs into the record; what it did not expect breaks a rule."""

    def take(logger: object, method: str, event: Any) -> Any:
        record.note("log", str(event.get("event")), f"{event.get('what', '')} {event.get('code', '')}")
        if method in {"error", "exception", "critical"}:
            record.breaks("every failure is foreseen", f"{event.get('event')}: {sys.exc_info()[1]!r}")
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[take])
    logging.disable()  # SQLAlchemy tells of every line that broke
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        structlog.configure(**before)


def run(seeds: Sequence[int], planted: Planted | None = None) -> Outcome:
    """Run some seeds, one after the other."""
    outcome = Outcome()
    for seed in seeds:
        done = simulate(seed, planted)
        outcome.add(
            Outcome(1, done.steps, done.record.faults, Counter(done.ends), {done.record.order}, _broken(seed, done))
        )
        if outcome.seeds % 25 == 0:
            gc.collect()
    return outcome


def _broken(seed: int, done: Run) -> dict[int, list[str]]:
    return {seed: done.record.broken} if done.record.broken else {}


def main() -> int:
    """Run what the command line says, and say in one line what came of it."""
    options = _options()
    try:
        prepare()
        if options.seed is not None:
            return _one(options.seed, is_traced=options.trace)
        return _many(options.seeds, options.jobs)
    finally:
        clean_up()


def _one(seed: int, *, is_traced: bool) -> int:
    done = simulate(seed, keeps_lines=is_traced)
    print(*done.record.lines, *done.record.broken, sep="\n")
    print(f"seed {seed}: {', '.join(done.ends)}; {done.steps} steps, trace {done.record.digest}")
    return bool(done.record.broken)


def _many(seeds: int, jobs: int) -> int:
    began, outcome = time.monotonic(), Outcome()
    batches = [range(start, min(start + _BATCH, seeds)) for start in range(0, seeds, _BATCH)]
    with ProcessPoolExecutor(jobs, get_context("fork")) as pool:
        for each in pool.map(run, batches):
            outcome.add(each)
            for seed, broken in each.broken.items():
                print(f"seed {seed}: {'; '.join(broken[:3])}", flush=True)
            if outcome.seeds % _SAID_EVERY == 0 and outcome.seeds < seeds:
                print(
                    f"… {outcome.seeds} of {seeds}, invariants broken {sum(map(len, outcome.broken.values()))}",
                    flush=True,
                )
    ends = ", ".join(f"{end} {number}" for end, number in outcome.ends.most_common())
    print(f"{seeds / (time.monotonic() - began):.1f} seeds a second; requests that ended as: {ends}")
    print(outcome.line())
    return bool(outcome.broken)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, help="run this one seed")
    parser.add_argument("--trace", action="store_true", help="with --seed: say all that happened")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
