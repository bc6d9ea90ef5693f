"""The registry as a file: what would change, making it so, and writing it out.

A file holds the whole registry: what is not in it is removed, which ``plan`` shows before ``apply`` does it.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from app.cli.answers import Answer, As, AsJson, Exit, Line, acting, answer
from app.core.errors import Refused
from app.core.policy import Role
from app.core.registry import Change, Registry
from app.flow import registry as flow
from app.flow.ports import World
from app.flow.registry_file import export as written
from app.flow.registry_file import parse
from app.flow.yaml_reader import MOST_BYTES, Invalid
from app.store import services

app = typer.Typer(help="The registry as YAML: plan, apply, export.", no_args_is_help=True)
File = Annotated[str, typer.Argument(metavar="FILE", help="A YAML file; - is standard input.")]


@app.command("plan")
def plan(context: typer.Context, file: File, as_json: AsJson = False) -> None:
    """Show what a file would change. Changes nothing; exits 1 where the file is wrong."""

    async def act(world: World) -> Answer:
        wanted = _read(file)
        if isinstance(wanted, Answer):
            return wanted
        changes = await flow.plan(world, wanted)
        return Answer({"changes": [_data(each) for each in changes]}, _lines(changes))

    answer(context, act, as_json=as_json)


@app.command("apply")
def apply(
    context: typer.Context,
    file: File,
    note: Annotated[str, typer.Option(help="Why, for the second editor.")] = "",
    who: As = "",
    as_json: AsJson = False,
) -> None:
    """Make the registry what a file says; with a second editor it waits for that person's yes."""

    async def act(world: World) -> Answer:
        wanted = _read(file)
        if isinstance(wanted, Answer):
            return wanted
        made = await flow.change(world, await acting(world, who, alone=Role.EDITOR), wanted, note)
        proposal = made.proposal.id if made.proposal else None
        data = {"changes": [_data(each) for each in made.changes], "proposal": proposal}
        last = f"Proposed as {proposal}: another editor confirms it on the page Registry." if proposal else "Applied."
        lines = (*_lines(made.changes), last) if made.changes else ("Nothing to change.",)
        return Answer(data, lines)

    answer(context, act, as_json=as_json, make=True)


@app.command("export")
def export(context: typer.Context, as_json: AsJson = False) -> None:
    """Write the registry as a file that `apply` reads back."""

    async def act(world: World) -> Answer:
        registry = await services.registry(world.db)
        text = written(registry)
        return Answer({"revision": registry.revision, "yaml": text}, tuple(text.rstrip("\n").split("\n")))

    answer(context, act, as_json=as_json)


def _read(file: str) -> Registry | Answer:
    """Return the registry in a file, or the answer that lists everything wrong with it."""
    try:
        return parse(_text(file))
    except Invalid as error:
        problems = [
            {"line": each.line, "column": each.column, "where": each.where, "message": each.message}
            for each in error.problems
        ]
        lines: list[Line | str] = [
            Line(f"{file}:{each.line}:{each.column}: {each.where}: {each.message}", "bad") for each in error.problems
        ]
        return Answer({"problems": problems}, (*lines, error.next_step), Exit.NO)


def _text(file: str) -> str:
    try:
        if file == "-":
            return sys.stdin.read(MOST_BYTES + 1)
        with Path(file).open(encoding="utf-8") as stream:
            return stream.read(MOST_BYTES + 1)
    except UnicodeDecodeError as error:
        raise Refused(f"{file} is not UTF-8 text.", code="not_text", next_step="Save it as UTF-8.") from error


def _data(change: Change) -> dict[str, str]:
    return {"verb": change.verb, "kind": change.kind, "name": change.name}


def _lines(changes: list[Change] | tuple[Change, ...]) -> tuple[Line | str, ...]:
    marks = {"add": "+", "change": "~", "remove": "-"}
    tones = {"add": "good", "change": "wait", "remove": "bad"}
    lines = [Line(f"{marks[each.verb]} {each.kind} {each.name}", tones[each.verb]) for each in changes]
    return tuple(lines) or ("Nothing to change.",)
