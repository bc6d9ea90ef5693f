"""Tokens of scripts and agents. They ask and read; none approves (law 8)."""

from typing import Annotated

import typer

from app.cli.answers import Answer, As, AsJson, acting, answer
from app.core.events import iso
from app.core.policy import Scope
from app.flow import people as flow
from app.flow.ports import World
from app.store import tokens

app = typer.Typer(help="Tokens: for scripts and agents, which ask and read, and never approve.", no_args_is_help=True)


@app.command("create")
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What it is for.")] = "command line",
    scopes: Annotated[list[Scope] | None, typer.Option("--scope", help="ask, read or both; both if not given.")] = None,
    who: As = "",
    as_json: AsJson = False,
) -> None:
    """Make a token of a person, who answers for what it does. It is printed this once."""

    async def act(world: World) -> Answer:
        owner = await acting(world, who)
        granted = [str(scope) for scope in scopes or Scope]
        secret = await flow.create_token(world, owner, name, granted)
        return Answer(
            {"token": secret, "owner": owner.name, "scopes": granted},
            (f"A token of {owner.name}, scoped to {' and '.join(granted)}, shown this once:", secret),
        )

    answer(context, act, as_json=as_json)


@app.command("list")
def everything(context: typer.Context, who: As = "", as_json: AsJson = False) -> None:
    """List a person's tokens, without their secrets."""

    async def act(world: World) -> Answer:
        found = await tokens.of_person(world.db, (await acting(world, who)).id)
        data = [
            {
                "id": each.id,
                "name": each.name,
                "scopes": sorted(each.scopes),
                "created_at": iso(each.created_at),
                "revoked_at": None if each.revoked_at is None else iso(each.revoked_at),
            }
            for each in found
        ]
        lines = [
            f"{each.id}  {' '.join(sorted(each.scopes)):<9} {'revoked' if each.revoked_at else 'live':<8} {each.name}"
            for each in found
        ]
        return Answer(data, tuple(lines) or ("No tokens.",))

    answer(context, act, as_json=as_json)


@app.command("revoke")
def revoke(
    context: typer.Context,
    token: Annotated[str, typer.Argument(metavar="ID", help="As `token list` shows it.")],
    who: As = "",
    as_json: AsJson = False,
) -> None:
    """End a token at once."""

    async def act(world: World) -> Answer:
        await flow.revoke_token(world, await acting(world, who), token)
        return Answer({"revoked": token}, ("Revoked.",))

    answer(context, act, as_json=as_json)
