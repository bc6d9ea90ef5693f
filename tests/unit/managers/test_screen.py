import pytest

from app.core.manager import Nearness
from app.managers import MANAGERS
from tests.unit.managers.constructed import host, process

screen = MANAGERS["screen"]
SERVER = process(1201, "screen", exe="/usr/bin/screen", argv=("SCREEN", "-dmS", "gui", "gunicorn"))
CHILD = process(1202, "gunicorn", ppid=1201)


def test_a_process_in_a_terminal_of_screen_is_recognised_and_never_believed() -> None:
    facts = host(SERVER, CHILD)
    found = screen.recognise(facts.chain(1202), 5058, facts)
    assert found is not None
    assert (found.unit, found.nearness, found.main, found.is_believed) == (None, Nearness.ANCESTOR, 1202, False)
    assert found.evidence.startswith("screen 1201 of rbron → gunicorn 1202 of rbron, since ")


@pytest.mark.parametrize(
    "other",
    [
        process(1201, "screen", exe="/usr/bin/screen", argv=("screen", "-r", "gui")),
        process(1201, "screen", exe="/usr/bin/python3", argv=("SCREEN",)),
        process(1201, "SCREEN", exe="/usr/bin/screen", argv=("SCREEN",)),
    ],
    ids=["a client", "another program", "another name"],
)
def test_what_is_no_server_of_screen_is_not_recognised(other: object) -> None:
    facts = host(other, CHILD)  # type: ignore[arg-type]
    assert screen.recognise(facts.chain(1202), 5058, facts) is None


def test_a_claim_may_not_name_it() -> None:
    assert not screen.is_claimable
