"""Accounts: who there is, with which roles and groups. Names, addresses and password hashes are never in the log.

Who may change whom is the flow's to decide; here is only what must hold in the same transaction: an address belongs to
one account, the first account is made once, and somebody stays admin. Who loses the right to sign in, or gets another
password, is out at once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, exists, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.digest import sha256_hex
from app.core.errors import Conflict, NotFound, Refused
from app.core.events import epoch, iso
from app.core.policy import Person, Role
from app.store.engine import Database
from app.store.log import Tx, body_for, body_in
from app.store.tables import AUDIT, BOOTSTRAP, GROUPS, PEOPLE, ROLES, SESSIONS, TOKENS


@dataclass(frozen=True, slots=True)
class Account:
    """A person with what only the account needs."""

    person: Person
    email: str
    created_at: float


async def add(
    db: Database,
    *,
    person_id: str,
    name: str,
    email: str,
    roles: Iterable[Role],
    groups: Iterable[str],
    password_hash: str | None,
    by: str,
    at: float,
    event_id: str,
    human: str | None = None,
    is_first: bool = False,
) -> Account:
    """Add an account; ``human`` is another account's human where it is the same being.

    Raises Conflict ``email_taken``, and with ``is_first`` (the bootstrap) ``is_set_up`` where there is anybody.
    """
    granted, joined, being = sorted(set(roles)), sorted(set(groups)), human or person_id

    async def change(tx: Tx) -> Account:
        if is_first and await tx.connection.scalar(select(exists(PEOPLE.select()))):
            raise Conflict("Askfirst is set up already.", code="is_set_up", next_step="Sign in.")
        data = {"person": person_id, "human": being, "roles": granted, "groups": joined}
        await tx.record(body_for("person_added", data, event_id=event_id, at=at, by=by))
        row = {"id": person_id, "human": being, "name": name, "email": plain(email), "is_enabled": True}
        try:
            added = insert(PEOPLE).values(**row, password_hash=password_hash, created_at=epoch(iso(at)))
            await tx.connection.execute(added)
        except IntegrityError as error:
            raise Conflict(
                f"There is an account for {email} already.", code="email_taken", next_step="Change that account."
            ) from error
        await _grant(tx.connection, person_id, granted, dict.fromkeys(joined, epoch(iso(at))))
        await tx.connection.execute(delete(BOOTSTRAP))
        return await _account(tx.connection, person_id)

    return await db.write(change)


async def set_rights(
    db: Database,
    person_id: str,
    *,
    roles: Iterable[Role],
    groups: Iterable[str],
    is_enabled: bool,
    by: str,
    at: float,
    event_id: str,
) -> Account:
    """Set an account's roles and groups, and whether it may sign in; a group that it stays in keeps its date.

    Raises Refused ``last_admin`` where nobody would be admin any more. A disabled account's sessions and tokens end.
    """
    granted, joined = sorted(set(roles)), sorted(set(groups))

    async def change(tx: Tx) -> Account:
        before = await _account(tx.connection, person_id)
        data = {"person": person_id, "roles": granted, "groups": joined, "is_enabled": is_enabled}
        await tx.record(body_for("rights_changed", data, event_id=event_id, at=at, by=by))
        since = {group: before.person.groups.get(group, epoch(iso(at))) for group in joined}
        await _grant(tx.connection, person_id, granted, since)
        await tx.connection.execute(update(PEOPLE).where(PEOPLE.c.id == person_id).values(is_enabled=is_enabled))
        await _refuse_without_admin(tx.connection)
        if not is_enabled:
            await tx.connection.execute(delete(SESSIONS).where(SESSIONS.c.person == person_id))
            ended = update(TOKENS).where(TOKENS.c.person == person_id, TOKENS.c.revoked_at.is_(None))
            await tx.connection.execute(ended.values(revoked_at=epoch(iso(at))))
        return await _account(tx.connection, person_id)

    return await db.write(change)


async def set_password_hash(
    db: Database, person_id: str, password_hash: str, *, by: str, at: float, event_id: str, session: str | None = None
) -> None:
    """Set the hash of an account's password; its sessions end. The log holds that it was set, and nothing of it.

    ``session`` is the secret of the one that it is set in: Refused ``session_over`` where that has ended by then.
    """

    async def change(tx: Tx) -> None:
        await _account(tx.connection, person_id)
        if session is not None and not await _is_open(tx.connection, session):
            raise Refused(
                "You were signed out meanwhile, so the password is as it was.",
                code="session_over",
                next_step="Sign in again. Where the password is not yours any more, an admin has set another one.",
            )
        await tx.record(body_for("password_set", {"person": person_id}, event_id=event_id, at=at, by=by))
        await tx.connection.execute(update(PEOPLE).where(PEOPLE.c.id == person_id).values(password_hash=password_hash))
        await tx.connection.execute(delete(SESSIONS).where(SESSIONS.c.person == person_id))

    await db.write(change)


async def password_hash_of(db: Database, person_id: str) -> str | None:
    """Return the hash of an account's password, None where it has none."""
    async with db.read() as connection:
        found: str | None = await connection.scalar(select(PEOPLE.c.password_hash).where(PEOPLE.c.id == person_id))
    return found


