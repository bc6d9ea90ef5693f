"""A host with the kit, over real SSH, does what every fulfilment of the port has to do; so the fake cannot lie."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from app.core.service import Host, HttpCheck
from app.flow.ports import Hosts
from tests.fakes.cut import Cut
from tests.lab.flow_world import UNIT, scene
from tests.lab.hosts import Lab, LabHost
from tests.lab.kitted import Fitted, fit

pytest.register_assert_rewrite("tests.fakes.conformance")

from tests.fakes.conformance import HostsConformance, Place  # noqa: E402

GUI = replace(UNIT, checks=(HttpCheck("http://127.0.0.1:5054/health"),))


@dataclass
class KittedPlace:
    """The host, with what can be done to it behind Askfirst's back."""

    hosts: Hosts
    host: Host
    lab: LabHost
    service = GUI

    async def replace(self) -> None:
        await asyncio.to_thread(self.lab.run, ["systemctl", "restart", GUI.unit])

    async def wait(self) -> None:
        await asyncio.sleep(0.1)

    def cut(self, point: Cut) -> None:
        raise NotImplementedError("a real line is cut in test_enforced_faults")


@pytest.fixture(scope="module")
def foxtrot(lab: Lab) -> LabHost:
    host = lab.host("foxtrot")
    host.boot()
    host.replay("systemd")
    return host


class TestHostWithKit(HostsConformance):
    @pytest.fixture
    async def place(self, foxtrot: LabHost, tmp_path: Path) -> AsyncIterator[Place]:
        async with scene(foxtrot, tmp_path, GUI) as stage:
            entry = Fitted().entry(foxtrot)
            if not (foxtrot.root / "etc/askfirst/host").exists():
                await fit(stage, GUI)
            yield KittedPlace(stage.world.hosts, entry, foxtrot)
