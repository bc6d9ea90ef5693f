"""``docs``: a host's deployment document, to be read or to be committed; ``--check`` tells whether a copy is true.

It asks no host. With ``--check`` it exits 0 where the copy is true, 1 with a difference where it is not, and 2 where
that cannot be told.
"""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.answers import Answer, AsJson, Exit, Line, answer
from app.core.errors import NotFound
from app.flow import docs as writing
from app.flow.ports import World

_MOST_BYTES = 4_000_000


def docs(
    context: typer.Context,
    host: Annotated[str, typer.Argument(help="The host's name.")],
    check: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Compare with a copy. A later proof with the same result leaves a copy true."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a host's DEPLOYMENT.md: its services, exact restarts, checks, owners and last proofs."""

    async def act(world: World) -> Answer:
        found = await writing.write(world, host)
        if check is not None:
            return _checked(found, check)
        return Answer({"host": found.host, "text": found.text}, tuple(found.text.splitlines()))

    answer(context, act, as_json=as_json, asks=True)


def _checked(found: writing.Document, file: Path) -> Answer:
    made = writing.compare(found, _read(file), str(file))
    data = {"host": found.host, "file": str(file), "is_true": made.is_true, "difference": made.difference}
    lines: list[Line | str] = list(made.difference.splitlines())
    if made.is_true:
        return Answer(data, (Line(f"{file} is true.", "good"),))
    if made.is_true is None:
        lines.append(Line(f"That cannot be told now: {', '.join(found.unseen)} could not be looked at.", "wait"))
        return Answer(data, tuple(lines), Exit.COULD_NOT_TELL)
    return Answer(data, tuple(lines), Exit.NO)


def _read(file: Path) -> str:
    """Read a copy. Raises NotFound where it cannot be one."""
    try:
        with file.open("rb") as opened:
            content = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        raise _unreadable(file, error.strerror or str(error)) from error
    if len(content) > _MOST_BYTES:
        raise _unreadable(file, f"it is longer than {_MOST_BYTES:,} bytes")
    return content.decode("utf-8", "backslashreplace")


def _unreadable(file: Path, why: str) -> NotFound:
    return NotFound(
        f"{file} could not be read: {why}.",
        code="no_copy",
        next_step="Write one with `askfirst docs HOST > DEPLOYMENT.md`, then check it.",
    )
