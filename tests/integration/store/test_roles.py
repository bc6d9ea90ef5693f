"""The script of the roles as ``psql`` runs it: once, again, and over a database that is not as it should be."""

import pytest

from app.store import roles
from app.store.engine import open_database
from tests.integration.cluster import Cluster
from tests.integration.databases import raw
from tests.integration.store.sample import everything

pytestmark = pytest.mark.only("postgresql")
OWNERS = "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relname IN ('audit', 'people', 'requests')"


async def weakness(url: str) -> str:
    db = await open_database(url, upgrade=False)
    async with db.read() as connection:
        said = await db.dialect.weakness(connection)
    await db.close()
    return said


async def test_it_may_be_run_again_and_makes_an_empty_database_in_place_of_one_that_was_put_away(
    ruled: Cluster,
) -> None:
    migrator, app = (ruled.url("ruled", f"askfirst_{role}") for role in ("migrator", "app"))
    await (await open_database(migrator)).close()
    assert ruled.psql(roles.script("ruled")) == ""
    db = await open_database(app)
    await everything(db)
    await db.close()
    ruled.run("postgres", "ALTER DATABASE ruled RENAME TO ruled_before")
    try:
        assert ruled.psql(roles.script("ruled")) == ""
        await (await open_database(migrator)).close()
        assert raw(app, "SELECT count(*) FROM audit") == [(0,)]
        assert await weakness(app) == ""
    finally:
        ruled.drop(ruled.url("ruled_before"))


@pytest.mark.threat("F3")
async def test_what_belongs_to_another_or_is_open_to_everybody_is_told_and_set_right(ruled: Cluster) -> None:
    migrator, app = (ruled.url("ruled", f"askfirst_{role}") for role in ("migrator", "app"))
    await (await open_database(migrator)).close()
    ruled.run("postgres", "GRANT CONNECT ON DATABASE ruled TO PUBLIC")
    assert await weakness(app) == "every role of the server may connect to the database"
    for table in ("audit", "people"):
        ruled.run("ruled", f"ALTER TABLE {table} OWNER TO postgres")
    assert "the tables belong to postgres" in await weakness(app)
    ruled.run(
        "ruled", "REVOKE ALL ON audit FROM askfirst_app; ALTER FUNCTION audit_refuses_a_change() OWNER TO postgres"
    )
    assert ruled.psql(roles.script("ruled")) == ""
    assert raw(app, OWNERS) == [("askfirst_owner",)]
    assert await weakness(app) == ""


async def test_a_database_of_something_else_stays_as_it_is(ruled: Cluster) -> None:
    ruled.run("ruled", "CREATE TABLE theirs (x integer)")
    assert "holds tables of something else" in ruled.psql(roles.script("ruled"))
    assert raw(ruled.url("ruled"), "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'theirs'") == [
        ("postgres",)
    ]
