"""The demo's people, and what its database holds before the first page is opened: the registry, each claim proved once.

Passwords are made for each demo and printed; they open nothing else.
"""

from dataclasses import dataclass

from app.cli import claims
from app.cli.fleet import Fleet
from app.cli.user import made_password
from app.core.policy import Role, Scope
from app.flow import people, prove
from app.flow import registry as changing
from app.flow.ports import World
from app.store import services
from app.store.people import Account


@dataclass(frozen=True, slots=True)
class SignIn:
    """One person of the demo."""

    part: str
    name: str
    email: str
    password: str


@dataclass(frozen=True, slots=True)
class Cast:
    """Everybody, and the token with which the engineer's scripts ask."""

    engineer: SignIn
    approver: SignIn
    auditor: SignIn
    token: str


async def prepare(world: World, fleet: Fleet) -> Cast:
    """Add the people and the registry, and let the hosts prove every claim once."""
    engineer, ada = await _add(world, "engineer", "Ada", {Role.REQUESTER, Role.EDITOR})
    approver, _ = await _add(world, "approver", "Bo", {Role.APPROVER, Role.ADMIN}, claims.GROUP)
    auditor, _ = await _add(world, "auditor", "Cy", {Role.AUDITOR})
    await changing.change(world, ada.person, claims.registry(fleet))
    registry = await services.registry(world.db)
    for host in registry.hosts:
        for seen in await prove.look_all(world, registry, host.name):
            await prove.remember(world, seen)
    token = await people.create_token(world, ada.person, "the engineer's script", Scope)
    return Cast(engineer, approver, auditor, token)


async def _add(world: World, part: str, name: str, roles: set[Role], *groups: str) -> tuple[SignIn, Account]:
    sign_in = SignIn(part, name, f"{name.lower()}@example.org", made_password())
    account = await people.add_as_operator(
        world, name=name, email=sign_in.email, roles=roles, groups=groups, password=sign_in.password
    )
    return sign_in, account
