"""The switch that stops every run: which freezes hold now. What a freeze stops is the flow's to ask, and to obey.

A scope is ``all``, ``environment:NAME`` or ``host:NAME``, which the flow checks; one freeze at a time holds for it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from sqlalchemy import delete, func, insert, select

from app.core.errors import Conflict, Refused
from app.core.events import epoch, iso
from app.store.engine import Database
from app.store.log import Tx, body_for
from app.store.tables import FREEZES, PEOPLE, TEXTS


@dataclass(frozen=True, slots=True)
class Freeze:
    """A freeze that holds. ``by`` is a person's id, ``by_name`` the name; ``reason`` is empty where it was deleted."""

    scope: str
    by: str
    by_name: str
    at: float
    reason: str


async def current(db: Database) -> tuple[Freeze, ...]:
    """Return the freezes that hold now, oldest first."""
    name = func.coalesce(PEOPLE.c.name, FREEZES.c.by)
    source = FREEZES.outerjoin(PEOPLE, PEOPLE.c.id == FREEZES.c.by)
    source = source.outerjoin(TEXTS, TEXTS.c.commitment == FREEZES.c.reason_text)
    wanted = select(FREEZES.c.scope, FREEZES.c.by, name, FREEZES.c.at, TEXTS.c.body).select_from(source)
    async with db.read() as connection:
        rows = (await connection.execute(wanted.order_by(FREEZES.c.at, FREEZES.c.scope))).all()
    return tuple(
        Freeze(scope, by, by_name, at, (body or b"").decode("utf-8", "surrogateescape"))
        for scope, by, by_name, at, body in rows
    )


async def stopping(db: Database, host: str, environment: str) -> str | None:
    """Say which of the freezes that hold now stops a run on this host, or None where none does."""
    return sentence(await current(db), host, environment)


def heeding(db: Database, host: str, environment: str) -> Database:
    """Return the database as what a freeze stops on this host writes to it: not at all while one does.

    ``write`` then raises Refused ``frozen``, with nothing changed.
    """
    before = db.guard

    async def guard(tx: Tx) -> None:
        if before is not None:
            await before(tx)
        wanted = select(FREEZES.c.scope).where(FREEZES.c.scope.in_(_binding(host, environment)))
        if (scope := await tx.connection.scalar(wanted.limit(1))) is not None:
            raise Refused(f"{_named(scope)} is frozen.", code="frozen", next_step="Wait until it is released.")

    return replace(db, guard=guard)


async def freeze(db: Database, scope: str, *, by: str, at: float, event_id: str, reason: str) -> None:
    """Freeze a scope. Raises Conflict where it is frozen."""

    async def change(tx: Tx) -> None:
        if await is_frozen(tx, scope):
            raise Conflict(f"{_named(scope)} is frozen already.", code="already_frozen", next_step="Nothing is to do.")
        await put(tx, scope, by=by, at=at, event_id=event_id, reason=reason)

    await db.write(change)


async def is_frozen(tx: Tx, scope: str) -> bool:
    """Whether exactly this scope is frozen."""
    return (await tx.connection.execute(select(FREEZES).where(FREEZES.c.scope == scope))).first() is not None


async def put(tx: Tx, scope: str, *, by: str, at: float, event_id: str, reason: str) -> None:
    """Freeze a scope that is not frozen, as a part of another change."""
    kept = await tx.keep_words(reason)
    data = {"scope": scope, "reason_text": kept}
    await tx.record(body_for("frozen", data, event_id=event_id, at=at, by=by))
    row = {"scope": scope, "by": by, "at": epoch(iso(at)), "reason_text": kept}
    await tx.connection.execute(insert(FREEZES).values(row))


async def release(db: Database, scope: str, *, by: str, at: float, event_id: str, reason: str) -> None:
    """Release a scope. Raises Conflict where it is not frozen."""

    async def change(tx: Tx) -> None:
        gone = await tx.connection.execute(delete(FREEZES).where(FREEZES.c.scope == scope))
        if gone.rowcount == 0:
            raise Conflict(f"{_named(scope)} is not frozen.", code="not_frozen", next_step="Nothing is to do.")
        data = {"scope": scope, "reason_text": await tx.keep_words(reason)}
        await tx.record(body_for("released", data, event_id=event_id, at=at, by=by))

    await db.write(change)


def sentence(freezes: Iterable[Freeze], host: str, environment: str) -> str | None:
    """Say which of these freezes stops a run on this host, or None where none does."""
    for each in freezes:
        if each.scope in _binding(host, environment):
            why = f": {each.reason}" if each.reason else "."
            return (
                f"{_named(each.scope)} is frozen by {each.by_name} since {iso(each.at)[:16].replace('T', ' ')} UTC{why}"
            )
    return None


def _binding(host: str, environment: str) -> tuple[str, ...]:
    return "all", f"environment:{environment}", f"host:{host}"


def _named(scope: str) -> str:
    kind, _, name = scope.partition(":")
    return "Everything" if scope == "all" else f"The {kind} {name}"
