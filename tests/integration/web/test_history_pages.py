"""History: a search that is its address, its pages and its exports."""

import csv
import html
import io
import json
import re
from collections.abc import Callable
from typing import Any

from tests.integration.web.conftest import words
from tests.integration.web.seed import Seed

Make = Callable[..., Any]


async def test_history_shows_and_exports_exactly_what_its_address_says(browser: Make, seed: Seed) -> None:
    blocked = await seed.block(await seed.ask(service="pypnm-api"))
    waiting = await seed.waiting()
    old = await seed.block(await seed.ask(service="tftp", ago=30 * 86_400))
    odo = await browser("odo")
    week = (await odo.get("/history")).text
    assert "2 requests" in words(week)
    assert old.id not in week
    everything = (await odo.get("/history?since=")).text
    assert old.id in everything
    some = (await odo.get("/history?since=&state=blocked&service=pypnm-api")).text
    assert blocked.id in some
    assert waiting.id not in some
    links = re.findall(r'href="(/history/export\.[^"]+)"', some)
    as_csv, as_lines = [await odo.get(html.unescape(link)) for link in links]
    assert as_csv.headers["content-disposition"].startswith("attachment")
    rows = list(csv.DictReader(io.StringIO(as_csv.text)))
    assert [row["id"] for row in rows] == [blocked.id]
    assert [json.loads(line)["id"] for line in as_lines.text.splitlines()] == [blocked.id]
    wrong = await odo.get("/history?since=yesterday")
    assert wrong.status_code == 422
    assert "Write a day as" in wrong.text
    by_word = (await odo.get("/history?since=&q=constellation")).text
    assert waiting.id in by_word


async def test_history_is_paged_by_key(browser: Make, seed: Seed) -> None:
    for _ in range(52):
        await seed.block(await seed.ask(service="tftp"))
    odo = await browser("odo")
    first = (await odo.get("/history")).text
    assert "50+ requests" in words(first)
    older = re.search(r'href="([^"]+)" rel="next"', first)
    assert older
    second = (await odo.get(html.unescape(older[1]))).text
    shown = set(re.findall(r"/requests/(\w{26})", first)) | set(re.findall(r"/requests/(\w{26})", second))
    assert len(shown) == 52
    assert 'rel="next"' not in second
