"""History: every request, filtered by the address, page by page, and an export of exactly what is filtered."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, StreamingResponse

from app.core.errors import Refused
from app.core.lifecycle import State
from app.core.verdict import Code
from app.store import history, listing, people, services
from app.web.asked import address, key, since_until, week_before
from app.web.deps import SignedIn
from app.web.pages import Visit, render
from app.web.words import STATES

router = APIRouter()
_PLAIN = ("service", "host", "requester", "approver", "state", "verdict", "q")
_NAMES = (*_PLAIN, "since", "until")


@router.get("/history")
async def every(request: Request, visit: SignedIn) -> HTMLResponse:
    """Show the requests that fit the filters in the address, newest first."""
    values = _values(request.query_params, visit.world.clock.now())
    wanted, problems = _filter(values)
    before = key(request.query_params.get("before", ""))
    db = visit.world.db
    page = await listing.page(db, wanted, before)
    registry = await services.registry(db)
    return await render(
        request,
        "history/history.html",
        422 if problems else 200,
        rows=[(row, STATES[State(row.state)]) for row in page.rows],
        count=await listing.count(db, wanted),
        values=values,
        problems=problems,
        older=address("/history", values, before=str(page.before)) if page.before else "",
        newest=address("/history", values) if before else "",
        csv=address("/history/export.csv", values),
        jsonl=address("/history/export.jsonl", values),
        names=await people.names(db),
        registry=registry,
        states=[(str(state), sign.word) for state, sign in STATES.items()],
        verdicts=[str(code) for code in Code],
    )


@router.get("/history/export.csv")
async def as_csv(request: Request, visit: SignedIn) -> StreamingResponse:
    """Give what is filtered as CSV."""
    return download(history.requests_as_csv(visit.world.db, _wanted(request, visit)), "text/csv", "history.csv")


@router.get("/history/export.jsonl")
async def as_json_lines(request: Request, visit: SignedIn) -> StreamingResponse:
    """Give what is filtered as one JSON object a line."""
    rows = history.requests_as_json_lines(visit.world.db, _wanted(request, visit))
    return download(rows, "application/jsonl", "history.jsonl")


def download(rows: AsyncIterator[str], kind: str, name: str) -> StreamingResponse:
    """Stream rows as a file to keep."""
    headers = {"content-disposition": f'attachment; filename="askfirst-{name}"'}
    return StreamingResponse(rows, media_type=f"{kind}; charset=utf-8", headers=headers)


def refuse_wrong(problems: Mapping[str, str]) -> None:
    """Raise Refused for filters that are none: an export of what nobody asked for looks like an answer."""
    if problems:
        raise Refused(
            "; ".join(problems.values()), code="bad_filter", next_step="Correct the filters, then export again."
        )


def _wanted(request: Request, visit: Visit) -> listing.Filter:
    wanted, problems = _filter(_values(request.query_params, visit.world.clock.now()))
    refuse_wrong(problems)
    return wanted


def _values(query: Mapping[str, str], now: float) -> dict[str, str]:
    """Return the filters of an address; where it says nothing of a beginning, a week is meant."""
    values = {name: query.get(name, "").strip()[:200] for name in _NAMES}
    return values if "since" in query else {**values, "since": week_before(now)}


def _filter(values: Mapping[str, str]) -> tuple[listing.Filter, dict[str, str]]:
    since, until, problems = since_until(values)
    plain: dict[str, Any] = {name: values[name] for name in _PLAIN}
    return listing.Filter(**plain, since=since, until=until), problems
