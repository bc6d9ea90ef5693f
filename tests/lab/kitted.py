"""A lab host with the kit on it, set up as its administrator would: made by Askfirst, read by nobody, run by root."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

import asyncssh

from app.core.level import Level
from app.core.service import Host, Service
from app.flow.kit import Wish, make
from app.flow.ports import Hosts
from app.gate.kit import script
from tests.fakes.cut import Cut
from tests.lab.flow_world import Scene, pinned
from tests.lab.hosts import LabHost

KIT = "/root/kit.sh"


@dataclass(frozen=True, slots=True)
class Fitted:
    """How a host is entered in the registry once its kit is there."""

    level: Level = Level.ENFORCED
    authority: str = ""
    cooldown: int = 0
    per_hour: int = 3600
    approvers: int = 1

    def entry(self, lab: LabHost) -> Host:
        return pinned(lab, sudo=False, level=self.level, certificates=bool(self.authority))


@dataclass
class KittedPlace:
    """The host, with what can be done to it behind Askfirst's back."""

    hosts: Hosts
    host: Host
    lab: LabHost
    service: Service

    async def replace(self) -> None:
        await asyncio.to_thread(self.lab.run, ["systemctl", "restart", self.service.unit])

    async def wait(self) -> None:
        await asyncio.sleep(0.1)

    def cut(self, point: Cut) -> None:
        raise NotImplementedError("a real line is cut in test_enforced_faults")


async def fit(stage: Scene, *claims: Service, how: Fitted = Fitted()) -> Host:
    """Look at an open host, make its kit, run it there, and register the host by its new level."""
    await stage.register(*claims, approvers=how.approvers)
    wish = Wish(
        key=public(stage.lab.key_path),
        authority=how.authority,
        level=how.level,
        certificates=bool(how.authority),
        cooldown=how.cooldown,
        per_hour=how.per_hour,
    )
    made = await make(stage.world, "alpha", wish)
    assert {each.service for each in made.kit.allowed} == {each.name for each in claims}, made.kit.left_out
    (stage.lab.root / KIT.lstrip("/")).write_text(script(made.kit))
    stage.lab.run(["sh", KIT])
    entry = how.entry(stage.lab)
    await stage.register(*claims, host=entry, approvers=how.approvers)
    return entry


def unfit(lab: LabHost) -> None:
    """Take the kit away again: the host is open, as before."""
    lab.run(["sh", KIT, "--remove"])


def public(key: Path) -> str:
    return " ".join(asyncssh.read_private_key(key).export_public_key().decode().split()[:2])


def as_open(entry: Host) -> Host:
    """The same host by a registry that does not know of its kit."""
    return replace(entry, level=Level.OPEN, sudo=True, certificates=False)
