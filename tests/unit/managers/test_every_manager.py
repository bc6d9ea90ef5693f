"""What holds for each manager, and what belongs to each: its file, its recorded facts, its scenario in the lab."""

import re
from pathlib import Path

import pytest

from app.core.errors import Refused
from app.core.manager import Action, Command, Found, Manager, Missing, Several, Unseen
from app.gate import build
from app.managers import MANAGERS
from tests.lab.truth import HELD
from tests.unit.managers.constructed import INIT, claim, host, process

TESTS = Path(__file__).parents[2]
STRANGER = process(500, "x", cgroup="/")
EVERY = pytest.mark.parametrize("manager", MANAGERS.values(), ids=MANAGERS)
NOT_IN_THE_LAB = {"kubernetes"}


def test_there_is_one_for_each_word_of_the_registry() -> None:
    assert set(MANAGERS) == {
        *("systemd", "systemd-user", "docker", "compose", "podman", "supervisor", "pm2", "runit", "s6", "script"),
        *("manual", "tmux", "screen", "kubernetes", "none"),
    }
    driven = {name for name, each in MANAGERS.items() if each.is_driven}
    containers, lists = {"docker", "compose", "podman"}, {"supervisor", "pm2", "runit", "s6"}
    assert driven == {"systemd", "systemd-user", "script"} | containers | lists
    assert {name for name, each in MANAGERS.items() if each.is_by_hand} == {"manual"}
    assert {name for name, each in MANAGERS.items() if not each.is_claimable} == {
        "tmux",
        "screen",
        "kubernetes",
        "none",
    }


@EVERY
def test_its_file_bears_its_name_and_it_has_one_for_people(manager: Manager) -> None:
    assert Path(f"app/managers/{manager.name.replace('-', '_')}.py").exists()
    assert manager.label


@EVERY
def test_its_fragment_is_one_function_that_the_gate_can_find(manager: Manager) -> None:
    name = manager.name.replace("-", "_")
    defined = re.findall(r"^(\w+)\(\) *[{(]", manager.shell, re.MULTILINE)
    watched = re.findall(r"^af_watch (.+)$", manager.shell, re.MULTILINE)
    assert [each for each in defined if each.startswith(("facts_", "identity_"))] in ([], [f"facts_{name}"])
    assert watched == [] or f"facts_{name}" in defined
    code = [line for line in manager.shell.splitlines() if not line.strip().startswith("#")]
    assert [line for line in code if re.search(r"\beval\b|`", line)] == [], (
        "nothing of a host's or a claim's is evaluated"
    )
    assert f"AF_MANAGER={manager.name}\n" in build.program()


@EVERY
def test_no_fragment_uses_another_fragments_functions_names(manager: Manager) -> None:
    ours = set(re.findall(r"^(\w+)\(\) *[{(]", manager.shell, re.MULTILINE))
    for other in MANAGERS.values():
        theirs = set(re.findall(r"^(\w+)\(\) *[{(]", other.shell, re.MULTILINE))
        if other is not manager and other.shell != manager.shell:
            shared = {name for name in ours & theirs if body(manager.shell, name) != body(other.shell, name)}
            assert shared == set(), f"{manager.name} and {other.name} define different functions of one name"


def body(shell: str, name: str) -> str:
    return shell.partition(f"\n{name}()")[2].partition("\n}")[0]


@EVERY
@pytest.mark.law(1)
def test_it_recognises_nothing_where_nothing_tells_of_it(manager: Manager) -> None:
    facts = host(STRANGER)
    found = manager.recognise(facts.chain(STRANGER.pid), 80, facts)
    assert found is None or (found.manager == "none" and manager.name == "none")
    assert manager.recognise((INIT,), 80, facts) is None or manager.name == "none"


@EVERY
@pytest.mark.law(1)
def test_on_a_host_that_told_nothing_it_finds_nothing_running(manager: Manager) -> None:
    found = manager.find(claim(manager.name, "gui", path="/srv", ports=(80,)), host())
    assert isinstance(found, Found | Missing | Several | Unseen)
    assert not isinstance(found, Found) or found.main == ()


@EVERY
@pytest.mark.law(4)
def test_its_restart_is_words_that_no_shell_reads_otherwise_or_a_refusal(manager: Manager) -> None:
    unit = "project/gui" if manager.name == "compose" else "gui.service"
    service = claim(manager.name, unit, user="rbron", path="/srv", ports=(80,))
    if not manager.is_driven and not manager.is_by_hand:
        for make in (manager.restart, manager.start):
            with pytest.raises(Refused):
                make(service, unit, host())
        return
    every = {Action.RESTART: manager.restart(service, unit, host()), Action.START: manager.start(service, unit, host())}
    every |= manager.gentler(service, unit, host())
    for made in every.values():
        if manager.is_by_hand:
            assert made == Command((), "-")
            continue
        assert all(re.fullmatch(r"[A-Za-z0-9@._:/=+,-]+", word) for word in made.argv)
        assert not made.argv[0].startswith("-")
        assert re.fullmatch(r"[a-z_][a-z0-9_-]*", made.user)


@EVERY
def test_its_mark_is_of_the_identity_lines_and_nothing_has_none(manager: Manager) -> None:
    assert manager.mark(()) == ()
    assert manager.mark(("boot b",)) == ()


@EVERY
def test_what_a_real_host_told_of_it_is_recorded(manager: Manager) -> None:
    folder = TESTS / "facts" / manager.name.replace("-", "_")
    recorded = {path.stem for path in folder.glob("*.rec")}
    assert (manager.name in NOT_IN_THE_LAB) == (recorded == set())
    assert recorded == {path.stem for path in folder.glob("*.json")}


@EVERY
def test_the_lab_has_a_host_with_it(manager: Manager) -> None:
    scenarios = TESTS / "lab" / "scenarios"
    by_hand = {"manual", "none", "tmux", "screen"}
    name = "by-hand" if manager.name in by_hand else manager.name
    assert (manager.name in NOT_IN_THE_LAB) != (scenarios / f"{name}.sh").exists()
    assert manager.name in {held.manager for held in HELD} | NOT_IN_THE_LAB | {"manual"}
