"""The anchor tells a log that was cut, or written anew, from a whole one, however well either fits itself."""

from pathlib import Path

import pytest

from app.core.errors import Broken, Refused
from app.flow import anchoring
from app.store import freezes, people, recovery
from app.store.anchor import Anchor, Mark
from app.store.engine import Database
from app.store.verify import verify
from tests.integration.databases import disarmed, raw
from tests.integration.limits import no_file_beyond
from tests.integration.store.sample import NOW, everything, note

CUT = (
    "DELETE FROM audit WHERE seq > 2",
    "UPDATE audit_head SET seq = 2, hash = (SELECT hash FROM audit WHERE seq = 2)",
)


@pytest.fixture
def anchor(tmp_path: Path) -> Anchor:
    return Anchor(tmp_path / "anchor")


async def noted(db: Database, times: int) -> None:
    for _ in range(times):
        await note(db)


async def refusal(db: Database, anchor: Anchor) -> Refused:
    with pytest.raises(Refused) as refused:
        await Anchor(anchor.path).check(db)
    return refused.value


async def test_a_line_is_added_for_each_mark_and_none_where_nothing_happened(
    db: Database, url: str, anchor: Anchor
) -> None:
    assert await anchor.mark(db, NOW) is None
    assert not anchor.path.exists()
    await noted(db, 2)
    await anchor.mark(db, NOW)
    assert await anchor.mark(db, NOW + 60) is None
    await noted(db, 1)
    again = Anchor(anchor.path)
    await again.check(db)
    await again.mark(db, NOW + 120)
    hashes = [row[0].hex() for row in raw(url, "SELECT hash FROM audit ORDER BY seq")]
    assert anchor.path.read_text() == (
        f"2 {hashes[1]} 2026-01-27T10:15:00.250Z\n3 {hashes[2]} 2026-01-27T10:17:00.250Z\n"
    )
    assert anchor.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.threat("F6")
@pytest.mark.threat("T18")
async def test_a_log_that_ends_before_its_anchor_is_refused_though_it_is_whole_in_itself(
    db: Database, url: str, anchor: Anchor
) -> None:
    await noted(db, 5)
    await anchor.mark(db, NOW)
    await Anchor(anchor.path).check(db)
    disarmed(url, *CUT)
    assert (await verify(db)).is_whole
    refused = await refusal(db, anchor)
    assert refused.code == "log_shorter"
    assert refused.message == (
        f"The log ends at row 2; its anchor {anchor.path} holds row 5 of 2026-01-27T10:15:00.250Z: 3 events are gone."
    )
    assert "askfirst db restore" in refused.next_step


@pytest.mark.threat("F1")
@pytest.mark.threat("F6")
@pytest.mark.threat("F7")
async def test_a_log_that_was_cut_and_has_grown_again_is_refused_and_no_longer_anchored(
    db: Database, url: str, anchor: Anchor
) -> None:
    await noted(db, 4)
    await anchor.mark(db, NOW)
    disarmed(url, *CUT)
    await noted(db, 4)
    refused = await refusal(db, anchor)
    assert (refused.code, refused.message[:9]) == ("log_rewritten", "Row 4 of ")
    before = anchor.path.read_bytes()
    with pytest.raises(Broken) as broken:
        await anchor.mark(db, NOW + 60)
    assert broken.value.code == "log_rewritten"
    assert anchor.path.read_bytes() == before


@pytest.mark.threat("F6")
async def test_a_line_that_is_added_afterwards_hides_none_that_stands_there(
    db: Database, url: str, anchor: Anchor
) -> None:
    await noted(db, 5)
    await anchor.mark(db, NOW)
    disarmed(url, *CUT)
    ((hashed,),) = raw(url, "SELECT hash FROM audit WHERE seq = 2")
    with anchor.path.open("a") as file:
        file.write(f"2 {hashed.hex()} 2026-01-27T10:16:00.250Z\n")
    assert (await refusal(db, anchor)).code == "log_shorter"


@pytest.mark.threat("F6")
async def test_a_restore_on_purpose_is_told_in_the_log_and_forgives_only_what_was_anchored_before(
    db: Database, url: str, anchor: Anchor
) -> None:
    await noted(db, 5)
    await anchor.mark(db, NOW)
    disarmed(url, *CUT)
    (newest,) = anchor.marks()
    told = {"reason": "The disk died.", "by": "operator"}
    assert await recovery.record(db, newest, [newest], asking=[], **told, at=NOW + 60, ids=("r1", "r2")) == 3
    ((seq, body),) = raw(url, "SELECT seq, body FROM audit WHERE type = 'log_recovered'")
    assert seq == 3
    assert b'"anchored":5' in body
    assert b'"lost":3' in body
    whole = anchor.path.read_text()
    anchor.path.write_text(f"2 {'0' * 64} 2026-01-27T10:14:00.250Z\n{whole}")  # what was before it is not forgiven
    assert (await refusal(db, anchor)).code == "log_rewritten"
    anchor.path.write_text(whole)
    again = Anchor(anchor.path)
    await again.check(db)
    assert (await again.mark(db, NOW + 120) or Mark(0, "", 0)).seq == 4
    await noted(db, 3)
    await again.mark(db, NOW + 180)
    disarmed(url, *(each.replace("2", "4") for each in CUT))
    assert (await refusal(db, anchor)).code == "log_shorter"


