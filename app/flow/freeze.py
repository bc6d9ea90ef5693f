"""The freeze: one switch that stops every run at once, for all, for an environment or for a host.

It does not cancel anything: what is approved stays so until it expires, and runs only after a release, if at all.
"""

import re

from app.core.errors import NotFound, Refused
from app.core.policy import Person, Role
from app.core.service import NAME
from app.flow.ask import REASON_BYTES, words
from app.flow.ids import new_id
from app.flow.ports import World
from app.store import freezes, services

_SCOPE = re.compile(rf"all|(environment|host):{NAME.pattern}")
_MAY_FREEZE = frozenset({Role.APPROVER, Role.EDITOR, Role.ADMIN})


async def freeze(world: World, who: Person, scope: str, reason: str) -> None:
    """Stop every run within a scope (``all``, ``environment:NAME`` or ``host:NAME``) from now on.

    Raises NotFound where the registry has no such host or environment: a slip of the pen would stop nothing.
    """
    _check(who, scope)
    await _find(world, scope)
    now = world.clock.now()
    await freezes.freeze(
        world.db,
        scope,
        by=who.id,
        at=now,
        reason=words(reason, "reason", REASON_BYTES),
        event_id=new_id(now),
    )


async def release(world: World, who: Person, scope: str, reason: str) -> None:
    """Let runs within a scope go on. Needs a reason, which is logged."""
    _check(who, scope)
    now = world.clock.now()
    await freezes.release(
        world.db,
        scope,
        by=who.id,
        at=now,
        reason=words(reason, "reason", REASON_BYTES),
        event_id=new_id(now),
    )
    world.news.tell("work")


def freeze_refusal(who: Person) -> Refused | None:
    """Say why this person may use the freeze neither way, or None where they may."""
    if not who.is_enabled or not who.roles & _MAY_FREEZE:
        return Refused(
            f"{who.name} may not use the freeze.", code="may_not_freeze", next_step="An approver, editor or admin can."
        )
    return None


def _check(who: Person, scope: str) -> None:
    if refusal := freeze_refusal(who):
        raise refusal
    if not _SCOPE.fullmatch(scope):
        raise Refused(
            f"{scope[:60]!r} is no scope.", code="bad_scope", next_step="Use all, environment:NAME or host:NAME."
        )


async def _find(world: World, scope: str) -> None:
    kind, _, name = scope.partition(":")
    hosts = (await services.registry(world.db)).hosts
    known = {"all": {""}, "host": {each.name for each in hosts}, "environment": {each.environment for each in hosts}}[
        kind
    ]
    if name not in known:
        there = ", ".join(sorted(known)) or "none"
        raise NotFound(
            f"The registry has no {kind} {name}: nothing was frozen.",
            code="no_such_scope",
            next_step=f"It has {there}. Or freeze all.",
        )
