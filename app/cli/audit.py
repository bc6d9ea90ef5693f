"""The audit log from the machine: checking all of it, and writing it out; one request's evidence, made and checked."""

import os
import shlex
import sys
from collections.abc import AsyncIterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.answers import Answer, AsJson, Exit, Line, Wiring, answer, finish
from app.core.errors import NotFound, Refused
from app.core.sshsig import NAMESPACE
from app.flow.bundle import make, written
from app.flow.bundle_check import Report, State
from app.flow.bundle_check import check as check_bundle
from app.flow.ports import World
from app.store import history, requests
from app.store.anchor import Anchor
from app.store.verify import verify as verify_log

app = typer.Typer(
    help="The audit log: verify, export, and one request's evidence: bundle, check.", no_args_is_help=True
)


class Format(StrEnum):
    """The form of an export."""

    JSONL = "jsonl"
    CSV = "csv"


@app.command("verify")
def verify(context: typer.Context, as_json: AsJson = False) -> None:
    """Check every row of the log, that its anchor's rows are among them, and that what is derived from it fits."""
    wiring: Wiring = context.obj

    async def act(world: World) -> Answer:
        report = await verify_log(world.db)
        what_next = "Stop the server, keep the database file as it is, and compare it with a backup."
        if report.first_broken is None:
            try:
                await Anchor(wiring.settings.anchor_file).check(world.db)
            except Refused as error:
                report.differences.append(error.message)
                what_next = error.next_step
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
        lines.append(what_next)
        return Answer(data, tuple(lines), Exit.NO)

    answer(context, act, as_json=as_json, asks=True)


@app.command("export")
def export(
    context: typer.Context,
    form: Annotated[Format, typer.Option("--format", help="jsonl carries each row's bytes and hashes.")] = Format.JSONL,
    request: Annotated[str, typer.Option(metavar="ID", help="Only the events of one request.")] = "",
) -> None:
    """Write every event to standard output, newest first."""

    async def act(world: World) -> Answer:
        wanted = history.Filter(request=(await requests.load(world.db, request)).id if request else "")
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


@app.command("bundle")
def bundle(
    context: typer.Context,
    request_id: Annotated[str, typer.Argument(metavar="ID", help="Such as R-7F3K, or the whole id.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it there, where no file is yet.")] = None,
) -> None:
    """Write one request's evidence as one file, to be checked far from here."""

    async def act(world: World) -> Answer:
        made = written(await make(world.db, request_id))
        if out is None:
            sys.stdout.write(made)
            return Answer(None)
        _create(out, made)
        return Answer(None, (f"Written: {out}. Check it anywhere: askfirst audit check {out}",))

    answer(context, act)


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `audit bundle` wrote.")],
    extract: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write there what plain ssh-keygen needs to check it too.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check one request's evidence with nothing but its file; says what was withheld, and never calls that good."""

    async def act() -> Answer:
        report = check_bundle(_read(file))
        commands = _extracted(report, extract) if extract and report.signed else []
        points = [{"what": each.what, "state": str(each.state), "words": each.words} for each in report.points]
        data: dict[str, Any] = {"request": report.request, "state": str(report.state), "points": points}
        tones = {State.OK: "good", State.BROKEN: "bad", State.WITHHELD: "wait"}
        lines: list[Line | str] = [
            Line(f"{each.state:9} {each.what}: {each.words}", tones[each.state]) for each in report.points
        ]
        lines += ["With nothing of ours:", *commands] if commands else []
        lines += ["Nothing was extracted: no signature in it can be checked."] if extract and not commands else []
        exits = {State.OK: Exit.YES, State.BROKEN: Exit.NO, State.WITHHELD: Exit.COULD_NOT_TELL}
        return Answer({**data, "commands": commands}, tuple(lines), exits[report.state])

    finish(act, as_json=as_json, asks=True)


def _extracted(report: Report, folder: Path) -> list[str]:
    """Write the warrant, the signers and each signature as files, and return the commands that check them."""
    folder.mkdir(parents=True, exist_ok=True)
    _create(folder / "warrant", report.warrant)
    _create(folder / "allowed_signers", "".join(dict.fromkeys(each.line for each in report.signed)))
    commands, place = [], shlex.quote(str(folder))
    for number, each in enumerate(report.signed, 1):
        _create(folder / f"signature-{number}", each.armored)
        commands.append(
            f"ssh-keygen -Y verify -f {place}/allowed_signers -I {each.principal} -n {NAMESPACE}"
            f" -s {place}/signature-{number} < {place}/warrant"
        )
    return commands


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotFound(
            f"{file} cannot be read as a bundle.",
            code="no_bundle",
            next_step="Make one with `askfirst audit bundle ID`.",
        ) from error


def _create(file: Path, content: str) -> None:
    """Write a new file for its owner alone. Raises Refused where one is there: evidence is not written over."""
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise Refused(f"{file} is there already.", code="file_there", next_step="Name another one.") from error
    with os.fdopen(handle, "w", encoding="utf-8") as opened:
        opened.write(content)
