"""The audit log: its rows with their hashes, “Verify”, and an export that can be checked without us.

For auditors and admins. It proves nothing itself; ``store.verify`` does.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, StreamingResponse

from app.core.errors import Refused
from app.core.policy import Role
from app.store import history, people, requests
from app.store.engine import Database
from app.store.verify import Report, verify
from app.web import forms
from app.web.asked import address, key, since_until
from app.web.deps import SignedIn, may_read
from app.web.pages import Visit, render
from app.web.routes.history import download, refuse_wrong

router = APIRouter()
_PLAIN = ("type", "by", "request", "service", "host")
_NAMES = (*_PLAIN, "since", "until")


@router.get("/audit")
async def every(request: Request, visit: SignedIn) -> HTMLResponse:
    """Show the log, newest first."""
    return await _page(request, visit)


@router.post("/audit/verify")
async def check(request: Request, visit: SignedIn) -> HTMLResponse:
    """Check the whole chain, and every row that is derived from it."""
    await forms.read(request, csrf=visit.session.csrf)
    _may_audit(visit)
    return await _page(request, visit, await verify(visit.world.db))


@router.get("/audit/export.jsonl")
async def as_json_lines(request: Request, visit: SignedIn) -> StreamingResponse:
    """Give what is filtered with each row's own bytes and hashes."""
    _may_audit(visit)
    wanted = await _wanted(request, visit)
    return download(history.events_as_json_lines(visit.world.db, wanted), "application/jsonl", "audit.jsonl")


@router.get("/audit/export.csv")
async def as_csv(request: Request, visit: SignedIn) -> StreamingResponse:
    """Give what is filtered as CSV."""
    _may_audit(visit)
    wanted = await _wanted(request, visit)
    return download(history.events_as_csv(visit.world.db, wanted), "text/csv", "audit.csv")


async def _page(request: Request, visit: Visit, report: Report | None = None) -> HTMLResponse:
    _may_audit(visit)
    values = _values(request.query_params)
    db = visit.world.db
    wanted, problems = await _filter(db, values)
    before = key(request.query_params.get("before", ""))
    page = await history.page(db, wanted, before)
    return await render(
        request,
        "audit/audit.html",
        422 if problems else 200,
        rows=page.rows,
        count=await history.count(db, wanted),
        values=values,
        problems=problems,
        older=address("/audit", values, before=str(page.before)) if page.before else "",
        newest=address("/audit", values) if before else "",
        csv=address("/audit/export.csv", values),
        jsonl=address("/audit/export.jsonl", values),
        names=await people.names(db),
        report=report,
    )


async def _wanted(request: Request, visit: Visit) -> history.Filter:
    wanted, problems = await _filter(visit.world.db, _values(request.query_params))
    refuse_wrong(problems)
    return wanted


def _may_audit(visit: Visit) -> None:
    may_read(visit.person, Role.AUDITOR, Role.ADMIN)


def _values(query: Mapping[str, str]) -> dict[str, str]:
    return {name: query.get(name, "").strip()[:200] for name in _NAMES}


async def _filter(db: Database, values: Mapping[str, str]) -> tuple[history.Filter, dict[str, str]]:
    since, until, problems = since_until(values)
    plain: dict[str, Any] = {name: values[name] for name in _PLAIN}
    if values["request"]:
        try:
            plain["request"] = (await requests.load(db, values["request"])).id
        except Refused as error:
            problems["request"] = error.message
    return history.Filter(**plain, since=since, until=until), problems
