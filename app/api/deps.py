"""What the API's routes ask for: the world, and the person behind a token with the scope that a route needs.

A token comes in the header ``Authorization`` and nowhere else: in an address it would stay in logs, so it is refused
there, and a cookie is never read, so no page elsewhere can act through somebody's browser. There is no scope that
approves. Keeps law 8, with the guard in ``core.policy``.
"""

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request

from app.core.errors import Refused
from app.core.policy import Person, Role, Scope
from app.flow.ports import World
from app.store import tokens

_BEARER = HTTPBearer(
    scheme_name="token",
    description="A token of a person, `af_…`, made on the page Settings or by `askfirst token create`. "
    "Scope `read` reads; scope `ask` asks and cancels. No token approves.",
    auto_error=False,
)
_TOKEN_WORDS = frozenset({"token", "access_token", "api_key", "apikey", "authorization"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: a token's owner, who answers for what it does."""

    world: World
    person: Person
    secret: str = field(repr=False)

    async def is_still_let_in(self) -> bool:
        """Whether the token still lives, and its owner is enabled: what a long answer asks as it goes on."""
        return await tokens.owner_of(self.world.db, self.secret) is not None


def _caller(scope: Scope) -> Callable[..., Awaitable[Caller]]:
    async def caller(
        request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]
    ) -> Caller:
        refuse_tokens_in_the_address(request)
        world: World = request.app.state.world
        if credentials is None:
            raise Refused(
                "This needs a token.", code="no_token", next_step="Send the header Authorization: Bearer af_…"
            )
        found = await tokens.owner_of(world.db, credentials.credentials)
        if found is None:
            raise Refused(
                "This token is unknown, revoked, or its owner is disabled.",
                code="bad_token",
                next_step="Its owner makes a new one on the page Settings.",
            )
        person, scopes = found
        if scope not in scopes:
            raise Refused(
                f"This token is not scoped to {scope}.",
                code="scope",
                next_step=f"Its owner makes one with the scope {scope} on the page Settings.",
            )
        return Caller(world, person, credentials.credentials)

    return caller


def refuse_tokens_in_the_address(request: Request) -> None:
    """Raise Refused for a token in the address, and for a parameter that is there twice."""
    names = Counter(name.lower() for name, _ in request.query_params.multi_items())
    if _TOKEN_WORDS & set(names) or any(value.startswith("af_") for value in request.query_params.values()):
        raise Refused(
            "A token does not belong in an address: addresses are written to logs.",
            code="token_in_address",
            next_step="Revoke it, make a new one, and send that in the header Authorization.",
        )
    if twice := sorted(name for name, count in names.items() if count > 1):
        raise _sent_twice(twice[0])


async def refuse_twice_in_the_body(request: Request) -> None:
    """Raise Refused for a JSON object with a key twice: two readers would read two different things."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        for name, count in Counter(name for name, _ in pairs).items():
            if count > 1:
                raise _sent_twice(name)
        return dict(pairs)

    try:
        json.loads(await request.body(), object_pairs_hook=once)
    except ValueError:
        return  # the route's own reading says what is wrong with it


def may_audit(caller: Caller) -> None:
    """Raise Refused unless the person may read the audit log."""
    if not caller.person.roles & {Role.AUDITOR, Role.ADMIN}:
        raise Refused(
            "The audit log is for the roles auditor and admin.",
            code="role",
            next_step="An admin can give the role auditor on the page People.",
        )


def _sent_twice(name: str) -> Refused:
    return Refused(f"{name[:60]!r} was sent twice.", code="sent_twice", next_step="Send each field once.")


Reader = Annotated[Caller, Depends(_caller(Scope.READ))]
Asker = Annotated[Caller, Depends(_caller(Scope.ASK))]
