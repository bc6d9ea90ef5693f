"""The audit log: appended to and never changed, one chain, one writer, durable before anybody is told."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from sqlalchemy import event, insert

from app.core.commitment import Text
from app.core.errors import Broken, Conflict, Refused
from app.store import requests
from app.store.engine import Database, open_database
from app.store.log import Tx, body_for, canonical
from app.store.tables import TEXTS
from app.store.verify import verify
from tests.integration.databases import REFUSED, file, raw
from tests.integration.limits import no_file_beyond
from tests.integration.store.sample import NOW, note, waiting

ROWS = "SELECT seq, body, prev, hash FROM audit ORDER BY seq"
REFUSAL = "append-only|one head|not the last row|not the next row"
INSERT = "INSERT {}INTO audit (seq, body, prev, hash) VALUES (?, ?, ?, ?)"


def _row(seq: int, prev: bytes, **body: Any) -> tuple[int, bytes, bytes, bytes]:
    whole = {"at": "2026-01-27T10:15:00.250Z", "by": "eve", "data": {}, "seq": seq, "type": "noted", **body}
    written = rfc8785.dumps(whole)
    return seq, written, prev, hashlib.sha256(b"\x02" + prev + written).digest()


async def test_each_row_is_canonical_and_chained_to_the_one_before(db: Database, url: str) -> None:
    for number in range(3):
        await note(db, f"n{number}")
    rows = raw(url, ROWS)
    prev = bytes(32)
    for number, (seq, body, before, hashed) in enumerate(rows, 1):
        assert body == (
            b'{"at":"2026-01-27T10:15:00.250Z","by":"ada","data":{},"id":"n%d","seq":%d,"type":"noted"}'
            % (number - 1, number)
        )
        assert (seq, before, hashed) == (number, prev, hashlib.sha256(b"\x02" + prev + body).digest())
        prev = hashed
    assert raw(url, "SELECT seq, hash FROM audit_head") == [(3, prev)]


@pytest.mark.threat("F1")
@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit SET body = body",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE seq = 3",
        "UPDATE audit_head SET seq = 2",
        "UPDATE audit_head SET hash = ZEROS",
        "DELETE FROM audit_head",
        "INSERT INTO audit_head VALUES (1, 0, ZEROS, 0)",
        "INSERT INTO audit_head VALUES (2, 0, ZEROS, 0)",
        "INSERT INTO audit_head VALUES (1, 0, ZEROS, 0) ON CONFLICT (id) DO UPDATE SET seq = 0",
    ],
)
async def test_no_row_is_changed_or_taken_out(db: Database, url: str, sql: str) -> None:
    for _ in range(3):
        await note(db)
    before = raw(url, ROWS)
    with pytest.raises(REFUSED, match=REFUSAL):
        raw(url, sql)
    assert raw(url, ROWS) == before
    assert (await verify(db)).is_whole


@pytest.mark.only("sqlite")
@pytest.mark.threat("F1")
@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE OR REPLACE audit SET seq = 2 WHERE seq = 1",
        "INSERT OR REPLACE INTO audit_head VALUES (1, 0, zeroblob(32), 0)",
    ],
)
async def test_no_row_is_changed_by_replacing_another(db: Database, url: str, sql: str) -> None:
    await test_no_row_is_changed_or_taken_out(db, url, sql)


@pytest.mark.only("sqlite")
@pytest.mark.threat("F2")
@pytest.mark.parametrize("how", ["", "OR REPLACE ", "OR IGNORE "])
@pytest.mark.parametrize("taken", ["seq", "event_id", "request_version"])
@pytest.mark.parametrize("recursive", ["ON", "OFF"])
async def test_no_insert_replaces_a_row_through_any_unique_column(
    db: Database, url: str, how: str, taken: str, recursive: str
) -> None:
    request = await waiting(db)
    before = raw(url, ROWS)
    seq, prev = before[-1][0] + 1, before[-1][3]
    row = {
        "seq": _row(1, bytes(32), id="fresh"),
        "event_id": _row(seq, prev, id=raw(url, "SELECT event_id FROM audit WHERE seq = 1")[0][0]),
        "request_version": _row(seq, prev, id="fresh", request=request.id, version=1),
    }[taken]
    with pytest.raises(REFUSED, match=r"holds this already|not the next row"):
        raw(url, f"PRAGMA recursive_triggers={recursive}", (INSERT.format(how), row))
    assert raw(url, ROWS) == before


@pytest.mark.threat("F2")
async def test_no_upsert_changes_a_row(db: Database, url: str) -> None:
    await note(db, "n1")
    sql = INSERT.format("") + " ON CONFLICT (seq) DO UPDATE SET body = excluded.body"
    with pytest.raises(REFUSED, match=REFUSAL):
        raw(url, (sql, _row(1, bytes(32), id="fresh")))


@pytest.mark.threat("F1")
@pytest.mark.parametrize("what", ["gap", "prev", "seq inside", "shown column", "no type", "short hash"])
async def test_only_the_next_row_is_appended_and_columns_come_from_its_bytes(db: Database, url: str, what: str) -> None:
    await note(db)
    ((_, _, _, prev),) = raw(url, ROWS)
    next_row = _row(2, prev, id="fresh")
    bad = {
        "gap": (INSERT.format(""), _row(3, prev, id="fresh")),
        "prev": (INSERT.format(""), _row(2, bytes(32), id="fresh")),
        "seq inside": (INSERT.format(""), (2, _row(7, prev, id="fresh")[1], prev, next_row[3])),
        "shown column": ("INSERT INTO audit (seq, body, prev, hash, type) VALUES (?, ?, ?, ?, 'approved')", next_row),
        "no type": (INSERT.format(""), _row(2, prev, id="fresh", type=None)),
        "short hash": (INSERT.format(""), (*next_row[:3], b"short")),
    }[what]
    with pytest.raises(REFUSED):
        raw(url, bad)
    raw(url, (INSERT.format(""), next_row))


@pytest.mark.law(10)
@pytest.mark.threat("F5")
async def test_a_change_whose_event_cannot_be_written_leaves_no_row(db: Database, url: str) -> None:
    await note(db, "n1")

    async def change(tx: Tx) -> None:
        await tx.connection.execute(insert(TEXTS).values(commitment="sha256:x", salt=b"", body=b"x"))
        await tx.record(body_for("noted", {}, event_id="n1", at=NOW, by="eve"))

    with pytest.raises(Conflict):
        await db.write(change)
    assert raw(url, "SELECT count(*) FROM texts") == [(0,)]
    assert (await verify(db)).rows == 1


@pytest.mark.law(10)
async def test_an_event_whose_row_cannot_be_written_is_not_in_the_log(db: Database) -> None:
    async def change(tx: Tx) -> None:
        await tx.record(body_for("noted", {}, event_id="n1", at=NOW, by="ada"))
        raise ValueError("the projection failed")

    with pytest.raises(ValueError, match="projection"):
        await db.write(change)
    assert (await verify(db)).rows == 0
    assert await note(db, "n1") == 1


async def test_a_refused_change_hurts_none_of_those_that_are_committed_with_it(db: Database) -> None:
    async def refuse(tx: Tx) -> None:
        await tx.record(body_for("noted", {}, event_id="never", at=NOW, by="eve"))
        raise Refused("no", next_step="choose otherwise")

    changes = [db.write(refuse) if number % 3 == 1 else note(db, f"n{number}") for number in range(30)]
    answers: list[Any] = await asyncio.gather(*changes, return_exceptions=True)
    assert sorted(answer for answer in answers if isinstance(answer, int)) == list(range(1, 21))
    assert [isinstance(answer, Refused) for answer in answers] == [number % 3 == 1 for number in range(30)]
    report = await verify(db)
    assert (report.rows, report.is_whole) == (20, True)


async def test_callers_that_come_together_are_committed_together(db: Database) -> None:
    commits: list[object] = []
    event.listen(db.writer._engine.sync_engine, "commit", commits.append)  # noqa: SLF001 - seen nowhere else
    await asyncio.gather(*(note(db) for _ in range(100)))
    assert len(commits) <= 2


@pytest.mark.only("sqlite")
@pytest.mark.law(10)
@pytest.mark.threat("F4")
async def test_a_full_disk_releases_nobody_as_written_and_says_what_to_do(db: Database, url: str) -> None:
    await note(db, "first")
    await db.write(_limit_pages("1"))
    answers = await asyncio.gather(*(_long(db, f"n{number}") for number in range(40)), return_exceptions=True)
    failed = [answer for answer in answers if isinstance(answer, Broken)]
    assert failed
    assert {answer.code for answer in failed} == {"disk_full"}
    assert "Free space" in failed[0].next_step
    written = {event_id for (event_id,) in raw(url, "SELECT event_id FROM audit")}
    acknowledged = {f"n{number}" for number, answer in enumerate(answers) if isinstance(answer, int)}
    assert written == {"first"} | acknowledged
    await db.write(_limit_pages("1000000"))
    assert await note(db, "after") == len(written) + 1
    assert (await verify(db)).is_whole


@pytest.mark.only("sqlite")
@pytest.mark.law(10)
@pytest.mark.threat("F4")
async def test_a_commit_that_fails_releases_nobody_and_leaves_nothing(db: Database, url: str) -> None:
    await note(db, "first")
    wal = Path(f"{file(url)}-wal")
    with no_file_beyond(wal.stat().st_size):  # each change runs to its end, and the commit fails
        answers = await asyncio.gather(*(note(db, f"n{number}") for number in range(20)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {Broken}
    assert {answer.code for answer in answers if isinstance(answer, Broken)} == {"store_io"}
    assert raw(url, "SELECT event_id FROM audit") == [("first",)]
    assert await note(db, "after") == 2
    assert (await verify(db)).is_whole


def _limit_pages(most: str) -> Callable[[Tx], Awaitable[None]]:
    async def change(tx: Tx) -> None:
        await tx.connection.exec_driver_sql(f"PRAGMA max_page_count={most}")

    return change


async def _long(db: Database, event_id: str) -> int:
    async def change(tx: Tx) -> int:
        return await tx.record(body_for("noted", {"x": "y" * 3000}, event_id=event_id, at=NOW, by="ada"))

    return await db.write(change)


async def test_a_caller_who_goes_away_takes_nobody_along(db: Database) -> None:
    tasks = [asyncio.create_task(note(db, f"n{number}")) for number in range(10)]
    await asyncio.sleep(0)
    tasks[3].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(answer, int) for answer in answers) == 9
    assert (await verify(db)).is_whole


async def test_closing_writes_what_has_queued(bare: str) -> None:
    db = await open_database(bare)
    tasks = [asyncio.create_task(note(db)) for _ in range(20)]
    await asyncio.sleep(0)
    await db.close()
    assert sorted(await asyncio.gather(*tasks)) == list(range(1, 21))
    assert raw(bare, "SELECT count(*) FROM audit") == [(20,)]


async def test_several_processes_append_to_one_chain(db: Database, url: str) -> None:
    others = [await open_database(url) for _ in range(3)]
    numbers = await asyncio.gather(*(note(each) for each in [db, *others] for _ in range(25)))
    assert sorted(numbers) == list(range(1, 101))
    assert (await verify(db)).is_whole
    for each in others:
        await each.close()


@pytest.mark.threat("G4")
async def test_an_event_whose_acknowledgement_was_lost_is_found_and_not_written_twice(db: Database) -> None:
    body = body_for("noted", {"x": 1}, event_id="n1", at=NOW, by="ada")
    seq = await db.write(lambda tx: tx.record(body))
    assert await db.write(lambda tx: tx.recorded(body)) == seq
    assert await db.write(lambda tx: tx.recorded({**body, "id": "n2"})) is None
    with pytest.raises(Conflict) as conflict:
        await db.write(lambda tx: tx.recorded({**body, "by": "eve"}))
    assert conflict.value.code == "event_id_used"


@pytest.mark.threat("F10")
async def test_a_deleted_text_leaves_the_log_whole(db: Database, url: str) -> None:
    text = Text(b"0123456789abcdef", "Ada's private reason")
    await db.write(lambda tx: tx.keep([text]))
    assert await requests.text(db, text.commitment) == "Ada's private reason"
    raw(url, "DELETE FROM texts")
    assert await requests.text(db, text.commitment) is None
    assert (await verify(db)).is_whole


@pytest.mark.parametrize("value", [2**53, float("nan"), b"bytes", {1: 2}])
def test_what_json_cannot_hold_exactly_is_refused(value: Any) -> None:
    with pytest.raises(Broken) as broken:
        canonical({"x": value})
    assert broken.value.code == "event_not_exact"
