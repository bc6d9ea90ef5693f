"""When a host is due: spread by its name, once in each interval, whatever the clock and the worker did."""

import itertools

import pytest

from app.core.cadence import AGAIN_SECONDS, due_at, gap, place

EVERY = 900.0
NOW = 1_770_000_000.0


def test_hosts_spread_evenly_over_the_interval_by_their_names_alone() -> None:
    places = [place(f"host-{number}", EVERY) for number in range(600)]
    tenths = [sum(1 for each in places if index <= each / EVERY * 10 < index + 1) for index in range(10)]
    assert sum(tenths) == 600
    assert min(tenths) > 30
    assert place("alpha", EVERY) == place("alpha", EVERY)


@pytest.mark.parametrize("name", ["alpha", "beta", "web-17"])
def test_a_host_that_is_swept_in_time_is_due_once_in_each_interval_at_its_own_place(name: str) -> None:
    last, times = NOW, []
    for _ in range(5):
        last = due_at(name, last, EVERY, last)
        times.append(last)
    assert all(round((each - place(name, EVERY)) % EVERY, 3) in {0.0, EVERY} for each in times[1:])
    assert [round(after - before) for before, after in itertools.pairwise(times[1:])] == [900, 900, 900]


def test_two_looks_are_never_further_apart_than_the_interval_nor_nearer_than_half_of_it() -> None:
    for offset in range(0, 900, 7):
        wait = due_at("alpha", NOW + offset, EVERY, NOW + offset) - (NOW + offset)
        assert EVERY / 2 <= wait <= EVERY


def test_a_host_that_was_missed_for_hours_is_due_once_and_not_for_each_time_missed() -> None:
    later = NOW + 10 * EVERY
    assert due_at("alpha", NOW, EVERY, later) <= NOW + EVERY
    assert due_at("alpha", later, EVERY, later) >= later + EVERY / 2


def test_a_host_that_was_never_swept_or_was_in_the_future_is_due_now() -> None:
    assert due_at("alpha", None, EVERY, NOW) <= NOW
    assert due_at("alpha", NOW + 3600, EVERY, NOW) <= NOW
    assert due_at("alpha", NOW + 5, EVERY, NOW) > NOW


def test_a_first_miss_brings_a_second_look_soon_and_a_second_one_does_not() -> None:
    assert due_at("alpha", NOW, EVERY, NOW, misses=1) == NOW + AGAIN_SECONDS
    assert due_at("alpha", NOW, EVERY, NOW, misses=2) >= NOW + EVERY / 2
    assert due_at("alpha", NOW, 20.0, NOW, misses=1) == NOW + 10.0


def test_hosts_that_are_due_together_begin_one_after_the_other_within_half_the_interval() -> None:
    assert gap(2, EVERY) == 5.0
    assert gap(200, EVERY) * 200 == EVERY / 2
    assert gap(0, EVERY) > 0
