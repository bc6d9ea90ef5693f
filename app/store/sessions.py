"""Signed-in browsers, and the count of failed sign-ins. Of a session's secret only the digest is kept.

A session ends by sign-out, after 12 hours without a request, after 7 days whatever happens, and at once where its
person is disabled or gets another password. Nothing is cached: the row is read at each request, so an ended session is
dead everywhere at once.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, exists, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.digest import sha256_hex
from app.core.errors import Broken, Refused
from app.core.policy import Person
from app.store.engine import Database
from app.store.log import Tx, body_for
from app.store.people import persons
from app.store.secret import new_secret
from app.store.tables import ATTEMPTS, CREDENTIALS, PEOPLE, SESSIONS

IDLE_SECONDS = 12 * 3600.0
LONGEST_SECONDS = 7 * 86_400.0
_SEEN_EVERY_SECONDS = 300.0
# Five mistakes are anybody's; from then on each doubles the wait, up to a quarter of an hour.
_FREE_FAILURES = 5
_LONGEST_WAIT = 900.0
_FORGOTTEN_AFTER = 86_400.0


@dataclass(frozen=True, slots=True)
class Session:
    """A live session. ``signed_in_at`` is when its person last proved who they are; ``csrf`` goes into each form."""

    person: Person
    signed_in_at: float
    csrf: str


async def open_session(
    db: Database, person_id: str, now: float, *, event_id: str, password_hash: str | None = None, key: str = ""
) -> str | None:
    """Open a session and return its secret, which is told this once.

    ``password_hash`` is what the password was found to fit, ``key`` the fingerprint of a passkey. To look takes its
    time, so it counts here whether they are still this person's: None where they are not, or the person is disabled.
    """
    secret = new_secret()
    data = {"key": key} if key else {}
    still = [PEOPLE.c.id == person_id, PEOPLE.c.is_enabled]
    still += [] if password_hash is None else [PEOPLE.c.password_hash == password_hash]
    owned = (CREDENTIALS.c.person == person_id) & (CREDENTIALS.c.fingerprint == key)
    still += [exists(CREDENTIALS.select().where(owned))] if key else []

    async def change(tx: Tx) -> str | None:
        if await tx.connection.scalar(select(PEOPLE.c.id).where(*still)) is None:
            return None
        await tx.record(body_for("signed_in", data, event_id=event_id, at=now, by=person_id))
        times = {"opened_at": now, "seen_at": now, "signed_in_at": now}
        await tx.connection.execute(insert(SESSIONS).values(digest=sha256_hex(secret), person=person_id, **times))
        await tx.connection.execute(delete(SESSIONS).where(~_alive(now)))
        return secret

    return await db.write(change)


async def person_of(db: Database, secret: str, now: float) -> Session | None:
    """Return the live session of a secret, None for anything else."""
    digest = sha256_hex(secret)
    live = (SESSIONS.c.digest == digest, _alive(now), PEOPLE.c.is_enabled)
    wanted = select(PEOPLE, SESSIONS.c.seen_at, SESSIONS.c.signed_in_at).join(
        SESSIONS, SESSIONS.c.person == PEOPLE.c.id
    )
    async with db.read() as connection:
        row = (await connection.execute(wanted.where(*live))).one_or_none()
        if row is None:
            return None
        (person,) = await persons(connection, [row])
    if now - row.seen_at > _SEEN_EVERY_SECONDS:
        # A full disk, or a server that only reads, hides no page: unseen, the session ends earlier and never later.
        with suppress(Broken, Refused):
            await db.write(lambda tx: _touch(tx.connection, digest, now))
    return Session(person, row.signed_in_at, sha256_hex("csrf:" + secret))


async def close(db: Database, secret: str) -> None:
    """End a session."""
    await db.write(lambda tx: _end(tx.connection, SESSIONS.c.digest, sha256_hex(secret)))


async def close_all(db: Database, person_id: str) -> None:
    """End every session of a person."""
    await db.write(lambda tx: _end(tx.connection, SESSIONS.c.person, person_id))


async def step_up(db: Database, secret: str, now: float) -> bool:
    """Note that the session's person has just proved again who they are. False where the session ended meanwhile."""
    renewed = update(SESSIONS).where(SESSIONS.c.digest == sha256_hex(secret)).values(signed_in_at=now, seen_at=now)

    async def change(tx: Tx) -> bool:
        return bool((await tx.connection.execute(renewed)).rowcount)

    return await db.write(change)


async def attempt(db: Database, keys: Iterable[str], now: float) -> float:
    """Begin a sign-in: return the seconds to wait before one is allowed, or 0.0.

    Then it counts as failed for every key (an account, a network address) until ``forget_failures``: a hundred guesses
    at the same moment are a hundred, not one.
    """
    digests = [sha256_hex(key) for key in keys]

    async def change(tx: Tx) -> float:
        await tx.connection.execute(delete(ATTEMPTS).where(ATTEMPTS.c.last_at < now - _FORGOTTEN_AFTER))
        wanted = select(ATTEMPTS).where(ATTEMPTS.c.key.in_(digests))
        failed = {row.key: row for row in (await tx.connection.execute(wanted)).all()}
        wait = max((_wait(row.failures, row.last_at, now) for row in failed.values()), default=0.0)
        if wait > 0:
            return wait
        for key in digests:
            if key in failed:
                counted = {"failures": failed[key].failures + 1, "last_at": now}
                await tx.connection.execute(update(ATTEMPTS).where(ATTEMPTS.c.key == key).values(counted))
            else:
                await tx.connection.execute(insert(ATTEMPTS).values(key=key, failures=1, last_at=now))
        return 0.0

    return await db.write(change)


async def forget_failures(db: Database, keys: Iterable[str]) -> None:
    """Forget the failures of these keys: one of the guesses was right."""
    digests = [sha256_hex(key) for key in keys]

    async def change(tx: Tx) -> None:
        await tx.connection.execute(delete(ATTEMPTS).where(ATTEMPTS.c.key.in_(digests)))

    await db.write(change)


def _wait(failures: int, last_at: float, now: float) -> float:
    doublings = min(failures - _FREE_FAILURES, 10)
    pause = 0.0 if doublings < 0 else min(_LONGEST_WAIT, 2.0**doublings)
    return max(0.0, min(pause, last_at + pause - now))


def _alive(now: float) -> ColumnElement[bool]:
    return (SESSIONS.c.seen_at > now - IDLE_SECONDS) & (SESSIONS.c.opened_at > now - LONGEST_SECONDS)


async def _touch(connection: AsyncConnection, digest: str, now: float) -> None:
    await connection.execute(update(SESSIONS).where(SESSIONS.c.digest == digest).values(seen_at=now))


async def _end(connection: AsyncConnection, column: ColumnElement[str], value: str) -> None:
    await connection.execute(delete(SESSIONS).where(column == value))
