"""A database of its own for each test, on both kinds."""

from collections.abc import AsyncIterator

import pytest

from app.store.engine import Database
from tests.integration.databases import Databases


@pytest.fixture
async def db(url: str, databases: Databases) -> AsyncIterator[Database]:
    opened = await databases.open(url)
    yield opened
    await opened.close()


@pytest.fixture
def bare(url: str, databases: Databases) -> str:
    """A database with nothing in it."""
    databases.create(url)
    return url
