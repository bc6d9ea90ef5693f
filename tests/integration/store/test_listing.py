"""History: pages by key, filters that combine, exports of exactly what was filtered, a stop for what takes too long.

An export may be read slowly or never: it holds nothing that others need, and is as whole as one that is read at once.
"""

import asyncio
import csv
import hashlib
import io
import json
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import rfc8785

from app.core.commitment import Text
from app.core.errors import Refused
from app.store import history, listing, requests, window
from app.store.engine import Database
from app.store.listing import Filter
from app.store.verify import verify
from tests.integration.databases import Databases, raw
from tests.integration.store.sample import (
    NOW,
    approved,
    ask,
    asked,
    blocked,
    denied,
    verified,
)
from tests.integration.store.test_people import add

COUNT = 60


async def _one(db: Database, number: int) -> None:
    """Write one request; what it is follows from its number."""
    text = Text(number.to_bytes(16), f"because {number} {'rare' if number % 20 == 7 else 'usual'}")
    event = asked(
        f"service-{number % 7}",
        host=f"host-{number % 3}",
        requester="ada" if number % 2 else "eve",
        at=NOW + number,
        reason_text=text.commitment,
    )
    request = await requests.create(db, f"01REQ{number:04}", event, [text], key=None, key_digest="")
    if number % 5 == 0:
        await requests.append(db, request, blocked())
        return
    request = await requests.append(db, request, verified(at=NOW + number, not_after=NOW + number + 900, approvers=2))
    request = await requests.append(db, request, approved("bo" if number % 3 else "cy", at=NOW + number))
    await requests.append(db, request, denied("dee"))


async def _fill(db: Database) -> None:
    await add(db)
    for number in range(COUNT):
        await _one(db, number)


@pytest.fixture
async def filled(url: str, databases: Databases) -> AsyncIterator[Database]:
    opened = await databases.open(url, _fill)
    yield opened
    await opened.close()


async def _all(db: Database, wanted: Filter, limit: int = 7) -> list[int]:
    found: list[int] = []
    before: int | None = None
    while True:
        page = await listing.page(db, wanted, before, limit)
        found += [int(row.id[-4:]) for row in page.rows]
        before = page.before
        if before is None:
            return found


FILTERS: list[tuple[Filter, Any]] = [
    (Filter(), lambda n: True),
    (Filter(service="service-3"), lambda n: n % 7 == 3),
    (Filter(host="host-2"), lambda n: n % 3 == 2),
    (Filter(requester="ada"), lambda n: n % 2),
    (Filter(state="blocked"), lambda n: n % 5 == 0),
    (Filter(verdict="VERIFIED"), lambda n: n % 5),
    (Filter(approver="cy"), lambda n: n % 5 and n % 3 == 0),
    (Filter(approver="dee"), lambda n: n % 5),
    (Filter(q="rare"), lambda n: n % 20 == 7),
    (Filter(q="Usual BECAUSE"), lambda n: n % 20 != 7),
    (Filter(q="rar"), lambda n: False),
    (Filter(since=NOW + 10, until=NOW + 20), lambda n: 10 <= n < 20),
    (Filter(service="service-1", state="denied"), lambda n: n % 7 == 1 and n % 5),
    (Filter(host="host-1", requester="eve", q="usual", since=NOW + 5), lambda n: n % 6 == 4 and n % 20 != 7 and n >= 5),
    (Filter(service="nothing"), lambda n: False),
]


@pytest.mark.parametrize(("wanted", "fits"), FILTERS)
async def test_pages_counts_and_exports_hold_exactly_what_the_filter_asks_for(
    filled: Database, wanted: Filter, fits: Any
) -> None:
    expected = [number for number in reversed(range(COUNT)) if fits(number)]
    assert await _all(filled, wanted) == expected
    assert await listing.count(filled, wanted, cap=1000) == len(expected)
    assert await listing.count(filled, wanted, cap=5) == min(6, len(expected))
    lines = [json.loads(line) async for line in history.requests_as_json_lines(filled, wanted)]
    assert [int(line["id"][-4:]) for line in lines] == expected
    text = "".join([line async for line in history.requests_as_csv(filled, wanted)])
    assert [int(row["id"][-4:]) for row in csv.DictReader(io.StringIO(text))] == expected


