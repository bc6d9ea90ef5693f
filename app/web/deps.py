"""What routes ask for: who is visiting, and what they may see. It keeps no rule; roles are checked here only for
reading.

A signed-out reader is sent to sign in and comes back to the same page; a signed-out form goes back to the page it was
on."""

from typing import Annotated
from urllib.parse import quote, urlsplit

from fastapi import Depends
from starlette.requests import Request

from app.core.errors import Refused
from app.core.policy import Person, Role
from app.flow.ports import World
from app.store import sessions
from app.web.pages import Site, Visit
from app.web.security import SAFE


class SignInFirst(Exception):
    """Nobody is signed in, and the page needs somebody. ``path`` is where to return to."""

    def __init__(self, path: str) -> None:
        """Remember where the visitor wanted to go."""
        super().__init__(path)
        self.path = path


def world_of(request: Request) -> World:
    """Return the world that the application was started with."""
    world: World = request.app.state.world
    return world


async def visitor(request: Request) -> Visit | None:
    """Return the visit of whoever is signed in, None for others. Every page below it knows them."""
    world = world_of(request)
    site: Site = request.app.state.site
    secret = request.cookies.get(site.cookie, "")
    session = await sessions.person_of(world.db, secret, world.clock.now()) if secret else None
    visit = Visit(world, session, secret) if session else None
    request.state.visit = visit
    return visit


async def signed_in(request: Request, visit: Annotated[Visit | None, Depends(visitor)]) -> Visit:
    """Return the visit, or ask to sign in first."""
    if visit is None:
        raise SignInFirst(quote(_way_back(request), safe="/"))
    return visit


def local_path(text: str) -> str:
    """Return an address to return to, if it is a path on this site; else the inbox."""
    parts = urlsplit(text)
    is_local = text.startswith("/") and not text.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    is_plain = all(" " < character <= "~" and character != "\\" for character in text)
    return text if is_local and is_plain and len(text) <= 500 else "/"


def may_read(person: Person, *roles: Role) -> None:
    """Raise Refused unless the person has one of the roles."""
    if not person.roles & set(roles):
        names = " or ".join(str(role) for role in roles)
        raise Refused(
            f"This page is for the role {names}.", code="role", next_step="An admin can give it on the page People."
        )


def _way_back(request: Request) -> str:
    if request.method in SAFE:
        return request.url.path + (f"?{request.url.query}" if request.url.query else "")
    before = urlsplit(request.headers.get("referer", ""))
    return local_path(before.path or "/")


AnyVisitor = Annotated[Visit | None, Depends(visitor)]
SignedIn = Annotated[Visit, Depends(signed_in)]
AWorld = Annotated[World, Depends(world_of)]
