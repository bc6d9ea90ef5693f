from dataclasses import replace
from pathlib import Path

import pytest

from app.core.facts import Facts, Process, Record
from app.core.judge import judge
from app.core.manager import Command, Found, Missing, Nearness, Owner, Unseen
from app.core.verdict import Code
from app.managers import MANAGERS
from app.managers._podman_fragment import FIELDS
from tests.unit.managers.constructed import BOOT, ID, OTHER_ID, claim, container, host, process
from tests.unit.managers.test_fragments import identity, run

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
MAIN = process(1039, "httpd", ppid=1028, uid=0, exe="/bin/httpd", cgroup=CGROUP)
WORKER = process(1040, "httpd", ppid=1039, uid=0, exe="/bin/httpd", cgroup=CGROUP)

SCOPE = "/user.slice/user-1000.slice/user@1000.service/user.slice/podman-2268.scope"
USERS_CONMON = process(2283, "conmon", exe="/usr/bin/conmon", cgroup=SCOPE)
USERS_MAIN = process(2292, "httpd", ppid=2283, exe="/bin/httpd", cgroup=f"{SCOPE}/{ID}")
PORT_HELPER = process(2408, "rootlessport", exe="/usr/lib/podman/rootlessport", cgroup=SCOPE)


def asked(of: str = "root", uid: str = "0", scope: str = "all", why: str = "") -> Record:
    return Record("podman.user", {"of": of, "uid": uid, "scope": scope, "why": why})


def kept(of: str = "root", **fields: str) -> Record:
    plain = {"of": of, "name": "pod", "main": "1039", "conmon": "1028", "systemd-unit": '""'}
    return container("podman", **{**plain, **fields})


def users(**fields: str) -> Record:
    return kept("rbron", **{"main": "2292", "conmon": "2283", **fields})


def rootful(*processes: Process, **fields: str) -> Facts:
    return host(*(processes or (CONMON, MAIN, WORKER)), records=[asked(), kept(**fields)])


def rootless(*processes: Process, **fields: str) -> Facts:
    everyone = processes or (USERS_CONMON, USERS_MAIN, PORT_HELPER)
    return host(*everyone, records=[asked("rbron", "1000"), users(**fields)])


def owner(facts: Facts, pid: int, port: int | None = None) -> Owner:
    found = podman.recognise(facts.chain(pid), port, facts)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "cgroup",
    [
        CGROUP,
        f"/libpod_parent/libpod-{ID}",
        f"/system.slice/pod.service/libpod-payload-{ID}",
        f"/machine.slice/libpod-{ID}.scope/container",
    ],
)
def test_a_process_is_led_to_its_container_whatever_the_control_groups_look_like(cgroup: str) -> None:
    facts = rootful(CONMON, replace(MAIN, cgroup=cgroup), replace(WORKER, cgroup=cgroup))
    found = owner(facts, 1040)
    assert (found.unit, found.main, found.nearness, found.is_believed) == ("pod", 1039, Nearness.CONTAINER, True)


def test_a_users_container_bears_the_users_name() -> None:
    found = owner(rootless(), 2292)
    assert (found.unit, found.main, found.is_believed) == ("rbron/pod", 2292, True)
    assert found.evidence == "conmon 2283 of rbron → container rbron/pod → httpd 2292"


def test_a_process_of_a_user_namespace_is_spoken_for_by_the_podman_that_made_it() -> None:
    inner = replace(USERS_MAIN, uid=100032, user="100032")
    assert owner(rootless(USERS_CONMON, inner), 2292).is_believed


@pytest.mark.law(1)
@pytest.mark.parametrize(
    ("conmon", "main"),
    [
        (replace(USERS_CONMON, exe_uid=1000), USERS_MAIN),
        (replace(USERS_CONMON, exe="/home/rbron/conmon-2"), USERS_MAIN),
        (replace(USERS_CONMON, exe=None, exe_uid=None), USERS_MAIN),
        (replace(USERS_CONMON, uid=1001), USERS_MAIN),
        (USERS_CONMON, replace(USERS_MAIN, uid=0, user="root")),
        (USERS_CONMON, replace(USERS_MAIN, uid=1001, user="node")),
        (USERS_CONMON, replace(USERS_MAIN, ppid=1)),
        (USERS_CONMON, replace(USERS_MAIN, cgroup=f"{SCOPE}/{OTHER_ID}")),
    ],
    ids=[
        "a conmon of the user's own making",
        "another program",
        "a program unseen",
        "another user's conmon",
        "a process of root's",
        "a process of another user's",
        "not below that conmon",
        "in another control group",
    ],
)
def test_what_an_ordinary_user_has_put_together_by_hand_is_never_believed(conmon: Process, main: Process) -> None:
    facts = rootless(conmon, main)
    found = podman.recognise(facts.chain(2292), None, facts)
    assert found is None or not found.is_believed


