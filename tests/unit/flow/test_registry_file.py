"""The registry's YAML: read with places for everything wrong, written so that it reads back the same."""

import pytest

from app.core.policy import Assurance
from app.core.registry import Registry
from app.core.service import HttpCheck, JsonCheck, TcpCheck
from app.flow.registry_file import export, parse
from app.flow.yaml_reader import Invalid

GOOD = """\
hosts:
  - name: alpha
    address: 10.0.0.5
    sudo: true
    host_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGvc5ozaLlUtGDjMC+RMTvv4ifkvUI68FLacWSJlUURb"]
    environment: production
services:
  - name: pypnm-gui
    host: alpha
    owner: lab-team
    manager: supervisor
    unit: lab:pypnm-gui
    user: rbron
    path: /opt/pypnm-gui-lab
    ports: [5050]
    settle: 500ms
    checks:
      - tcp: {port: 5050}
      - http: {url: "http://127.0.0.1:5050/health", status: 200}
      - json: {url: "http://127.0.0.1:5050/api/constellation", field: tftp.server, equals: 172.22.147.18}
    docs: "Backend of the lab GUI. Ask rbron first."
policies:
  - environment: production
    approvers: 1
    groups: [lab-team]
    assurance: click
    expires: 15m
"""


def _wrong(text: str) -> list[str]:
    with pytest.raises(Invalid) as caught:
        parse(text)
    return [str(problem) for problem in caught.value.problems]


def test_the_design_s_own_example_is_read_whole() -> None:
    registry = parse(GOOD)
    service = registry.service("pypnm-gui")
    assert service is not None
    assert service.settle_seconds == 0.5
    assert service.checks == (
        TcpCheck(5050),
        HttpCheck("http://127.0.0.1:5050/health", 200),
        JsonCheck("http://127.0.0.1:5050/api/constellation", "tftp.server", "172.22.147.18"),
    )
    assert registry.hosts[0].sudo is True
    assert registry.policies[0].expires_seconds == 900
    assert registry.policies[0].assurance is Assurance.CLICK


def test_what_is_written_reads_back_to_the_same_registry_and_the_same_bytes() -> None:
    registry = parse(GOOD)
    written = export(registry)
    assert parse(written) == registry
    assert export(parse(written)) == written


def test_a_script_and_its_words_are_read_and_written_again() -> None:
    text = GOOD.replace("manager: supervisor", "manager: script").replace("unit: lab:pypnm-gui", "unit: /opt/restart")
    registry = parse(text.replace("ports: [5050]", "ports: [5050]\n    args: [5050, --now]"))
    service = registry.service("pypnm-gui")
    assert service is not None
    assert service.args == ("5050", "--now")
    assert parse(export(registry)) == registry
    assert "args" not in export(parse(GOOD))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("sudo: true", "sudoo: true", "line 4, column 5: hosts.0.sudoo: unknown key"),
        ("sudo: true", "sudo: yes", "line 4, column 11: hosts.0.sudo: expected true or false"),
        (
            "    owner: lab-team\n",
            "    owner: a\n    owner: b\n",
            "line 11, column 5: services.0.owner: this key stands",
        ),
        ("ports: [5050]", "ports: [99999]", "line 15, column 12: service pypnm-gui: ports.0: a port is a number"),
        ("ports: [5050]", "args: [x, $(id)]", "line 15, column 11: service pypnm-gui: args.1: one word of"),
        ("ports: [5050]", "args: [x]", "line 15, column 11: service pypnm-gui: args: supervisor is asked by a name"),
        ("ports: [5050]", "args: x", "line 15, column 11: services.0.args: expected a list"),
        ("manager: supervisor", "manager: supervisord", "line 11, column 14: service pypnm-gui: manager: no such"),
        ("manager: supervisor", "manager: tmux", "line 11, column 14: service pypnm-gui: manager: "),
        ("host: alpha", "host: beta", "line 9, column 11: service pypnm-gui: host: there is no host 'beta'"),
        ("path: /opt/pypnm-gui-lab", "path: /opt/../etc", "line 14, column 11: service pypnm-gui: path: an absolute"),
        ("groups: [lab-team]", "groups: []", "line 25, column 13: policy production: groups: name at least one group"),
        ("expires: 15m", "expires: soon", "line 27, column 14: policies.0.expires: expected a duration"),
        (
            "assurance: click",
            "assurance: sealed",
            "line 26, column 16: policy production: assurance: the host",
        ),
        (
            "  - name: alpha\n    address: 10.0.0.5\n",
            "  - name: alpha\n",
            "line 2, column 5: hosts.0: missing: address",
        ),
    ],
)
def test_each_mistake_is_named_with_its_line_and_column(before: str, after: str, expected: str) -> None:
    assert GOOD.count(before) == 1
    assert any(problem.startswith(expected) for problem in _wrong(GOOD.replace(before, after)))


def test_all_mistakes_are_named_at_once_in_the_order_of_the_file() -> None:
    wrong = _wrong(GOOD.replace("sudo: true", "sudo: maybe").replace("expires: 15m", "expires: soon"))
    assert [problem.split(",")[0] for problem in wrong] == ["line 4", "line 27"]


def test_an_alias_bomb_is_refused_at_its_first_alias() -> None:
    bomb = "hosts: &a [x, x]\nservices: [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n"
    assert "alias" in _wrong(bomb)[0]


@pytest.mark.parametrize("text", ["hosts: [", "\t- x", "a: b: c", "hosts: !!python/object:os.system x", "\x00"])
def test_what_is_no_registry_is_refused_with_a_place(text: str) -> None:
    assert _wrong(text)[0].startswith("line ")


def test_two_services_may_not_claim_one_port_of_a_host() -> None:
    second = GOOD[GOOD.index("  - name: pypnm-gui") : GOOD.index("policies:")].replace("pypnm-gui\n", "zweite\n", 1)
    wrong = _wrong(GOOD.replace("policies:", second.replace("lab:pypnm-gui", "lab:other") + "policies:"))
    assert len(wrong) == 1
    assert "port 5050 of alpha is already claimed by pypnm-gui" in wrong[0]


@pytest.mark.parametrize("text", ["", "\n", "# hosts: []\n"])
def test_a_file_with_nothing_in_it_is_refused(text: str) -> None:
    (wrong,) = _wrong(text)
    assert wrong.startswith("line 1")
    assert "nothing is in it" in wrong


def test_an_empty_registry_is_written_out() -> None:
    assert parse("hosts: []") == parse(export(Registry())) == Registry()
