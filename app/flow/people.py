"""People: signing in, the first admin, and who may change whom.

It checks passwords through ``identity`` and keeps accounts through ``store``; it approves nothing. A wrong password
and an unknown name cost the same time and give the same answer.
"""

import asyncio
import re
from collections.abc import Iterable

from app.core.errors import Refused
from app.core.policy import Person, Role, Scope
from app.core.service import NAME
from app.flow.ids import new_id
from app.flow.ports import World
from app.identity.passwords import hash_password, verify_password
from app.store import people, sessions, tokens
from app.store.people import Account
from app.store.secret import new_secret

SHORTEST_PASSWORD = 12
_EMAIL = re.compile(r"[!-?A-~]{1,64}(?:@[A-Za-z0-9.-]{1,190})?")


async def sign_in(world: World, email: str, password: str, address: str) -> str:
    """Return a new session's secret. Raises Refused, the same for a wrong password and an unknown name."""
    now = world.clock.now()
    keys = (f"person:{people.plain(email)}", f"address:{address}")
    await not_too_often(world, keys, now)
    account = await people.by_email(world.db, email)
    stored = await people.password_hash_of(world.db, account.person.id) if account else None
    is_right = await asyncio.to_thread(verify_password, stored, password)
    secret = None
    if account is not None and is_right:
        secret = await sessions.open_session(
            world.db, account.person.id, await world.time(), event_id=new_id(now), password_hash=stored
        )
    if secret is None:
        raise Refused(
            "The name or the password is wrong.", code="sign_in_refused", next_step="An admin can set a new password."
        )
    await sessions.forget_failures(world.db, keys)
    return secret


async def prove_again(world: World, secret: str, who: Person, password: str) -> None:
    """Renew the step-up of a session. Raises Refused where the password is wrong, or the session ended meanwhile."""
    now = world.clock.now()
    keys = (f"person:{who.id}",)
    await not_too_often(world, keys, now)
    stored = await people.password_hash_of(world.db, who.id)
    is_right = await asyncio.to_thread(verify_password, stored, password)
    # Who sets a password ends the sessions with it: one that is still there was proved by what holds now.
    if not is_right or not await sessions.step_up(world.db, secret, await world.time()):
        raise Refused("The password is wrong.", code="password_wrong", next_step="Enter your own password once more.")
    await sessions.forget_failures(world.db, keys)


async def not_too_often(world: World, keys: tuple[str, ...], now: float) -> None:
    """Count an attempt before it is looked at, so that guesses side by side are counted too."""
    if (wait := await sessions.attempt(world.db, keys, now)) > 0:
        raise Refused(
            "Too many attempts to sign in.", code="throttled", next_step=f"Try again in {int(wait) + 1} seconds."
        )


async def bootstrap(world: World, *, name: str, email: str, password: str) -> Account:
    """Make the first person, with every role. Raises Conflict where there is somebody already."""
    everything = frozenset(Role)
    return await _add(
        world, "setup", name=name, email=email, roles=everything, groups=("admins",), password=password, is_first=True
    )


async def setup_link(world: World, base_url: str) -> str | None:
    """Return a fresh one-time link for making the first person, None where there is somebody. Older links end."""
    if not await people.is_empty(world.db):
        return None
    secret = new_secret()
    await people.set_bootstrap_secret(world.db, secret)
    return f"{base_url}/setup/{secret}"


async def create_token(world: World, by: Person, name: str, scopes: Iterable[str]) -> str:
    """Make a token of one's own, for a script or an agent, and return its secret, which is shown only now."""
    now = world.clock.now()
    wanted = frozenset(scopes)
    if not wanted or not wanted <= frozenset(Scope):
        raise Refused("A token may ask or read.", code="bad_token_scope", next_step="Choose ask, read, or both.")
    if not 0 < len(name.strip()) <= 100:
        raise Refused("The token has no name.", code="no_name", next_step="Name what will use it.")
    return await tokens.create(
        world.db, by.id, name.strip(), wanted, token_id=new_id(now), by=by.id, at=now, event_id=new_id(now)
    )