async def password_setters(db: Database) -> dict[str, set[str]]:
    """Return who has ever set the password of somebody else, by that person's id: the first one, too. The log tells."""
    found: dict[str, set[str]] = {}
    wanted = select(AUDIT.c.by, AUDIT.c.body).where(AUDIT.c.type.in_(("person_added", "password_set")))
    async with db.read() as connection:
        for row in (await connection.execute(wanted)).all():
            person = body_in(row.body)["data"]["person"]
            if person != row.by:
                found.setdefault(person, set()).add(row.by)
    return found


async def by_email(db: Database, email: str) -> Account | None:
    """Return the account of an address, however it is written."""
    async with db.read() as connection:
        return next(iter(await _accounts(connection, PEOPLE.c.email == plain(email))), None)


async def by_id(db: Database, person_id: str) -> Account | None:
    """Return one account."""
    async with db.read() as connection:
        return next(iter(await _accounts(connection, PEOPLE.c.id == person_id)), None)


async def everyone(db: Database) -> list[Account]:
    """Return all accounts, by name."""
    async with db.read() as connection:
        return await _accounts(connection, True)


async def names(db: Database) -> dict[str, str]:
    """Return each person's name by id."""
    async with db.read() as connection:
        return {row.id: row.name for row in (await connection.execute(select(PEOPLE.c.id, PEOPLE.c.name))).all()}


async def is_empty(db: Database) -> bool:
    """Whether there is nobody yet."""
    async with db.read() as connection:
        return not await connection.scalar(select(exists(PEOPLE.select())))


async def set_bootstrap_secret(db: Database, secret: str) -> None:
    """Let this secret, and only this one, open the first run's page."""

    async def change(tx: Tx) -> None:
        await tx.connection.execute(delete(BOOTSTRAP))
        await tx.connection.execute(insert(BOOTSTRAP).values(id=1, digest=sha256_hex(secret)))

    await db.write(change)


async def is_bootstrap_secret(db: Database, secret: str) -> bool:
    """Whether this secret opens the first run's page: never, once there is anybody."""
    known = select(BOOTSTRAP.c.id).where(BOOTSTRAP.c.digest == sha256_hex(secret), ~exists(PEOPLE.select()))
    async with db.read() as connection:
        return await connection.scalar(known) is not None


def plain(email: str) -> str:
    """Return an address as accounts are looked up by it."""
    return email.strip().casefold()


def person_of(row: Any, roles: Iterable[str], groups: Mapping[str, float]) -> Person:
    """Return the person of a row of ``people``."""
    return Person(row.id, row.name, row.human, frozenset(Role(role) for role in roles), dict(groups), row.is_enabled)


async def persons(connection: AsyncConnection, rows: Iterable[Any]) -> list[Person]:
    """Return the persons of some rows of ``people``, in their order, with roles and groups."""
    found = list(rows)
    ids = [row.id for row in found]
    roles: dict[str, set[str]] = {person_id: set() for person_id in ids}
    groups: dict[str, dict[str, float]] = {person_id: {} for person_id in ids}
    for row in (await connection.execute(select(ROLES).where(ROLES.c.person.in_(ids)))).all():
        roles[row.person].add(row.role)
    for row in (await connection.execute(select(GROUPS).where(GROUPS.c.person.in_(ids)))).all():
        groups[row.person][row.name] = row.joined_at
    return [person_of(row, roles[row.id], groups[row.id]) for row in found]


async def _accounts(connection: AsyncConnection, condition: Any) -> list[Account]:
    rows = (await connection.execute(select(PEOPLE).where(condition).order_by(PEOPLE.c.name, PEOPLE.c.id))).all()
    return [
        Account(person, row.email, row.created_at)
        for row, person in zip(rows, await persons(connection, rows), strict=True)
    ]


async def _account(connection: AsyncConnection, person_id: str) -> Account:
    found = await _accounts(connection, PEOPLE.c.id == person_id)
    if not found:
        raise NotFound("There is no such person.", code="no_such_person", next_step="Open the page People.")
    return found[0]


async def _is_open(connection: AsyncConnection, session: str) -> bool:
    wanted = select(SESSIONS.c.digest).where(SESSIONS.c.digest == sha256_hex(session))
    return await connection.scalar(wanted) is not None


async def _grant(connection: AsyncConnection, person: str, roles: list[Role], groups: Mapping[str, float]) -> None:
    await connection.execute(delete(ROLES).where(ROLES.c.person == person))
    await connection.execute(delete(GROUPS).where(GROUPS.c.person == person))
    for role in roles:
        await connection.execute(insert(ROLES).values(person=person, role=str(role)))
    for group, joined_at in groups.items():
        await connection.execute(insert(GROUPS).values(person=person, name=group, joined_at=joined_at))


async def _refuse_without_admin(connection: AsyncConnection) -> None:
    admins = select(func.count()).select_from(ROLES.join(PEOPLE, PEOPLE.c.id == ROLES.c.person))
    if not await connection.scalar(admins.where(ROLES.c.role == str(Role.ADMIN), PEOPLE.c.is_enabled)):
        raise Refused("This is the last admin.", code="last_admin", next_step="Make somebody else an admin first.")
