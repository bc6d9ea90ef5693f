"""Looking up what the registry holds by its exact name. A like name is a question, and never taken."""

import difflib

from app.core.errors import NotFound
from app.core.registry import Registry
from app.core.service import Host, Service


def service_named(registry: Registry, name: str) -> Service:
    """Return the service of exactly this name. Raises NotFound, with like names as a question."""
    service = registry.service(name)
    if service is not None:
        return service
    near = difflib.get_close_matches(name, [each.name for each in registry.services], n=3)
    question = f"Did you mean {' or '.join(near)}?" if near else "The page Services lists all that are registered."
    raise NotFound(f"There is no service {name[:60]!r} in the registry.", code="no_such_service", next_step=question)


def host_named(registry: Registry, name: str) -> Host:
    """Return the host of exactly this name. Raises NotFound."""
    host = registry.host(name)
    if host is None:
        raise NotFound(
            f"There is no host {name[:60]!r} in the registry.",
            code="no_such_host",
            next_step="The page Hosts lists all that are registered; an editor adds one.",
        )
    return host