async def test_a_common_word_is_searched_as_well_as_a_rare_one(filled: Database, url: str) -> None:
    raw(
        url,
        "CREATE TABLE n AS WITH RECURSIVE n(x) AS (SELECT 1 UNION SELECT x + 1 FROM n WHERE x < 3000) SELECT x FROM n",
        "INSERT INTO words SELECT w, x + 998 FROM n, (SELECT 'because' w UNION SELECT 'usual' UNION SELECT 'rare') s",
    )
    for wanted, fits in FILTERS:
        assert await _all(filled, wanted) == [number for number in reversed(range(COUNT)) if fits(number)]


async def test_a_page_is_not_moved_by_what_comes_after_it_was_opened(filled: Database) -> None:
    first = await listing.page(filled, Filter(), None, 10)
    await _one(filled, COUNT + 4)
    second = await listing.page(filled, Filter(), first.before, 10)
    assert [int(row.id[-4:]) for row in second.rows] == list(range(49, 39, -1))


async def test_a_row_names_people_and_says_how_it_ended(filled: Database) -> None:
    row, other = (await listing.page(filled, Filter(), None, 2)).rows
    assert (row.id, row.requester, row.state, row.outcome) == ("01REQ0059", "Ada", "denied", "denied")
    assert (row.short_id, row.service, row.host, row.verdict) == ("R-0059", "service-3", "host-2", "VERIFIED")
    assert other.requester == "eve"


@pytest.mark.threat("H7")
@pytest.mark.parametrize("text", ["' OR 1=1 --", '"', "%", "_", "x' UNION SELECT 1", "rare OR usual", "*", "NEAR(x)"])
async def test_what_is_searched_is_never_read_as_sql(filled: Database, text: str) -> None:
    for wanted in (Filter(service=text), Filter(host=text), Filter(requester=text), Filter(approver=text)):
        assert (await listing.page(filled, wanted)).rows == ()
    assert (await listing.page(filled, Filter(state=text, verdict=text))).rows == ()
    assert len((await listing.page(filled, Filter(q=text))).rows) in {0, 50}
    assert (await history.page(filled, history.Filter(type=text))).rows == ()


async def test_a_search_that_takes_too_long_is_stopped_and_says_so(filled: Database) -> None:
    with pytest.raises(Refused) as refused:
        async with filled.read(seconds=0.05) as connection:
            await connection.exec_driver_sql(
                "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
            )
    assert refused.value.code == "too_slow"
    assert len((await listing.page(filled, Filter())).rows) == 50


async def test_a_deadline_that_was_kept_interrupts_nothing_later(filled: Database) -> None:
    for _ in range(10):
        async with filled.read(seconds=0.02) as connection:
            await connection.exec_driver_sql("SELECT 1")
    await asyncio.sleep(0.05)
    assert await listing.count(filled, Filter(), cap=1000) == COUNT


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (history.Filter(), lambda row: True),
        (history.Filter(type="blocked"), lambda row: row["type"] == "blocked"),
        (history.Filter(by="bo"), lambda row: row["by"] == "bo"),
        (history.Filter(request="01REQ0031"), lambda row: row.get("request") == "01REQ0031"),
        (history.Filter(service="service-2", host="host-0"), lambda row: row.get("host") == "host-0"),
        (history.Filter(since=NOW + 30, until=NOW + 31), lambda row: "10:15:30.2" <= row["at"][11:] < "10:15:31.2"),
    ],
)
async def test_the_log_is_read_and_exported_by_the_same_filter(
    filled: Database, url: str, wanted: history.Filter, fits: Any
) -> None:
    bodies = [json.loads(body) for (body,) in raw(url, "SELECT body FROM audit ORDER BY seq DESC")]
    expected = [
        body["seq"] for body in bodies if fits(body) and (not wanted.service or body.get("service") == wanted.service)
    ]
    found: list[int] = []
    before: int | None = None
    while True:
        page = await history.page(filled, wanted, before, 9)
        found += [entry.seq for entry in page.rows]
        before = page.before
        if before is None:
            break
    assert found == expected
    assert await history.count(filled, wanted, cap=10_000) == len(expected)
    lines = [json.loads(line) async for line in history.events_as_json_lines(filled, wanted)]
    assert [line["body"]["seq"] for line in lines] == expected
    text = "".join([line async for line in history.events_as_csv(filled, wanted)])
    assert [int(row["seq"]) for row in csv.DictReader(io.StringIO(text))] == expected