@pytest.mark.threat("F6")
async def test_a_log_that_went_on_since_without_what_was_anchored_is_forgiven_once_that_is_said(
    db: Database, url: str, anchor: Anchor
) -> None:
    """A standby took over that lacked the last rows, and the servers wrote on, past the anchored number."""
    await noted(db, 5)
    await anchor.mark(db, NOW)
    disarmed(url, *CUT)
    await noted(db, 6)
    assert (await refusal(db, anchor)).code == "log_rewritten"
    assert await anchoring.recovered(db, anchor.path, "A failover.", NOW + 60) == 1
    after = Anchor(anchor.path)
    await after.check(db)
    assert (await after.mark(db, NOW + 120) or Mark(0, "", 0)).seq > 6
    disarmed(url, *CUT)
    assert (await refusal(db, anchor)).code == "log_shorter"


async def test_a_restore_freezes_everything_once_ends_every_session_and_leaves_the_log_whole(
    db: Database, url: str
) -> None:
    await everything(db)
    await people.set_bootstrap_secret(db, "first")
    raw(url, "INSERT INTO sessions VALUES ('d', 'ada', 1, 1, 1)")
    for number in range(2):
        ids = (f"back{number}", f"frozen{number}")
        assert await recovery.record(db, None, [], asking=[], reason="r", by="operator", at=NOW + 9, ids=ids) == 0
    assert [(each.scope, each.by) for each in await freezes.current(db)] == [("host:alpha", "ada"), ("all", "operator")]
    assert raw(url, "SELECT count(*) FROM sessions") == [(0,)]
    assert raw(url, "SELECT count(*) FROM bootstrap") == [(0,)]
    last = raw(url, "SELECT type FROM audit ORDER BY seq DESC LIMIT 3")
    assert last == [("log_recovered",), ("frozen",), ("log_recovered",)]
    assert (await verify(db)).is_whole


@pytest.mark.threat("T16")
async def test_a_line_that_was_cut_off_is_passed_over_and_the_next_one_counts(
    db: Database, url: str, anchor: Anchor
) -> None:
    await noted(db, 1)
    await anchor.mark(db, NOW)
    whole = anchor.path.read_text()
    for end in range(1, len(whole), 11):
        anchor.path.write_text(whole + whole[:end])
        await noted(db, 1)
        again = Anchor(anchor.path)
        await again.check(db)
        marked = await again.mark(db, NOW + end)
        await Anchor(anchor.path).check(db)
        assert again.marks()[-1] == marked
    disarmed(url, "DELETE FROM audit WHERE seq > 2", *CUT[1:])
    assert (await refusal(db, anchor)).code == "log_shorter"


@pytest.mark.threat("F4")
@pytest.mark.threat("T16")
async def test_a_line_that_a_full_disk_cut_off_anchors_nothing_and_is_written_again(
    db: Database, url: str, anchor: Anchor
) -> None:
    """Cut anywhere, also in the word that closes the line that was cut before it; and then there is room again."""
    await noted(db, 2)
    await anchor.mark(db, NOW)
    first = anchor.last
    await noted(db, 1)
    for room in (10, 3, 8, 60, 0):
        with no_file_beyond(anchor.path.stat().st_size + room), pytest.raises(OSError, match=r"No space|too large"):
            await anchor.mark(db, NOW + 60)
        assert (anchor.last, anchor.marks()) == (first, [first])
        await Anchor(anchor.path).check(db)
    marked = await anchor.mark(db, NOW + 120)
    assert anchor.marks() == [first, marked]
    disarmed(url, *CUT)
    assert (await refusal(db, anchor)).code == "log_shorter"


@pytest.mark.parametrize(
    "text", ["57\n", "x y z\n", "1 00 2026-01-27T10:15:00.250Z\n", "\n", "1 " + "0" * 64 + " now\n"]
)
async def test_a_file_that_is_no_anchor_is_refused_with_a_sentence(db: Database, anchor: Anchor, text: str) -> None:
    anchor.path.write_text(text)
    refused = await refusal(db, anchor)
    assert (refused.code, "ASKFIRST_ANCHOR_FILE" in refused.next_step) == ("anchor_unreadable", True)


async def test_a_line_of_garbage_is_named_by_its_number(db: Database, anchor: Anchor) -> None:
    await noted(db, 1)
    await anchor.mark(db, NOW)
    with anchor.path.open("ab") as file:
        file.write(b"3 torn\n\xff\x0bgarbage\n")
    assert (await refusal(db, anchor)).message == (
        f"The anchor file {anchor.path} cannot be read: its line 3 is no `seq hash time`."
    )


async def test_an_anchor_that_is_gone_is_told_from_one_that_never_was(db: Database, anchor: Anchor) -> None:
    assert await anchor.begins_anew(db) == ""
    await noted(db, 2)
    await anchor.mark(db, NOW)
    assert await anchor.begins_anew(db) == ""
    anchor.path.unlink()
    again = Anchor(anchor.path)
    await again.check(db)
    assert await again.begins_anew(db) == f"The anchor {anchor.path} holds none of the log's 2 rows."


async def test_a_folder_in_the_place_of_the_anchor_is_refused_with_a_sentence(db: Database, anchor: Anchor) -> None:
    anchor.path.mkdir()
    assert (await refusal(db, anchor)).code == "anchor_unreadable"


async def test_a_log_of_many_marks_is_compared_with_each(db: Database, url: str, anchor: Anchor) -> None:
    await noted(db, 3)
    rows = raw(url, "SELECT seq, hash FROM audit ORDER BY seq")
    lines = [f"{seq} {hashed.hex()} 2026-01-27T10:15:00.250Z\n" for seq, hashed in rows] * 700
    anchor.path.write_text("".join(lines))
    await Anchor(anchor.path).check(db)
    forged = f"2 {'0' * 64} 2026-01-27T10:15:00.250Z\n"
    anchor.path.write_text("".join([*lines[:1700], forged, *lines[1700:]]))
    assert (await refusal(db, anchor)).code == "log_rewritten"
