"""The switch: stop every run within a scope, and let them go on. At 3 a.m. nobody need be named: the operator acts."""

from typing import Annotated

import typer

from app.cli.answers import Answer, As, AsJson, Line, Wiring, acting, answer
from app.core.events import iso
from app.flow import freeze as flow
from app.flow.people import operator
from app.flow.ports import World
from app.store import freezes
from app.store.dialect import shown

app = typer.Typer(help="The freeze: stops every run at once, for all, an environment or a host.", no_args_is_help=True)
Scope = Annotated[str, typer.Option(help="all, environment:NAME or host:NAME.")]
Reason = Annotated[str, typer.Option(help="Why; it is shown and logged.")]


@app.command("on")
def on(
    context: typer.Context,
    reason: Reason = "No reason was given.",
    scope: Scope = "all",
    who: As = "",
    as_json: AsJson = False,
) -> None:
    """Stop every run within a scope from now on."""

    async def act(world: World) -> Answer:
        await flow.freeze(world, await acting(world, who) if who else operator(), scope, reason)
        return Answer({"frozen": scope}, (Line(f"Frozen: {scope}.", "bad"), _where(context)))

    answer(context, act, as_json=as_json)


@app.command("off")
def off(context: typer.Context, reason: Reason, scope: Scope = "all", who: As = "", as_json: AsJson = False) -> None:
    """Let runs within a scope go on."""

    async def act(world: World) -> Answer:
        await flow.release(world, await acting(world, who) if who else operator(), scope, reason)
        return Answer({"released": scope}, (Line(f"Released: {scope}.", "good"), _where(context)))

    answer(context, act, as_json=as_json)


@app.command("list")
def everything(context: typer.Context, as_json: AsJson = False) -> None:
    """List what is frozen now."""

    async def act(world: World) -> Answer:
        found = await freezes.current(world.db)
        data = [{"scope": each.scope, "by": each.by_name, "at": iso(each.at), "reason": each.reason} for each in found]
        lines: list[Line | str] = [
            Line(f"{each.scope}: by {each.by_name} since {iso(each.at)}: {each.reason}", "bad") for each in found
        ]
        return Answer(data, (*(lines or ["Nothing is frozen."]), _where(context)))

    answer(context, act, as_json=as_json)


def _where(context: typer.Context) -> str:
    """Name the database that was meant: a shell without the server's settings may mean another one."""
    wiring: Wiring = context.obj
    return f"Database: {shown(wiring.settings.database_url)}"