@pytest.mark.threat("F11")
@pytest.mark.parametrize("seed", range(4))
async def test_a_stretch_of_time_is_exact_although_the_clock_was_set_back(db: Database, url: str, seed: int) -> None:
    chance = random.Random(seed)
    times, now = [], NOW
    for number in range(60):
        now += chance.choice([0.001, 1, 30, 70, 400, *([-30, -90, -5000] if seed else [])])
        times.append(round(now, 3))
        await ask(db, f"01REQ{number:04}", asked(f"service-{number}", at=now))
    late = [number + 1 for number in range(60) if times[number] < max(times[: number + 1]) - 60]
    assert [seq for (seq,) in raw(url, "SELECT seq FROM late ORDER BY seq")] == late
    assert bool(late) == bool(seed)
    edges = [None, *chance.sample(times, 12), min(times), max(times) + 0.001]
    for since in edges:
        for until in edges:
            inside = [
                number + 1
                for number, at in enumerate(times)
                if (since is None or at >= since) and (until is None or at < until)
            ]
            listed = await listing.page(db, Filter(since=since, until=until), limit=100)
            logged = await history.page(db, history.Filter(since=since, until=until), limit=100)
            assert [row.seq for row in listed.rows] == [entry.seq for entry in logged.rows] == inside[::-1]
    assert (await verify(db)).is_whole


async def test_an_exported_event_can_be_checked_without_us(filled: Database) -> None:
    lines = [json.loads(line) async for line in history.events_as_json_lines(filled, history.Filter())]
    prev = "00" * 32
    for line in reversed(lines):
        assert line["prev"] == prev
        chained = b"\x02" + bytes.fromhex(prev) + rfc8785.dumps(line["body"])
        assert hashlib.sha256(chained).hexdigest() == line["hash"]
        prev = line["hash"]


EXPORTS: list[Callable[[Database], AsyncIterator[str]]] = [
    lambda db: history.events_as_json_lines(db, history.Filter()),
    lambda db: history.events_as_csv(db, history.Filter()),
    lambda db: history.requests_as_json_lines(db, Filter()),
    lambda db: history.requests_as_csv(db, Filter()),
]


async def test_exports_that_nobody_reads_on_keep_no_connection_from_others(filled: Database) -> None:
    stalled = [export(filled) for export in EXPORTS * 10]
    for rows in stalled:
        assert await anext(rows)
        assert await anext(rows)  # the first may be a header, which no row is read for
    assert (await listing.page(filled, Filter(), None, 1)).rows
    for rows in stalled:
        await rows.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize("export", EXPORTS)
@pytest.mark.parametrize("rows_in_a_page", [7, COUNT])
async def test_an_export_is_whole_and_in_order_although_rows_are_added_while_it_is_read(
    filled: Database,
    monkeypatch: pytest.MonkeyPatch,
    export: Callable[[Database], AsyncIterator[str]],
    rows_in_a_page: int,
) -> None:
    monkeypatch.setattr(window, "_STREAM_ROWS", rows_in_a_page)
    expected = [line async for line in export(filled)]
    found: list[str] = []
    async for line in export(filled):
        found.append(line)
        if len(found) in (2, 30):
            await _one(filled, COUNT + len(found))
    assert found == expected
    assert len([line async for line in export(filled)]) > len(found)


async def test_a_request_that_changes_before_an_export_comes_to_it_is_told_once_as_it_then_is(
    filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "_STREAM_ROWS", 1)
    changing = await ask(filled, "01REQ9999")
    await _one(filled, COUNT)
    found: list[tuple[int, str]] = []
    async for line in history.requests_as_json_lines(filled, Filter()):
        row = json.loads(line)
        found.append((int(row["id"][-4:]), row["state"]))
        if len(found) == 1:
            await requests.append(filled, changing, blocked())
    assert found[1] == (9999, "blocked")
    assert [number for number, _ in found] == [COUNT, 9999, *reversed(range(COUNT))]


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(1)", "\t=1", 'a "b", c\nd'])
async def test_a_spreadsheet_runs_nothing_that_somebody_is_called(db: Database, name: str) -> None:
    await add(db, name=name)
    await _one(db, 1)
    text = "".join([line async for line in history.requests_as_csv(db, Filter())])
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["requester"].removeprefix("'") == name
    assert not row["requester"].startswith(("=", "+", "-", "@", "\t"))
