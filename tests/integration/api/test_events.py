"""Following a request by its event stream."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from app.core.errors import Refused
from app.core.lifecycle import Request
from app.flow.limits import Probes, Streams
from tests.integration.api.conftest import Api

SECRET = b"starting with --password=hunter2\nlab:pypnm-gui: started\n"


def items(answer: httpx.Response) -> list[dict[str, Any]]:
    found = []
    for block in answer.text.split("\n\n"):
        lines = [line.partition(": ") for line in block.split("\n") if line and not line.startswith(":")]
        if lines:
            given = {name: value for name, _, value in lines}
            found.append({"kind": given["event"], "id": given["id"], **json.loads(given["data"])})
    return found


async def succeeded(api: Api) -> Request:
    running = await api.seed.run(await api.seed.approve(await api.seed.waiting()), SECRET)
    return await api.seed.settle(await api.seed.end(running, printed=SECRET.decode()))


async def test_a_stream_tells_every_event_and_line_and_ends_with_the_request(api: Api) -> None:
    request = await succeeded(api)
    async with await api.caller("ada") as ada:
        heard = items(await ada.get(f"/api/v1/requests/{request.id}/events"))
    happened = [item["type"] for item in heard if item["kind"] == "happened"]
    assert happened == ["asked", "verified", "approved", "run_started", "run_ended", "settled"]
    assert [item["version"] for item in heard if item["kind"] == "happened"] == [1, 2, 3, 4, 5, 6]
    assert heard[-1]["kind"] == "ended"
    assert heard[-1]["state"] == "succeeded"


@pytest.mark.law(13)
async def test_a_line_of_output_is_masked_before_it_leaves(api: Api) -> None:
    request = await succeeded(api)
    async with await api.caller("ada") as ada:
        answer = await ada.get(f"/api/v1/requests/{request.id}/events")
    (printed,) = [item for item in items(answer) if item["kind"] == "printed"]
    assert printed["lines"] == ["starting with --password=•••", "lab:pypnm-gui: started"]
    assert printed["first"] == 1
    assert "hunter2" not in answer.text


async def test_a_client_that_comes_back_hears_the_rest_and_nothing_twice(api: Api) -> None:
    request = await succeeded(api)
    async with await api.caller("ada") as ada:
        address = f"/api/v1/requests/{request.id}/events"
        whole = items(await ada.get(address))
        for told in range(len(whole)):
            last = {"Last-Event-ID": whole[told]["id"]}
            rest = items(await ada.get(address, headers=last))
            expected = [
                item for item in whole[told + 1 :] if item["id"] != whole[told]["id"] or item["kind"] == "ended"
            ]
            assert [(item["kind"], item["id"]) for item in rest] == [
                (item["kind"], item["id"]) for item in expected or whole[-1:]
            ]


async def test_a_line_in_the_middle_of_a_piece_is_taken_up_where_it_was_left(api: Api) -> None:
    request = await succeeded(api)
    async with await api.caller("ada") as ada:
        rest = items(await ada.get(f"/api/v1/requests/{request.id}/events", headers={"Last-Event-ID": "6:1"}))
    assert [item["kind"] for item in rest] == ["printed", "ended"]
    assert (rest[0]["first"], rest[0]["lines"]) == (2, ["lab:pypnm-gui: started"])


async def test_a_stream_waits_for_what_has_not_happened_yet(api: Api) -> None:
    request = await api.seed.ask()
    async with await api.caller("ada") as ada:
        listening = asyncio.create_task(ada.get(f"/api/v1/requests/{request.id}/events"))
        await asyncio.sleep(0)
        await api.seed.block(request)
        api.world.news.tell(request.id)
        heard = items(await listening)
    assert [item.get("type") or item["state"] for item in heard] == ["asked", "blocked", "blocked"]


async def test_a_stream_of_nothing_is_a_problem_and_not_a_stream(api: Api) -> None:
    async with await api.caller("ada") as ada:
        answer = await ada.get("/api/v1/requests/01JF3W6V9Q0Z7E5M2T8X4K1B6N/events")
        request = await api.seed.ask()
        odd = await ada.get(f"/api/v1/requests/{request.id}/events", headers={"Last-Event-ID": "x"})
    assert (answer.status_code, answer.json()["code"]) == (404, "no_such_request")
    assert odd.status_code == 422


@pytest.mark.threat("H6")
def test_one_person_s_streams_are_counted_and_everybody_s_together() -> None:
    streams = Streams()
    with streams.open("ada"), streams.open("ada"):
        streams.check("ada")
        opened = [streams.open("bo") for _ in range(12)]
        for one in opened:
            one.__enter__()
        with pytest.raises(Refused, match="too many open event streams"):
            streams.check("bo")
        opened.pop().__exit__(None, None, None)
        streams.check("bo")


@pytest.mark.threat("H6")
async def test_probes_of_one_host_wait_for_their_turn_and_a_flood_is_refused() -> None:
    probes, done = Probes(), asyncio.Event()
    inside: list[str] = []

    async def probe(person: str) -> None:
        async with probes.turn("alpha", person):
            inside.append(person)
            await done.wait()

    tasks = [asyncio.create_task(probe(f"p{number}")) for number in range(10)]
    await asyncio.sleep(0)
    assert len(inside) == 2
    with pytest.raises(Refused, match="too many probes"):
        await probe("late")
    done.set()
    await asyncio.gather(*tasks)
    assert len(inside) == 10
    await probe("late")


@pytest.mark.threat("H6")
async def test_one_person_cannot_take_every_turn_on_many_hosts() -> None:
    probes, done = Probes(), asyncio.Event()

    async def probe(host: str) -> None:
        async with probes.turn(host, "ada"):
            await done.wait()

    tasks = [asyncio.create_task(probe(f"h{number}")) for number in range(6)]
    await asyncio.sleep(0)
    with pytest.raises(Refused, match="too many probes"):
        await probe("h6")
    done.set()
    await asyncio.gather(*tasks)
