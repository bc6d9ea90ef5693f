"""A host's world at one moment: its processes, files and units, so that a test can prove that nothing changed.

Looking is done as root over SSH, which leaves traces of its own: sessions, root's systemd, the login journal. Those,
and what lives shorter than two looks, are left out; everything else counts, down to a file's change time and a unit's
invocation.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from tests.lab.hosts import LabHost

LOOK = Path(__file__).with_name("look.py")


@dataclass(frozen=True, slots=True)
class World:
    """Each is keyed by what identifies a thing (pid and start, path, unit) and holds what may change of it."""

    processes: dict[str, str]
    files: dict[str, str]
    units: dict[str, str]


def world(host: LabHost) -> World:
    seen = json.loads(host.run(["python3", "-"], stdin=LOOK.read_text()).out)
    return World(**seen)


def changes(before: World, after: World) -> list[str]:
    """What differs between two looks, a line each; empty where nothing does."""
    found = []
    for kind in ("processes", "files", "units"):
        old, new = getattr(before, kind), getattr(after, kind)
        found += [f"{kind}: {key} is gone ({old[key]})" for key in old.keys() - new.keys()]
        found += [f"{kind}: {key} is new ({new[key]})" for key in new.keys() - old.keys()]
        found += [
            f"{kind}: {key} was {old[key]}, is {new[key]}" for key in old.keys() & new.keys() if old[key] != new[key]
        ]
    return sorted(found)
