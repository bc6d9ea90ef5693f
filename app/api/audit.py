"""The audit log: pages of events, and an export of exactly what was filtered, with each row's own bytes and hashes."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import StreamingResponse

from app.api import filters, schemas, shapes
from app.api.deps import Caller, Reader, may_audit
from app.api.replies import problems
from app.store import history, requests
from app.store.engine import Database

router = APIRouter(prefix="/audit", tags=["audit"])
_MEDIA = {"jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8"}


def _auditor(caller: Reader) -> Caller:
    may_audit(caller)
    return caller


Auditor = Annotated[Caller, Depends(_auditor)]


@router.get("", responses=problems(404, 408, 409), operation_id="listEvents")
async def everything(caller: Auditor, wanted: Annotated[filters.AuditPageFilter, Query()]) -> schemas.AuditPage:
    """List events that fit, newest first. For the roles auditor and admin."""
    db = caller.world.db
    page = await history.page(db, await _filter(db, wanted), before=wanted.before, limit=wanted.limit)
    return schemas.AuditPage(entries=[shapes.entry(each) for each in page.rows], before=page.before)


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={
        **problems(404, 409),
        200: {
            "description": "One event a line, newest first.",
            "content": {kind.partition(";")[0]: {"schema": {"type": "string"}} for kind in _MEDIA.values()},
        },
    },
    operation_id="exportEvents",
)
async def export(caller: Auditor, wanted: Annotated[filters.AuditExportFilter, Query()]) -> StreamingResponse:
    """Export every event that fits, as JSON lines (with the bytes and hashes of each row) or CSV."""
    given = {"jsonl": history.events_as_json_lines, "csv": history.events_as_csv}
    db = caller.world.db
    lines: AsyncIterator[str] = given[wanted.format](db, await _filter(db, wanted))
    name = f'attachment; filename="askfirst-audit.{wanted.format}"'
    return StreamingResponse(lines, media_type=_MEDIA[wanted.format], headers={"Content-Disposition": name})


async def _filter(db: Database, wanted: filters.AuditFilter) -> history.Filter:
    return history.Filter(
        type=wanted.type,
        by=wanted.by,
        request=(await requests.load(db, wanted.request)).id if wanted.request else "",
        service=wanted.service,
        host=wanted.host,
        since=wanted.since.timestamp() if wanted.since else None,
        until=wanted.until.timestamp() if wanted.until else None,
    )
