"""Checks of the registry: that its hosts can be reached and ruled, and are looked at in time."""

import time

from app.cli.doctor.diagnosis import Diagnosis
from app.core.events import iso
from app.settings import Settings
from app.store import services
from app.store import sweeps as swept
from app.store.engine import Database


async def registry(db: Database) -> Diagnosis:
    """Say whether each host has a pinned key, and each environment a policy."""
    registry = await services.registry(db)
    if not registry.hosts:
        return Diagnosis(None, "no hosts yet", "Write one: askfirst registry plan FILE")
    if bare := [host.name for host in registry.hosts if not host.host_keys]:
        return Diagnosis(False, f"no pinned key: {', '.join(bare)}", f"askfirst host scan {bare[0]}")
    ruled = {policy.environment for policy in registry.policies}
    if bare := sorted({host.environment for host in registry.hosts} - ruled):
        return Diagnosis(False, f"no policy for {', '.join(bare)}", "Nobody can approve there: add one.")
    return Diagnosis(True, f"{len(registry.hosts)} hosts, {len(registry.services)} services")


async def sweeps(db: Database, settings: Settings) -> Diagnosis:
    """Say whether every host that has a service was looked at in time."""
    hosts = sorted({each.host for each in (await services.registry(db)).services})
    if not settings.sweep_every:
        return Diagnosis(None, "ASKFIRST_SWEEP_EVERY is 0: nothing is looked at unasked", "Set it, such as 15m.")
    if not hosts:
        return Diagnosis(None, "no service yet that could be looked at")
    last, now = await swept.every(db), time.time()
    patience = settings.sweep_every + settings.sweep_grace
    late = [name for name in hosts if name not in last or now - last[name].at > patience]
    if late:
        newest = max((each.at for each in last.values()), default=0.0)
        when = f"the last sweep of any host was at {iso(newest)}" if newest else "no host ever was"
        seen = f"{len(late)} of {len(hosts)} hosts not swept in the last {patience:.0f} s, such as {late[0]}; {when}"
        return Diagnosis(False, seen, "Start a worker with `askfirst serve`, or read its log.")
    return Diagnosis(True, f"{len(hosts)} hosts, each in the last {patience:.0f} s")
