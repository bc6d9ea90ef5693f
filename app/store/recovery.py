"""What an older state of the database becomes when it is put back on purpose: told in the log, frozen, signed out.

It moves no data (``copying`` does). What the lost events said is not known here: somebody may have denied, revoked or
frozen since. So everything is frozen until a person has looked, and every session ends. What ran since is known to the
hosts: each refuses a second run by its own record, and what had not run here is asked about there (law 12).
"""

from collections.abc import Sequence

from sqlalchemy import delete

from app.core.events import Restored
from app.core.lifecycle import Request
from app.store import freezes, requests
from app.store.anchor import RECOVERED, Mark
from app.store.engine import Database
from app.store.log import Tx, body_for
from app.store.tables import ATTEMPTS, BOOTSTRAP, SESSIONS

_FROZEN = "An older state of the database was put back: look at what is missing, then release this."


async def record(
    db: Database,
    mark: Mark | None,
    missing: Sequence[Mark],
    *,
    asking: Sequence[tuple[Request, Restored]],
    reason: str,
    by: str,
    at: float,
    ids: tuple[str, str],
) -> int:
    """Write that the log goes on from an older state, and return how many events are known to be gone.

    ``mark`` is the newest anchor, ``missing`` are the anchors whose rows are gone: those of a log that went on since on
    another way lie before its end. ``asking`` are the requests that have not run here, each with what is written of it.
    ``ids`` are those of the two other events. All of it is one change.
    """

    async def change(tx: Tx) -> int:
        lost = max(mark.seq - tx.head.seq if mark else 0, len({each.seq for each in missing}))
        anchored = {"anchored": mark.seq, "anchored_hash": mark.hash} if mark else {"anchored": 0, "anchored_hash": ""}
        gone = {"gone_from": min(each.seq for each in missing)} if missing else {}
        data = {**anchored, **gone, "lost": lost, "reason_text": await tx.keep_words(reason)}
        await tx.record(body_for(RECOVERED, data, event_id=ids[0], at=at, by=by))
        if not await freezes.is_frozen(tx, "all"):
            await freezes.put(tx, "all", by=by, at=at, event_id=ids[1], reason=_FROZEN)
        for request, event in asking:
            await requests.put(tx, request, event)
        for table in (SESSIONS, ATTEMPTS, BOOTSTRAP):
            await tx.connection.execute(delete(table))
        return lost

    return await db.write(change)
