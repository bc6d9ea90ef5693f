"""The real flow and store in a simulated world, under some hundreds of seeds; and that the simulator can be believed.

`make simulate` runs as many seeds as one likes. A seed that breaks a rule is named in the failure:
`python -m tests.simulator.run --seed N --trace` says all that happened in it, line by line.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulator.faults import Fault
from tests.simulator.planted import (
    ActsBeforeItsCommit,
    ClaimsByReading,
    ExpiresEarly,
    HasNoPatience,
    LooksOnce,
    LooksTooLate,
    OnlyReads,
    SweepsUnleased,
    TakesSilenceForAChange,
    TriesAgain,
)
from tests.simulator.planted_by_hand import LosesByHand, TakesTheClock, TakesTheTime, TakesTheWord
from tests.simulator.run import run, simulate
from tests.simulator.world import Planted

CHUNK = 50
# Each with the rule that it breaks, and the seed that the search for it begins at.
PLANTED = {
    "claim by read-then-update": (Planted(worker=ClaimsByReading), "a warrant is sent once", 0),
    "act before commit": (Planted(worker=ActsBeforeItsCommit), "log, then act", 0),
    "retry on lost connection": (Planted(hosts=TriesAgain), "a warrant is sent once", 11),
    "read in place of burn": (Planted(hosts=OnlyReads), "an end is true", 32),
    "no lease": (Planted(worker=ClaimsByReading), "a run is begun under a lease", 0),
    "no look at a freeze in the commit": (Planted(worker=LooksOnce), "what is frozen is not begun", 6),
    "no first look at a freeze": (Planted(worker=LooksTooLate), "what is frozen is not begun", 21),
    "expired too early": (Planted(worker=ExpiresEarly), "an expired end is true", 26),
    "silence taken for a change": (Planted(worker=TakesSilenceForAChange), "a stale end is true", 1),
    "no patience with what comes back": (Planted(worker=HasNoPatience), "what came back has not failed", 10),
    "a word taken for a proof": (Planted(worker=TakesTheWord), "a success by hand is another process", 14),
    "no word taken for a no": (Planted(worker=TakesTheClock), "what was restarted by hand has run", 0),
    "no word taken for a yes": (Planted(worker=TakesTheTime), "where the old process runs on, nothing has run", 77),
    "a person taken for a worker": (Planted(worker=LosesByHand), "nobody loses what a person does", 0),
    "a sweep without a lease": (Planted(sweep=SweepsUnleased), "what a sweep keeps, it keeps under its lease", 1),
}


@pytest.mark.law(6)
@pytest.mark.law(7)
@pytest.mark.law(10)
@pytest.mark.law(12)
@pytest.mark.threat("G1")
@pytest.mark.threat("G4")
@pytest.mark.threat("T9")
@pytest.mark.threat("T11")
@pytest.mark.threat("T15")
@pytest.mark.threat("T20")
@pytest.mark.parametrize("start", range(0, 3 * CHUNK, CHUNK))
def test_no_schedule_and_no_fault_breaks_a_rule(start: int) -> None:
    outcome = run(range(start, start + CHUNK))
    assert outcome.broken == {}, outcome.line()
    assert len(outcome.orders) == CHUNK
    assert {Fault.KILL, Fault.STOP, Fault.COMMIT_UNTOLD, Fault.LINE, Fault.AWAY} <= set(outcome.faults)
    assert {"succeeded", "not_run", "stale"} <= set(outcome.ends), outcome.ends


@pytest.mark.law(6)
@pytest.mark.law(10)
@pytest.mark.law(12)
@pytest.mark.parametrize("bug", list(PLANTED))
def test_a_planted_bug_is_found_within_a_thousand_seeds(bug: str) -> None:
    planted, rule, first = PLANTED[bug]
    for seed in (*range(first, 1000), *range(first)):
        broken = simulate(seed, planted).record.broken
        if any(each.startswith(rule) for each in broken):
            print(f"{bug}: found by seed {seed}: {broken[0]}")
            break
    else:
        raise AssertionError(f"{bug} was not found")


def test_a_seed_replays_byte_for_byte_whatever_ran_before_it_and_in_another_process() -> None:
    seeds = range(40, 46)
    first = [simulate(seed, keeps_lines=True).record for seed in seeds]
    again = [simulate(seed, keeps_lines=True).record for seed in reversed(seeds)][::-1]
    assert [each.lines for each in first] == [each.lines for each in again]
    assert all(len(each.lines) > 100 for each in first)
    root, environment = Path(__file__).parents[2], {**os.environ, "PYTHONHASHSEED": "4711"}
    command = [sys.executable, "-m", "tests.simulator.run", "--seed", str(seeds[0])]
    said = subprocess.run(command, capture_output=True, text=True, cwd=root, env=environment, check=False).stdout
    assert said.rstrip().endswith(f"trace {first[0].digest}")


def test_a_failing_seed_is_named_and_fails_the_same_way_again() -> None:
    planted = PLANTED["act before commit"][0]
    outcome = run(range(5), planted)
    assert outcome.broken
    for seed, broken in outcome.broken.items():
        assert simulate(seed, planted).record.broken == broken
    assert outcome.line().endswith(f"invariants broken {sum(map(len, outcome.broken.values()))}")
