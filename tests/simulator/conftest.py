"""The simulator's databases lie in memory; they are taken away when its tests are over."""

from collections.abc import Iterator

import pytest

from tests.simulator.template import clean_up


@pytest.fixture(scope="session", autouse=True)
def _cleaned() -> Iterator[None]:
    yield
    clean_up()
