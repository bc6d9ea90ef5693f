"""The fixtures of other folders, for those who attack what they set up."""

from tests.integration.api.conftest import api
from tests.integration.flow.conftest import stage
from tests.integration.web.conftest import app, browser, clock, seed, world

__all__ = ["api", "app", "browser", "clock", "seed", "stage", "world"]
