"""The migrations: up, down, with data in every table, and the same as the classes in `tables`."""

from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import SQLModel

from app.core.errors import Broken
from app.core.policy import Policy, Role
from app.core.registry import Registry, difference
from app.core.service import Host, Service
from app.store import people, requests, schema, services, sqlite
from app.store.engine import open_database
from app.store.verify import verify
from tests.integration.store.sample import NOW, note, raw, waiting

TABLES = "SELECT name, sql FROM sqlite_master WHERE tbl_name <> 'alembic_version' ORDER BY name"
REVISIONS = ["0005", "0004", "0003", "0002", "0001", "base"]


def _engine(url: str) -> AsyncEngine:
    return sqlite.writer(make_url(url).set(drivername="sqlite+aiosqlite"), foreign_keys=False)


async def _move(url: str, revision: str) -> None:
    engine = _engine(url)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(schema.move, revision)
    finally:
        await engine.dispose()


def test_every_migration_is_known_here() -> None:
    folder = Path(__file__).parents[3] / "migrations" / "versions"
    assert sorted(file.name[:4] for file in folder.glob("*.py")) == sorted(REVISIONS[:-1])


async def test_each_migration_goes_down_and_up_again_to_the_same_schema(url: str) -> None:
    await (await open_database(url)).close()
    whole = raw(url, TABLES)
    for revision in REVISIONS:
        await _move(url, revision)
    assert raw(url, TABLES) == []
    for revision in [*reversed(REVISIONS[:-1]), "head"]:
        await _move(url, revision)
    assert raw(url, TABLES) == whole


async def test_going_down_and_up_with_data_keeps_the_log_and_says_which_rows_are_gone(url: str) -> None:
    db = await open_database(url)
    request = await waiting(db)
    rights = {"roles": [Role.ADMIN], "groups": ["lab-team"]}
    about = {"name": "Ada", "email": "ada@example.org", "password_hash": None, "by": "setup", "at": NOW}
    await people.add(db, person_id="ada", event_id="p1", **rights, **about)  # type: ignore[arg-type]
    assert (await verify(db)).is_whole
    await db.close()
    for revision in ("0001", "head"):
        await _move(url, revision)
    db = await open_database(url)
    report = await verify(db)
    assert (report.rows, report.first_broken) == (3, None)
    assert f"requests {request.id}: the row is missing" in report.differences
    assert "people ada: the row is missing" in report.differences
    assert await requests.load(db, request.id) == request
    await db.close()


async def test_what_holds_of_a_service_is_built_from_the_log_and_a_last_look_becomes_the_last_proof(url: str) -> None:
    db = await open_database(url)
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
        await services.record_proof(db, name, "VERIFIED", "UNSURE", NOW + 1, "{}")
    await services.record_proof(db, "down", "DOWN", "UNSURE", NOW + 2, "{}")
    await services.record_proof(db, "unseen", "UNREACHABLE", "UNSURE", NOW + 2, "{}")
    fewer = Registry((host,), (claims[0], replace(claims[1], docs="new"), claims[2]), (policy,), revision=1)
    changes = difference(await services.registry(db), fewer)
    await services.apply(db, changes, **made_by, event_id="r2", base_revision=1)  # type: ignore[arg-type]
    before = await services.proofs(db)
    await db.close()
    for revision in ("0004", "head"):
        await _move(url, revision)
    db = await open_database(url)
    assert (await verify(db)).is_whole
    after = await services.proofs(db)
    await db.close()
    assert {name: (each.held, each.since) for name, each in after.items()} == {
        "down": ("DOWN", NOW + 2),
        "unseen": ("VERIFIED", NOW + 1),
    }
    assert after["down"].seen == before["down"].seen
    assert (after["unseen"].seen.proved, after["unseen"].seen.unseen) == ("", 1)


async def test_no_migration_deletes_a_log_that_holds_anything(url: str) -> None:
    db = await open_database(url)
    await note(db)
    await db.close()
    with pytest.raises(RuntimeError, match="no command deletes it"):
        await _move(url, "base")
    db = await open_database(url)
    assert ((await verify(db)).rows, await requests.wanting(db, [])) == (1, [])
    await db.close()


async def test_a_migration_that_fails_leaves_nothing_half_done(url: str) -> None:
    await (await open_database(url)).close()
    await _move(url, "0001")
    raw(url, "CREATE TABLE freezes (x)")  # 0002 passes, then 0003 meets a table that is there
    before = raw(url, TABLES)
    with pytest.raises(Broken):
        await open_database(url)
    assert raw(url, TABLES) == before


async def test_the_classes_say_what_the_migrations_make(url: str) -> None:
    await (await open_database(url)).close()
    engine = _engine(url)
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