async def revoke_token(world: World, by: Person, token_id: str) -> None:
    """End a token: its owner may, and an admin."""
    if token_id not in {token.id for token in await tokens.of_person(world.db, by.id)}:
        _admin(by)
    now = world.clock.now()
    await tokens.revoke(world.db, token_id, by=by.id, at=now, event_id=new_id(now))


async def add(
    world: World, by: Person, *, name: str, email: str, roles: Iterable[Role], groups: Iterable[str], password: str
) -> Account:
    """Add a person. Only an admin may."""
    _admin(by)
    return await _add(
        world, by.id, name=name, email=email, roles=frozenset(roles), groups=tuple(groups), password=password
    )


async def add_as_operator(
    world: World, *, name: str, email: str, roles: Iterable[Role], groups: Iterable[str], password: str
) -> Account:
    """Add a person from the machine itself: whoever may write the database file is trusted with it."""
    return await _add(
        world, "operator", name=name, email=email, roles=frozenset(roles), groups=tuple(groups), password=password
    )


def operator() -> Person:
    """Return whoever works at the machine itself and may write the database file: trusted, and named in the log."""
    return Person("operator", "the operator", "operator", frozenset({Role.EDITOR, Role.ADMIN}))


async def set_rights(
    world: World, by: Person, person_id: str, roles: Iterable[Role], groups: Iterable[str], *, is_enabled: bool
) -> None:
    """Set a person's roles, groups and whether they may sign in. An admin may; the store keeps the last admin."""
    _admin(by)
    now = world.clock.now()
    await people.set_rights(
        world.db,
        person_id,
        roles=roles,
        groups=_groups(groups),
        is_enabled=is_enabled,
        by=by.id,
        at=now,
        event_id=new_id(now),
    )


async def set_password(world: World, by: Person, person_id: str, password: str, session: str | None = None) -> None:
    """Set a password: one's own, or as an admin anybody's. Every session of that person ends.

    Of two at once the first one holds, where the other is set in a ``session`` (its secret), which has ended then.
    """
    if by.id != person_id:
        _admin(by)
    hashed = await asyncio.to_thread(hash_password, _password(password))
    now = world.clock.now()
    await people.set_password_hash(world.db, person_id, hashed, by=by.id, at=now, event_id=new_id(now), session=session)


async def _add(
    world: World,
    by: str,
    *,
    name: str,
    email: str,
    roles: frozenset[Role],
    groups: tuple[str, ...],
    password: str,
    is_first: bool = False,
) -> Account:
    email, name = email.strip().lower(), name.strip() or email.strip()
    if not _EMAIL.fullmatch(email) or len(name) > 200:
        raise Refused(
            "That is no e-mail address and no sign-in name.",
            code="bad_email",
            next_step="Write it as name@example.org.",
        )
    if not roles:
        raise Refused("No role was given.", code="no_role", next_step="Give at least one role.")
    hashed = await asyncio.to_thread(hash_password, _password(password))
    now = world.clock.now()
    return await people.add(
        world.db,
        person_id=new_id(now),
        name=name,
        email=email,
        roles=roles,
        groups=_groups(groups),
        password_hash=hashed,
        is_first=is_first,
        by=by,
        at=now,
        event_id=new_id(now),
    )


def _groups(groups: Iterable[str]) -> frozenset[str]:
    wanted = frozenset(groups)
    if bad := sorted(group for group in wanted if not NAME.fullmatch(group)):
        raise Refused(f"{bad[0]!r} is no group's name.", code="bad_group", next_step="Use 1 to 40 of a-z, 0-9 and '-'.")
    return wanted


def _password(password: str) -> str:
    if not SHORTEST_PASSWORD <= len(password) <= 1000:
        raise Refused(
            f"A password has at least {SHORTEST_PASSWORD} characters.",
            code="password_short",
            next_step="Use a longer one; a sentence is fine.",
        )
    return password


def _admin(by: Person) -> None:
    if not by.is_enabled or Role.ADMIN not in by.roles:
        raise Refused(
            "Only an admin may do this.", code="not_admin", next_step="Ask an admin; the page People lists them."
        )
