from pathlib import Path

from app.core.manager import Nearness
from app.managers import MANAGERS
from tests.unit.managers.constructed import host, process
from tests.unit.managers.test_supervised_fragments import runit, service_in, supervising


def test_a_log_is_a_second_service_of_one_supervisor(tmp_path: Path) -> None:
    gui = service_in(tmp_path / "gui")
    service_in(gui / "log", "1137")
    with supervising(gui) as supervisor:
        found = [each for each in runit(supervisor) if each.kind == "runit.service"]
    assert [(each.get("dir"), each.get("listed")) for each in found] == [(str(gui), "1136"), (f"{gui}/log", "1137")]
    assert all(each.get("name").endswith(end) for each, end in zip(found, ("gui", "gui/log"), strict=True))

    runsv = process(supervisor, "runsv", uid=0, exe="/usr/bin/runsv", argv=("runsv", "gui"), cwd=str(gui))
    log = process(1137, "svlogd", ppid=supervisor)
    facts = host(runsv, log, records=found)
    owner = MANAGERS["runit"].recognise(facts.chain(1137), None, facts)
    assert owner is not None
    assert (owner.unit, owner.nearness, owner.is_believed) == (found[1].get("name"), Nearness.ANCESTOR, True)


def test_a_folder_called_log_that_nothing_supervises_is_no_service(tmp_path: Path) -> None:
    gui = service_in(tmp_path / "gui")
    (gui / "log").mkdir()
    with supervising(gui) as supervisor:
        found = [each for each in runit(supervisor) if each.kind == "runit.service"]
    assert [each.get("dir") for each in found] == [str(gui)]
