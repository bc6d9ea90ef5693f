from app.managers import MANAGERS
from tests.unit.managers.constructed import host, process

script = MANAGERS["script"]


def test_no_process_tells_that_a_script_once_started_it() -> None:
    facts = host(process(50, "start.sh", exe="/bin/dash"), process(60, "serve", ppid=50))
    assert script.recognise(facts.chain(60), 5053, facts) is None
