"""What somebody who decides should know of the last days: a no, a loop of restarts, a changed entry, a lower policy.

One sentence each, all of it read from the audit log. It decides nothing; what follows from it was decided when the
warrant was written."""

from collections.abc import Mapping

from app.core.lifecycle import Request, short_id
from app.core.pace import LOOP_RUNS, LOOP_SECONDS
from app.core.policy import Person, Policy, Role, lowered
from app.flow.ports import World
from app.store import lately
from app.store.lately import Edit
from app.web.times import span

_SECONDS = 86_400.0
_ENTRIES = {"service": "How it is restarted", "host": "The entry of its host"}


async def remarks(world: World, request: Request, names: Mapping[str, str]) -> tuple[str, ...]:
    """Return what is worth a second look, most telling first."""
    now = world.clock.now()
    said = []
    denial = await lately.denial(world.db, request.service)
    if denial is not None and denial.request != request.id and now - denial.at < _SECONDS:
        who = names.get(denial.by, denial.by)
        said.append(f"{short_id(denial.request)} for this service was denied {span(now - denial.at)} ago by {who}.")
    if await lately.runs(world.db, request.service, request.asked_at - LOOP_SECONDS) >= LOOP_RUNS:
        said.append(
            f"It was restarted {LOOP_RUNS} times in {LOOP_SECONDS / 60:.0f} minutes: at least two people decide."
        )
    edit = await lately.edit(world.db, request.service, request.host, now - _SECONDS)
    if edit is not None:
        said.append(_edited(edit, names, now))
    return tuple(said)


async def lowered_for(world: World, person: Person, names: Mapping[str, str]) -> tuple[str, ...]:
    """Return which policies of an approver's own groups ask for less since a week."""
    if Role.APPROVER not in person.roles:
        return ()
    now = world.clock.now()
    said = []
    for edit in await lately.edits(world.db, now - 7 * _SECONDS):
        before, after = edit.change.before, edit.change.after
        if isinstance(before, Policy) and (after is None or isinstance(after, Policy)):
            groups = {*before.groups, *(after.groups if after else ())}
            if (how := lowered(before, after)) and groups & set(person.groups):
                said.append(f"Policy {before.name}: {', '.join(how)}. Changed {_when_and_who(edit, names, now)}.")
    return tuple(said)


def _edited(edit: Edit, names: Mapping[str, str], now: float) -> str:
    verb = "registered" if edit.change.before is None else "changed"
    return f"{_ENTRIES[edit.change.kind]} was {verb} {_when_and_who(edit, names, now)}."


def _when_and_who(edit: Edit, names: Mapping[str, str], now: float) -> str:
    second = f", confirmed by {names.get(edit.confirmed_by, edit.confirmed_by)}" if edit.confirmed_by else ""
    return f"{span(now - edit.at)} ago by {names.get(edit.by, edit.by)}{second}"
