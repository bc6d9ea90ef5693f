"""``discover``: what runs on a host, listening or not, by manager, and which of it nobody has registered.

It asks nobody and changes nothing (law 2). It exits 0 where it could look, 2 where it could not.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import Annotated

import typer

from app.cli.answers import Answer, AsJson, Line, answer
from app.core.discovery import Running, Standing
from app.core.display import argv, moment, visible
from app.core.verdict import Code
from app.flow import discover as looking
from app.flow.ports import World
from app.managers import MANAGERS
from app.shapes.discovery import discovery

_TONES = {Standing.REGISTERED: "good", Standing.WRONG: "bad", Standing.UNREGISTERED: "wait", Standing.UNSEEN: "wait"}


def discover(
    context: typer.Context, host: Annotated[str, typer.Argument(help="The host's name.")], as_json: AsJson = False
) -> None:
    """Show what runs on a host, who keeps it, and what of it nobody has registered."""

    async def act(world: World) -> Answer:
        found = await looking.discover(world, host)
        return Answer(discovery(found).model_dump(mode="json"), tuple(_lines(found)))

    answer(context, act, as_json=as_json)


def _lines(found: looking.Discovery) -> Iterator[Line | str]:
    """Tell of each manager's things in turn; what is the machine's own comes last, and is told too."""
    own = [each for each in found.running if each.standing is Standing.SYSTEM]
    others = [each for each in found.running if each.standing is not Standing.SYSTEM]
    if found.facts.level != found.host.level:
        yield Line(f"The host says that it is {found.facts.level}; the registry says {found.host.level}.", "bad")
    for name, things in groupby(others, key=lambda each: each.manager):
        yield f"{MANAGERS[name].label if name in MANAGERS else name or 'Not seen'}:"
        for each in things:
            yield from _of_thing(each)
    for claim in found.lost:
        if claim.verdict is Code.VERIFIED:
            yield f"{claim.service} is registered, and nothing runs: a start may be asked for"
        else:
            yield Line(f"{claim.service} is registered, and nothing that runs fits it: {claim.verdict}", "bad")
    if own:
        yield f"The machine's own, what only keeps others, and what neither listens nor is kept ({len(own)}):"
        for each in own:
            yield f"  {_named(each)}{_of_ports(each)}"
    for blind in found.facts.blind:
        yield Line(f"unseen: {blind.what}: {blind.why}", "wait")
    yield _summary(found)


def _of_thing(each: Running) -> Iterator[Line]:
    says = [f"{one.service} {one.verdict}" for one in each.claims] or [
        "not registered" if each.standing is Standing.UNREGISTERED else each.standing
    ]
    yield Line(f"  {_named(each)}{_of_ports(each)}: {', '.join(says)}", _TONES[each.standing])
    main = each.face
    if main is not None:
        more = f" and {len(each.processes) - 1} more" if len(each.processes) > 1 else ""
        where = f" in {visible(main.cwd, 200)}" if main.cwd else ""
        who = f"    {visible(main.comm)} {main.pid}{more} of {visible(main.user)}{where}, since"
        yield Line(f"{who} {moment(main.started_at)}: {argv(main.argv, 120)}")


def _named(each: Running) -> str:
    if each.unit is not None:
        return visible(each.unit, 100)
    return f"{visible(each.face.comm)} {each.face.pid}" if each.face else "?"


def _of_ports(each: Running) -> str:
    ports = sorted({held.port for held in each.ports})
    return f" on {', '.join(map(str, ports))}" if ports else ""


def _summary(found: looking.Discovery) -> str:
    counts = found.counts
    return (
        f"{counts[Standing.REGISTERED]} registered, {counts[Standing.WRONG]} registered wrong,"
        f" {counts[Standing.UNREGISTERED]} not registered, {counts[Standing.UNSEEN]} unseen."
    )
