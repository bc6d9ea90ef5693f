"""What changed of a service and somebody has not seen yet: one notice for each person and service, however often.

Whom it concerns: the people in the owner's group, and the editors, who can correct the claim. A notice is told in the
transaction of its event; it stays until that person has seen it, and what changes meanwhile is added to it. Nothing of
it is the truth, which is in the log; whoever joins later is not told of what was before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, or_, select
from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.policy import Role
from app.core.verdict import Code
from app.store.engine import Database
from app.store.log import Tx
from app.store.tables import GROUPS, NOTICES, PEOPLE, ROLES

_TELL = sql(
    "INSERT INTO notices (person, service, host, was, verdict, changes, seq, at) "
    "VALUES (:person, :service, :host, :was, :verdict, 1, :seq, :at) ON CONFLICT (person, service) DO UPDATE "
    "SET verdict = excluded.verdict, changes = notices.changes + 1, seq = excluded.seq, at = excluded.at"
)


@dataclass(frozen=True, slots=True)
class Notice:
    """A service whose verdict changed, so many times since its reader last looked. ``was`` is empty where none held.

    ``seq`` is the last change's event, ``at`` its time.
    """

    service: str
    host: str
    was: str
    verdict: str
    changes: int
    seq: int
    at: float


async def tell(connection: AsyncConnection, held: Mapping[str, Any], *, owner: str, was: str, seq: int) -> int:
    """Tell everybody whom a change concerns, and return how many. A first proof that agrees is no news."""
    if not was and held["verdict"] == Code.VERIFIED:
        return 0
    in_group = select(GROUPS.c.person).where(GROUPS.c.name == owner)
    editing = select(ROLES.c.person).where(ROLES.c.role == str(Role.EDITOR))
    wanted = select(PEOPLE.c.id).where(PEOPLE.c.is_enabled, or_(PEOPLE.c.id.in_(in_group), PEOPLE.c.id.in_(editing)))
    concerned = list((await connection.scalars(wanted)).all())
    row = {"was": was, "verdict": held["verdict"], "seq": seq, "at": held["since"]}
    about = {"service": held["service"], "host": held["host"]}
    if concerned:
        await connection.execute(_TELL, [{"person": person, **about, **row} for person in concerned])
    return len(concerned)


async def of(db: Database, person: str) -> list[Notice]:
    """Return what a person has not seen, newest first."""
    wanted = select(NOTICES).where(NOTICES.c.person == person).order_by(NOTICES.c.seq.desc())
    async with db.read() as connection:
        rows = (await connection.execute(wanted)).all()
    return [Notice(row.service, row.host, row.was, row.verdict, row.changes, row.seq, row.at) for row in rows]


async def seen(db: Database, person: str, up_to: int, service: str = "") -> None:
    """Take away what a person has seen, of one service or of all; what changed after that event stays."""

    async def change(tx: Tx) -> None:
        shown = [NOTICES.c.person == person, NOTICES.c.seq <= up_to]
        if service:
            shown.append(NOTICES.c.service == service)
        await tx.connection.execute(delete(NOTICES).where(*shown))

    await db.write(change)
