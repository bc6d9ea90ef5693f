"""Requests: their events are the truth, their rows a projection written in the same transaction.

It decides nothing about what may happen next: ``core.lifecycle`` does, on the events as they stand in the log at that
moment, never on a row or on what a caller remembers. Keeps the database's half of law 6: (request, version) is unique,
so that of many racing clicks, workers or replicas one wins; and law 10: all is durable before anyone goes on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import exists, insert, select, update
from sqlalchemy import text as sql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core import lifecycle
from app.core.commitment import Text
from app.core.errors import Conflict, NotFound, Refused
from app.core.events import Asked, Event, RunStarted, body_of, event_of
from app.core.lifecycle import Request, State
from app.store import projection
from app.store.dialect import timed
from app.store.engine import Database
from app.store.log import Tx, body_in, canonical, id_is_used
from app.store.tables import AUDIT, DECISIONS, KEYS, REQUESTS, TEXTS


@dataclass(frozen=True, slots=True)
class Alive:
    """A request that has not ended, as its row tells of it. What is to be done with it its events say.

    ``seen_at`` is when the row was read, by the database's clock.
    """

    id: str
    version: int
    state: State
    host: str
    not_after: float
    seen_at: float


_ALIVE = "SELECT id, version, state, host, not_after, CLOCK FROM requests WHERE is_open ORDER BY seq"
_KEEP_WORD = sql("INSERT INTO words (word, seq) VALUES (:word, :seq) ON CONFLICT DO NOTHING")


async def create(
    db: Database, request_id: str, event: Asked, texts: Iterable[Text], *, key: str | None, key_digest: str
) -> Request:
    """Begin a request, or return the one that was begun with this key already.

    Raises Conflict ``key_reused`` where the key came with another question, ``already_asked`` where another request
    of the service is still open.
    """
    kept = list(texts)

    async def change(tx: Tx) -> Request:
        if key is not None and (known := await _asked_with(tx.connection, event.requester, key, key_digest)):
            return await _stored(tx.connection, known)
        body = {**body_of(event, request_id, 1), "service": event.service, "host": event.host}
        request = lifecycle.begin(request_id, _as_kept(body))
        if await tx.recorded(body) is not None:
            return await _stored(tx.connection, request_id)
        await _refuse_second(tx.connection, event.service)
        seq = await tx.record(body)
        await tx.keep(kept)
        await tx.connection.execute(insert(REQUESTS).values(projection.row_of(request, seq)))
        await _keep_words(tx.connection, seq, projection.reasons(event, kept))
        if key is not None:
            row = {"requester": event.requester, "key": key, "digest": key_digest, "request": request_id}
            await tx.connection.execute(insert(KEYS).values(row))
        return request

    return await db.write(change)


async def append(db: Database, request: Request, event: Event, texts: Iterable[Text] = ()) -> Request:
    """Write what happened to a request, and return it as it then stands; ``put`` says what else may come of it."""
    kept = list(texts)
    return await db.write(lambda tx: put(tx, request, event, kept))


async def put(tx: Tx, request: Request, event: Event, texts: Sequence[Text] = ()) -> Request:
    """Write what happened to a request as a part of another change.

    An event that is in the log already (its acknowledgement was lost) changes nothing. Raises Conflict ``too_late``
    where another event came first, IllegalEvent where the life cycle has no such step.
    """
    rows = await _rows(tx.connection, request.id)
    stored = _fold(request.id, rows)
    if repeated := next((row for row in rows if row["id"] == event.id), None):
        again = {**_body(request, event, repeated["version"]), "seq": repeated["seq"]}
        if canonical(again) != canonical(repeated):
            raise id_is_used(event.id)
        return stored
    if stored.version != request.version:
        raise too_late(stored)
    body = _body(stored, event, stored.version + 1)
    after = lifecycle.apply(stored, _as_kept(body))
    await tx.record(body)
    await tx.keep(texts)
    await _project(tx.connection, after, _as_kept(body), int(rows[0]["seq"]), texts)
    return after


async def load(db: Database, request_id: str) -> Request:
    """Fold a request from its events. A short id such as ``R-7F3K`` is taken too, where only one request has it."""
    async with db.read() as connection:
        return await _stored(connection, await _full_id(connection, request_id))


async def events(db: Database, request_id: str) -> list[Event]:
    """Return what happened to a request, in order."""
    async with db.read() as connection:
        return [event_of(row) for row in await _rows(connection, await _full_id(connection, request_id))]


async def start_number(db: Database, request_id: str) -> int:
    """Return the number in the audit log of a request's one start. Raises NotFound where it was never started."""
    async with db.read() as connection:
        rows = await _rows(connection, request_id)
    for row in rows:
        if row["type"] == RunStarted.type:
            return int(row["seq"])
    raise NotFound(
        f"The request {request_id} was never started.", code="not_started", next_step="Look for it in the history."
    )


async def knows(db: Database, requester: str, key: str) -> bool:
    """Whether something was asked with this key before."""
    async with db.read() as connection:
        return bool(await connection.scalar(select(exists().where(KEYS.c.requester == requester, KEYS.c.key == key))))


async def wanting(db: Database, states: Iterable[State]) -> list[str]:
    """Return the ids of the requests in these states, oldest first."""
    names = [str(state) for state in states]
    wanted = select(REQUESTS.c.id).where(REQUESTS.c.state.in_(names)).order_by(REQUESTS.c.seq)
    async with db.read() as connection:
        return list((await connection.scalars(wanted)).all())


