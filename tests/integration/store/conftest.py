"""A database in a file of its own for each test; the suite runs on whatever `url` names."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.store.engine import Database
from tests.integration.store.sample import made_once, open_copy


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/data/askfirst.db"


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory.mktemp("empty") / "askfirst.db")


@pytest.fixture
async def db(url: str, empty: Path) -> AsyncIterator[Database]:
    opened = await open_copy(empty, url)
    yield opened
    await opened.close()
