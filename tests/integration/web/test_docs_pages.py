"""The deployment document as a page and as a file."""

import html
from collections.abc import Callable
from typing import Any

from app.flow import docs
from app.flow.ports import World
from tests.integration.web.seed import Seed

Make = Callable[..., Any]


async def test_the_page_shows_the_text_and_the_file_is_the_same_bytes(browser: Make, world: World, seed: Seed) -> None:
    text = (await docs.write(world, "alpha")).text
    ada = await browser("ada")
    shown = (await ada.get("/hosts/alpha/docs")).text
    assert html.unescape(shown.split('aria-label="DEPLOYMENT.md">')[1].split("</pre>")[0]) == text
    file = await ada.get("/hosts/alpha/docs/DEPLOYMENT.md")
    assert file.text == text
    assert file.headers["content-type"] == "text/markdown; charset=utf-8"
    assert 'attachment; filename="DEPLOYMENT.md"' in file.headers["content-disposition"]
    assert 'href="/hosts/alpha/docs"' in (await ada.get("/hosts/alpha")).text


async def test_there_is_no_document_of_a_host_that_is_not_there_nor_for_who_is_not_signed_in(
    browser: Make, seed: Seed
) -> None:
    ada = await browser("ada")
    assert (await ada.get("/hosts/omega/docs")).status_code == 404
    nobody = await browser()
    assert (await nobody.get("/hosts/alpha/docs/DEPLOYMENT.md")).status_code == 303
