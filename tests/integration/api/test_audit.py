"""The audit log over HTTP: pages by key, and an export that can be checked without us."""

import csv
import hashlib
import json

from tests.integration.api.conftest import Api


async def test_events_are_paged_by_key_newest_first(api: Api) -> None:
    await api.seed.waiting()
    async with await api.caller("odo") as odo:
        first = (await odo.get("/api/v1/audit", params={"limit": 2})).json()
        rest = (await odo.get("/api/v1/audit", params={"before": first["before"], "limit": 200})).json()
    numbers = [entry["seq"] for entry in first["entries"] + rest["entries"]]
    assert numbers == list(range(numbers[0], 0, -1))
    assert rest["before"] is None


async def test_events_are_filtered_by_request_and_type(api: Api) -> None:
    waiting = await api.seed.waiting()
    async with await api.caller("odo") as odo:
        both = (await odo.get("/api/v1/audit", params={"request": waiting.id})).json()["entries"]
        one = (await odo.get("/api/v1/audit", params={"request": waiting.id, "type": "asked"})).json()["entries"]
    assert [entry["type"] for entry in both] == ["verified", "asked"]
    assert [(entry["type"], entry["by_name"]) for entry in one] == [("asked", "Ada Engineer")]


async def test_the_events_of_a_request_are_found_by_its_short_id_and_an_unknown_one_is_refused(api: Api) -> None:
    waiting = await api.seed.waiting()
    async with await api.caller("odo") as odo:
        page = (await odo.get("/api/v1/audit", params={"request": waiting.short_id})).json()["entries"]
        lines = (await odo.get("/api/v1/audit/export", params={"request": waiting.short_id})).text.splitlines()
        unknown = [await odo.get(f"/api/v1/audit{form}", params={"request": "R-0000"}) for form in ("", "/export")]
    assert [entry["type"] for entry in page] == ["verified", "asked"]
    assert [json.loads(line)["body"]["request"] for line in lines] == [waiting.id] * 2
    assert [(each.status_code, each.json()["code"]) for each in unknown] == [(404, "no_such_request")] * 2


async def test_an_export_carries_a_chain_that_anybody_can_check(api: Api) -> None:
    await api.seed.waiting()
    async with await api.caller("odo") as odo:
        answer = await odo.get("/api/v1/audit/export")
    lines = answer.text.splitlines()
    hashes = ["00" * 32]
    for line in reversed(lines):
        body, row = line.partition(',"hash"')[0].removeprefix('{"body":'), json.loads(line)
        assert row["prev"] == hashes[-1]
        assert row["hash"] == hashlib.sha256(b"\x02" + bytes.fromhex(row["prev"]) + body.encode()).hexdigest()
        hashes.append(row["hash"])
    assert len(lines) == len(hashes) - 1 > 2


async def test_an_export_as_csv_has_the_same_events(api: Api) -> None:
    await api.seed.waiting()
    async with await api.caller("odo") as odo:
        answer = await odo.get("/api/v1/audit/export", params={"format": "csv", "type": "asked"})
    rows = list(csv.DictReader(answer.text.splitlines()))
    assert [row["type"] for row in rows] == ["asked"]
    assert answer.headers["content-disposition"] == 'attachment; filename="askfirst-audit.csv"'