@pytest.mark.law(1)
def test_a_users_list_that_names_a_process_of_roots_proves_nothing() -> None:
    """His podman keeps its list in files of his: it can say that his container is root's conmon's child."""
    facts = host(CONMON, MAIN, records=[asked("rbron", "1000"), users(main="1039", conmon="1028")])
    assert not owner(facts, 1039).is_believed
    verdict = judge(claim("podman", "rbron/pod", ports=()), facts, MANAGERS, "g")
    assert verdict.code is not Code.VERIFIED


@pytest.mark.law(1)
def test_a_podman_that_could_not_be_asked_is_not_believed_whatever_is_there() -> None:
    facts = host(CONMON, MAIN, records=[asked(why="it did not answer"), kept()])
    found = owner(facts, 1039)
    assert (found.unit, found.is_believed) == ("pod", False)
    assert found.evidence.startswith("conmon 1028 of root → httpd 1039 of root, since ")


def test_a_process_that_left_the_container_is_not_the_containers() -> None:
    stray = process(1050, "httpd", cgroup=CGROUP)
    found = owner(rootful(CONMON, MAIN, stray), 1050)
    assert (found.unit, found.is_believed) == ("pod", False)


@pytest.mark.parametrize("port", [8004, 8014])
def test_a_published_port_is_held_by_conmon_or_by_the_users_helper(port: int) -> None:
    if port == 8004:
        facts, holder, unit, main = rootful(ports="8004/8000/tcp,"), 1028, "pod", 1039
    else:
        facts, holder, unit, main = rootless(ports="8014/8000/tcp,"), 2408, "rbron/pod", 2292
    found = owner(facts, holder, port)
    assert (found.unit, found.main, found.is_believed) == (unit, main, True)
    assert podman.recognise(facts.chain(holder), None, facts) is None


@pytest.mark.law(1)
@pytest.mark.parametrize(
    "forged",
    [
        replace(PORT_HELPER, exe="/home/rbron/rootlessport", exe_uid=1000),
        replace(PORT_HELPER, uid=1001),
        replace(PORT_HELPER, exe=None, exe_uid=None),
    ],
    ids=["the user's program", "another user's", "unseen"],
)
def test_a_process_that_calls_itself_a_port_helper_is_never_believed(forged: Process) -> None:
    facts = rootless(USERS_CONMON, USERS_MAIN, forged, ports="8014/8000/tcp,")
    assert not owner(facts, 2408, 8014).is_believed


def test_a_conmon_that_holds_a_port_nobody_told_of_is_podmans_and_not_believed() -> None:
    facts = host(CONMON)
    found = owner(facts, 1028, 8004)
    assert (found.unit, found.main, found.is_believed) == ("pod", None, False)


@pytest.mark.law(1)
def test_a_container_whose_main_process_has_left_its_control_group_is_not_believed() -> None:
    stray = replace(MAIN, cgroup="/system.slice/other.service")
    assert not owner(rootful(CONMON, stray, WORKER), 1040).is_believed


def test_a_container_without_a_conmon_in_sight_has_no_name() -> None:
    facts = host(process(1039, "httpd", cgroup=CGROUP))
    assert owner(facts, 1039).unit is None


@pytest.mark.parametrize(
    "cgroup", [f"/docker/{ID}", "/system.slice/libpod.service", f"/machine.slice/libpod-{ID[:12]}.scope", f"/x/{ID}"]
)
def test_what_is_in_no_container_of_podmans_is_not_recognised(cgroup: str) -> None:
    facts = host(process(1039, "httpd", cgroup=cgroup))
    assert podman.recognise(facts.chain(1039), None, facts) is None


