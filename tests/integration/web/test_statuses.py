"""One error, one HTTP status, through whichever door it is met, and a page whose heading fits it."""

from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from app import statuses
from app.api import problems
from app.core.errors import (
    AskfirstError,
    Broken,
    Conflict,
    HostKeyChanged,
    IllegalEvent,
    Lost,
    NotFound,
    Refused,
    Unreachable,
)
from app.flow.ports import World
from app.settings import Settings
from app.web.setup import install
from tests.integration.web.conftest import BASE

KINDS: dict[type[AskfirstError], int] = {
    Refused: 403,
    NotFound: 404,
    Conflict: 409,
    IllegalEvent: 409,
    Broken: 500,
    HostKeyChanged: 502,
    Lost: 502,
    Unreachable: 503,
}
CODES = {
    400: ("duplicate_field", "sent_twice", "token_in_address", "unreadable_form"),
    401: ("bad_token", "no_token"),
    408: ("too_slow",),
    409: ("ambiguous_id",),
    413: ("too_large",),
    422: (
        "missing_field",
        "not_storable",
        "reason_empty",
        "reason_too_long",
        "registry_invalid",
        "ticket_too_long",
        "unknown_field",
    ),
    429: ("throttled", "too_many"),
    503: ("disk_full", "store_away", "store_busy", "store_failed", "store_io", "store_missing", "store_readonly"),
}
ERRORS = [(kind("It is so.", next_step="Do this."), status) for kind, status in KINDS.items()]
ERRORS += [(Refused("So.", code=code, next_step="Do."), status) for status, codes in CODES.items() for code in codes]


def test_every_kind_and_every_code_is_asked_about() -> None:
    assert {kind for kind, _ in statuses.KINDS} == set(KINDS)
    assert set(statuses.CODES) == {code for codes in CODES.values() for code in codes}


@pytest.mark.parametrize(("error", "status"), ERRORS, ids=[error.code for error, _ in ERRORS])
async def test_both_doors_answer_an_error_with_the_same_status(world: World, error: AskfirstError, status: int) -> None:
    async def fails() -> None:
        raise error

    app = FastAPI(openapi_url=None)
    app.state.world = world
    problems.install(app)
    install(app, Settings(base_url=BASE, data_dir=Path("/nonexistent")))
    app.add_api_route("/fails", fails)
    app.add_api_route("/api/fails", fails)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=BASE) as client:
        page, answer = await client.get("/fails"), await client.get("/api/fails")
    assert (page.status_code, answer.status_code) == (status, status)
    assert answer.json()["code"] == error.code
    assert ("Something went wrong" in page.text) == (status == 500)
