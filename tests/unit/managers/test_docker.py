import pytest

from app.core.facts import Blind, Checkout, Facts, Process, Record
from app.core.manager import Found, Missing, Nearness, Owner, Unseen
from app.managers import MANAGERS
from tests.unit.managers.constructed import BOOT, ID, OTHER_ID, claim, container, host, listed, process

docker = MANAGERS["docker"]

CGROUP = f"/system.slice/docker-{ID}.scope"
SHIM = process(
    700, "containerd-shim", uid=0, exe="/usr/bin/containerd-shim-runc-v2", cgroup="/system.slice/containerd.service"
)
MAIN = process(719, "httpd", ppid=700, uid=0, exe="/bin/httpd", cgroup=CGROUP)
WORKER = process(720, "httpd", ppid=719, cgroup=CGROUP)
PROXY = process(675, "docker-proxy", uid=0, exe="/usr/sbin/docker-proxy", cgroup="/system.slice/docker.service")


def owner(facts: Facts, first: Process, port: int | None = None) -> Owner | None:
    return docker.recognise(facts.chain(first.pid), port, facts)


@pytest.mark.parametrize(
    "cgroup",
    [
        f"/docker/{ID}",
        f"/system.slice/docker-{ID}.scope",
        f"/docker/{ID}/init.scope",
        f"/jobs/{ID}",
        f"/lxc/outer/docker/{ID}",
    ],
)
def test_a_process_is_led_to_its_container_whatever_the_control_groups_look_like(cgroup: str) -> None:
    main = process(719, "httpd", ppid=700, uid=0, cgroup=cgroup)
    worker = process(720, "httpd", ppid=719, cgroup=cgroup)
    found = owner(host(SHIM, main, worker, records=[container()]), worker)
    assert found is not None
    assert (found.unit, found.main, found.nearness, found.is_believed) == ("plain", 719, Nearness.CONTAINER, True)


@pytest.mark.law(1)
def test_a_control_group_with_a_containers_name_is_not_believed_without_its_main_process_above() -> None:
    forged = process(666, "httpd", cgroup=f"/user.slice/user-1000.slice/user@1000.service/docker-{ID}.scope")
    found = owner(host(SHIM, MAIN, forged, records=[container()]), forged)
    assert found is not None
    assert not found.is_believed


@pytest.mark.law(1)
def test_a_container_that_docker_does_not_list_is_not_believed_and_not_taken_for_a_native_process() -> None:
    found = owner(host(SHIM, MAIN, records=[container(id=OTHER_ID)]), MAIN)
    assert found is not None
    assert (found.unit, found.is_believed) == (None, False)


def test_a_path_of_64_digits_that_is_not_dockers_is_left_to_others() -> None:
    stranger = process(800, "httpd", cgroup=f"/machine.slice/{OTHER_ID}")
    assert owner(host(stranger, records=[container()]), stranger) is None


def test_a_stopped_container_owns_nothing() -> None:
    found = owner(host(SHIM, MAIN, records=[container(state="exited", main="0")]), MAIN)
    assert found is not None
    assert not found.is_believed


def test_a_main_process_that_has_left_the_control_group_is_not_believed() -> None:
    moved = process(719, "httpd", ppid=700, uid=0, cgroup="/system.slice/other.service")
    found = owner(host(SHIM, moved, WORKER, records=[container()]), WORKER)
    assert found is not None
    assert not found.is_believed


def test_a_published_port_leads_through_the_proxy_to_the_container() -> None:
    facts = host(SHIM, MAIN, PROXY, records=[container(ports="8001/8000/tcp,8001/8000/tcp,")])
    found = owner(facts, PROXY, port=8001)
    assert found is not None
    assert (found.unit, found.main, found.is_believed) == ("plain", 719, True)
    assert owner(facts, PROXY) is None


@pytest.mark.law(1)
@pytest.mark.parametrize("ports", ["", "8002/8000/tcp,", "8001/8000/udp,"])
def test_a_proxy_of_a_container_that_docker_did_not_tell_of_is_dockers_and_not_believed(ports: str) -> None:
    found = owner(host(PROXY, MAIN, SHIM, records=[container(ports=ports)]), PROXY, port=8001)
    assert found is not None
    assert (found.unit, found.main, found.is_believed) == (None, None, False)


