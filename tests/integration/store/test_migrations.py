"""The migrations: up, down, with data in every table, and the same as the classes in `tables`."""

from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import SQLModel

from app.core.errors import Broken
from app.core.policy import Policy, Role
from app.core.registry import Registry, difference
from app.core.service import Host, Service
from app.store import dialect, people, proofs, requests, services
from app.store.engine import open_database
from app.store.verify import verify
from tests.integration.databases import is_file, moved, raw
from tests.integration.store.sample import NOW, note, waiting

SQLITE = "SELECT name, sql FROM sqlite_master WHERE tbl_name <> 'alembic_version' ORDER BY name"
# Whatever the migrations make, with the words that it was made by.
POSTGRESQL = """
  SELECT 'column', attrelid::regclass::text, attname, format_type(atttypid, atttypmod),
    attnotnull::text || coalesce(pg_get_expr(adbin, adrelid), '') || attcollation::text
  FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
  WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r')
    AND attnum > 0 AND NOT attisdropped AND attrelid::regclass::text <> 'alembic_version'
  UNION ALL SELECT 'index', indexname, indexdef, '', '' FROM pg_indexes
    WHERE schemaname = 'public' AND tablename <> 'alembic_version'
  UNION ALL SELECT 'trigger', tgname, pg_get_triggerdef(oid), tgenabled::text, '' FROM pg_trigger WHERE NOT tgisinternal
  UNION ALL SELECT 'check', conname, pg_get_constraintdef(oid), '', '' FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version'
  UNION ALL SELECT 'function', proname, pg_get_functiondef(oid), '', '' FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace
  ORDER BY 1, 2, 3
"""
REVISIONS = ["0007", "0006", "0005", "0004", "0003", "0002", "0001", "base"]


def _tables(url: str) -> list[object]:
    return raw(url, SQLITE if is_file(url) else POSTGRESQL)


def _engine(url: str) -> AsyncEngine:
    found, address = dialect.find(url)
    return found.writer(address, foreign_keys=False)


def test_every_migration_is_known_here() -> None:
    folder = Path(__file__).parents[3] / "migrations" / "versions"
    assert sorted(file.name[:4] for file in folder.glob("*.py")) == sorted(REVISIONS[:-1])


async def test_each_migration_goes_down_and_up_again_to_the_same_schema(bare: str) -> None:
    await (await open_database(bare)).close()
    whole = _tables(bare)
    for revision in REVISIONS:
        await moved(bare, revision)
    assert _tables(bare) == []
    for revision in [*reversed(REVISIONS[:-1]), "head"]:
        await moved(bare, revision)
    assert _tables(bare) == whole


async def test_going_down_and_up_with_data_keeps_the_log_and_says_which_rows_are_gone(bare: str) -> None:
    db = await open_database(bare)
    request = await waiting(db)
    rights = {"roles": [Role.ADMIN], "groups": ["lab-team"]}
    about = {"name": "Ada", "email": "ada@example.org", "password_hash": None, "by": "setup", "at": NOW}
    await people.add(db, person_id="ada", event_id="p1", **rights, **about)  # type: ignore[arg-type]
    assert (await verify(db)).is_whole
    await db.close()
    for revision in ("0001", "head"):
        await moved(bare, revision)
    db = await open_database(bare)
    report = await verify(db)
    assert (report.rows, report.first_broken) == (3, None)
    assert f"requests {request.id}: the row is missing" in report.differences
    assert "people ada: the row is missing" in report.differences
    assert await requests.load(db, request.id) == request
    await db.close()


async def test_what_holds_of_a_service_is_built_from_the_log_and_a_last_look_becomes_the_last_proof(bare: str) -> None:
    db = await open_database(bare)
    host = Host("alpha", "10.0.0.5", "production", ("ssh-ed25519 AAAA",))
    claims = tuple(
        Service(name, "alpha", "lab-team", "supervisor", f"lab:{name}", ports=(port,))
        for port, name in enumerate(("down", "gone", "unseen"), 5050)
    )
    policy = Policy(environment="production", groups=("lab-team",))
    whole = Registry((host,), claims, (policy,))
    made_by = {"by": "ed", "at": NOW}
    await services.apply(db, difference(Registry(), whole), **made_by, event_id="r1", base_revision=0)  # type: ignore[arg-type]
    for name in ("down", "gone", "unseen"):
        await proofs.record_proof(db, name, "VERIFIED", "UNSURE", NOW + 1, "{}")
    await proofs.record_proof(db, "down", "DOWN", "UNSURE", NOW + 2, "{}")
    await proofs.record_proof(db, "unseen", "UNREACHABLE", "UNSURE", NOW + 2, "{}")
    fewer = Registry((host,), (claims[0], replace(claims[1], docs="new"), claims[2]), (policy,), revision=1)
    changes = difference(await services.registry(db), fewer)
    await services.apply(db, changes, **made_by, event_id="r2", base_revision=1)  # type: ignore[arg-type]
    before = await proofs.proofs(db)
    await db.close()
    for revision in ("0004", "head"):
        await moved(bare, revision)
    db = await open_database(bare)
    assert (await verify(db)).is_whole
    after = await proofs.proofs(db)
    await db.close()
    assert {name: (each.held, each.since) for name, each in after.items()} == {
        "down": ("DOWN", NOW + 2),
        "unseen": ("VERIFIED", NOW + 1),
    }
    assert after["down"].seen == before["down"].seen
    assert (after["unseen"].seen.proved, after["unseen"].seen.unseen) == ("", 1)


async def test_no_migration_deletes_a_log_that_holds_anything(bare: str) -> None:
    db = await open_database(bare)
    await note(db)
    await db.close()
    with pytest.raises(RuntimeError, match="no command deletes it"):
        await moved(bare, "base")
    db = await open_database(bare)
    assert ((await verify(db)).rows, await requests.wanting(db, [])) == (1, [])
    await db.close()


async def test_a_migration_that_fails_leaves_nothing_half_done(bare: str) -> None:
    await (await open_database(bare)).close()
    await moved(bare, "0001")
    raw(bare, "CREATE TABLE freezes (x integer)")  # 0002 passes, then 0003 meets a table that is there
    before = _tables(bare)
    with pytest.raises(Broken):
        await open_database(bare)
    assert _tables(bare) == before


async def test_the_classes_say_what_the_migrations_make(bare: str) -> None:
    await (await open_database(bare)).close()
    engine = _engine(bare)
    async with engine.connect() as connection:
        differences = await connection.run_sync(_compare)
    await engine.dispose()
    assert differences == []


def _compare(connection: Connection) -> list[object]:
    def ours(_: object, name: str | None, kind: str, *rest: object) -> bool:
        # Indexes, keys and types of generated columns stand in the migrations alone.
        return kind in {"table", "column"} and name != "audit"

    context = MigrationContext.configure(connection, opts={"include_object": ours, "compare_type": False})
    return list(compare_metadata(context, SQLModel.metadata))
