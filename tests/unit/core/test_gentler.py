"""What would do instead of a restart, and when nothing but a new process would."""

import pytest

from app.core.gentler import offers
from app.core.manager import Action
from app.core.verdict import Sign

RELOAD = ("systemctl", "reload", "gui.service")
ANEW = ("systemctl", "daemon-reload")
ALL = {"restart": ("systemctl", "restart", "gui.service"), "reload": RELOAD, "daemon-reload": ANEW}


def test_the_gentlest_comes_first_with_a_sentence_each_and_a_restart_is_no_gentler_way() -> None:
    found = offers(ALL, ())
    assert [(each.action, each.argv) for each in found] == [(Action.DAEMON_RELOAD, ANEW), (Action.RELOAD, RELOAD)]
    assert found[0].words.startswith("The manager reads its changed files anew")
    assert "stays the same process" in found[1].words


def test_only_what_the_manager_has_is_offered() -> None:
    assert offers({"restart": ("x",), "start": ("x",)}, ()) == ()
    assert [each.action for each in offers({"reload": RELOAD}, (Sign("file", "newer"),))] == [Action.RELOAD]


@pytest.mark.parametrize("kind", ["down", "replaced", "image"])
def test_where_a_sign_needs_a_new_process_no_gentler_way_is_offered(kind: str) -> None:
    assert offers(ALL, (Sign("code", "newer"), Sign(kind, "so"))) == ()
