"""Settings: the theme, the switch, and tokens."""

import re
from collections.abc import Callable
from typing import Any

from app.flow.ports import World
from tests.integration.web.conftest import words
from tests.integration.web.seed import Seed

Make = Callable[..., Any]


async def test_the_theme_is_kept_and_there_are_three(browser: Make, seed: Seed) -> None:
    ada = await browser("ada")
    assert "data-theme" not in (await ada.get("/")).text
    for theme in ("dark", "light"):
        await ada.post("/settings/look", {"theme": theme})
        assert f'<html lang="en" data-theme="{theme}">' in (await ada.get("/")).text
    await ada.post("/settings/look", {"theme": 'evil"><script>'})
    assert '<html lang="en">' in (await ada.get("/")).text


async def test_a_freeze_is_on_every_page_and_its_release_needs_a_reason(
    browser: Make, world: World, seed: Seed
) -> None:
    bo, ada = await browser("bo"), await browser("ada")
    assert (await ada.post("/settings/freeze", {"scope": "all", "reason": "x"})).status_code == 403
    empty = await bo.post("/settings/freeze", {"scope": "all", "reason": " "})
    assert empty.status_code == 422
    assert 'id="reason-wrong"' in empty.text
    await bo.post("/settings/freeze", {"scope": "all", "reason": "Power work."})
    assert "Frozen: everything." in words((await ada.get("/services")).text)
    refused = await bo.post("/settings/release", {"scope": "all", "reason": ""})
    assert refused.status_code == 422
    assert (await bo.post("/settings/release", {"scope": "all", "reason": "Done."})).status_code == 303
    assert "Frozen:" not in (await ada.get("/services")).text


async def test_a_token_is_shown_once_and_can_be_ended_by_its_owner_only(
    browser: Make, world: World, seed: Seed
) -> None:
    ada, bo = await browser("ada"), await browser("bo")
    assert (await ada.post("/settings/tokens", {"name": "bot"})).status_code == 422
    made = (await ada.post("/settings/tokens", {"name": "bot", "scope.ask": "yes"})).text
    secret = re.search(r'id="new-token">(af_[\w-]+)<', made)
    assert secret
    assert secret[1] not in (await ada.get("/settings")).text
    revoke = re.search(r'action="(/settings/tokens/\w+/revoke)"', made)
    assert revoke
    assert (await bo.post(revoke[1])).status_code == 403
    assert (await ada.post(revoke[1])).status_code == 303
    assert "Revoked" in (await ada.get("/settings")).text
