from pathlib import Path
from shutil import which

import pytest

from app.core.facts import Record
from tests.unit.managers.test_fragments import run
from tests.unit.managers.test_supervised_fragments import WE, service_in, supervising


def told(folder: Path, says: str) -> list[Record]:
    """Let a supervisor stand in a folder, and ``s6-svstat`` answer so."""
    tools = folder / "tools"
    tools.mkdir()
    (tools / "s6-svstat").write_text(f'#!/bin/sh\n[ "$*" = "-o pid,up,wantedup {folder}/gui" ] || exit 9\n{says}\n')
    (tools / "s6-svstat").chmod(0o755)
    with supervising(service_in(folder / "gui")) as supervisor:
        found = run("facts_s6", {"AF_COMMS": f"{supervisor} s6-supervise\n", **WE}, str(tools))
    return [each for each in found if each.kind == "s6.service"]


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        ("echo 1136 true true", ("1136", "run", "yes")),
        ("echo 1136 true false", ("1136", "run, want down", "yes")),
        ("echo -1 false true", ("0", "down, want up", "no")),
        ("echo -1 false false", ("0", "down", "no")),
        ("exit 111", ("", "", "no")),
        ("echo x y z", ("", "", "no")),
        ("echo 'host boot=x' true true", ("", "", "no")),
    ],
)
def test_what_s6_svstat_says_is_a_number_and_a_state_or_nothing(
    tmp_path: Path, says: str, expected: tuple[str, str, str]
) -> None:
    (found,) = told(tmp_path, says)
    listed = "" if expected[0] == "0" else expected[0]
    assert (found.get("listed"), found.get("state"), found.get("is-up")) == (listed, *expected[1:])


@pytest.mark.skipif(which("s6-svstat") is not None, reason="s6 is on this machine")
def test_without_its_tool_it_is_said_that_it_is_missing() -> None:
    (found,) = run("facts_s6", {"AF_CLAIMS": "a gui - - - -"})
    assert (found.kind, found.get("about")) == ("blind", "s6")
