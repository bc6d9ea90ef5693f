"""Changing the registry: what would change, applying it, and the second editor where there is one.

How a service is restarted, an import and a new host key are all the same kind of change: one list of differences.
While there is only one editor a change applies at once; from the second on it waits for another editor's yes, and is
then applied as it was proposed, or not at all where the registry has moved.
"""

from dataclasses import dataclass

from app.core.errors import Refused
from app.core.policy import Person, Role
from app.core.registry import Change, Registry, difference, problems
from app.flow.ask import REASON_BYTES, words
from app.flow.ids import new_id
from app.flow.ports import World
from app.managers import MANAGERS
from app.store import people, services
from app.store.services import Proposal


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a wished change: the differences, and the proposal where a second editor has to say yes."""

    changes: tuple[Change, ...]
    proposal: Proposal | None = None


async def plan(world: World, wanted: Registry) -> list[Change]:
    """List what would change. Changes nothing."""
    return difference(await services.registry(world.db), wanted)


async def change(world: World, who: Person, wanted: Registry, note: str = "") -> Outcome:
    """Apply a wished registry, or propose it where a second editor exists. Raises Refused for contradictions."""
    _editor(who)
    _sound(wanted)
    current = await services.registry(world.db)
    changes = difference(current, wanted)
    if not changes:
        return Outcome(())
    now = world.clock.now()
    if not await _others(world, who):
        await _apply(world, changes, by=who.id, base=current.revision)
        return Outcome(tuple(changes))
    proposal = await services.propose(
        world.db,
        changes,
        proposal_id=new_id(now),
        by=who.id,
        at=now,
        event_id=new_id(now),
        base_revision=current.revision,
        note=words(note, "note", REASON_BYTES, may_be_empty=True),
    )
    return Outcome(tuple(changes), proposal)


async def confirm(world: World, who: Person, proposal_id: str) -> Outcome:
    """Apply a proposal by a second editor's yes. Raises Refused for the proposer, Conflict where the registry moved."""
    _editor(who)
    proposal = await services.proposal(world.db, proposal_id)
    proposer = await people.by_id(world.db, proposal.by)
    if who.human == (proposer.person.human if proposer else proposal.by):
        raise Refused(
            "A change is confirmed by another editor than the one who proposed it.",
            code="own_change",
            next_step="Ask another editor to open this page.",
        )
    await _apply(world, list(proposal.changes), by=who.id, base=proposal.base_revision, proposal=proposal.id)
    return Outcome(proposal.changes)


async def withdraw(world: World, who: Person, proposal_id: str) -> None:
    """Take a proposal back; any editor may."""
    _editor(who)
    now = world.clock.now()
    await services.withdraw(world.db, proposal_id, by=who.id, at=now, event_id=new_id(now))


async def _apply(world: World, changes: list[Change], *, by: str, base: int, proposal: str | None = None) -> None:
    now = world.clock.now()
    await services.apply(
        world.db, changes, by=by, at=now, event_id=new_id(now), base_revision=base, proposal_id=proposal
    )
    world.news.tell("work")


async def _others(world: World, who: Person) -> bool:
    """Whether there is an editor who is another human being."""
    everyone = [account.person for account in await people.everyone(world.db)]
    return any(each.is_enabled and Role.EDITOR in each.roles and each.human != who.human for each in everyone)


def _editor(who: Person) -> None:
    if not who.is_enabled or Role.EDITOR not in who.roles:
        raise Refused(
            f"{who.name} may not change the registry.",
            code="not_editor",
            next_step="An admin can give the role editor.",
        )


def _sound(wanted: Registry) -> None:
    if found := problems(wanted, MANAGERS):
        kind, name, problem = found[0]
        raise Refused(
            f"{kind} {name}: {problem.field}: {problem.message}",
            code="registry_invalid",
            next_step="Correct the entry, then try again. Nothing was changed.",
        )