async def alive(db: Database, now: float) -> list[Alive]:
    """Return what has not ended, oldest first: all that a worker needs to see what wants a step.

    The clock is read with the rows: each idle worker asks this every second. ``now`` is the asker's time.
    """
    async with db.read() as connection:
        run = await db.dialect.fast(connection)
        rows = await run(timed(db.dialect, _ALIVE), (now,))
    return [
        Alive(request_id, version, State(state), host, not_after, float(seen_at))
        for request_id, version, state, host, not_after, seen_at in rows
    ]


async def under_way(db: Database, host: str) -> set[str]:
    """Return the services of a host that a request is being proved, run or settled on: what they show changes now."""
    states = [str(state) for state in (State.OPEN, *lifecycle.ACTING)]
    wanted = select(REQUESTS.c.service).where(REQUESTS.c.host == host, REQUESTS.c.is_open, REQUESTS.c.state.in_(states))
    async with db.read() as connection:
        return set((await connection.scalars(wanted)).all())


async def alive_of(db: Database, service: str) -> str | None:
    """Return the id of the one request of a service that has not ended."""
    async with db.read() as connection:
        found: str | None = await connection.scalar(
            select(REQUESTS.c.id).where(REQUESTS.c.is_open, REQUESTS.c.service == service)
        )
    return found


async def inbox(db: Database) -> list[Request]:
    """Return every request that waits for a yes, oldest first."""
    ids = await wanting(db, [State.WAITING])
    async with db.read() as connection:
        loaded = [await _stored(connection, request_id) for request_id in ids]
    return [request for request in loaded if request.state is State.WAITING]


async def text(db: Database, commitment: str) -> str | None:
    """Return a text by its commitment, None where it was deleted."""
    return (await texts(db, [commitment])).get(commitment)


async def texts(db: Database, commitments: Iterable[str]) -> dict[str, str]:
    """Return texts by their commitments; one that was deleted is left out."""
    wanted = select(TEXTS.c.commitment, TEXTS.c.body).where(TEXTS.c.commitment.in_(list(commitments)))
    async with db.read() as connection:
        rows = (await connection.execute(wanted)).all()
    return {row.commitment: row.body.decode("utf-8", "surrogateescape") for row in rows}


def too_late(stored: Request) -> Conflict:
    """Return the refusal of an event that another one came before."""
    return Conflict(
        f"Somebody else was first: request {stored.short_id} is {stored.state} now.",
        code="too_late",
        next_step="Open the request again: it shows what holds now.",
    )


def _body(request: Request, event: Event, version: int) -> dict[str, Any]:
    return {**body_of(event, request.id, version), "service": request.service, "host": request.host}


def _as_kept(body: dict[str, Any]) -> Event:
    """Read the event as the log will give it back (its time rounded), so that row and log cannot differ."""
    return event_of(body_in(canonical(body)))


def _fold(request_id: str, rows: Sequence[dict[str, Any]]) -> Request:
    if not rows:
        raise NotFound(
            f"There is no request {request_id}.",
            code="no_such_request",
            next_step="Look for it in the history.",
        )
    return lifecycle.fold(request_id, (event_of(row) for row in rows))


async def _rows(connection: AsyncConnection, request_id: str) -> list[dict[str, Any]]:
    wanted = select(AUDIT.c.body).where(AUDIT.c.request == request_id).order_by(AUDIT.c.version)
    return [body_in(body) for body in (await connection.scalars(wanted)).all()]


async def _stored(connection: AsyncConnection, request_id: str) -> Request:
    return _fold(request_id, await _rows(connection, request_id))


async def _full_id(connection: AsyncConnection, request_id: str) -> str:
    if not request_id.upper().startswith("R-"):
        return request_id
    short = request_id.upper().removeprefix("R-")
    wanted = select(REQUESTS.c.id).where(REQUESTS.c.short == short).order_by(REQUESTS.c.seq.desc()).limit(5)
    found = (await connection.scalars(wanted)).all()
    if len(found) > 1:
        raise Refused(
            f"Several requests are called {request_id}: {', '.join(found)}.",
            code="ambiguous_id",
            next_step="Name one by its whole id.",
        )
    return found[0] if found else request_id


async def _asked_with(connection: AsyncConnection, requester: str, key: str, digest: str) -> str | None:
    wanted = select(KEYS.c.digest, KEYS.c.request).where(KEYS.c.requester == requester, KEYS.c.key == key)
    row = (await connection.execute(wanted)).one_or_none()
    if row is not None and row.digest != digest:
        raise Conflict(
            "This Idempotency-Key was used for another question.",
            code="key_reused",
            next_step="Repeat the first question unchanged, or use a new key.",
        )
    return row.request if row is not None else None


async def _refuse_second(connection: AsyncConnection, service: str) -> None:
    wanted = select(REQUESTS.c.id, REQUESTS.c.state).where(REQUESTS.c.service == service, REQUESTS.c.is_open)
    row = (await connection.execute(wanted)).first()
    if row is not None:
        raise Conflict(
            f"Request {row.id} for {service} is {row.state} already.",
            code="already_asked",
            next_step=f"Follow {lifecycle.short_id(row.id)}, or cancel it first.",
        )


async def _project(connection: AsyncConnection, after: Request, event: Event, seq: int, kept: Sequence[Text]) -> None:
    row = projection.row_of(after, seq)
    await connection.execute(update(REQUESTS).where(REQUESTS.c.id == after.id).values(row))
    if decision := projection.decision_of(after, event, seq):
        try:
            await connection.execute(insert(DECISIONS).values(decision))
        except IntegrityError as error:
            raise too_late(after) from error
    await _keep_words(connection, seq, projection.reasons(event, kept))


async def _keep_words(connection: AsyncConnection, seq: int, reasons: list[str]) -> None:
    if rows := [{"word": word, "seq": seq} for word in projection.words_of(" ".join(reasons))]:
        await connection.execute(_KEEP_WORD, rows)
