"""The freeze: which one holds now, in a sentence, and who set it; and a run's live output."""

import pytest

from app.core.errors import Conflict
from app.core.run import OUTPUT_BYTES
from app.store import freezes, listing, output
from app.store.engine import Database
from app.store.freezes import sentence
from app.store.verify import verify
from tests.integration.databases import raw
from tests.integration.store.sample import NOW, fresh_id
from tests.integration.store.test_people import add


async def _freeze(db: Database, scope: str, reason: str = "calm down") -> None:
    await freezes.freeze(db, scope, by="ada", at=NOW, event_id=fresh_id(), reason=reason)


async def _release(db: Database, scope: str) -> None:
    await freezes.release(db, scope, by="bo", at=NOW, event_id=fresh_id(), reason="all is well")


@pytest.mark.parametrize(
    ("scope", "stops"),
    [
        ("all", [("alpha", "production"), ("beta", "lab")]),
        ("environment:production", [("alpha", "production"), ("beta", "production")]),
        ("host:alpha", [("alpha", "production"), ("alpha", "lab")]),
    ],
)
async def test_a_freeze_stops_its_scope_and_no_other(db: Database, scope: str, stops: list[tuple[str, str]]) -> None:
    await _freeze(db, scope)
    held = await freezes.current(db)
    places = [(host, environment) for host in ("alpha", "beta") for environment in ("production", "lab")]
    stopped = [place for place in places if sentence(held, *place)]
    assert set(stops) <= set(stopped)
    assert len(stopped) == (4 if scope == "all" else 2)
    await _release(db, scope)
    assert await freezes.current(db) == ()


async def test_a_freeze_says_what_is_frozen_by_whom_since_when_and_why(db: Database) -> None:
    await add(db)
    await _freeze(db, "host:alpha")
    (held,) = await freezes.current(db)
    assert sentence([held], "alpha", "x") == "The host alpha is frozen by Ada since 2026-01-27 10:15 UTC: calm down"
    assert (held.by, held.by_name, held.reason) == ("ada", "Ada", "calm down")


async def test_a_scope_is_frozen_once_and_released_once_and_the_log_holds_both(db: Database, url: str) -> None:
    await _freeze(db, "all")
    with pytest.raises(Conflict) as conflict:
        await _freeze(db, "all")
    assert conflict.value.code == "already_frozen"
    await _freeze(db, "host:alpha")
    await _release(db, "all")
    with pytest.raises(Conflict) as conflict:
        await _release(db, "all")
    assert conflict.value.code == "not_frozen"
    kinds = [kind for (kind,) in raw(url, "SELECT type FROM audit ORDER BY seq")]
    assert kinds == ["frozen", "frozen", "released"]
    assert not any(b"calm" in body for (body,) in raw(url, "SELECT body FROM audit"))
    assert (await verify(db)).is_whole


async def test_output_is_read_from_any_byte_on_and_a_piece_that_comes_twice_is_kept_once(db: Database) -> None:
    for offset, piece in [(0, b"hello "), (6, b"world"), (0, b"hello "), (3, b"lo world!"), (40, b"gap"), (12, b"")]:
        await output.append(db, "r1", offset, piece)
    await output.append(db, "r2", 0, b"other")
    whole = b"hello world!"
    for offset in range(len(whole) + 3):
        assert await output.read(db, "r1", offset) == whole[offset:]
    assert await output.read(db, "r3") == b""


async def test_a_run_that_floods_its_output_is_kept_up_to_the_cap(db: Database) -> None:
    assert await output.append(db, "r1", 0, b"x" * (OUTPUT_BYTES - 3)) == OUTPUT_BYTES - 3
    assert await output.append(db, "r1", OUTPUT_BYTES - 3, b"yyyyy") == OUTPUT_BYTES
    assert await output.append(db, "r1", OUTPUT_BYTES + 2, b"zz") == OUTPUT_BYTES
    assert await output.read(db, "r1", OUTPUT_BYTES - 4) == b"xyyy"


async def test_nothing_of_a_freeze_is_a_request(db: Database) -> None:
    await _freeze(db, "all")
    assert (await listing.page(db, listing.Filter())).rows == ()
