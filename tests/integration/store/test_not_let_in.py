"""A database that is not reached, or lets us not in: the operator reads the cause, a visitor no place and no name."""

import signal
from typing import Any

import httpx
import psycopg
import pytest

from app.api import problems
from app.api.routes import router as api_router
from app.core.errors import Broken
from app.flow.ports import Limits, News, World
from app.store import postgres
from app.store.engine import Database, open_database
from app.web.health import router
from tests.fakes.clock import FakeClock
from tests.integration.cluster import Cluster
from tests.integration.web.conftest import application

pytestmark = pytest.mark.only("postgresql")
_TO = 'connection failed: connection to server at "10.0.0.5", port 5432 failed: '
# What libpq said, and what is made of it.
RECORDED = (
    (
        f'{_TO}FATAL:  password authentication failed for user "app"\npassword retrieved from file "/etc/pgpass"',
        'The database does not let us sign in: password authentication failed for user "app".',
    ),
    (
        f'{_TO}FATAL:  no pg_hba.conf entry for host "10.0.0.9", user "app"',
        'The database does not let us sign in: no pg_hba.conf entry for host "10.0.0.9", user "app".',
    ),
    (
        f"{_TO}fe_sendauth: no password supplied",
        f"The database does not let us sign in: {_TO}fe_sendauth: no password supplied.",
    ),
    (
        f'{_TO}FATAL:  database "askfirts" does not exist',
        'The database does not answer: database "askfirts" does not exist.',
    ),
    (
        f"{_TO}Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?",
        f"The database does not answer: {_TO}Connection refused.",
    ),
)


@pytest.mark.parametrize(("said", "meaning"), RECORDED)
def test_the_cause_is_told_and_not_the_line_after_it(said: str, meaning: str) -> None:
    error = postgres.explain(psycopg.OperationalError(said))
    assert (type(error), error.code, error.message) == (Broken, "store_away", meaning)
    assert ("PGPASSFILE" in error.next_step) is ("sign in" in meaning)
    assert error.outside in {"The database does not answer.", "The database does not let us sign in."}


async def test_a_role_that_the_server_does_not_know_is_told_with_a_next_step_of_its_own(cluster: Cluster) -> None:
    with pytest.raises(Broken) as broken:
        await open_database(cluster.url("postgres", "nobody_we_know"))
    assert broken.value.message == 'The database does not let us sign in: role "nobody_we_know" does not exist.'
    assert "pg_hba.conf" in broken.value.next_step


async def test_a_visitor_reads_no_place_and_no_name_of_the_database(db: Database, cluster: Cluster) -> None:
    hosts: Any = None
    app = application(World(db, hosts, FakeClock(), News(), Limits(), "test:1"), "http://localhost:8770")
    app.include_router(router)
    app.include_router(api_router)
    problems.install(app)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8770") as client:
        cluster.stop(signal.SIGQUIT)
        try:
            signed_in = {"cookie": f"{app.state.site.cookie}={'x' * 43}"}
            answers = [await client.get("/readyz"), await client.get("/", headers=signed_in)]
            answers.append(await client.get("/api/v1/services", headers={"authorization": "Bearer af_" + "x" * 43}))
            answers.append(await client.post("/sign-in/passkey/options", headers={"sec-fetch-site": "same-origin"}))
        finally:
            cluster.start()
    for answer in answers:
        assert answer.status_code == 503, answer.text
        assert "The database does not answer." in answer.text
        assert not any(word in answer.text for word in (str(cluster.folder), "socket", "postgres"))
