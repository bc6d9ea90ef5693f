"""A host's level is changed while a run is unknown: nothing is burned in a spool that the run did not use."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from app.core.level import Level
from app.core.lifecycle import State
from app.core.registry import Registry, difference
from app.core.run import Spool
from app.core.service import Host
from app.flow import execute
from app.flow.ids import new_id
from app.flow.reconcile import reconcile
from app.store import services
from tests.fakes.cut import Cut
from tests.fakes.hosts import FakeHosts
from tests.integration.flow.conftest import Stage

DEPLOY = {"user": "deploy", "sudo": False, "level": Level.OPEN, "certificates": False}
BY_SUDO = {**DEPLOY, "sudo": True}
KIT = {"user": "askfirst", "sudo": False, "level": Level.ENFORCED, "certificates": True}
SEALED = {**KIT, "level": Level.SEALED, "certificates": False}


@dataclass(slots=True)
class Burning(FakeHosts):
    """Notes how a host is reached for each burn."""

    burned: list[dict[str, object]] = field(default_factory=list)

    async def burn(self, host: Host, request_id: str, via: Sequence[Host] = ()) -> Spool:
        self.burned.append({name: getattr(host, name) for name in DEPLOY})
        return await FakeHosts.burn(self, host, request_id, via)


async def register(stage: Stage, **how: object) -> None:
    """Change nothing in the registry but how the host is reached."""
    current = await services.registry(stage.db)
    (host,) = current.hosts
    wanted = Registry((replace(host, **how),), current.services, current.policies)  # type: ignore[arg-type]
    await services.apply(
        stage.db,
        difference(current, wanted),
        by="setup",
        at=stage.clock.now(),
        event_id=new_id(stage.clock.now()),
        base_revision=current.revision,
    )


@pytest.mark.law(12)
@pytest.mark.parametrize(
    ("ran", "now", "asked"),
    [
        # Both lead to root's spool: by the way that the host has now.
        (BY_SUDO, KIT, KIT),
        (KIT, BY_SUDO, BY_SUDO),
        (KIT, SEALED, SEALED),
        # An account's own spool, which no kit looks into: by the way that the run took, whatever comes of it.
        (DEPLOY, KIT, DEPLOY),
        # Root's spool, which the account that the host has now cannot see.
        (KIT, DEPLOY, {**KIT, "certificates": False}),
        # No other level: as it ran.
        (BY_SUDO, {**BY_SUDO, "user": "other"}, BY_SUDO),
        (KIT, {**KIT, "user": "other", "certificates": False}, {**KIT, "certificates": False}),
    ],
    ids=[
        "kit set up",
        "kit removed",
        "sealed",
        "kit over a plain account",
        "plain account again",
        "user",
        "kit's user",
    ],
)
async def test_a_burn_goes_to_the_spool_that_the_run_went_to(
    stage: Stage, ran: dict[str, object], now: dict[str, object], asked: dict[str, object]
) -> None:
    stage.alpha.level, stage.alpha.certificates = Level(str(ran["level"])), bool(ran["certificates"])
    await register(stage, **ran)
    hosts = Burning(stage.clock, stage.hosts.hosts)
    world = replace(stage.world, hosts=hosts)
    approved = await stage.approve(await stage.waiting())
    hosts.cut_at["alpha"] = Cut.AFTER_START
    lost = await execute.execute(world, approved)
    assert lost.state is State.UNKNOWN
    await register(stage, **now)
    stage.clock.advance(5)
    assert (await reconcile(world, lost)).state is State.SETTLING
    assert hosts.burned == [asked]
