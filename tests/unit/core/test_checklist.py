"""The checklist of a request: what is proved is proved, and what was only said is never more than said."""

from dataclasses import replace

import pytest

from app.core.checklist import COMMITTED, Certainty, Point, points, pushed
from app.core.facts import Checkout
from app.core.run import Checked
from app.core.verdict import Finding

NOW = 1_769_508_000.0
PUSHED = Checkout(
    commit="6ed8c30" + "0" * 33, changed=0, untracked=0, ahead=0, upstream="origin/main", fetched_at=NOW - 7_200
)
ASKFIRST = "Askfirst, by `systemctl restart gui` as root, once somebody else has approved."


def seen(code: Checkout | None, path: str | None = "/srv/gui") -> Finding:
    return pushed(code, path, NOW)


def listed(
    committed: Finding | None = None,
    *said: str,
    verdict: str = "VERIFIED",
    who: str = ASKFIRST,
    after: list[Checked] | None = None,
) -> dict[str, Point]:
    return {each.name: each for each in points(verdict, committed, after, said=said, asker="Ada", who=who)}


def test_a_clean_checkout_whose_commit_is_upstream_is_proved() -> None:
    found = seen(PUSHED)
    assert found.agrees is True
    assert (
        found.observed == "commit 6ed8c3000000 is on origin/main by the last fetch, 2 h before, and nothing is changed"
    )
    assert listed(found)[COMMITTED].certainty is Certainty.PROVED


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"changed": 1}, "1 file changed, over commit 6ed8c3000000"),
        ({"changed": 2, "untracked": 3}, "2 files changed and 3 files not tracked, over commit 6ed8c3000000"),
        ({"ahead": 1}, "1 commit is not on origin/main by the last fetch, 2 h before"),
        ({"ahead": 4, "fetched_at": None}, "4 commits are not on origin/main"),
    ],
)
def test_what_is_not_committed_or_not_pushed_is_not_proved_whatever_is_said(change: dict[str, int], words: str) -> None:
    found = seen(replace(PUSHED, **change))  # type: ignore[arg-type]
    assert (found.agrees, found.observed) == (False, words)
    assert listed(found)[COMMITTED].certainty is Certainty.NOT_PROVED
    point = listed(found, COMMITTED)[COMMITTED]
    assert (point.certainty, point.text) == (Certainty.NOT_PROVED, f"Ada says so, yet the host shows: {words}.")


@pytest.mark.parametrize(
    ("code", "path", "words"),
    [
        (PUSHED, None, "no path is claimed"),
        (None, "/srv/gui", "no git checkout was seen at /srv/gui"),
        (replace(PUSHED, commit=None), "/srv/gui", "no git checkout"),
        (replace(PUSHED, changed=None, untold="git is not on this host"), "/srv/gui", "git is not on this host"),
        (replace(PUSHED, ahead=None, upstream=""), "/srv/gui", "its branch follows none"),
    ],
)
def test_what_the_host_cannot_tell_may_be_said_and_is_then_said_and_not_proved(
    code: Checkout | None, path: str | None, words: str
) -> None:
    found = seen(code, path)
    assert found.agrees is None
    assert words in found.observed
    assert listed(found)[COMMITTED].certainty is Certainty.NOT_PROVED
    point = listed(found, COMMITTED)[COMMITTED]
    assert point.certainty is Certainty.SAID
    assert point.text.startswith("Ada says so. The host cannot tell: ")


def test_the_method_is_proved_by_the_verdict_alone() -> None:
    assert listed()["method"].certainty is Certainty.PROVED
    assert listed(verdict="WRONG_MANAGER")["method"].certainty is Certainty.NOT_PROVED
    assert "not asked yet" in listed(verdict="")["method"].text


def test_a_person_who_restarts_by_hand_is_said_and_askfirst_is_proved() -> None:
    assert listed()["who"].certainty is Certainty.PROVED
    assert listed(who="Ada, by hand.")["who"].certainty is Certainty.SAID
    assert listed(who="")["who"].certainty is Certainty.LATER


def test_checks_are_told_afterwards_and_none_is_no_proof() -> None:
    green, red = Checked("health", is_green=True, seen="200"), Checked("tftp", is_green=False, seen="10.0.0.1")
    assert listed(after=None)["checks"].certainty is Certainty.LATER
    assert listed(after=[])["checks"].certainty is Certainty.NOT_PROVED
    assert listed(after=[green])["checks"].certainty is Certainty.PROVED
    assert listed(after=[green, red])["checks"] == Point(
        "checks", "Are the checks green afterwards?", Certainty.NOT_PROVED, "1 of 2 are red: tftp."
    )


@pytest.mark.law(13)
def test_what_a_host_says_of_its_upstream_is_made_visible() -> None:
    assert "\x1b" not in seen(replace(PUSHED, upstream="origin/\x1b[31m")).observed
