"""What is left of a promise after many kills: replicas on a real PostgreSQL and a real host, killed in mid-step.

    python -m bench.kills --kills 200

Boots a host of its own, starts three replicas, and asks for restarts while it kills one after another with SIGKILL,
lets some stand still until their leases have run out, and restarts or crashes PostgreSQL under them. Then each request
is held against what the host itself says: how it ended beside the host's own spool, and how often each service was
started beside how many warrants were spent. Prints the table, and exits 0 only where all of it agrees.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.integration.cluster import Cluster, programs
from tests.lab.hosts import Lab, LabHost
from tests.lab.machine import Process
from tests.lab.replicas import Fleet, fleet

_DATABASE_EVERY = 12  # rounds


async def measure(host: LabHost, kills: int, seed: int) -> bool:
    """Run rounds until so many replicas were killed, print what came of it, and say whether all agrees."""
    bin_folder = programs()
    if bin_folder is None:
        raise SystemExit("needs a PostgreSQL server: apt install postgresql")
    with tempfile.TemporaryDirectory() as folder, Cluster(bin_folder) as cluster:
        async with fleet(host, Path(folder), cluster, seed) as made:
            began, done, rounds = time.monotonic(), 0, 0
            while done < kills:
                count = min(made.chance.choice((1, 2, 3)), kills - done)
                await made.round(count, database=rounds % _DATABASE_EVERY == _DATABASE_EVERY - 1)
                done, rounds = done + count, rounds + 1
                print(f"{done} kills, {len(made.asked)} requests, {time.monotonic() - began:.0f} s", flush=True)
                if wrong := await made.wrong():
                    print("\n".join(wrong))
                    return False
            return await report(made)


async def report(made: Fleet) -> bool:
    """Print the harm done, and how each request ended beside what the host says."""
    print("\nharm")
    for what, count in sorted(made.harms.items()):
        print(f"  {count:5}  {what}")
    print("\nrequests: how it ended | what the log tells | what the host's spool says")
    for (state, story, spool), count in sorted((await made.table()).items()):
        print(f"  {count:5}  {state:9} | {story:50} | {spool}")
    wrong = await made.wrong()
    late = sum(each.said("came too late") + each.said("somebody else was first") for each in made.replicas)
    print(f"\n{len(made.asked)} requests, {len(wrong)} that do not agree; {late} late writes were refused")
    return not wrong


def main(argv: Sequence[str]) -> int:
    """Boot a host, measure, and take it away."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(argv)
    lab = Lab(owner=Process.of(os.getpid()), prefix=f"k{os.getpid()}-")
    lab.build()
    with lab.lend("kills", "systemd") as host:
        return 0 if asyncio.run(measure(host, given.kills, given.seed)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
