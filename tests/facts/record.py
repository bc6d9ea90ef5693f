"""Record what the gate prints on a lab host, beside the JSON file that says what should be read from it.

    python -m tests.facts.record HOST tests/facts/docker/incident.json

The JSON file holds ``claims`` (fields of a service, without host and owner) and what is expected: ``owners`` by port as
manager, unit and whether it is believed; ``found`` by claim; ``verdicts`` by claim. Kept in the ``.rec`` file is what
concerns those ports and claims, and all that the managers said. The gate looks at the holders of claimed ports only, so
that each port of ``owners`` has to be in a claim. Numbers of processes are of that one moment: look the expectations
through after each recording.
"""

import json
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.core.facts import Record
from app.core.records import read
from app.core.service import Service
from app.gate import build
from tests.lab.hosts import Lab


def claims_of(expected: dict[str, Any]) -> list[Service]:
    """Return the claims that a JSON file holds."""
    return [
        Service(
            **{"host": "recorded", "owner": "lab", **claim, "ports": tuple(claim.get("ports", ()))}
            | {"args": tuple(claim.get("args", ()))}
        )
        for claim in expected["claims"]
    ]


def main(host: str, path: Path) -> None:
    """Probe a host, and write what concerns the expectations."""
    expected = json.loads(path.read_text())
    nonce = secrets.token_hex(16)
    answer = Lab().find(host).run(build.probe_input(nonce, claims_of(expected)).decode()).out
    records = read(answer.encode(), nonce, "probe")
    managers = {claim["manager"] for claim in expected["claims"]} | {owner[0] for owner in expected["owners"].values()}
    wanted = set(map(id, _concerning(records, set(map(int, expected["owners"])), managers)))
    lines = [line for line, record in zip(answer.splitlines(), records, strict=False) if id(record) in wanted]
    path.with_suffix(".rec").write_text("\n".join([*lines, f"end nonce={nonce} count={len(lines)}", ""]))


def _concerning(records: list[Record], ports: set[int], managers: set[str]) -> Iterator[Record]:
    inodes = {record.get("inode") for record in records if record.kind == "listen" and int(record.get("port")) in ports}
    parents = {record.get("pid"): record.get("ppid") for record in records if record.kind == "process"}
    held = (record.get("pid") for record in records if record.kind == "holder" and record.get("inode") in inodes)
    told = (record.get("pid") for record in records if record.kind.partition(".")[0] in managers)
    pids = {pid for first in (*held, *told) for pid in _chain(first, parents)}
    for record in records:
        if record.kind in {"listen", "holder"} and record.get("inode") not in inodes:
            continue
        if record.kind == "process" and record.get("pid") not in pids:
            continue
        yield record


def _chain(pid: str, parents: dict[str, str]) -> Iterator[str]:
    while pid in parents:
        yield pid
        pid = parents[pid]


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