def test_the_daemon_itself_holds_a_published_port_where_the_proxy_is_switched_off() -> None:
    dockerd = process(102, "dockerd", uid=0, exe="/usr/bin/dockerd")
    found = owner(host(dockerd, MAIN, SHIM, records=[container(ports="8001/8000/tcp,")]), dockerd, port=8001)
    assert found is not None
    assert found.is_believed


@pytest.mark.law(1)
@pytest.mark.parametrize(
    "forged",
    [
        process(675, "docker-proxy", uid=1000, exe="/usr/sbin/docker-proxy"),
        process(675, "docker-proxy", uid=0, exe="/home/rbron/docker-proxy", exe_uid=1000),
        process(675, "docker-proxy", uid=0, exe=None),
        process(675, "docker-proxy", uid=0, exe="/usr/bin/python3"),
    ],
    ids=["an ordinary user's", "a user's program", "unseen program", "another program"],
)
def test_a_process_that_calls_itself_docker_proxy_is_never_believed(forged: Process) -> None:
    found = owner(host(SHIM, MAIN, forged, records=[container(ports="8001/8000/tcp,")]), forged, port=8001)
    assert found is None or not found.is_believed


def test_a_port_that_a_stopped_container_once_published_is_not_its_own() -> None:
    stopped = container(state="exited", main="0", ports="8001/8000/tcp,")
    found = owner(host(PROXY, records=[stopped]), PROXY, port=8001)
    assert found is not None
    assert (found.unit, found.is_believed) == (None, False)


def test_a_port_of_the_daemons_own_is_left_to_others_once_docker_has_listed_its_containers() -> None:
    dockerd = process(102, "dockerd", uid=0, exe="/usr/bin/dockerd")
    asked, unasked = host(dockerd, records=[container(), listed()]), host(dockerd)
    assert owner(asked, dockerd, port=2375) is None
    found = owner(unasked, dockerd, port=2375)
    assert found is not None
    assert not found.is_believed


def test_a_proxy_of_an_ordinary_users_is_not_dockers() -> None:
    own = process(675, "docker-proxy", uid=1000, exe="/usr/sbin/docker-proxy")
    assert owner(host(SHIM, MAIN, own, records=[container(ports="8001/8000/tcp,")]), own, port=8001) is None


def test_a_container_of_compose_is_not_recognised_as_dockers_own() -> None:
    composed = container(project='"lab"', service='"api"', oneoff='"False"')
    assert owner(host(SHIM, MAIN, records=[composed]), MAIN) is None


def test_what_compose_ran_once_is_dockers_own() -> None:
    once = container(project='"lab"', service='"api"', oneoff='"True"')
    found = owner(host(SHIM, MAIN, records=[once]), MAIN)
    assert found is not None
    assert found.unit == "plain"


def test_a_container_is_found_by_its_name_with_its_ports_and_its_own_view_of_its_user() -> None:
    facts = host(SHIM, MAIN, records=[container(ports="8001/8000/tcp,9000/9000/udp,"), listed()])
    assert docker.find(claim("docker", "plain"), facts) == Found(
        unit="plain", state="running", main=(719,), ports=(8001,), user="root", path="/ inside the container"
    )


@pytest.mark.parametrize(
    ("configured", "uid", "user"),
    [
        ('"app"', 1000, "app"),
        ('"app:staff"', 1000, "app"),
        ('"1000"', 1000, None),
        ('""', 1000, None),
        ('""', 0, "root"),
    ],
)
def test_the_user_of_a_container_is_its_own_word_where_its_process_does_not_contradict(
    configured: str, uid: int, user: str | None
) -> None:
    main = process(719, "httpd", ppid=700, uid=uid, cgroup=CGROUP)
    found = docker.find(claim("docker", "plain"), host(main, records=[container(user=configured), listed()]))
    assert isinstance(found, Found)
    assert found.user == user


def test_a_stopped_container_is_known_and_has_no_process() -> None:
    found = docker.find(claim("docker", "plain"), host(records=[container(state="exited", main="0"), listed()]))
    assert isinstance(found, Found)
    assert (found.state, found.main) == ("exited", ())


def test_a_path_is_a_folder_of_the_host_that_is_mounted_into_the_container() -> None:
    facts = host(MAIN, records=[container(mounts='["/opt/api/static","/",null]', folder='"/app"'), listed()])
    paths = {}
    for path in ("/opt/api", "/opt/api/static/css", "/opt", "/app", "/etc"):
        found = docker.find(claim("docker", "plain", path=path), facts)
        assert isinstance(found, Found)
        paths[path] = found.path
    inside = "/app inside the container"
    assert paths == {
        "/opt/api": "/opt/api",
        "/opt/api/static/css": "/opt/api/static/css",
        "/opt": "/opt",
        "/app": inside,
        "/etc": inside,
    }


