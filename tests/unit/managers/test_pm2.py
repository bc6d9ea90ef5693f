import pytest

from app.core.facts import Record
from app.core.manager import Nearness
from app.managers import MANAGERS
from tests.unit.managers.constructed import claim, host, process

pm2 = MANAGERS["pm2"]
GOD = process(
    1080, "PM2 v7.0.4: God", exe="/usr/bin/node", argv=("PM2 v7.0.4: God Daemon (/home/node/.pm2)", "", "", "")
)
MAIN = process(1098, "gunicorn", ppid=1080)
WORKER = process(1107, "gunicorn", ppid=1098)


def app(name: str, pid: int, god: int = 1080) -> Record:
    return Record("pm2.app", {"god": str(god), "name": name, "main": str(pid)})


def test_an_application_is_named_by_its_pid_file_and_never_believed() -> None:
    facts = host(GOD, MAIN, WORKER, records=[app("other", 1999), app("gui-pm2", 1098)])
    found = pm2.recognise(facts.chain(1107), 5055, facts)
    assert found is not None
    assert (found.unit, found.nearness, found.main) == ("gui-pm2", Nearness.ANCESTOR, 1098)
    assert not found.is_believed


@pytest.mark.parametrize("records", [[], [app("gui", 1107)], [app("gui", 1098, god=2080)]])
def test_a_pid_file_of_another_process_or_daemon_names_nothing(records: list[Record]) -> None:
    facts = host(GOD, MAIN, WORKER, records=records)
    found = pm2.recognise(facts.chain(1107), 5055, facts)
    assert found is not None
    assert found.unit is None


@pytest.mark.law(1)
@pytest.mark.parametrize(
    "forged",
    [
        process(1080, "PM2 v9", exe="/usr/bin/python3", argv=("PM2 v9: God Daemon (/home/node/.pm2)",)),
        process(1080, "PM2 v9", exe="/usr/bin/node", argv=("node", "server.js")),
        process(1080, "PM2 version", exe="/usr/bin/node", argv=("PM2 v9: God Daemon (/home/node/.pm2)",)),
    ],
    ids=["another program", "another command line", "another name"],
)
def test_a_process_that_only_calls_itself_pm2_is_not_recognised(forged: object) -> None:
    facts = host(forged, MAIN, records=[app("gui", 1098)])  # type: ignore[arg-type]
    assert pm2.recognise(facts.chain(1098), 5055, facts) is None


def test_a_claim_has_to_name_the_user() -> None:
    assert [problem.field for problem in pm2.problems(claim("pm2", "gui-pm2"))] == ["user"]
    assert pm2.problems(claim("pm2", "gui-pm2", user="node")) == []