@pytest.mark.law(1)
def test_another_program_that_calls_itself_conmon_names_nothing() -> None:
    forged = process(1028, "conmon", exe="/usr/bin/python3", argv=("conmon", "-n", "pod"))
    facts = host(forged)
    assert podman.recognise(facts.chain(1028), 8004, facts) is None


def test_a_container_that_systemd_runs_is_systemds_to_restart() -> None:
    cgroup = f"/system.slice/pod.service/libpod-payload-{ID}"
    facts = rootful(CONMON, replace(MAIN, cgroup=cgroup), systemd_unit='"pod.service"')
    assert podman.recognise(facts.chain(1039), None, facts) is None
    found = podman.find(claim("podman", "pod"), facts)
    assert isinstance(found, Found)
    assert "pod.service" in found.obstacle


def test_a_container_is_found_by_its_name_with_its_ports_and_its_own_view_of_its_user() -> None:
    facts = rootful(ports="8004/8000/tcp,9000/9000/udp,")
    assert podman.find(claim("podman", "pod"), facts) == Found(
        unit="pod", state="running", main=(1039,), ports=(8004,), user="root", path="/ inside the container"
    )
    mounted = rootful(mounts='["/opt/gui",null]')
    found = podman.find(claim("podman", "pod", path="/opt/gui"), mounted)
    assert isinstance(found, Found)
    assert found.path == "/opt/gui"


def test_a_container_that_does_not_run_has_no_main_process() -> None:
    found = podman.find(claim("podman", "pod"), rootful(main="0", conmon="0", state="exited"))
    assert isinstance(found, Found)
    assert (found.main, found.state, found.obstacle) == ((), "exited", "")


def test_a_name_of_roots_is_not_a_users_and_is_offered_as_a_question() -> None:
    facts = host(USERS_CONMON, USERS_MAIN, records=[asked(), asked("rbron", "1000"), users(name="web")])
    assert podman.find(claim("podman", "web"), facts) == Missing(("rbron/web",))
    assert podman.find(claim("podman", "rbron/wed"), facts) == Missing(("rbron/web",))


def test_a_podman_that_was_not_asked_is_unseen_and_says_what_to_do() -> None:
    for facts, word in (
        (host(), "no podman of rbron"),
        (host(records=[asked("rbron", "1000", why="the command podman is missing")]), "missing"),
        (host(records=[asked("rbron", "1000", scope="running")]), "did not ask"),
    ):
        found = podman.find(claim("podman", "rbron/web"), facts)
        assert isinstance(found, Unseen)
        assert word in found.why
        assert found.next_step


@pytest.mark.law(4)
def test_the_argv_is_podmans_own_as_the_user_whose_container_it_is() -> None:
    for unit, made in (
        ("pod", Command(("podman", "restart", "pod"), "root")),
        ("rbron/pod", Command(("podman", "restart", "pod"), "rbron")),
    ):
        assert podman.restart(claim("podman", unit), unit, host()) == made
    assert podman.start(claim("podman", "rbron/x"), "rbron/x", host()) == Command(("podman", "start", "x"), "rbron")
    assert podman.gentler(claim("podman", "pod"), "pod", rootful()) == {}


@pytest.mark.parametrize(
    "unit", ["root/pod", "a/b/c", "/pod", "r:bron/pod", "pod.service", "0123456789ab", "p", "rbron/-x", "rbron/"]
)
def test_a_claim_names_one_container(unit: str) -> None:
    assert [each.field for each in podman.problems(claim("podman", unit))] == ["unit"]


def test_a_claim_has_no_configuration_file() -> None:
    assert podman.problems(claim("podman", "rbron/pod", user="rbron")) == []
    assert [each.field for each in podman.problems(claim("podman", "pod", config="/etc/x"))] == ["config"]


def test_signs_are_by_the_containers_own_view() -> None:
    assert podman.signs(claim("podman", "pod"), rootful()) == ()
    started = "2023-11-15T00:59:00Z"  # just before the facts were taken
    facts = rootful(listed_as="sha256:" + "2" * 64, restarts="3", health="unhealthy", started=started)
    signs = podman.signs(claim("podman", "pod"), facts)
    assert [sign.kind for sign in signs] == ["image", "health", "restarts"]
    assert "podman has restarted pod 3 times" in signs[2].text
    assert facts.now - BOOT == 10_000


