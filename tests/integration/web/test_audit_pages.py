"""The page of the audit log: whole or broken, and the part of one request."""

import json
from collections.abc import Callable
from typing import Any

from tests.integration.databases import disarmed
from tests.integration.web.conftest import words
from tests.integration.web.seed import Seed

Make = Callable[..., Any]


async def test_the_auditor_verifies_the_log_and_sees_the_first_broken_row(browser: Make, url: str, seed: Seed) -> None:
    await seed.waiting()
    odo = await browser("odo")
    assert "Whole:" in words((await odo.post("/audit/verify")).text)
    disarmed(url, "UPDATE audit SET body = CAST(replace(body, 'requester', 'approver') AS BLOB) WHERE seq = 2")
    assert "Broken at row 2." in words((await odo.post("/audit/verify")).text)


async def test_the_log_of_one_request_is_found_by_its_short_id_and_an_unknown_one_is_told(
    browser: Make, seed: Seed
) -> None:
    waiting = await seed.waiting()
    await seed.block(await seed.ask(service="pypnm-api"))
    odo = await browser("odo")
    assert "2 events" in words((await odo.get(f"/audit?request={waiting.short_id.lower()}")).text)
    lines = (await odo.get(f"/audit/export.jsonl?request={waiting.short_id}")).text.splitlines()
    assert [json.loads(line)["body"]["request"] for line in lines] == [waiting.id] * 2
    for unknown in ("R-0000", "nonsense", "%00"):
        page = await odo.get(f"/audit?request={unknown}")
        assert (page.status_code, "There is no request" in page.text, "0 events" in words(page.text)) == (
            422,
            True,
            True,
        )
        for form in ("jsonl", "csv"):
            assert (await odo.get(f"/audit/export.{form}?request={unknown}")).status_code == 403
    assert (await odo.get("/audit/export.csv?since=yesterday")).status_code == 403
