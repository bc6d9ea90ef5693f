"""Checks of the audit log: that nobody edits it, that it stays, and that it is the one that was anchored."""

import time
from collections.abc import Iterable

from sqlalchemy import text

from app.cli.doctor.diagnosis import Diagnosis
from app.core.errors import AskfirstError, Refused
from app.settings import Settings
from app.store import history
from app.store.anchor import BEGUN, Anchor
from app.store.engine import Database
from app.store.log import Tx

_SKEW_SECONDS = 5.0
_ANCHOR_SECONDS = 300.0


async def append_only(db: Database) -> Diagnosis:
    """Try to change and to take away an event, in every way there is; all must be refused. What is tried is undone."""
    for statements in db.dialect.TAMPERING:
        verb = statements[-1].partition(" audit")[0].split("\n")[0]
        try:
            await db.write(lambda tx, statements=statements: _tamper(tx, statements))  # type: ignore[misc]
        except Refused as outcome:
            if outcome.code == "changed" and outcome.message == "0":
                return Diagnosis(None, "the log is empty, so there is nothing to try it on")
            if outcome.code != "append_only":
                return Diagnosis(False, f"{verb} is possible", "Run `askfirst audit verify`, then restore a backup.")
        except AskfirstError as error:
            return Diagnosis(None, f"{verb} could not be tried: {error.message}", error.next_step)
    return Diagnosis(True, f"each of {len(db.dialect.TAMPERING)} ways to change it is refused")


async def durability(db: Database) -> Diagnosis:
    """Say whether what is acknowledged stays."""
    async with db.read() as connection:
        weakness = await db.dialect.weakness(connection)
    if weakness:
        return Diagnosis(None, weakness, "`askfirst db roles` prints what a server's administrator runs.")
    return Diagnosis(True, "what is acknowledged stays, and no right of ours could change it")


async def clock(db: Database) -> Diagnosis:
    """Say whether this machine's clock is the database's, and not behind the log."""
    now = time.time()
    off = now - await db.clock(now)
    if abs(off) > _SKEW_SECONDS:
        seen = f"this machine's clock is {abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} the database's"
        return Diagnosis(False, seen, "Set the clock that is wrong: what this machine dates is off by that much.")
    newest = (await history.page(db, history.Filter(), limit=1)).rows
    if not newest:
        return Diagnosis(True, "no event yet to compare it with")
    ahead = newest[0].at - time.time()
    if ahead > _SKEW_SECONDS:
        return Diagnosis(False, f"the last event is {ahead:.0f} s in the future", "Set this machine's clock.")
    return Diagnosis(True, "the database's, and not before the last event")


async def anchor(db: Database, settings: Settings) -> Diagnosis:
    """Say whether the log is the one that was anchored, and whether it still is being anchored."""
    anchor = Anchor(settings.anchor_file)
    try:
        await anchor.check(db)
        end = await anchor.pending(db)
    except AskfirstError as error:
        return Diagnosis(False, error.message, error.next_step)
    if bare := await anchor.begins_anew(db):
        return Diagnosis(None, bare, BEGUN)
    if anchor.last is None:
        return Diagnosis(None, f"{anchor.path} holds nothing yet", "`askfirst serve` writes it.")
    behind = time.time() - end.at if end else 0.0
    if end and behind > _ANCHOR_SECONDS + settings.anchor_every:
        seen = f"rows {anchor.last.seq + 1} to {end.seq} are not anchored, the first for {behind:.0f} s"
        return Diagnosis(False, seen, f"Let a server run, and let it append to {anchor.path}.")
    return Diagnosis(True, f"{anchor.path} holds row {anchor.last.seq}, as the log does")


async def _tamper(tx: Tx, statements: Iterable[str]) -> None:
    """Try one way to change the log. Always raises, so that nothing of it stays."""
    rows = 0
    try:
        for statement in statements:
            rows = (await tx.connection.execute(text(statement))).rowcount
    except tx.dialect.FAILURES as error:
        if not tx.dialect.is_refusal(error):
            raise
        raise Refused("as it should", code="append_only", next_step="") from None
    raise Refused(str(rows), code="changed", next_step="")
