"""Tokens of scripts and agents: kept as a digest, with a human owner, scoped to asking and reading.

What a scope allows is the doors' to hold; no ``Scope`` approves, and the guard refuses every token besides (law 8).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import insert, select, update

from app.core.digest import sha256_hex
from app.core.errors import NotFound
from app.core.events import epoch, iso
from app.core.policy import Person
from app.store.engine import Database
from app.store.log import Tx, body_for
from app.store.people import persons
from app.store.secret import new_secret
from app.store.tables import PEOPLE, TOKENS


@dataclass(frozen=True, slots=True)
class Token:
    """A token as its owner sees it: all but the secret."""

    id: str
    name: str
    scopes: frozenset[str]
    created_at: float
    revoked_at: float | None


async def create(
    db: Database, owner: str, name: str, scopes: Iterable[str], *, token_id: str, by: str, at: float, event_id: str
) -> str:
    """Make a token of a person and return its secret, ``af_…``, which is told this once. The flow checks the scopes."""
    granted = sorted(set(scopes))
    secret = "af_" + new_secret()

    async def change(tx: Tx) -> None:
        data = {"token": token_id, "person": owner, "scopes": granted}
        await tx.record(body_for("token_created", data, event_id=event_id, at=at, by=by))
        row = {"id": token_id, "digest": sha256_hex(secret), "person": owner, "name": name}
        await tx.connection.execute(insert(TOKENS).values(**row, scopes=" ".join(granted), created_at=epoch(iso(at))))

    await db.write(change)
    return secret


async def owner_of(db: Database, secret: str) -> tuple[Person, frozenset[str]] | None:
    """Return a token's owner and scopes, None for anything that is no live token of an enabled person."""
    live = (TOKENS.c.digest == sha256_hex(secret), TOKENS.c.revoked_at.is_(None), PEOPLE.c.is_enabled)
    wanted = select(PEOPLE, TOKENS.c.scopes).join(TOKENS, TOKENS.c.person == PEOPLE.c.id).where(*live)
    async with db.read() as connection:
        row = (await connection.execute(wanted)).one_or_none()
        if row is None:
            return None
        (person,) = await persons(connection, [row])
    return person, frozenset(row.scopes.split())


async def revoke(db: Database, token_id: str, *, by: str, at: float, event_id: str) -> None:
    """End a token. One that has ended already stays ended."""

    async def change(tx: Tx) -> None:
        row = (await tx.connection.execute(select(TOKENS).where(TOKENS.c.id == token_id))).one_or_none()
        if row is None:
            raise NotFound("There is no such token.", code="no_such_token", next_step="Look at the list of tokens.")
        if row.revoked_at is None:
            data = {"token": token_id, "person": row.person}
            await tx.record(body_for("token_revoked", data, event_id=event_id, at=at, by=by))
            ended = update(TOKENS).where(TOKENS.c.id == token_id).values(revoked_at=epoch(iso(at)))
            await tx.connection.execute(ended)

    await db.write(change)


async def of_person(db: Database, person_id: str) -> list[Token]:
    """Return a person's tokens, newest first."""
    wanted = select(TOKENS).where(TOKENS.c.person == person_id).order_by(TOKENS.c.created_at.desc(), TOKENS.c.id)
    async with db.read() as connection:
        rows = (await connection.execute(wanted)).all()
    return [Token(row.id, row.name, frozenset(row.scopes.split()), row.created_at, row.revoked_at) for row in rows]
