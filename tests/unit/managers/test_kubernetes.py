import pytest

from app.core.manager import Nearness
from app.core.owner import owner_of
from app.managers import MANAGERS
from tests.unit.managers.constructed import ID, container, host, process

kubernetes = MANAGERS["kubernetes"]
UID = "3f1c9a52-77aa-4f0e-9d51-0a2b4c6d8e10"
UNDERSCORED = UID.replace("-", "_")


@pytest.mark.parametrize(
    "cgroup",
    [
        f"/kubepods/burstable/pod{UID}/{ID}",
        f"/kubepods/pod{UID}/{ID}",
        f"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{UNDERSCORED}.slice/cri-containerd-{ID}.scope",
        f"/kubepods.slice/kubepods-pod{UNDERSCORED}.slice/crio-{ID}.scope",
    ],
)
def test_a_pod_is_recognised_by_its_control_group_and_never_believed(cgroup: str) -> None:
    main, worker = process(700, "server", cgroup=cgroup), process(701, "server", ppid=700, cgroup=cgroup)
    facts = host(main, worker)
    found = kubernetes.recognise(facts.chain(701), 80, facts)
    assert found is not None
    assert (found.unit, found.nearness, found.main, found.is_believed) == (UID, Nearness.CONTAINER, 700, False)


def test_a_pod_whose_container_docker_lists_too_is_kubernetes() -> None:
    cgroup = f"/kubepods.slice/kubepods-pod{UNDERSCORED}.slice/docker-{ID}.scope"
    facts = host(process(719, "server", cgroup=cgroup), records=[container()])
    assert owner_of(719, facts, MANAGERS).manager == "kubernetes"


@pytest.mark.parametrize("cgroup", ["/system.slice/kubelet.service", "/kubepods.slice", f"/docker/{ID}", "/"])
def test_what_is_in_no_pod_is_not_recognised(cgroup: str) -> None:
    facts = host(process(700, "server", cgroup=cgroup))
    assert kubernetes.recognise(facts.chain(700), 80, facts) is None


def test_a_claim_may_not_name_it() -> None:
    assert not kubernetes.is_claimable
