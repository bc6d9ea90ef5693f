import pytest

from app.core.manager import Nearness
from app.managers import MANAGERS
from tests.unit.managers.constructed import host, process

tmux = MANAGERS["tmux"]
SHELL = process(1191, "sh", ppid=1190, argv=("sh", "-c", "gunicorn app:app --password=hunter2"))
SERVER = process(1190, "tmux: server", exe="/usr/bin/tmux", argv=("tmux", "new-session", "-d"))


def test_a_process_in_a_terminal_of_tmux_is_recognised_and_never_believed() -> None:
    gunicorn = process(1195, "gunicorn", ppid=1191)
    facts = host(SERVER, SHELL, gunicorn)
    found = tmux.recognise(facts.chain(1195), 5051, facts)
    assert found is not None
    assert (found.unit, found.nearness, found.depth, found.main) == (None, Nearness.ANCESTOR, 2, 1191)
    assert not found.is_believed


def test_it_says_whose_it_is_since_when_and_which_command_line_without_the_secrets_in_it() -> None:
    facts = host(SERVER, SHELL)
    found = tmux.recognise(facts.chain(1191), 5051, facts)
    assert found is not None
    started = "2023-11-14 22:33:11 UTC"
    assert found.evidence.startswith(f"tmux: server 1190 of rbron → sh 1191 of rbron, since {started}: sh -c ")
    assert "hunter2" not in found.evidence


def test_the_server_itself_is_not_its_own_child() -> None:
    facts = host(SERVER)
    assert tmux.recognise(facts.chain(1190), None, facts) is None


@pytest.mark.law(1)
@pytest.mark.parametrize("exe", ["/usr/bin/python3", "/home/rbron/tmux-like"])
def test_a_process_of_another_program_that_calls_itself_tmux_is_none(exe: str) -> None:
    forged = process(1190, "tmux: server", exe=exe)
    facts = host(forged, SHELL)
    assert tmux.recognise(facts.chain(1191), 5051, facts) is None


@pytest.mark.parametrize("exe", [None, "/usr/bin/tmux (deleted)"])
def test_an_unseen_or_upgraded_program_is_still_recognised_by_name(exe: str | None) -> None:
    facts = host(process(1190, "tmux: server", exe=exe), SHELL)
    assert tmux.recognise(facts.chain(1191), 5051, facts) is not None


def test_a_claim_may_not_name_it() -> None:
    assert not tmux.is_claimable
    assert not tmux.is_driven
