"""Keys that people enrolled, and what their browsers were asked to sign. The log has each key and who vouched for it.

Who may enrol, confirm and remove is the flow's to decide; here is only what must hold in the same transaction: a key is
enrolled once in all, confirmed once, and a challenge is answered once, within two minutes, by whom it was made for. A
key's name, its counter and its last use are in no event.
"""

from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from app.core.credential import Credential
from app.core.digest import sha256_hex
from app.core.errors import Conflict, NotFound, Refused
from app.core.events import epoch, iso
from app.core.policy import Kind
from app.store.engine import Database
from app.store.log import Tx, body_for
from app.store.tables import CHALLENGES, CREDENTIALS

CHALLENGE_SECONDS = 120.0
_MOST_CHALLENGES = 100


async def enrol(db: Database, credential: Credential, *, by: str, event_id: str) -> None:
    """Keep a new key. Raises Conflict ``key_taken`` where anybody has it already."""
    at = credential.enrolled_at

    async def change(tx: Tx) -> None:
        data = {"credential": credential.id, "fingerprint": credential.fingerprint}
        data |= {name: str(getattr(credential, name)) for name in ("person", "kind", "public_key")}
        await tx.record(body_for("credential_enrolled", data, event_id=event_id, at=at, by=by))
        known = {name: value for name, value in data.items() if name != "credential"}
        own = {"id": credential.id, "name": credential.name, "counter": credential.counter}
        try:
            await tx.connection.execute(insert(CREDENTIALS).values(**known, **own, enrolled_at=epoch(iso(at))))
        except IntegrityError as error:
            raise Conflict(
                "This key is enrolled already.", code="key_taken", next_step="Use another one, or remove it first."
            ) from error

    await db.write(change)


async def confirm(db: Database, credential_id: str, *, by: str, at: float, usable_at: float, event_id: str) -> None:
    """Write that somebody vouched for a key. Raises Conflict ``key_confirmed`` where somebody has."""

    async def change(tx: Tx) -> None:
        row = await _row(tx, credential_id)
        if row.confirmed_at is not None:
            raise Conflict("This key is confirmed already.", code="key_confirmed", next_step="Nothing is left to do.")
        data = {"credential": credential_id, "person": row.person, "fingerprint": row.fingerprint}
        data |= {"usable_at": iso(usable_at)}
        await tx.record(body_for("credential_confirmed", data, event_id=event_id, at=at, by=by))
        told = {"confirmed_by": by, "confirmed_at": epoch(iso(at)), "usable_at": epoch(iso(usable_at))}
        await tx.connection.execute(update(CREDENTIALS).where(CREDENTIALS.c.id == credential_id).values(**told))

    await db.write(change)


async def remove(db: Database, credential_id: str, *, by: str, at: float, event_id: str) -> None:
    """Take a key out; the log still has it."""

    async def change(tx: Tx) -> None:
        row = await _row(tx, credential_id)
        data = {"credential": credential_id, "person": row.person, "fingerprint": row.fingerprint}
        await tx.record(body_for("credential_removed", data, event_id=event_id, at=at, by=by))
        await tx.connection.execute(delete(CREDENTIALS).where(CREDENTIALS.c.id == credential_id))

    await db.write(change)


async def rename(db: Database, credential_id: str, name: str) -> None:
    """Give a key another name."""

    async def change(tx: Tx) -> None:
        await tx.connection.execute(update(CREDENTIALS).where(CREDENTIALS.c.id == credential_id).values(name=name))

    await db.write(change)


async def use(db: Database, credential_id: str, counter: int, at: float) -> None:
    """Note a use and the counter that the key showed. Raises Refused ``counter_back`` where another use was faster."""
    moved = (CREDENTIALS.c.counter < counter) | ((CREDENTIALS.c.counter == 0) & (counter == 0))

    async def change(tx: Tx) -> None:
        mine = update(CREDENTIALS).where(CREDENTIALS.c.id == credential_id, moved)
        if not (await tx.connection.execute(mine.values(counter=counter, used_at=at))).rowcount:
            raise Refused(
                "The key's counter did not go on: it, or a copy of it, was used meanwhile.",
                code="counter_back",
                next_step="Try again. If it happens again, remove this key and tell an admin.",
            )

    await db.write(change)


async def of(db: Database, person_id: str) -> list[Credential]:
    """Return a person's keys, oldest first."""
    return await _some(db, CREDENTIALS.c.person == person_id)


async def everybody(db: Database) -> list[Credential]:
    """Return all keys, oldest first."""
    return await _some(db, True)


async def by_id(db: Database, credential_id: str) -> Credential | None:
    """Return one key."""
    return next(iter(await _some(db, CREDENTIALS.c.id == credential_id)), None)


async def by_key(db: Database, fingerprint: str) -> Credential | None:
    """Return the key of a fingerprint."""
    return next(iter(await _some(db, CREDENTIALS.c.fingerprint == fingerprint)), None)


async def challenge(db: Database, challenge: str, *, purpose: str, bound_to: str, now: float) -> None:
    """Remember a challenge for two minutes. Raises Refused ``throttled`` where too many wait for the same."""

    async def change(tx: Tx) -> None:
        await tx.connection.execute(delete(CHALLENGES).where(CHALLENGES.c.made_at <= now - CHALLENGE_SECONDS))
        waiting = select(func.count()).select_from(CHALLENGES).where(CHALLENGES.c.bound_to == sha256_hex(bound_to))
        if (await tx.connection.scalar(waiting) or 0) >= _MOST_CHALLENGES:
            raise Refused("Too many attempts at once.", code="throttled", next_step="Try again in two minutes.")
        row = {"digest": sha256_hex(challenge), "purpose": purpose, "bound_to": sha256_hex(bound_to)}
        await tx.connection.execute(insert(CHALLENGES).values(**row, made_at=now))

    await db.write(change)


async def answered(db: Database, challenge: str, *, purpose: str, bound_to: str | None, now: float) -> None:
    """Take a challenge back, once. ``bound_to`` is None where whoever answers is not known yet.

    Raises Refused ``challenge`` for one that was never made, is used, is older than two minutes, or is another's.
    """
    wanted = [CHALLENGES.c.digest == sha256_hex(challenge), CHALLENGES.c.purpose == purpose]
    wanted += [CHALLENGES.c.made_at > now - CHALLENGE_SECONDS]
    wanted += [] if bound_to is None else [CHALLENGES.c.bound_to == sha256_hex(bound_to)]

    async def change(tx: Tx) -> bool:
        return bool((await tx.connection.execute(delete(CHALLENGES).where(*wanted))).rowcount)

    if not await db.write(change):
        raise Refused(
            "This answer is to a question that was not asked here, or not just now.",
            code="challenge",
            next_step="Try again on a fresh page: an answer counts once, for two minutes.",
        )


async def _some(db: Database, condition: Any) -> list[Credential]:
    wanted = select(CREDENTIALS).where(condition).order_by(CREDENTIALS.c.enrolled_at, CREDENTIALS.c.id)
    async with db.read() as connection:
        rows = (await connection.execute(wanted)).all()
    return [_credential(row) for row in rows]


def _credential(row: Any) -> Credential:
    values = row._asdict()
    del values["fingerprint"]
    return Credential(**{**values, "kind": Kind(row.kind)})


async def _row(tx: Tx, credential_id: str) -> Any:
    row = (await tx.connection.execute(select(CREDENTIALS).where(CREDENTIALS.c.id == credential_id))).one_or_none()
    if row is None:
        raise NotFound("There is no such key.", code="no_such_key", next_step="Look at the list of keys.")
    return row
