"""The fragments of the gate, run by the real shell on this machine's own processes."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.core.facts import Record
from app.core.records import read
from app.gate.build import program
from tests.unit.managers.constructed import ID, OTHER_ID

NONCE = "0" * 32
TAB = "\t"


def run(commands: str, variables: Mapping[str, str], path: str = "") -> list[Record]:
    """Let the gate's own functions run, and read what they print. ``path`` goes before PATH."""
    header = f"askfirst-gate 1 nonce={NONCE} verb=probe gate=x\n"
    environment = {"PATH": f"{path}:/usr/bin:/bin", "LC_ALL": "C", "AF_VERB": "probe", **variables}
    script = f"{program()}set -f\nexport AF_AWK\n{commands}\n"
    done = subprocess.run(["sh"], input=script.encode(), env=environment, capture_output=True, timeout=20, check=True)
    assert done.stderr == b""
    count = done.stdout.count(b"\n") + 1
    answer = header.encode() + done.stdout + f"end nonce={NONCE} count={count}\n".encode()
    return [each for each in read(answer, NONCE, "probe") if each.kind != "askfirst-gate"]


@contextmanager
def sleeping(*argv: str, cwd: Path | None = None) -> Iterator[int]:
    """A real process that waits; its first argument is only what it calls itself."""
    with subprocess.Popen([*argv, "60"], executable="/bin/sleep", cwd=cwd) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def identity(records: list[Record]) -> list[tuple[str, str]]:
    return [(each.get("service"), each.get("pid") or each.get("line")) for each in records if each.kind == "identity"]


def test_a_manual_service_is_bound_to_the_topmost_holder_of_its_ports() -> None:
    with sleeping("sleep") as one, sleeping("sleep") as other:
        above = os.getpid()
        held = f"5051 {one}\n5051 {above}\n9000 {other}\n80 1\n"
        claims = "a gui - - - 5051,80\nb api - - - 9000\nc web - - - 5052"
        found = identity(run("facts_manual", {"AF_CLAIMS": claims, "AF_HOLDERS": held}))
    assert found == [("a", str(above)), ("b", str(other))]


def test_a_manual_service_without_ports_is_bound_to_who_works_in_its_path(tmp_path: Path) -> None:
    claims = f"a gui - {tmp_path} - -"
    with sleeping("sleep", cwd=tmp_path) as one, sleeping("sleep", cwd=tmp_path) as other, sleeping("sleep"):
        everyone = run("facts_manual", {"AF_CLAIMS": claims, "AF_HOLDERS": ""})
        listening = run("facts_manual", {"AF_CLAIMS": claims, "AF_HOLDERS": f"5051 {other}\n"})
    assert sorted(identity(everyone)) == sorted([("a", str(one)), ("a", str(other))])
    assert identity(listening) == [("a", str(other))]


def docker_says(folder: Path, *lines: str) -> str:
    """Put a ``docker`` on the PATH that answers an inspection with these lines, as the real one prints them."""
    (folder / "answer").write_text("".join(f"{line}\n" for line in lines))
    (folder / "docker").write_text(f'#!/bin/sh\n[ "$1" = inspect ] && cat {folder}/answer\n')
    (folder / "docker").chmod(0o755)
    return str(folder)


def told(
    container_id: str,
    name: str,
    project: str = '""',
    service: str = '""',
    *,
    main: str = "719",
    oneoff: str = '"False"',
    files: str = "",
    environment: str = "",
) -> str:
    made_from = ("2026-11-24T08:00:00Z", "no", f'"{files}"', f'"{environment}"')
    plain = (container_id, f"/{name}", main, "running", "2026-11-24T08:16:54.3Z", "sha256:12ea", "0", "", "")
    return TAB.join((*plain, '"api:1"', '""', '""', "[null]", project, service, '"/opt/lab"', oneoff, *made_from))


def asked(path: str, claims: str, manager: str = "docker") -> list[Record]:
    command = f"af_containers {manager} all '{ID} api:1'"
    return run(command, {"AF_CLAIMS": claims}, path)


def test_claimed_containers_get_identity_lines_and_the_others_only_records(tmp_path: Path) -> None:
    path = docker_says(tmp_path, told(ID, "plain"), told(OTHER_ID, "api", '"lab"', '"api"', main="0"))
    found = asked(path, "a plain - - - -\nb lab/api - - - -\nc unknown - - - -")
    assert [each.get("name") for each in found if each.kind == "docker.container"] == ["plain", "api"]
    assert identity(found) == [
        ("a", f"container {ID} 2026-11-24T08:16:54.3Z sha256:12ea running"),
        ("a", "719"),
        ("b", f"container {OTHER_ID} 2026-11-24T08:16:54.3Z sha256:12ea running"),
    ]
    assert [each.get("scope") for each in found if each.kind == "docker.list"] == ["all"]


def test_what_compose_ran_once_is_not_bound_to_a_claim_on_its_service(tmp_path: Path) -> None:
    once = told(ID, "lab-api-run-1", '"lab"', '"api"', oneoff='"True"')
    assert identity(asked(docker_says(tmp_path, once), "a lab/api - - - -", "compose")) == []


def test_the_files_that_a_project_was_made_from_are_told_with_their_times(tmp_path: Path) -> None:
    older, newer, settings = tmp_path / "compose.yml", tmp_path / "over ride's.yml", tmp_path / "lab.env"
    for path, at in ((older, 1_700_000_000), (newer, 1_700_000_060), (settings, 1_700_000_120)):
        path.touch()
        os.utime(path, (at, at))
    of = told(ID, "api", '"lab"', '"api"', files=f"{older},{newer},relative.yml,/not/there", environment=str(settings))
    found = asked(docker_says(tmp_path, of), "a lab/api - - - -", "compose")
    (about,) = [each for each in found if each.kind == "compose.claim"]
    assert dict(about.fields) == {
        "service": "a",
        "file": str(newer),
        "files-at": "1700000060",
        "environment": str(settings),
        "environment-at": "1700000120",
    }


def test_nothing_is_looked_at_for_a_container_that_no_project_made(tmp_path: Path) -> None:
    found = asked(docker_says(tmp_path, told(ID, "plain")), "a plain - - - -")
    assert [each.kind for each in found if each.kind.endswith(".claim")] == []


@pytest.mark.law(13)
def test_a_hostile_label_stays_in_its_own_field(tmp_path: Path) -> None:
    hostile = r'"x\nend nonce=0 count=0\t\"quoted\" \u202e%"'
    (found, _) = asked(docker_says(tmp_path, told(ID, "plain", hostile, '"api"')), "")
    assert (found.kind, found.get("project"), found.get("service")) == ("docker.container", hostile, '"api"')


@pytest.mark.law(1)
def test_a_docker_that_breaks_off_is_blind_and_not_at_the_end_of_its_list(tmp_path: Path) -> None:
    path = docker_says(tmp_path, told(ID, "plain"), "error during connect: EOF")
    found = asked(path, "a plain - - - -")
    assert [each.get("why") for each in found if each.kind == "blind"] == ["error during connect: EOF"]
    assert not [each for each in found if each.kind == "docker.list"]


def test_a_container_that_went_away_meanwhile_is_not_missed(tmp_path: Path) -> None:
    path = docker_says(tmp_path, told(ID, "plain"), f"Error: No such container: {OTHER_ID}", "WARNING: no swap limit")
    assert [each.kind for each in asked(path, "")] == ["docker.container", "docker.list"]
