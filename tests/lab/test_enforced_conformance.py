"""A host with the kit, over real SSH, does what every fulfilment of the port has to do; so the fake cannot lie."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.service import HttpCheck
from tests.fakes.conformance import HostsConformance, Place
from tests.lab.flow_world import UNIT, scene
from tests.lab.hosts import Lab, LabHost
from tests.lab.kitted import Fitted, KittedPlace, fit

# systemd refuses the sixth start of a unit within ten seconds.
UNLIMITED = f"""
mkdir -p /etc/systemd/system/{UNIT.unit}.d
printf '[Unit]\\nStartLimitIntervalSec=0\\n' >/etc/systemd/system/{UNIT.unit}.d/unlimited.conf
systemctl daemon-reload
"""
GUI = replace(UNIT, checks=(HttpCheck("http://127.0.0.1:5054/health"),))


@pytest.fixture(scope="module")
def foxtrot(lab: Lab) -> Iterator[LabHost]:
    with lab.lend("foxtrot", "systemd") as host:
        host.run(UNLIMITED)
        yield host


class TestHostWithKit(HostsConformance):
    @pytest.fixture
    async def place(self, foxtrot: LabHost, tmp_path: Path) -> AsyncIterator[Place]:
        async with scene(foxtrot, tmp_path, GUI) as stage:
            entry = Fitted().entry(foxtrot)
            if not (foxtrot.root / "etc/askfirst/host").exists():
                await fit(stage, GUI)
            yield KittedPlace(stage.world.hosts, entry, foxtrot, GUI)
