"""podman: containers without a daemon, each with a ``conmon`` above its main process.

Recognised in this version by the control group, not driven yet: ``podman inspect`` is not asked, so nothing is
believed. A published port of root's containers is held by conmon. The helpers that hold one for an ordinary user's
(``rootlessport``, ``pasta``) are not recognised.
"""

import re
from itertools import pairwise

from app.core.facts import Facts, Process
from app.core.manager import Nearness, Owner
from app.managers._processes import described, named, runs
from app.managers._undriven import Undriven, quiet

# …/libpod-<id>.scope, or …/libpod-payload-<id>.scope and the like; conmon itself stands in libpod-conmon-<id>.scope
CONTAINER = re.compile(r"/libpod-(?:payload-)?([0-9a-f]{64})(?:\.scope)?(?:/|$)")


class Podman(Undriven):
    """podman and its conmon."""

    name = "podman"
    label = "podman"
    privilege = "root for root's containers; root too, to become the user, for a user's."
    shell = quiet(name)

    def recognise(self, chain: tuple[Process, ...], port: int | None, facts: Facts) -> Owner | None:
        inside = [process for process in chain if CONTAINER.search(process.cgroup)]
        conmon = next((process for process in chain if _is_conmon(process)), None)
        if not chain or not (chain[0] in inside or (chain[0] is conmon and port is not None)):
            return None
        above = named(conmon) if conmon else "a conmon that was not seen"
        return Owner(
            manager=self.name,
            unit=_after("-n", conmon),
            nearness=Nearness.CONTAINER,
            depth=len(inside),
            main=inside[-1].pid if inside else None,
            is_believed=False,
            evidence=f"{above} → {described(inside[-1]) if inside else f'port {port}, published'}",
        )


def _is_conmon(process: Process) -> bool:
    return process.comm == "conmon" and runs(process, "conmon")


def _after(option: str, process: Process | None) -> str | None:
    words = process.argv if process else ()
    return next((value for word, value in pairwise(words) if word == option), None)


MANAGER = Podman()