@pytest.mark.law(11)
def test_a_new_start_of_the_same_container_is_another_mark() -> None:
    before = ("boot b", f"container {ID} 2026-11-24T08:00:00Z 1 running", "process 1 2 root /")
    after = ("boot b", f"container {ID} 2026-11-24T09:00:00Z 1 running", "process 1 2 root /")
    assert podman.mark(before) == (f"{ID} 2026-11-24T08:00:00Z",)
    assert not set(podman.mark(before)) & set(podman.mark(after))


def says(folder: Path, listed: str, inspected: str, claims: str = "a pod - - - -", **variables: str) -> list[Record]:
    """Let the fragment ask a podman that answers so, and that takes nothing but ids, or the one name at a restart."""
    (folder / "listed").write_text(listed)
    (folder / "inspected").write_text(inspected)
    (folder / "images.json").write_text('[{"id":"' + "2" * 64 + '","names":["api:1"],"layer":"3"}]')
    tool = folder / "podman"
    tool.write_text(
        f'#!/bin/sh\n[ "$1" != ps ] || {{ echo warning: --cgroup-manager=x >&2; exec cat {folder}/listed; }}\n'
        f'shift 5\nfor id; do case $id in {ID} | pod) ;; *) echo "no such option $id"; exit 1 ;; esac; done\n'
        f"cat {folder}/inspected\n"
    )
    tool.chmod(0o755)
    named = {"AF_USER": "me", "AF_NAME": "me", "AF_USER_UID": "0", "AF_UID": "0", "AF_CLAIMS": claims, **variables}
    units = "\n".join(line.split(" ")[1] for line in claims.splitlines())
    return run(
        "podman_runs() { :; }\nAF_USER=root AF_NAME=root podman_of 2>/dev/null",
        {**named, "AF_UNITS": units},
        str(folder),
    )


def inspected(folder: Path, **fields: str) -> str:
    plain = dict.fromkeys(FIELDS, '""') | {
        "id": ID,
        "name": "pod",
        "main": "1039",
        "conmon": "1028",
        "state": "running",
        "started": "2026-11-24T08:16Z",
        "image-id": "1" * 64,
        "restarts": "0",
        "image": '"api:1"',
        "place": f"{folder}/{ID}/config.json",
    }
    return "\t".join((plain | fields).values()) + "\n"


def test_what_podman_warns_of_is_no_container_and_a_newer_image_is_told(tmp_path: Path) -> None:
    place = f"{tmp_path}/vfs-containers/{ID}/config.json"
    (tmp_path / "vfs-images").mkdir()
    (tmp_path / "vfs-images" / "images.json").symlink_to(tmp_path / "images.json")
    found = says(tmp_path, f"{ID}\n", inspected(tmp_path, place=place), "a pod - - - -\nb other - - - -")
    (one,) = (each for each in found if each.kind == "podman.container")
    assert (one.get("name"), one.get("pid"), one.get("listed-as")) == ("pod", "1039", "sha256:" + "2" * 64)
    (whose,) = (each for each in found if each.kind == "podman.user")
    assert (whose.get("of"), whose.get("scope"), whose.get("why")) == ("root", "all", "")
    assert identity(found) == [("a", f"container {ID} 2026-11-24T08:16Z {'1' * 64} running"), ("a", "1039")]


@pytest.mark.law(5)
def test_at_a_restart_only_the_one_container_is_asked_for_and_bound_alike(tmp_path: Path) -> None:
    lines = identity(says(tmp_path, "", inspected(tmp_path), AF_VERB="restart"))
    assert lines == identity(says(tmp_path, f"{ID}\n", inspected(tmp_path)))


@pytest.mark.law(1)
def test_a_podman_that_breaks_off_was_not_asked(tmp_path: Path) -> None:
    found = says(tmp_path, f"{ID}\n{OTHER_ID}\n", inspected(tmp_path))
    assert [each.get("why") for each in found if each.kind == "podman.user"] == [f"no such option {OTHER_ID}"]
