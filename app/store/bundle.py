"""Rows of the log and texts as they are stored, byte for byte, for whoever takes them elsewhere to check them."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Select, select

from app.core.commitment import Text
from app.core.errors import NotFound
from app.store.engine import Database
from app.store.log import body_in
from app.store.tables import AUDIT, PEOPLE, TEXTS

_KEY_EVENTS = ("credential_enrolled", "credential_confirmed", "credential_removed")


@dataclass(frozen=True, slots=True)
class LogRow:
    """One row of the log, as it is stored."""

    seq: int
    body: bytes
    prev: bytes
    hash: bytes


async def rows_of(db: Database, request_id: str) -> list[LogRow]:
    """Return a request's rows in order. Raises NotFound."""
    found = await _rows(db, select(AUDIT).where(AUDIT.c.request == request_id).order_by(AUDIT.c.version))
    if not found:
        raise NotFound(
            f"There is no request {request_id}.", code="no_such_request", next_step="Look for it in the history."
        )
    return found


async def rows_of_keys(db: Database, fingerprints: Iterable[str]) -> list[LogRow]:
    """Return the rows by which these keys were enrolled, confirmed and removed, in order."""
    wanted = set(fingerprints)
    if not wanted:
        return []
    every = await _rows(db, select(AUDIT).where(AUDIT.c.type.in_(_KEY_EVENTS)).order_by(AUDIT.c.seq))
    return [row for row in every if body_in(row.body)["data"]["fingerprint"] in wanted]


async def texts(db: Database, commitments: Iterable[str]) -> list[Text]:
    """Return texts with their salts; one that was deleted is left out."""
    wanted = select(TEXTS.c.salt, TEXTS.c.body).where(TEXTS.c.commitment.in_(list(commitments)))
    async with db.read() as connection:
        rows = (await connection.execute(wanted)).all()
    return [Text(row.salt, row.body.decode("utf-8", "surrogateescape")) for row in rows]


async def mails(db: Database, people: Iterable[str]) -> dict[str, str]:
    """Return the e-mail addresses of people, by their ids."""
    wanted = select(PEOPLE.c.id, PEOPLE.c.email).where(PEOPLE.c.id.in_(list(people)))
    async with db.read() as connection:
        return {row.id: row.email for row in (await connection.execute(wanted)).all()}


async def _rows(db: Database, wanted: Select[tuple[object, ...]]) -> list[LogRow]:
    async with db.read() as connection:
        return [LogRow(row.seq, row.body, row.prev, row.hash) for row in (await connection.execute(wanted)).all()]
