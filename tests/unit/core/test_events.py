"""Events in the log: written and read back, and never half understood."""

import json

import pytest

from app.core.errors import Broken
from app.core.events import KINDS, Asked, Event, HandedOver, body_of, epoch, event_of, iso
from tests.unit.core.samples import EVENTS, ID


@pytest.mark.law(10)
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_an_event_reads_back_from_the_log_as_it_was_written(event: Event) -> None:
    body = json.loads(json.dumps(body_of(event, ID, 3)))
    assert (body["request"], body["version"], body["by"]) == (ID, 3, event.by)
    assert event_of(body) == event


def test_every_kind_has_a_name_of_its_own() -> None:
    assert len(KINDS) == len({type(event) for event in EVENTS}) == 18
    assert "" not in KINDS


@pytest.mark.parametrize("change", ["type", "missing", "extra"])
def test_an_event_that_this_version_does_not_know_stops_everything(change: str) -> None:
    body = body_of(EVENTS[0], ID, 1)
    match change:
        case "type":
            body["type"] = "teleported"
        case "missing":
            del body["data"]["service"]
        case "extra":
            body["data"]["colour"] = "red"
    with pytest.raises(Broken, match="does not know") as broken:
        event_of(body)
    assert broken.value.code == "unknown_event"


def test_an_event_older_than_a_field_reads_with_the_fields_default() -> None:
    body = body_of(EVENTS[0], ID, 1)
    del body["data"]["action"], body["data"]["said"]
    asked = event_of(body)
    assert isinstance(asked, Asked)
    assert (asked.action, asked.said) == ("restart", ())
    over = body_of(next(each for each in EVENTS if isinstance(each, HandedOver)), ID, 1)
    del over["data"]["to"], over["data"]["until"]
    handed = event_of(over)
    assert isinstance(handed, HandedOver)
    assert (handed.to, handed.until) == ("", 0.0)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.type)
@pytest.mark.threat("F10")
def test_no_event_has_a_field_for_free_text(kind: type[Event]) -> None:
    free = {"reason", "ticket", "output", "evidence", "warrant", "text", "note", "stdout"}
    assert not free & set(kind.__dataclass_fields__)


def test_times_are_utc_with_milliseconds() -> None:
    assert iso(1_769_508_900.2504) == "2026-01-27T10:15:00.250Z"
    assert epoch("2026-01-27T10:15:00.250Z") == 1_769_508_900.25
