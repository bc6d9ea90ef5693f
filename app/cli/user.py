"""People, from the machine itself: whoever may write the database file is trusted with it, and acts as the operator."""

import secrets
import sys
from typing import Annotated

import typer

from app.cli.answers import Answer, AsJson, acting, answer
from app.core.errors import Refused
from app.core.events import iso
from app.core.policy import Role
from app.flow import people as flow
from app.flow.ports import World
from app.store import people
from app.store.people import Account

app = typer.Typer(help="People: who there is, and adding one.", no_args_is_help=True)

Roles = Annotated[list[Role], typer.Option("--role", help="May be given several times.")]
Groups = Annotated[list[str] | None, typer.Option("--group", help="May be given several times.")]
FromInput = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input; without it one is made.")
]
# No letters that look alike.
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"


@app.command("add")
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The name on pages, or an e-mail address.")],
    *,
    roles: Roles,
    email: Annotated[str, typer.Option(help="What they sign in with; without it the name.")] = "",
    groups: Groups = None,
    from_input: FromInput = False,
    as_json: AsJson = False,
) -> None:
    """Add a person. Without --password-stdin a password is made and printed this once."""

    async def act(world: World) -> Answer:
        password = _read_password() if from_input else made_password()
        account = await flow.add_as_operator(
            world, name=name.partition("@")[0], email=email or name, roles=roles, groups=groups or (), password=password
        )
        told = {} if from_input else {"password": password}
        lines = [f"Added {account.person.name} <{account.email}>: {', '.join(sorted(account.person.roles))}."]
        lines += [] if from_input else [f"Password, shown this once: {password}"]
        return Answer({**_data(account), **told}, tuple(lines))

    answer(context, act, as_json=as_json, make=True)


@app.command("list")
def everyone(context: typer.Context, as_json: AsJson = False) -> None:
    """List everybody with their roles and groups."""

    async def act(world: World) -> Answer:
        accounts = await people.everyone(world.db)
        lines = [f"{each.email:<32} {_rights(each):<40} {each.person.name}" for each in accounts]
        return Answer([_data(each) for each in accounts], tuple(lines) or ("Nobody yet. Add one: askfirst user add",))

    answer(context, act, as_json=as_json)


@app.command("password")
def password(
    context: typer.Context,
    email: Annotated[str, typer.Argument(help="Whose password.")],
    from_input: FromInput = False,
    as_json: AsJson = False,
) -> None:
    """Set a person's password; their sessions end."""

    async def act(world: World) -> Answer:
        person = await acting(world, email)
        fresh = _read_password() if from_input else made_password()
        await flow.set_password(world, person, person.id, fresh)
        told = {} if from_input else {"password": fresh}
        lines = ["The password is set, and every session of that person has ended."]
        lines += [] if from_input else [f"Password, shown this once: {fresh}"]
        return Answer({"email": email, **told}, tuple(lines))

    answer(context, act, as_json=as_json)


def made_password() -> str:
    """Make a password that can be typed: four groups of four letters and digits, about 79 bits."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4))


def _read_password() -> str:
    text = sys.stdin.readline(2000).rstrip("\n")
    if not text:
        raise Refused("No password came on standard input.", code="no_password", next_step="Pipe one line into it.")
    return text


def _data(account: Account) -> dict[str, object]:
    person = account.person
    return {
        "id": person.id,
        "name": person.name,
        "email": account.email,
        "roles": sorted(person.roles),
        "groups": sorted(person.groups),
        "is_enabled": person.is_enabled,
        "created_at": iso(account.created_at),
    }


def _rights(account: Account) -> str:
    person = account.person
    rights = ", ".join([*sorted(person.roles), *(f"in {group}" for group in sorted(person.groups))])
    return rights if person.is_enabled else f"disabled ({rights})"
