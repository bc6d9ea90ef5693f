"""Kubernetes: a pod's containers, started and restarted by the node's kubelet.

Recognised by the control group that the kubelet puts every pod in, never driven: a pod is restarted through its
cluster, not through one of its nodes.
"""

import re

from app.core.facts import Facts, Process
from app.core.manager import Nearness, Owner
from app.managers._processes import described
from app.managers._undriven import Undriven, quiet

# /kubepods/burstable/pod<uid>/<id>, or /kubepods.slice/…/kubepods-burstable-pod<uid, '_' for '-'>.slice/….scope
POD = re.compile(r"/kubepods(?:\.slice)?/(?:.*[/-])?pod([0-9a-f]{8}[0-9a-f_-]{0,40})(?:\.slice)?(?:/|$)")


class Kubernetes(Undriven):
    """A node's kubelet."""

    name = "kubernetes"
    label = "Kubernetes"
    is_claimable = False
    shell = quiet(name)

    def recognise(self, chain: tuple[Process, ...], port: int | None, facts: Facts) -> Owner | None:
        pod = POD.search(chain[0].cgroup) if chain else None
        if pod is None:
            return None
        uid = pod[1].replace("_", "-")
        inside = [process for process in chain if POD.search(process.cgroup)]
        return Owner(
            manager=self.name,
            unit=uid,
            nearness=Nearness.CONTAINER,
            depth=0,  # a container runtime may list the pod's containers too; who restarts them is the kubelet
            main=inside[-1].pid,
            is_believed=False,
            evidence=f"pod {uid}: {described(inside[-1])}",
        )


MANAGER = Kubernetes()