def test_a_name_that_docker_does_not_know_is_answered_with_like_names() -> None:
    facts = host(records=[container(), container(id=OTHER_ID, name="pypnm-api"), listed()])
    assert docker.find(claim("docker", "pypnm-gui"), facts) == Missing(("pypnm-api",))


def test_an_id_is_no_name() -> None:
    assert isinstance(docker.find(claim("docker", ID), host(records=[container(), listed()])), Missing)


@pytest.mark.law(1)
def test_a_docker_that_could_not_be_asked_is_unseen_and_never_an_empty_one() -> None:
    blind = Blind("docker", "only root and the group docker may ask it", "docker")
    whys = {}
    for name, facts in {
        "blind": host(blind=[blind], records=[listed()]),
        "not asked": host(),
        "asked in part": host(records=[container(), Record("docker.list", {"scope": "running"})]),
    }.items():
        found = docker.find(claim("docker", "plain"), facts)
        assert isinstance(found, Unseen)
        assert found.next_step
        whys[name] = found.why
    assert "only root" in whys["blind"]
    assert whys["not asked"] == whys["asked in part"]


@pytest.mark.law(4)
def test_the_restart_is_docker_restart_and_the_name() -> None:
    command = docker.restart(claim("docker", "plain"), "plain", host())
    assert (command.argv, command.user) == (("docker", "restart", "plain"), "root")


@pytest.mark.parametrize("unit", ["lab/api", "gui.service", ID, ID[:12], "x", "-t", "a b", "api:1", "ap@i"])
def test_what_is_no_name_of_a_container_is_refused_where_it_is_written(unit: str) -> None:
    assert [problem.field for problem in docker.problems(claim("docker", unit))] == ["unit"]


def test_a_configuration_file_contradicts_docker() -> None:
    assert [problem.field for problem in docker.problems(claim("docker", "plain", config="/etc/x.conf"))] == ["config"]


def test_the_mark_of_a_container_is_its_id_and_its_start() -> None:
    line = f"container {ID} 2026-11-24T08:16:54.3Z sha256:12ea running"
    assert docker.mark(("boot 8f2c", "process 719 71900 root /", line)) == (f"{ID} 2026-11-24T08:16:54.3Z",)


def signs(record: Record, code: Checkout | None = None) -> list[str]:
    facts = host(MAIN, records=[record], code={"api": code} if code else {})
    return [sign.kind for sign in docker.signs(claim("docker", "plain", path="/opt/api"), facts)]


def test_an_image_whose_name_has_moved_on_is_a_sign() -> None:
    assert signs(container(listed_as="sha256:" + "1" * 64)) == ["image"]
    assert signs(container()) == []
    assert signs(container(image='"sha256:' + "1" * 64 + '"', listed_as="sha256:" + "1" * 64)) == []


def test_a_red_health_check_of_its_own_is_a_sign() -> None:
    assert signs(container(health="unhealthy")) == ["health"]
    assert signs(container(health="healthy")) == []


def test_a_counter_that_climbs_is_a_sign_and_an_old_one_is_none() -> None:
    assert signs(container(restarts="3", started="2023-11-15T00:59:00Z")) == ["restarts"]
    assert signs(container(restarts="3")) == []


def test_newer_code_is_a_sign_only_where_it_is_mounted_into_the_container() -> None:
    newer = Checkout(commit="6ed8c30", commit_at=BOOT + 50, newest_file="/opt/api/app.py", newest_at=BOOT - 50)
    assert signs(container(mounts='["/opt/api",null]'), newer) == ["code"]
    assert signs(container(), newer) == []


def test_a_container_that_nothing_starts_after_a_reboot_says_so() -> None:
    def state(policy: str) -> str:
        found = docker.find(claim("docker", "plain"), host(MAIN, records=[container(policy=policy), listed()]))
        assert isinstance(found, Found)
        return found.state

    assert state("no") == "running, started by nobody after a reboot"
    assert state("unless-stopped") == "running"
    assert state("") == "running, started by nobody after a reboot"  # as Compose makes them
    found = docker.find(claim("docker", "plain"), host(MAIN, records=[container(), listed()]))
    assert isinstance(found, Found)
    assert found.state == "running"  # not told by an older gate
