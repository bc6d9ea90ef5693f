"""Which suites run on which database, and the servers that they run on.

A test that asks for ``databases`` (or for what is made of it: ``url``, ``db``, ``stage``, ``world``) runs on SQLite,
and on PostgreSQL too where its suite is named here; one marked ``only("sqlite")`` is about what is SQLite's own.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.store import roles
from tests.integration.cluster import Cluster, programs
from tests.integration.databases import Databases, Files

ON_BOTH = (
    *("store", "flow", "threats", "web/test_credentials.py", "web/test_decisions.py", "web/test_sessions.py"),
    *("web/test_signing_in_by_passkey.py", "web/test_the_whole_way.py"),
)
# It counts the turns of the loop that a look takes, and a server's answer takes more of them than a file's.
ON_FILES = ("flow/test_sweep.py",)
KINDS = ("sqlite", "postgresql")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database_kind" in metafunc.fixturenames:
        only = metafunc.definition.get_closest_marker("only")
        path = metafunc.definition.path.relative_to(Path(__file__).parent)
        is_on_both = any(path.is_relative_to(each) for each in ON_BOTH) and str(path) not in ON_FILES
        metafunc.parametrize("database_kind", only.args if only else KINDS if is_on_both else KINDS[:1])


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Databases:
    return Databases(Files(tmp_path_factory.mktemp("databases")))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    bin_folder = programs()
    if bin_folder is None:
        pytest.skip("needs a PostgreSQL server: apt install postgresql")
    with Cluster(bin_folder) as started:
        yield started


@pytest.fixture
def ruled(cluster: Cluster) -> Iterator[Cluster]:
    """The server with the four roles, and an empty database ``ruled``, made as the printed script says."""
    cluster.psql(roles.script("ruled"))
    yield cluster
    cluster.drop(cluster.url("ruled"))
    for role in ("app", "auditor", "migrator", "owner"):
        cluster.run("postgres", f"DROP ROLE askfirst_{role}")


@pytest.fixture(scope="session")
def served(cluster: Cluster) -> Databases:
    return Databases(cluster)


@pytest.fixture
def databases(database_kind: str, request: pytest.FixtureRequest) -> Databases:
    made: Databases = request.getfixturevalue("files" if database_kind == "sqlite" else "served")
    return made


@pytest.fixture
def url(databases: Databases) -> Iterator[str]:
    """The URL of a database that is not there yet: open it by ``databases.open``, or create it."""
    place = databases.place()
    yield place
    databases.drop(place)
