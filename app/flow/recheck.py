"""Looking again at what waits, without anybody asking: on the worker's own timer, and before a yes.

It decides nothing: what a look means for the request is ``watch.heed``'s, as for any other look. A host that does not
answer now changes nothing.
"""

from app.core.lifecycle import Request
from app.flow.ports import World
from app.flow.prove import look, remember
from app.flow.watch import gone_stale, heed
from app.store import proofs, requests, services


async def recheck(world: World, request: Request, *, unless_seen_in: float = 0.0) -> Request:
    """Take the proof again; a difference makes the request stale.

    No probe is made where anybody's look saw the service in the last ``unless_seen_in`` seconds: that one was heeded.
    """
    registry = await services.registry(world.db)
    if (stale := await gone_stale(world, request, registry)) is not None:
        return stale
    service = registry.service(request.service)
    assert service is not None  # noqa: S101 - gone_stale() has looked
    last = await proofs.proof(world.db, service.name)
    if last and not last.seen.unseen and 0.0 <= await world.time() - last.at < unless_seen_in:
        await heed(world, service.name)
        return await requests.load(world.db, request.id)
    await remember(world, await look(world, registry, service))
    return await requests.load(world.db, request.id)
