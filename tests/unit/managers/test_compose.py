from dataclasses import replace

import pytest

from app.core.facts import Record
from app.core.manager import Found, Missing, Several, Unseen
from app.managers import MANAGERS
from tests.unit.managers.constructed import ID, OTHER_ID, claim, container, host, listed, process

compose = MANAGERS["compose"]

PLUGIN = Record("compose.plugin", {"is-there": "yes"})
LISTED = listed("compose")
UNIT = "lab/api"


def composed(**fields: str) -> Record:
    labels = {"project": '"lab"', "service": '"api"', "project_folder": '"/opt/lab"', "oneoff": '"False"'}
    return container("compose", **{**labels, **fields})


def test_a_process_is_led_to_its_project_and_service() -> None:
    main = process(719, "httpd", uid=0, cgroup=f"/docker/{ID}")
    facts = host(main, records=[composed()])
    found = compose.recognise(facts.chain(719), None, facts)
    assert found is not None
    assert (found.unit, found.main, found.is_believed) == (UNIT, 719, True)


def test_a_published_port_leads_to_the_project_and_service() -> None:
    proxy = process(675, "docker-proxy", uid=0, exe="/usr/sbin/docker-proxy")
    facts = host(proxy, records=[composed(ports="8000/8000/tcp,")])
    found = compose.recognise(facts.chain(675), 8000, facts)
    assert found is not None
    assert (found.unit, found.is_believed) == (UNIT, True)


@pytest.mark.parametrize("fields", [{"project": '""'}, {"service": '""'}, {"oneoff": '"True"'}])
def test_a_container_that_compose_would_not_restart_is_not_recognised_as_its_own(fields: dict[str, str]) -> None:
    main = process(719, "httpd", uid=0, cgroup=f"/docker/{ID}")
    facts = host(main, records=[composed(**fields)])
    assert compose.recognise(facts.chain(719), None, facts) is None


def test_a_container_that_docker_does_not_list_is_not_composes() -> None:
    main = process(719, "httpd", uid=0, cgroup=f"/docker/{OTHER_ID}")
    facts = host(main, records=[composed()])
    assert compose.recognise(facts.chain(719), None, facts) is None


def test_all_containers_of_a_service_are_found_together() -> None:
    one = process(719, "httpd", uid=0, cgroup=f"/docker/{ID}")
    two = process(819, "httpd", uid=0, cgroup=f"/docker/{OTHER_ID}")
    records = [composed(ports="8000/80/tcp,"), composed(id=OTHER_ID, name="api-2", main="819", ports="8001/80/tcp,")]
    assert compose.find(claim("compose", UNIT), host(one, two, records=[*records, LISTED, PLUGIN])) == Found(
        unit=UNIT, state="2 running", main=(719, 819), ports=(8000, 8001), user="root", path="/opt/lab"
    )


def test_a_stopped_replica_is_told_beside_the_running_one() -> None:
    main = process(719, "httpd", uid=0, cgroup=f"/docker/{ID}")
    records = [composed(), composed(id=OTHER_ID, name="api-2", main="0", state="exited"), LISTED, PLUGIN]
    found = compose.find(claim("compose", UNIT), host(main, records=records))
    assert isinstance(found, Found)
    assert (found.state, found.main) == ("1 exited, 1 running", (719,))


def test_two_folders_with_one_project_name_are_several() -> None:
    records = [composed(), composed(id=OTHER_ID, name="api-2", project_folder='"/home/ada/lab"'), LISTED, PLUGIN]
    found = compose.find(claim("compose", UNIT), host(records=records))
    assert found == Several(("lab/api of /home/ada/lab", "lab/api of /opt/lab"))


def test_a_plain_container_is_not_known_to_compose() -> None:
    facts = host(records=[container(), listed(), LISTED, PLUGIN])
    assert compose.find(claim("compose", "plain/plain"), facts) == Missing()


def test_a_service_of_another_project_is_offered_and_not_taken() -> None:
    facts = host(records=[composed(project='"pypnm-gui-lab"'), LISTED, PLUGIN])
    assert compose.find(claim("compose", "pypnm-gui/api"), facts) == Missing(("pypnm-gui-lab/api",))


def test_a_host_without_the_plugin_is_an_obstacle() -> None:
    found = compose.find(claim("compose", UNIT), host(records=[composed(), LISTED]))
    assert isinstance(found, Found)
    assert "plugin" in found.obstacle


@pytest.mark.law(1)
def test_what_only_docker_was_asked_about_is_not_all_that_compose_has() -> None:
    assert isinstance(compose.find(claim("compose", UNIT), host(records=[container(), listed()])), Unseen)


@pytest.mark.law(4)
def test_the_restart_names_project_and_service_and_leaves_the_others_alone() -> None:
    command = compose.restart(claim("compose", UNIT), UNIT, host())
    assert command.argv == ("docker", "compose", "-p", "lab", "restart", "--no-deps", "api")
    assert command.user == "root"


@pytest.mark.parametrize(
    "unit", ["api", "lab/", "/api", "Lab/api", "lab/-t", "-p/api", "lab/api/x", "lab/a:b", "gui.service"]
)
def test_what_is_no_project_and_service_is_refused_where_it_is_written(unit: str) -> None:
    assert [problem.field for problem in compose.problems(claim("compose", unit))] == ["unit"]


def test_a_compose_file_is_never_read_and_so_refused() -> None:
    wrong = claim("compose", UNIT, config="/opt/lab/docker-compose.yml")
    assert [problem.field for problem in compose.problems(wrong)] == ["config"]


def test_the_mark_holds_every_replica() -> None:
    lines = (f"container {ID} t1 sha256:12ea running", f"container {OTHER_ID} t2 sha256:12ea running")
    assert compose.mark(("boot 8f2c", "process 719 71900 root /", *lines)) == (f"{ID} t1", f"{OTHER_ID} t2")


def test_signs_are_given_for_each_container_of_the_service() -> None:
    records = [composed(health="unhealthy"), composed(id=OTHER_ID, name="api-2", health="unhealthy")]
    found = compose.signs(claim("compose", UNIT), host(records=records))
    assert [sign.text.partition(" ")[0] for sign in found] == ["api-2", "plain"]


def test_a_compose_file_or_environment_newer_than_the_container_is_a_sign_with_its_time() -> None:
    made = "2023-11-14T22:13:20Z"  # 1_700_000_000
    about = Record(
        "compose.claim",
        {
            "service": "api",
            "file": "/opt/lab/compose.yml",
            "files-at": "1700003600",
            "environment": "/opt/lab/.env",
            "environment-at": "1700000060",
        },
    )
    signs = compose.signs(claim("compose", UNIT), host(records=[composed(created=made), about]))
    assert [(sign.kind, sign.at) for sign in signs] == [("config", 1_700_003_600), ("environment", 1_700_000_060)]
    assert signs[0].text.startswith("/opt/lab/compose.yml was changed 1 h after plain was made from it.")
    assert "docker compose up -d" in signs[0].text
    older = composed(created="2023-11-15T22:13:20Z")
    assert compose.signs(claim("compose", UNIT), host(records=[older, about])) == ()
    assert (
        compose.signs(replace(claim("compose", UNIT), name="other"), host(records=[composed(created=made), about]))
        == ()
    )
    assert compose.signs(claim("compose", UNIT), host(records=[composed(), about])) == ()  # made at an unknown time
