"""The registry's entries, and the proposals that wait for a second editor. What was proved of them is in ``proofs``.

Whether a change makes sense, and who may make or confirm it, is decided by the flow; here a change is only made whole
or not at all, and only on the revision that it was planned on.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import delete, insert, select, update
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.errors import Conflict, NotFound
from app.core.events import epoch, iso
from app.core.registry import Change, Registry
from app.store.engine import Database
from app.store.entries import change_dict, change_of, entry_dict, entry_of
from app.store.log import Tx, body_for, canonical
from app.store.proofs import forget
from app.store.rebuild import canonical_list
from app.store.tables import AUDIT, PROPOSALS, REGISTRY, REVISION, TEXTS
from app.store.writer import Writer


@dataclass(frozen=True, slots=True)
class Proposal:
    """Changes that wait for a second editor. ``state`` is waiting, confirmed or withdrawn."""

    id: str
    by: str
    at: float
    base_revision: int
    changes: tuple[Change, ...]
    state: str
    decided_by: str | None
    decided_at: float | None
    note: str


_PROPOSALS = select(PROPOSALS, TEXTS.c.body.label("note")).select_from(
    PROPOSALS.outerjoin(TEXTS, TEXTS.c.commitment == PROPOSALS.c.note_text)
)


# Which registry stands there. A revision alone may come twice: a failover loses a change, and another takes its number.
_STAND = select(
    REVISION.c.revision,
    select(AUDIT.c.hash)
    .where(AUDIT.c.type == "registry_changed")
    .order_by(AUDIT.c.seq.desc())
    .limit(1)
    .scalar_subquery(),
)
# The last registry read from each open database: a large one takes far longer to read than to ask which it is.
_LAST: WeakKeyDictionary[Writer, tuple[tuple[Any, ...], Registry]] = WeakKeyDictionary()


async def registry(db: Database) -> Registry:
    """Return the registry as it stands."""
    async with db.read() as connection:
        stand = tuple((await connection.execute(_STAND)).one())
        known = _LAST.get(db.writer)
        if known is None or known[0] != stand:
            known = _LAST[db.writer] = (stand, await _registry(connection))
        return known[1]


async def apply(
    db: Database,
    changes: Sequence[Change],
    *,
    by: str,
    at: float,
    event_id: str,
    base_revision: int,
    proposal_id: str | None = None,
) -> Registry:
    """Make changes that were planned on one revision, all or none, and with them confirm the proposal they are from.

    Raises Conflict ``registry_moved`` where the registry is another by now, ``proposal_decided``.
    """
    data = {
        "revision": base_revision + 1,
        "changes": [change_dict(each) for each in changes],
        "proposal": proposal_id,
    }
    body = body_for("registry_changed", data, event_id=event_id, at=at, by=by)

    async def change(tx: Tx) -> Registry:
        current = await _registry(tx.connection)
        if not changes or await tx.recorded(body) is not None:
            return current
        entries = {(kind, name): entry for kind, name, entry in current.entries()}
        if current.revision != base_revision or any(
            entries.get((each.kind, each.name)) != each.before for each in changes
        ):
            raise _moved()
        if proposal_id is not None:
            await _decide(tx.connection, proposal_id, "confirmed", by, at)
        await tx.record(body)
        for each in changes:
            await _write_entry(tx.connection, each, base_revision + 1)
        await tx.connection.execute(update(REVISION).values(revision=base_revision + 1))
        return await _registry(tx.connection)

    return await db.write(change)


async def propose(
    db: Database,
    changes: Sequence[Change],
    *,
    proposal_id: str,
    by: str,
    at: float,
    event_id: str,
    base_revision: int,
    note: str = "",
) -> Proposal:
    """Keep changes until a second editor confirms them. ``note`` tells that editor why."""
    written = [change_dict(each) for each in changes]

    async def change(tx: Tx) -> Proposal:
        if await tx.connection.scalar(select(REVISION.c.revision)) != base_revision:
            raise _moved()
        kept = await tx.keep_words(note)
        data = {"proposal": proposal_id, "base_revision": base_revision, "changes": written, "note_text": kept}
        await tx.record(body_for("registry_proposed", data, event_id=event_id, at=at, by=by))
        row = {"id": proposal_id, "by": by, "at": epoch(iso(at)), "base_revision": base_revision, "note_text": kept}
        changes_json = canonical_list(written)
        await tx.connection.execute(insert(PROPOSALS).values(**row, changes=changes_json, state="waiting"))
        return await _proposal(tx.connection, proposal_id)

    return await db.write(change)


async def proposals(db: Database) -> list[Proposal]:
    """Return the proposals that wait, oldest first."""
    wanted = _PROPOSALS.where(PROPOSALS.c.state == "waiting").order_by(PROPOSALS.c.at, PROPOSALS.c.id)
    async with db.read() as connection:
        return [_proposal_of(row) for row in (await connection.execute(wanted)).all()]


async def proposal(db: Database, proposal_id: str) -> Proposal:
    """Return one proposal, decided or not. Raises NotFound."""
    async with db.read() as connection:
        return await _proposal(connection, proposal_id)


async def withdraw(db: Database, proposal_id: str, *, by: str, at: float, event_id: str) -> Proposal:
    """Take a proposal back, or turn it down. Raises Conflict where it is decided already."""

    async def change(tx: Tx) -> Proposal:
        body = body_for("proposal_withdrawn", {"proposal": proposal_id}, event_id=event_id, at=at, by=by)
        if await tx.recorded(body) is None:
            await _decide(tx.connection, proposal_id, "withdrawn", by, at)
            await tx.record(body)
        return await _proposal(tx.connection, proposal_id)

    return await db.write(change)


async def _write_entry(connection: AsyncConnection, change: Change, revision: int) -> None:
    row = {"kind": change.kind, "name": change.name}
    await connection.execute(delete(REGISTRY).where(*(REGISTRY.c[key] == value for key, value in row.items())))
    if change.after is not None:
        body = canonical(entry_dict(change.after)).decode()
        await connection.execute(insert(REGISTRY).values(**row, body=body, revision=revision))
    # What was proved of the old claim says nothing about the new one.
    await forget(connection, change)


async def _registry(connection: AsyncConnection) -> Registry:
    rows = (await connection.execute(select(REGISTRY).order_by(REGISTRY.c.name))).all()
    found: dict[str, list[Any]] = {"host": [], "service": [], "policy": []}
    for row in rows:
        found[row.kind].append(entry_of(row.kind, json.loads(row.body)))
    revision = await connection.scalar(select(REVISION.c.revision))
    return Registry(tuple(found["host"]), tuple(found["service"]), tuple(found["policy"]), int(revision or 0))


async def _proposal(connection: AsyncConnection, proposal_id: str) -> Proposal:
    row = (await connection.execute(_PROPOSALS.where(PROPOSALS.c.id == proposal_id))).one_or_none()
    if row is None:
        raise NotFound(
            f"There is no proposal {proposal_id}.", code="no_such_proposal", next_step="Look at the registry's page."
        )
    return _proposal_of(row)


def _proposal_of(row: Row[Any]) -> Proposal:
    changes = tuple(change_of(each) for each in json.loads(row.changes))
    note = (row.note or b"").decode("utf-8", "surrogateescape")
    decided = (row.state, row.decided_by, row.decided_at)
    return Proposal(row.id, row.by, row.at, row.base_revision, changes, *decided, note)


async def _decide(connection: AsyncConnection, proposal_id: str, state: str, by: str, at: float) -> None:
    found = await _proposal(connection, proposal_id)
    if found.state != "waiting":
        raise Conflict(
            f"This proposal was {found.state} already.",
            code="proposal_decided",
            next_step="Look at the registry's page.",
        )
    decided = {"state": state, "decided_by": by, "decided_at": epoch(iso(at))}
    await connection.execute(update(PROPOSALS).where(PROPOSALS.c.id == proposal_id).values(decided))


def _moved() -> Conflict:
    return Conflict(
        "Somebody changed the registry since you looked.",
        code="registry_moved",
        next_step="Look at it again, and make your change on what stands there now.",
    )
