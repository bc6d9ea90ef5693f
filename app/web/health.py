"""For machines: is it alive, is it ready, and a few numbers. It says nothing about any service, host or person.

``/healthz`` asks nothing of the store; ``/readyz`` does, and fails where the worker of this process has ended
or the disk is full.
"""

from collections import Counter

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse

from app.core.errors import AskfirstError
from app.core.lifecycle import ENDED, State
from app.flow.freshness import summary
from app.flow.ports import World
from app.store import freezes, requests

router = APIRouter(include_in_schema=False)
_METRICS = "text/plain; version=0.0.4"


@router.get("/healthz")
async def alive() -> PlainTextResponse:
    """Answer, which is all that is asked."""
    return PlainTextResponse("ok\n")


@router.get("/readyz")
async def ready(request: Request) -> PlainTextResponse:
    """Say whether requests can be served: the store answers and has room, and the worker lives."""
    world: World = request.app.state.world
    worker = getattr(request.app.state, "worker", None)
    if worker is not None and worker.done():
        return PlainTextResponse("the worker has ended\n", 503)
    try:
        await requests.alive(world.db, world.clock.now())
    except AskfirstError as error:
        return PlainTextResponse(f"{error.outside}\n", 503)
    if world.db.is_full:
        return PlainTextResponse("the disk that holds the database is full\n", 503)
    return PlainTextResponse("ready\n")


@router.get("/metrics")
async def metrics(request: Request) -> PlainTextResponse:
    """Give the numbers of what has not ended, as Prometheus reads them."""
    world: World = request.app.state.world
    counts = Counter(each.state for each in await requests.alive(world.db, world.clock.now()))
    proved = await summary(world)
    lines = [
        "# HELP askfirst_requests Requests that have not ended, by state.",
        "# TYPE askfirst_requests gauge",
        *(f'askfirst_requests{{state="{state}"}} {counts[state]}' for state in State if state not in ENDED),
        "# HELP askfirst_freezes Freezes that hold now.",
        "# TYPE askfirst_freezes gauge",
        f"askfirst_freezes {len(await freezes.current(world.db))}",
        "# HELP askfirst_services Registered services, by what their last proof is worth now.",
        "# TYPE askfirst_services gauge",
        *(f'askfirst_services{{freshness="{each}"}} {count}' for each, count in proved.counts.items()),
        "# HELP askfirst_oldest_proof_seconds How long ago the service that waits longest was proved.",
        "# TYPE askfirst_oldest_proof_seconds gauge",
        f"askfirst_oldest_proof_seconds {proved.oldest_seconds:.0f}",
    ]
    return PlainTextResponse("\n".join(lines) + "\n", media_type=_METRICS)
