"""Hosts: what is registered, and what truly runs there now."""

from fastapi import APIRouter

from app.api import schemas, shapes
from app.api.deps import Reader
from app.api.replies import problems
from app.flow.discover import discover
from app.flow.limits import probes
from app.shapes import discovery as shape
from app.store import services

router = APIRouter(prefix="/hosts", tags=["hosts"])


@router.get("", responses=problems(), operation_id="listHosts")
async def everything(caller: Reader) -> schemas.HostList:
    """List every registered host."""
    registry = await services.registry(caller.world.db)
    return schemas.HostList(revision=registry.revision, hosts=[shapes.host(each, registry) for each in registry.hosts])


@router.get("/{name}/discovery", responses=problems(404, 429, 502), operation_id="discoverHost")
async def discovery(caller: Reader, name: str) -> shape.Discovery:
    """Look at a host now: every listening port and all that runs, who keeps it, and whether it is registered."""
    async with probes.turn(name, caller.person.id):
        return shape.discovery(await discover(caller.world, name))
