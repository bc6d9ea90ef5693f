"""``docs``: the same registry gives the same bytes, and a copy is true, untrue, or cannot be told."""

from pathlib import Path

import pytest

from tests.integration.cli.conftest import Command
from tests.integration.cli.test_commands import AS_ED, REGISTRY, write

OTHER = """  - name: other
    host: alpha
    owner: net-team
    manager: systemd
    unit: other.service
    docs: '# `not` a <b>heading</b>'
policies:"""
TWO = REGISTRY.replace("policies:", OTHER)


@pytest.fixture
def copy(people: Command) -> Path:
    """A copy that is committed, of a registry whose host never answered."""
    people("registry", "apply", write(people, TWO), **AS_ED)
    file = people.folder / "DEPLOYMENT.md"
    file.write_text(people("docs", "alpha").stdout)
    return file


def test_it_is_written_alike_each_time_and_holds_each_service(people: Command, copy: Path) -> None:
    again = people("docs", "alpha")
    assert again.exit_code == 0
    assert again.stdout == copy.read_text() == people.json("docs", "alpha")["text"]
    text = copy.read_text()
    assert text.startswith("# Deployment of alpha\n")
    assert "\n## other\n" in text
    assert "\n## pypnm-gui\n" in text
    assert "- Host key: `SHA256:" in text
    assert "> \\# \\`not\\` a \\<b\\>heading\\</b\\>" in text
    assert "no command is given, since what it would do is not proved (it was never proved)" in text


def test_a_copy_that_is_true_is_a_yes(people: Command, copy: Path) -> None:
    done = people("docs", "alpha", "--check", str(copy))
    assert (done.exit_code, done.stdout) == (0, f"{copy} is true.\n")
    copy.write_bytes(copy.read_bytes().replace(b"\n", b"\r\n"))
    assert people("docs", "alpha", "--check", str(copy)).exit_code == 0


def test_a_copy_that_is_no_longer_true_is_a_no_with_the_difference(people: Command, copy: Path) -> None:
    people("registry", "apply", write(people, TWO.replace("other.service", "another.service")), **AS_ED)
    done = people("docs", "alpha", "--check", str(copy))
    assert done.exit_code == 1
    assert f"--- {copy}\n+++ as it is now\n" in done.stdout
    assert "-- Manager: systemd, which knows it as `other.service`\n" in done.stdout
    assert "+- Manager: systemd, which knows it as `another.service`\n" in done.stdout
    answer = people.json("docs", "alpha", "--check", str(copy))
    assert answer["is_true"] is False
    assert "another.service" in answer["difference"]


def test_a_service_that_was_taken_out_makes_a_copy_untrue(people: Command, copy: Path) -> None:
    people("registry", "apply", write(people, REGISTRY), **AS_ED)
    assert people("docs", "alpha", "--check", str(copy)).exit_code == 1


def test_while_a_host_cannot_be_seen_it_cannot_be_told_whether_a_copy_is_true(people: Command, copy: Path) -> None:
    assert people("verify", "pypnm-gui").exit_code == 2
    done = people("docs", "alpha", "--check", str(copy))
    assert done.exit_code == 2
    assert "cannot be told now: pypnm-gui could not be looked at" in done.stdout
    assert people.json("docs", "alpha", "--check", str(copy))["is_true"] is None
    copy.write_text(copy.read_text().replace("net-team", "somebody"))
    assert people("docs", "alpha", "--check", str(copy)).exit_code == 1, "what is seen differs"


@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe", b"\x1b[2J# Deployment of alpha\n"])
def test_what_is_no_copy_is_a_no_and_cannot_steer_the_terminal(people: Command, copy: Path, content: bytes) -> None:
    copy.write_bytes(content)
    done = people("docs", "alpha", "--check", str(copy))
    assert done.exit_code == 1
    assert "\x1b" not in done.stdout


def test_a_copy_that_cannot_be_read_and_a_host_that_is_not_there_cannot_be_told(people: Command, copy: Path) -> None:
    missing = people("docs", "alpha", "--check", str(copy.parent / "missing.md"))
    assert missing.exit_code == 2
    assert "could not be read: No such file" in missing.stderr
    assert people("docs", "alpha", "--check", str(copy.parent)).exit_code == 2
    nobody = people("docs", "omega")
    assert nobody.exit_code == 2
    assert "There is no host 'omega'" in nobody.stderr
