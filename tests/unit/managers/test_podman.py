import pytest

from app.core.manager import Nearness
from app.managers import MANAGERS
from tests.unit.managers.constructed import ID, host, process

podman = MANAGERS["podman"]
CGROUP = f"/machine.slice/libpod-{ID}.scope"
CONMON = process(
    1028,
    "conmon",
    uid=0,
    exe="/usr/bin/conmon",
    argv=("/usr/bin/conmon", "-c", ID, "-n", "pod", "--exit-dir", "/run/libpod/exits"),
    cgroup=f"/machine.slice/libpod-conmon-{ID}.scope",
)


@pytest.mark.parametrize(
    "cgroup",
    [
        CGROUP,
        f"/libpod_parent/libpod-{ID}",
        f"/system.slice/pod.service/libpod-payload-{ID}",
        f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container",
    ],
)
def test_a_process_in_a_container_of_podmans_is_named_by_its_conmon_and_never_believed(cgroup: str) -> None:
    facts = host(CONMON, process(1039, "httpd", ppid=1028, uid=0, cgroup=cgroup))
    found = podman.recognise(facts.chain(1039), None, facts)
    assert found is not None
    assert (found.unit, found.nearness, found.main, found.is_believed) == ("pod", Nearness.CONTAINER, 1039, False)
    assert found.evidence.startswith("conmon 1028 of root → httpd 1039 of root, since ")


def test_a_published_port_is_held_by_conmon() -> None:
    facts = host(CONMON)
    found = podman.recognise(facts.chain(1028), 8004, facts)
    assert found is not None
    assert (found.unit, found.main) == ("pod", None)
    assert podman.recognise(facts.chain(1028), None, facts) is None


def test_a_container_without_a_conmon_in_sight_has_no_name() -> None:
    facts = host(process(1039, "httpd", cgroup=CGROUP))
    found = podman.recognise(facts.chain(1039), None, facts)
    assert found is not None
    assert found.unit is None


@pytest.mark.parametrize(
    "cgroup", [f"/docker/{ID}", "/system.slice/libpod.service", f"/machine.slice/libpod-{ID[:12]}.scope"]
)
def test_what_is_in_no_container_of_podmans_is_not_recognised(cgroup: str) -> None:
    facts = host(process(1039, "httpd", cgroup=cgroup))
    assert podman.recognise(facts.chain(1039), None, facts) is None


@pytest.mark.law(1)
def test_another_program_that_calls_itself_conmon_names_nothing() -> None:
    forged = process(1028, "conmon", exe="/usr/bin/python3", argv=("conmon", "-n", "pod"))
    facts = host(forged)
    assert podman.recognise(facts.chain(1028), 8004, facts) is None
