"""What a last proof is worth, and when a look changes what holds."""

import pytest

from app.core.freshness import Freshness, Seen, after, holds, is_overtaken, worth

NOW, LIMIT = 1_770_000_000.0, 1200.0


def looks(*seen: tuple[str, float]) -> Seen:
    found: Seen | None = None
    for verdict, at in seen:
        found = after(found, verdict, at)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("seen", "freshness"),
    [
        ([("VERIFIED", NOW - 10)], Freshness.FRESH),
        ([("VERIFIED", NOW - LIMIT)], Freshness.FRESH),
        ([("VERIFIED", NOW - LIMIT - 1)], Freshness.STALE),
        ([("VERIFIED", NOW + 3600)], Freshness.STALE),
        ([("VERIFIED", NOW - 20), ("UNREACHABLE", NOW - 10)], Freshness.STALE),
        ([("VERIFIED", NOW - 20), ("BLIND", NOW - 10)], Freshness.STALE),
        ([("VERIFIED", NOW - 400), ("UNREACHABLE", NOW - 300), ("UNREACHABLE", NOW - 10)], Freshness.STALE),
        ([("VERIFIED", NOW - 20), ("DOWN", NOW - 10)], Freshness.WRONG),
        ([("DOWN", NOW - 20), ("UNREACHABLE", NOW - 10)], Freshness.WRONG),
        ([("HOST_KEY_CHANGED", NOW - 10)], Freshness.WRONG),
        ([("UNREACHABLE", NOW - 10)], Freshness.NEVER),
        ([("UNREACHABLE", NOW - 20), ("VERIFIED", NOW - 10)], Freshness.FRESH),
    ],
)
def test_a_proof_is_worth_what_the_last_look_that_saw_anything_says(
    seen: list[tuple[str, float]], freshness: Freshness
) -> None:
    found = worth(looks(*seen), NOW, LIMIT)
    assert found.freshness is freshness
    assert bool(found.why) is (freshness is not Freshness.FRESH)


def test_a_service_that_nobody_looked_at_was_never_proved() -> None:
    assert worth(None, NOW, LIMIT) == worth(None, NOW + 1, LIMIT)
    assert worth(None, NOW, LIMIT).freshness is Freshness.NEVER


def test_the_time_of_the_last_proof_is_not_that_of_a_look_that_saw_nothing() -> None:
    assert worth(looks(("VERIFIED", NOW - 90), ("UNREACHABLE", NOW)), NOW, LIMIT).proved_at == NOW - 90


def test_one_look_that_sees_nothing_changes_nothing_and_two_impatient_ones_are_one() -> None:
    once = looks(("VERIFIED", NOW), ("UNREACHABLE", NOW + 100))
    assert holds(once, "VERIFIED") == "VERIFIED"
    assert holds(after(once, "UNREACHABLE", NOW + 102), "VERIFIED") == "VERIFIED"
    assert holds(after(once, "BLIND", NOW + 160), "VERIFIED") == "BLIND"


def test_a_look_that_sees_begins_the_count_anew() -> None:
    seen = looks(("UNREACHABLE", NOW), ("VERIFIED", NOW + 100), ("UNREACHABLE", NOW + 200))
    assert (seen.unseen, holds(seen, "VERIFIED")) == (1, "VERIFIED")


def test_what_a_look_sees_holds_at_once() -> None:
    assert holds(looks(("VERIFIED", NOW), ("WRONG_MANAGER", NOW + 1)), "VERIFIED") == "WRONG_MANAGER"


def test_a_look_that_was_written_late_is_overtaken_and_one_after_the_clock_was_set_back_is_not() -> None:
    assert is_overtaken(NOW - 5, NOW)
    assert not is_overtaken(NOW, NOW)
    assert not is_overtaken(NOW + 1, NOW)
    assert not is_overtaken(NOW - 3600, NOW)
