"""Runs on a lab host (piped to its python3) and prints that host's processes, files and units as JSON.

It imports nothing of the project, which the host does not have. world.py says what the result is for.
"""

import json
import os
import pwd
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

FOLDERS = ("/boot", "/dev/shm", "/etc", "/home", "/opt", "/root", "/srv", "/tmp", "/usr/local", "/var/lib",
           "/var/spool", "/var/tmp")  # fmt: skip
# Who signs in, in order to look or to probe: their sessions and their own systemd come and go with them.
GUESTS = {person.pw_uid for person in pwd.getpwall() if person.pw_name in {"root", "askfirst", "blind"}}
UNITS_OF_GUESTS = re.compile(
    r"session-\w+\.scope|user-{0}\.slice|user(-runtime-dir)?@{0}\.service|run-user-{0}\.mount".format(
        f"({'|'.join(map(str, GUESTS))})"
    )
)


class Process(NamedTuple):
    parent: int
    start: str
    name: str
    owner: int


def processes() -> dict[str, str]:
    found: dict[int, Process] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            stat, owner = (entry / "stat").read_bytes(), entry.stat().st_uid
        except OSError:
            continue  # it ended
        name = stat[stat.index(b"(") + 1 : stat.rindex(b") ")].decode("latin-1")
        state, parent, *fields = stat[stat.rindex(b") ") + 2 :].decode().split()
        if state != "Z":
            found[int(entry.name)] = Process(int(parent), fields[17], name, owner)

    def is_of_a_guest(pid: int) -> bool:
        process = found.get(pid)
        if process is None or pid == 1:
            return False
        is_session = process.name == "sshd" and process.parent != 1
        is_own_systemd = process.name == "systemd" and process.owner in GUESTS
        return is_session or is_own_systemd or is_of_a_guest(process.parent)

    return {
        f"{pid} since {process.start}": f"{process.name!r} of {process.owner}"
        for pid, process in found.items()
        if not is_of_a_guest(pid)
    }


def files() -> dict[str, str]:
    found = {}
    for top in FOLDERS:
        for folder, _, names in os.walk(top):
            for path in (folder, *(f"{folder}/{name}" for name in names)):
                try:
                    stat = os.lstat(path)
                except OSError:
                    continue  # it went
                found[path] = f"{stat.st_mode:o} {stat.st_uid} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"
    return found


def units() -> dict[str, str]:
    wanted = "Id,LoadState,ActiveState,SubState,InvocationID,NRestarts"
    shown = subprocess.run(
        ["systemctl", "show", f"--property={wanted}", "*"], capture_output=True, text=True, check=True
    )
    found = {}
    for text in shown.stdout.split("\n\n"):
        unit = dict(line.split("=", 1) for line in text.splitlines())
        # Asking for a name loads its unit for a moment: what is loaded and idle is no difference.
        if unit and unit["ActiveState"] != "inactive" and not UNITS_OF_GUESTS.fullmatch(unit["Id"]):
            found[unit["Id"]] = " ".join(value for key, value in unit.items() if key != "Id")
    return found


first = processes()
seen = {"files": files(), "units": units()}
time.sleep(0.3)
second = processes()
# What ended between the two looks was on its way, as a job of cron is.
json.dump({**seen, "processes": {key: first[key] for key in first.keys() & second.keys()}}, sys.stdout)
