"""The audit log from the machine: checking all of it, and writing it out."""

import sys
from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Annotated

import typer

from app.cli.answers import Answer, AsJson, Exit, Line, answer
from app.flow.ports import World
from app.store import history
from app.store.verify import verify as verify_log

app = typer.Typer(help="The audit log: verify, export.", no_args_is_help=True)


class Format(StrEnum):
    """The form of an export."""

    JSONL = "jsonl"
    CSV = "csv"


@app.command("verify")
def verify(context: typer.Context, as_json: AsJson = False) -> None:
    """Check every row of the log, and that everything derived from it is what the log says."""

    async def act(world: World) -> Answer:
        report = await verify_log(world.db)
        data = {
            "is_whole": report.is_whole,
            "rows": report.rows,
            "head": report.head,
            "first_broken": report.first_broken,
            "differences": report.differences,
        }
        if report.is_whole:
            return Answer(data, (Line(f"Whole: {report.rows} rows, head {report.head}.", "good"),))
        lines: list[Line | str] = []
        if report.first_broken is not None:
            lines.append(Line(f"Row {report.first_broken} is broken; nothing from there on is proved.", "bad"))
        lines += [Line(each, "bad") for each in report.differences]
        lines.append("Stop the server, keep the database file as it is, and compare it with a backup.")
        return Answer(data, tuple(lines), Exit.NO)

    answer(context, act, as_json=as_json)


@app.command("export")
def export(
    context: typer.Context,
    form: Annotated[Format, typer.Option("--format", help="jsonl carries each row's bytes and hashes.")] = Format.JSONL,
    request: Annotated[str, typer.Option(help="Only the events of one request.")] = "",
) -> None:
    """Write every event to standard output, newest first."""

    async def act(world: World) -> Answer:
        wanted = history.Filter(request=request)
        lines: AsyncIterator[str] = (
            history.events_as_csv(world.db, wanted)
            if form is Format.CSV
            else history.events_as_json_lines(world.db, wanted)
        )
        # Bytes as they are: this is for a file, and the hashes are over these bytes.
        async for line in lines:
            sys.stdout.write(line)
        return Answer(None)

    answer(context, act)
