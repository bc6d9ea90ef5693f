"""What is sent wrong is answered with a problem document: a stable code, a sentence, and what to do next."""

import httpx
import pytest

from app.store import listing
from tests.integration.api.conftest import Api

GOOD = {"service": "pypnm-gui", "reason": "The fix is pulled"}


def told(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert {"type", "title", "status", "detail", "code", "next"} <= set(document)
    assert document["status"] == answer.status_code
    assert document["next"].endswith((".", "?"))
    return answer.status_code, document["code"]


async def count(api: Api) -> int:
    return await listing.count(api.world.db, listing.Filter())


@pytest.mark.threat("B5")
@pytest.mark.parametrize("field", ["state", "approver_id", "expires_at", "verdict", "argv", "digest"])
async def test_a_field_that_is_not_asked_for_is_refused(api: Api, field: str) -> None:
    async with await api.caller("ada") as ada:
        answer = await ada.post("/api/v1/requests", json={**GOOD, field: "approved"})
    assert told(answer) == (422, "invalid")
    assert answer.json()["errors"][0]["field"] == f"body.{field}"
    assert await count(api) == 0


@pytest.mark.threat("H8")
async def test_a_field_or_a_parameter_that_is_sent_twice_is_refused(api: Api) -> None:
    twice = b'{"service": "pypnm-gui", "reason": "a", "reason": "b"}'
    async with await api.caller("ada") as ada:
        body = await ada.post("/api/v1/requests", content=twice, headers={"content-type": "application/json"})
        address = await ada.get("/api/v1/requests?state=waiting&state=denied")
    assert told(body) == (400, "sent_twice")
    assert told(address) == (400, "sent_twice")
    assert await count(api) == 0


@pytest.mark.threat("H3")
async def test_too_much_is_refused_before_it_is_read(api: Api) -> None:
    async with await api.caller("ada") as ada:
        huge = await ada.post("/api/v1/requests", json={**GOOD, "reason": "x" * 1_000_000})
        long = await ada.post("/api/v1/requests", json={**GOOD, "reason": "x" * 4_097})
        wide = await ada.post("/api/v1/requests", json={**GOOD, "reason": "ü" * 4_000})
        blank = await ada.post("/api/v1/requests", json={**GOOD, "reason": "  \n "})
    assert told(huge) == (413, "too_large")
    assert told(long) == (422, "invalid")
    assert told(wide) == (422, "reason_too_long")
    assert told(blank) == (422, "reason_empty")
    assert await count(api) == 0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"service": NaN}', b"\xff", b"[" * 30_000])
async def test_what_is_no_question_is_told_so(api: Api, content: bytes) -> None:
    async with await api.caller("ada") as ada:
        answer = await ada.post("/api/v1/requests", content=content, headers={"content-type": "application/json"})
    assert told(answer)[0] in {400, 422}


@pytest.mark.threat("I8")
async def test_a_near_name_is_offered_as_a_question_and_never_taken(api: Api) -> None:
    async with await api.caller("ada") as ada:
        asked = await ada.post("/api/v1/requests", json={**GOOD, "service": "pypnm-gu"})
        looked = await ada.get("/api/v1/services/pypnm-gu")
    assert told(asked) == told(looked) == (404, "no_such_service")
    assert asked.json()["next"] == "Did you mean pypnm-gui or pypnm-api?"
    assert await count(api) == 0


async def test_an_address_or_a_method_that_is_none_is_a_problem_document_too(api: Api) -> None:
    async with await api.caller("ada") as ada:
        assert told(await ada.get("/api/v1/nothing")) == (404, "not_found")
        assert told(await ada.delete("/api/v1/services")) == (405, "method_not_allowed")
        assert told(await ada.get("/api/v1/requests/R-0000")) == (404, "no_such_request")


async def test_a_problem_repeats_nothing_of_what_was_sent_that_could_steer_a_terminal(api: Api) -> None:
    async with await api.caller("ada") as ada:
        answer = await ada.get("/api/v1/requests/a%1b%5b2J%e2%80%ae")
    assert told(answer)[0] == 404
    assert "\x1b" not in answer.text
    assert "\u202e" not in answer.json()["detail"]
