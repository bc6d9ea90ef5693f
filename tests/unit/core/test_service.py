"""The form of what the registry may hold: each wrong field is named, and no field can hold a word for a shell."""

from dataclasses import replace
from typing import Any

import pytest

from app.core.service import HttpCheck, JsonCheck, TcpCheck, host_problems, service_problems
from tests.unit.core.samples import HOST, SERVICE

URL = "http://127.0.0.1:5050/health"


def test_the_samples_have_no_problem() -> None:
    checks = (TcpCheck(5050), HttpCheck(URL), JsonCheck(URL, "tftp.server", "172.22.147.18"))
    assert service_problems(replace(SERVICE, checks=checks)) == []
    assert host_problems(replace(HOST, jump="bastion")) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Pypnm"),
        ("name", ""),
        ("name", "-gui"),
        ("name", "a" * 41),
        ("host", "al pha"),
        ("owner", "  "),
        ("owner", "x" * 201),
        ("unit", ""),
        ("unit", "-rf"),
        ("unit", "x" * 201),
        ("user", "CORP\\svc"),
        ("user", "-u"),
        ("path", "opt/x"),
        ("path", "/opt/../etc"),
        ("path", "/opt/./x"),
        ("path", "/opt/x/"),
        ("path", "//opt"),
        ("config", "/etc/a b"),
        ("settle", -1.0),
        ("settle", float("nan")),
        ("settle", 601.0),
        ("docs", "x" * 10_001),
        ("ports", (5050, 5050)),
        ("ports.0", (0,)),
        ("ports.1", (1, 65_536)),
        ("checks.0.tcp.port", (TcpCheck(0),)),
        ("checks.0.tcp.address", (TcpCheck(1, "a b"),)),
        ("checks.0.http.url", (HttpCheck("https://10.0.0.1/"),)),
        ("checks.0.http.url", (HttpCheck("http://user:pw@host/"),)),
        ("checks.0.http.url", (HttpCheck("http://host/ x"),)),
        ("checks.0.http.status", (HttpCheck(URL, 99),)),
        ("checks.1.json.url", (TcpCheck(1), JsonCheck("file:///etc/passwd", "a", "b"))),
        ("checks.0.json.field", (JsonCheck(URL, "", "b"),)),
        ("checks.0.json.equals", (JsonCheck(URL, "a", "b" * 1001),)),
    ],
)
def test_a_field_that_cannot_be_is_named_with_what_to_write_instead(field: str, value: Any) -> None:
    attribute = {"settle": "settle_seconds"}.get(field, field.partition(".")[0])
    change: dict[str, Any] = {attribute: value}
    problems = service_problems(replace(SERVICE, **change))
    assert [problem.field for problem in problems] == [field]
    assert problems[0].message


@pytest.mark.law(4)
@pytest.mark.threat("D1")
@pytest.mark.threat("E3")
@pytest.mark.parametrize("field", ["unit", "user", "path", "config", "name", "host"])
@pytest.mark.parametrize(
    "word",
    [
        "a;reboot",
        "a b",
        "$(id)",
        "`id`",
        "a\nb",
        "a|b",
        "a&b",
        "a>b",
        "a*",
        "a?",
        "a'b",
        'a"b',
        "a\0b",
        "a%20",
        "\u0430",
        "a\u202e",
    ],
)
def test_no_field_takes_what_a_shell_or_a_reader_could_take_for_something_else(field: str, word: str) -> None:
    value = f"/{word}" if field in {"path", "config"} else word
    change: dict[str, Any] = {field: value}
    assert [problem.field for problem in service_problems(replace(SERVICE, **change))] == [field]


@pytest.mark.parametrize("name", ["ada.lovelace", "svc@corp.example", "Ada", "12345"])
def test_a_process_may_run_as_a_directorys_user_and_nobody_signs_in_as_one(name: str) -> None:
    assert service_problems(replace(SERVICE, user=name)) == []
    assert [problem.field for problem in host_problems(replace(HOST, user=name))] == ["user"]


def test_the_root_of_the_file_system_is_a_path() -> None:
    assert service_problems(replace(SERVICE, path="/")) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Alpha"),
        ("address", "10.0.0.5 -oProxyCommand=x"),
        ("address", "-oProxyCommand=x"),
        ("address", ""),
        ("environment", "Pro duction"),
        ("user", "root;id"),
        ("jump", "not a name"),
        ("jump", "alpha"),
        ("port", 0),
        ("port", 65_536),
    ],
)
def test_a_host_that_cannot_be_is_named_by_its_field(field: str, value: Any) -> None:
    change: dict[str, Any] = {field: value}
    assert [problem.field for problem in host_problems(replace(HOST, **change))] == [field]


def test_a_check_has_a_short_name() -> None:
    assert TcpCheck(5050).label == "tcp 127.0.0.1:5050"
    assert HttpCheck(URL, 204).label == f"http {URL} is 204"
    assert JsonCheck(URL, "tftp.server", "x").label == "tftp.server is x"
