"""Whoever edits the file by hand is found out: the first broken row is named, and each derived row that differs."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import rfc8785

from app.store import requests
from app.store.engine import Database
from app.store.log import body_in, link
from app.store.verify import verify
from tests.integration.databases import Databases, disarmed, raw
from tests.integration.store.sample import NOW, approved, asked, everything, note, waiting

ABOUT = {"by": "ada", "at": NOW}


async def _fill(db: Database) -> None:
    for number in range(6):
        await note(db, f"n{number}")


@pytest.mark.threat("F1")
@pytest.mark.parametrize(
    ("statement", "broken", "why"),
    [
        ("UPDATE audit SET body = FORGED_BODY WHERE seq = 3", 3, "hash"),
        ("UPDATE audit SET hash = ZEROS WHERE seq = 4", 4, "hash"),
        ("UPDATE audit SET prev = ZEROS WHERE seq = 4", 4, "row before"),
        ("UPDATE audit SET seq = 60 WHERE seq = 6", 6, "missing"),
        ("DELETE FROM audit WHERE seq = 2", 2, "missing"),
        ("DELETE FROM audit WHERE seq = 6", 6, "head"),
        ("DELETE FROM audit", 1, "head"),
        ("UPDATE audit_head SET seq = 5", 7, "head"),
        ("UPDATE audit_head SET hash = ZEROS", 7, "head"),
        ("DELETE FROM audit_head", 7, "head"),
        ("INSERT INTO audit (seq, body, prev, hash) SELECT 7, body, hash, hash FROM audit WHERE seq = 6", 7, "hash"),
    ],
)
async def test_the_first_broken_row_is_named(db: Database, url: str, statement: str, broken: int, why: str) -> None:
    await _fill(db)
    assert (await verify(db)).is_whole
    disarmed(url, "DROP INDEX audit_event", statement)
    report = await verify(db)
    assert (report.first_broken, report.is_whole) == (broken, False)
    assert why in report.why


@pytest.mark.threat("F1")
async def test_two_rows_that_changed_places_are_found(db: Database, url: str) -> None:
    await _fill(db)
    swap = "UPDATE audit SET seq = ? WHERE seq = ?"
    disarmed(url, (swap, (99, 2)), (swap, (2, 3)), (swap, (3, 99)))
    assert (await verify(db)).first_broken == 2


@pytest.mark.threat("F1")
@pytest.mark.parametrize("column", ["event_id", "type", "at", "by", "request", "version", "service", "host"])
async def test_a_shown_column_that_says_something_else_than_the_bytes_is_found(
    db: Database, url: str, column: str
) -> None:
    await waiting(db)
    await _fill(db)
    forged = 99 if column == "version" else "forged"
    # The owner of the file can swap the table for one whose columns are plain, and then write into them.
    disarmed(
        url,
        "CREATE TABLE plain AS SELECT * FROM audit",
        "DROP TABLE audit",
        "ALTER TABLE plain RENAME TO audit",
        (f'UPDATE audit SET "{column}" = ? WHERE seq = 2', (forged,)),  # noqa: S608 - the name of a column
    )
    report = await verify(db)
    assert report.first_broken == 2
    assert f"is shown as {forged!r}" in report.why


@pytest.mark.threat("F1")
async def test_a_row_written_anew_breaks_the_one_after_it(db: Database, url: str) -> None:
    await _fill(db)
    ((body, prev),) = raw(url, "SELECT body, prev FROM audit WHERE seq = 3")
    forged = rfc8785.dumps({**body_in(body), "by": "eve"})
    disarmed(url, ("UPDATE audit SET body = ?, hash = ? WHERE seq = 3", (forged, link(prev, forged))))
    assert (await verify(db)).first_broken == 4


@pytest.mark.threat("F1")
@pytest.mark.parametrize(
    "forged", [{"type": "frozen", "data": {}}, {"type": "registry_changed", "data": 7}, {"data": 1}]
)
async def test_a_forged_event_that_is_chained_well_ends_in_a_report_and_not_in_a_traceback(
    db: Database, url: str, forged: dict[str, Any]
) -> None:
    await waiting(db, "01A")
    ((seq, prev),) = raw(url, "SELECT seq, hash FROM audit_head")
    whole: dict[str, Any] = {"type": "asked", "request": "01A", "version": 3, "by": "eve", "id": "x"}
    if forged["data"] != 1:
        del whole["request"], whole["version"]
    body = rfc8785.dumps({**whole, **forged, "at": "2026-01-27T10:15:00.250Z", "seq": seq + 1})
    hashed = hashlib.sha256(b"\x02" + prev + body).digest()
    raw(
        url,
        ("INSERT INTO audit (seq, body, prev, hash) VALUES (?, ?, ?, ?)", (seq + 1, body, prev, hashed)),
        ("UPDATE audit_head SET seq = ?, hash = ?", (seq + 1, hashed)),
    )
    assert not (await verify(db)).is_whole


@pytest.fixture
async def whole(url: str, databases: Databases) -> AsyncIterator[Database]:
    opened = await databases.open(url, everything)
    yield opened
    await opened.close()


@pytest.mark.threat("B16")
@pytest.mark.parametrize(
    ("statement", "difference"),
    [
        ("UPDATE requests SET state = 'succeeded' WHERE id = '01A'", "requests 01A: state is 'succeeded'"),
        ("UPDATE requests SET is_open = false WHERE id = '01A'", "requests 01A: is_open is False"),
        ("UPDATE requests SET not_after = 9e9 WHERE id = '01B'", "requests 01B: not_after is 9000000000.0"),
        ("UPDATE requests SET requester_human = 'x' WHERE id = '01B'", "requests 01B: requester_human is 'x'"),
        ("DELETE FROM requests WHERE id = '01B'", "requests 01B: the row is missing"),
        ("UPDATE requests SET id = '01C' WHERE id = '01B'", "requests 01C: the log holds no such request"),
        ("DELETE FROM decisions", "decisions 01A 3: the row is missing"),
        ("UPDATE decisions SET person = 'eve'", "decisions 01A 3: person is 'eve', the log says 'bo'"),
        (
            "INSERT INTO decisions VALUES ('01B', 3, 'eve', 'eve', 'approved', 1, 1)",
            "decisions 01B 3: the log knows no",
        ),
        ("INSERT INTO decisions VALUES ('x', 3, 'eve', 'eve', 'approved', 1, 1)", "decisions x: the log holds no such"),
        ("UPDATE registry SET body = replace(body, '10.0.0.5', '10.6.6.6')", "registry host alpha: body is"),
        ("DELETE FROM registry WHERE kind = 'policy'", "registry policy production: the row is missing"),
        ("UPDATE registry_revision SET revision = 7", "registry_revision 1: revision is 7, the log says 1"),
        ("UPDATE proposals SET state = 'waiting', decided_by = NULL", "proposals pr2: state is 'waiting'"),
        ("UPDATE proposals SET changes = '[]' WHERE id = 'pr1'", "proposals pr1: changes is '[]'"),
        ("DELETE FROM freezes", "freezes host:alpha: the row is missing"),
        ("INSERT INTO roles VALUES ('ada', 'approver')", "roles ada approver: the log knows no such row"),
        ("DELETE FROM groups WHERE name = 'night'", "groups ada night: the row is missing"),
        ("UPDATE groups SET joined_at = 1 WHERE name = 'night'", "groups ada night: joined_at is 1.0"),
        ("UPDATE people SET human = 'bo'", "people ada: human is 'bo', the log says 'ada'"),
        ("UPDATE people SET is_enabled = false", "people ada: is_enabled is False, the log says True"),
        ("UPDATE credentials SET person = 'ada', usable_at = 1.0 WHERE id = 'k2'", "credentials k2: usable_at is 1.0"),
        ("UPDATE credentials SET public_key = 'ssh-ed25519 A' WHERE id = 'k1'", "credentials k1: public_key is"),
        ("DELETE FROM credentials WHERE id = 'k2'", "credentials k2: the row is missing"),
        ("UPDATE tokens SET revoked_at = NULL", "tokens t2: revoked_at is None"),
        ("UPDATE tokens SET scopes = 'ask read' WHERE id = 't1'", "tokens t1: scopes is 'ask read'"),
    ],
)
async def test_each_derived_row_that_was_edited_is_named(
    whole: Database, url: str, statement: str, difference: str
) -> None:
    assert (await verify(whole)).differences == []
    raw(url, statement)
    report = await verify(whole)
    assert report.first_broken is None
    assert any(each.startswith(difference) for each in report.differences), report.differences


async def test_many_requests_are_compared_a_few_at_a_time_and_none_is_left_out(db: Database, url: str) -> None:
    ids = [f"01REQ{number:04}" for number in range(300)]
    made = await asyncio.gather(*(waiting(db, each, asked(f"service-{each}")) for each in ids))
    await requests.append(db, made[0], approved())  # an odd number, so that a page ends inside a request
    raw(url, "UPDATE requests SET need = 'x'")
    report = await verify(db)
    assert report.differences == [f"requests {each}: need is 'x', the log says 'NEEDED'" for each in ids[:100]]
    raw(url, "UPDATE requests SET need = 'NEEDED' WHERE id < '01REQ0299'")
    assert (await verify(db)).differences == ["requests 01REQ0299: need is 'x', the log says 'NEEDED'"]
    await db.close()
