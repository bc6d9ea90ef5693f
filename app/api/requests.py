"""Requests: asking, insisting, reading and taking back. There is no route that approves or denies (law 8)."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from app.api import filters, schemas, shapes
from app.api.deps import Asker, Reader, refuse_twice_in_the_body
from app.api.replies import problems
from app.core.lifecycle import Request as Asked
from app.flow import ask, decide
from app.store import listing, requests

router = APIRouter(prefix="/requests", tags=["requests"])
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[!-~]{1,64}$",
        description="Made by the caller. The same key with the same question gives the same request again.",
    ),
]


@router.post(
    "",
    status_code=201,
    responses=problems(404, 408, 409, 413, 429),
    operation_id="ask",
    dependencies=[Depends(refuse_twice_in_the_body)],
)
async def create(
    caller: Asker, body: schemas.Ask, request: Request, response: Response, idempotency_key: Key = None
) -> schemas.Request:
    """Ask for a restart or something gentler. The host proves the claim first; then a person who is not you decides."""
    asked = await ask.ask(
        caller.world,
        caller.person,
        body.service,
        body.reason,
        ticket=body.ticket,
        key=idempotency_key,
        action=body.action,
        said=body.said,
    )
    response.headers["Location"] = f"/api/v1/requests/{asked.id}"
    return await _shown(caller, asked, request)


@router.get("", responses=problems(408), operation_id="listRequests")
async def everything(caller: Reader, wanted: Annotated[filters.RequestFilter, Query()]) -> schemas.RequestPage:
    """List requests that fit, newest first."""
    me = caller.person.id
    page = await listing.page(
        caller.world.db,
        listing.Filter(
            service=wanted.service,
            host=wanted.host,
            requester=me if wanted.requester == "me" else wanted.requester,
            approver=me if wanted.approver == "me" else wanted.approver,
            state=wanted.state or "",
            verdict=wanted.verdict or "",
            since=wanted.since.timestamp() if wanted.since else None,
            until=wanted.until.timestamp() if wanted.until else None,
            q=wanted.q,
        ),
        before=wanted.before,
        limit=wanted.limit,
    )
    return schemas.RequestPage(requests=[shapes.row(each) for each in page.rows], before=page.before)


@router.get("/{request_id}", responses=problems(404, 409), operation_id="getRequest")
async def one(caller: Reader, request_id: str, request: Request) -> schemas.Request:
    """Show one request whole. A short id such as R-7F3K is taken too, where only one request has it."""
    return await _shown(caller, await requests.load(caller.world.db, request_id), request)


@router.post("/{request_id}/cancel", responses=problems(404, 409), operation_id="cancelRequest")
async def cancel(caller: Asker, request_id: str, request: Request) -> schemas.Request:
    """Take a request back before it runs: whoever asked may, and an admin."""
    asked = await requests.load(caller.world.db, request_id)
    return await _shown(caller, await decide.cancel(caller.world, caller.person, asked.id), request)


@router.post(
    "/{request_id}/insist",
    responses=problems(404, 408, 409, 413),
    operation_id="insist",
    dependencies=[Depends(refuse_twice_in_the_body)],
)
async def insist(caller: Asker, request_id: str, body: schemas.Insist, request: Request) -> schemas.Request:
    """Add the stronger reason that a restart asks for where the host shows no sign of need: whoever asked may."""
    asked = await requests.load(caller.world.db, request_id)
    return await _shown(caller, await ask.insist(caller.world, caller.person, asked.id, body.reason), request)


async def _shown(caller: Asker | Reader, asked: Asked, request: Request) -> schemas.Request:
    return await shapes.request(caller.world, asked, request.app.state.settings.base_url)
