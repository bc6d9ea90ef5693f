"""Facts made up for one test: a host of a few processes, and what a manager is said to have told of itself."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from app.core.facts import Blind, Checkout, Facts, Listener, Process, Record
from app.core.service import Service

BOOT = 1_700_000_000.0
INIT_PID = 1
ID = "a" * 64
OTHER_ID = "b" * 64


def process(
    pid: int,
    comm: str,
    *,
    ppid: int = INIT_PID,
    uid: int = 1000,
    exe: str | None = "/usr/bin/python3",
    exe_uid: int | None = 0,
    argv: tuple[str, ...] = (),
    cgroup: str = "/user.slice/user-1000.slice/session-3.scope",
    cwd: str | None = "/srv",
) -> Process:
    return Process(
        pid=pid,
        ppid=ppid,
        start=pid * 100,
        started_at=BOOT + pid,
        uid=uid,
        user="root" if uid == 0 else "rbron",
        comm=comm,
        argv=argv or (comm,),
        cgroup=cgroup,
        exe=exe,
        exe_uid=exe_uid,
        cwd=cwd,
    )


INIT = process(INIT_PID, "systemd", ppid=0, uid=0, exe="/lib/systemd/systemd", cgroup="/init.scope", cwd="/")


def host(
    *processes: Process,
    records: Iterable[Record] = (),
    listeners: Iterable[Listener] = (),
    blind: Iterable[Blind] = (),
    code: Mapping[str, Checkout] = MappingProxyType({}),
) -> Facts:
    own: dict[str, tuple[Record, ...]] = {}
    for record in records:
        manager = record.kind.partition(".")[0]
        own[manager] = (*own.get(manager, ()), record)
    return Facts(
        hostname="alpha",
        uid=0,
        user="root",
        now=BOOT + 10_000,
        taken_at=BOOT + 10_000,
        gate="g",
        processes={each.pid: each for each in (INIT, *processes)},
        listeners=tuple(listeners),
        own=own,
        code=code,
        blind=tuple(blind),
    )


def container(manager: str = "docker", **fields: str) -> Record:
    plain = {
        "id": ID,
        "name": "plain",
        "main": "719",
        "state": "running",
        "started": "2023-11-14T22:13:20.699596866Z",
        "image-id": "sha256:" + "1" * 64,
        "listed-as": "api:1",
        "restarts": "0",
        "ports": "",
        "image": '"api:1"',
        "user": '""',
        "folder": '""',
        "mounts": "[null]",
        "project": '""',
        "service": '""',
        "project-folder": '""',
        "oneoff": '""',
    }
    return Record(f"{manager}.container", {**plain, **{key.replace("_", "-"): value for key, value in fields.items()}})


def listed(manager: str = "docker") -> Record:
    return Record(f"{manager}.list", {"scope": "all"})


def claim(manager: str, unit: str, **fields: Any) -> Service:
    return Service(name="api", host="alpha", owner="lab", manager=manager, unit=unit, **fields)
