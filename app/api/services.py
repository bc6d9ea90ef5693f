"""Services: what is registered, what was last proved of it, and a proof now."""

from collections.abc import Mapping

from fastapi import APIRouter

from app.api import schemas, shapes
from app.api.deps import Reader
from app.api.replies import problems
from app.core.registry import Registry
from app.core.service import Service
from app.flow.freshness import worth_of
from app.flow.limits import probes
from app.flow.named import service_named
from app.flow.ports import World
from app.flow.prove import look, remember
from app.shapes.verification import Verification, verification
from app.store import proofs, services
from app.store.proofs import Proof

router = APIRouter(prefix="/services", tags=["services"])


@router.get("", responses=problems(), operation_id="listServices")
async def everything(caller: Reader) -> schemas.ServiceList:
    """List every registered service with its last proof."""
    registry = await services.registry(caller.world.db)
    known = await proofs.proofs(caller.world.db)
    return schemas.ServiceList(
        revision=registry.revision,
        services=[_shown(caller.world, each, registry, known) for each in registry.services],
    )


@router.get("/{name}", responses=problems(404), operation_id="getService")
async def one(caller: Reader, name: str) -> schemas.Service:
    """Show one service. The name is exact; like names come back as a question."""
    registry = await services.registry(caller.world.db)
    known = await proofs.proofs(caller.world.db)
    return _shown(caller.world, service_named(registry, name), registry, known)


@router.post("/{name}/verify", responses=problems(404, 429), operation_id="verifyService")
async def verify(caller: Reader, name: str) -> Verification:
    """Let the host prove the claim now. Asks nobody and changes nothing; a host that gives no answer is a verdict."""
    registry = await services.registry(caller.world.db)
    service = service_named(registry, name)
    async with probes.turn(service.host, caller.person.id):
        seen = await look(caller.world, registry, service)
    await remember(caller.world, seen)
    return verification(service.name, seen.evidence())


def _shown(world: World, entry: Service, registry: Registry, known: Mapping[str, Proof]) -> schemas.Service:
    proof = known.get(entry.name)
    return shapes.service(entry, registry, proof, worth_of(world, proof))
