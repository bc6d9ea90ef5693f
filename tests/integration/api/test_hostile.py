"""Whatever is sent in whatever place: a problem document, never a fault, and nothing done."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from app.store import listing, requests
from tests.integration.api.conftest import Api

HOSTILE = [
    *(
        "\x00",
        "\x1b]0;x\x07",
        "\u202e\u2066",
        "é" * 300,
        "x" * 5_000,
        "'; DROP TABLE audit; --",
        "%",
        "%00",
        "_%_",
        "..",
        "../..",
    ),
    *(
        "-1",
        "0",
        "9" * 30,
        "1e999",
        "NaN",
        "null",
        "true",
        "[]",
        "{}",
        "${jndi:x}",
        "{{7*7}}",
        "af",
        "R-",
        "R-????",
        " ",
        "\n",
    ),
    *("2026-01-27", "2026-01-27T10:15:00", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "me", "waiting", "VERIFIED"),
]


def operations(api: Api) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in api.app.openapi()["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


@pytest.mark.threat("H7")
@pytest.mark.threat("H8")
async def test_no_value_in_any_place_of_any_operation_is_a_fault(api: Api) -> None:
    waiting = await api.seed.waiting()
    async with await api.caller("odo") as odo:
        for method, path, operation in operations(api):
            for value in HOSTILE:
                filled = path.replace("{name}", quote(value, safe="")).replace("{request_id}", quote(value, safe=""))
                answer = await odo.request(method, filled)
                assert answer.status_code < 500, (method, filled, answer.text)
                for parameter in operation.get("parameters", ()):
                    if parameter["in"] == "query":
                        answer = await odo.request(method, path, params={parameter["name"]: value})
                        assert answer.status_code < 500, (path, parameter["name"], value, answer.text)
    assert (await requests.load(api.world.db, waiting.id)).version == waiting.version


@pytest.mark.threat("H8")
async def test_no_body_is_a_fault(api: Api) -> None:
    bodies: list[Any] = [*HOSTILE, None, 0, 1.5, [], {}, True]
    async with await api.caller("ada") as ada:
        for value in bodies:
            for body in (value, {"service": value, "reason": "x"}, {"service": "tftp", "reason": "x", "ticket": value}):
                answer = await ada.post("/api/v1/requests", json=body)
                assert answer.status_code < 500, (body, answer.text)
            headers = {"Idempotency-Key": str(value)[:100].encode("utf-8", "replace").hex()[:80] or "x"}
            answer = await ada.post("/api/v1/requests", json={"service": "tftp", "reason": "x"}, headers=headers)
            assert answer.status_code < 500
    assert await listing.count(api.world.db, listing.Filter()) == 1
