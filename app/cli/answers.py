"""What every command does alike: open the world, act, answer in words or JSON, and end with the right exit status.

Exit 0 is yes, 1 is no, 2 is "could not tell"; a command that only asks ends with 1 by what it found, and by nothing
else. An error is one sentence and the next step, never a traceback. Every line passes ``core.display``, so that a
host's text cannot steer the terminal (law 13). Colour is for terminals only, and not where NO_COLOR is set.
"""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any, NoReturn, Protocol, TypeVar

import structlog
import typer
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from app.core.display import visible
from app.core.errors import AskfirstError, Broken, Conflict, IllegalEvent, Lost, NotFound, Refused, Unreachable
from app.core.policy import Person, Role
from app.flow.people import operator
from app.flow.ports import World
from app.settings import Settings
from app.store import people

T = TypeVar("T")

_LOG = structlog.get_logger("askfirst.cli")


class Exit(IntEnum):
    """How a command ends."""

    YES = 0
    NO = 1
    COULD_NOT_TELL = 2


_EXITS: tuple[tuple[type[AskfirstError], Exit], ...] = (
    (NotFound, Exit.COULD_NOT_TELL),
    (Conflict, Exit.NO),
    (IllegalEvent, Exit.NO),
    (Refused, Exit.NO),
    (Unreachable, Exit.COULD_NOT_TELL),
    (Lost, Exit.COULD_NOT_TELL),
    (Broken, Exit.COULD_NOT_TELL),
)
_COLOURS = {"good": typer.colors.GREEN, "bad": typer.colors.RED, "wait": typer.colors.YELLOW}


class Wiring(Protocol):
    """What ``main`` gives to the commands."""

    @property
    def settings(self) -> Settings:
        """The settings of this installation."""

    def open_world(
        self, settings: Settings | None = None, *, make: bool = False, upgrade: bool = False
    ) -> AbstractAsyncContextManager[World]:
        """Open the database and the SSH side. A database is made, or brought to this version, only if it is said."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line for people; ``tone`` is good, bad, wait, or nothing."""

    text: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command found: for programs, for people, and as an exit status."""

    data: Any
    lines: tuple[Line | str, ...] = ()
    exit: Exit = Exit.YES


AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]
As = Annotated[
    str, typer.Option("--as", envvar="ASKFIRST_AS", metavar="EMAIL", help="Who acts: the e-mail of a person here.")
]
Act = Callable[[World], Awaitable[Answer]]


def answer(context: typer.Context, act: Act, *, as_json: bool = False, make: bool = False, asks: bool = False) -> None:
    """Act on this installation's own database, answer, and exit. Only a first step is allowed to ``make`` one.

    Of a command that only ``asks``, nothing but its answer is a no: whatever keeps it from one is "could not tell".
    """
    wiring: Wiring = context.obj

    async def run() -> Answer:
        async with wiring.open_world(make=make) as world:
            return await act(world)

    finish(run, as_json=as_json, asks=asks)


def finish(run: Callable[[], Awaitable[Answer]], *, as_json: bool = False, asks: bool = False) -> NoReturn:
    """Do something, answer, and exit; ``asks`` as in ``answer``."""
    found = attempt(run, as_json=as_json, asks=asks)
    try:
        if as_json:
            typer.echo(json.dumps(found.data, indent=2))
        else:
            show(found.lines)
        sys.stdout.flush()
    except BrokenPipeError:
        _hang_up()
    raise typer.Exit(found.exit)


def attempt(run: Callable[[], Awaitable[T]], *, as_json: bool = False, asks: bool = False) -> T:
    """Do something and return what it gives; what goes wrong is told in a sentence, and ends the command."""
    log_from(logging.ERROR)
    try:
        return asyncio.run(_awaited(run))
    except AskfirstError as error:
        fail(error, as_json=as_json, asks=asks)
    except ValidationError as error:
        fail(_unreadable_settings(error), as_json=as_json, asks=asks)
    except BrokenPipeError:
        _hang_up()
    except OSError as error:
        fail(_of_the_machine(error), as_json=as_json, asks=asks)
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit(130) from None
    except Exception as error:
        if os.environ.get("ASKFIRST_TRACE"):
            raise
        fail(_fault(error), as_json=as_json, asks=asks)


def show(lines: Iterable[Line | str]) -> None:
    """Print lines for people."""
    for line in lines:
        one = line if isinstance(line, Line) else Line(line)
        text = visible(one.text, 10_000, "\t")
        typer.echo(typer.style(text, fg=_COLOURS[one.tone]) if one.tone and _may_colour() else text)


def fail(error: AskfirstError, *, as_json: bool = False, asks: bool = False) -> NoReturn:
    """Say what went wrong and what to do next, and exit; ``asks`` as in ``answer``."""
    if as_json:
        typer.echo(json.dumps({"code": error.code, "detail": error.message, "next": error.next_step}, indent=2))
    for text in (error.message, error.next_step):
        typer.echo(visible(text, 10_000), err=True)
    status = next(status for kind, status in _EXITS if isinstance(error, kind))
    raise typer.Exit(Exit.COULD_NOT_TELL if asks else status)


def log_from(level: int) -> None:
    """Write our own log to standard error, one JSON object a line. A trace shows lines, never what they held.

    Standard output is the answer's.
    """
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


async def acting(world: World, email: str, alone: Role | None = None) -> Person:
    """Return the person who acts. Raises Refused where nobody is named, NotFound where there is nobody of that name.

    Where one human at most has the role ``alone``, nobody need be named: it is that person, or the operator.
    """
    if not email and alone is not None:
        everyone = [each.person for each in await people.everyone(world.db)]
        able = [each for each in everyone if each.is_enabled and alone in each.roles]
        if len(able) <= 1:
            return able[0] if able else operator()
    if not email:
        raise Refused(
            "Say who you are: this is recorded.",
            code="nobody_named",
            next_step="Add --as EMAIL, or set ASKFIRST_AS. `askfirst user list` shows who there is.",
        )
    account = await people.by_email(world.db, email)
    if account is None:
        raise NotFound(
            f"There is nobody with the e-mail {email}.",
            code="no_such_person",
            next_step="`askfirst user list` shows who there is.",
        )
    return account.person


async def _awaited(run: Callable[[], Awaitable[T]]) -> T:
    return await run()


def _hang_up() -> NoReturn:
    """End quietly where the reader of our output has gone, as in `… | head`."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise typer.Exit(Exit.COULD_NOT_TELL)


def _may_colour() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _unreadable_settings(error: ValidationError) -> Refused:
    return Refused(
        f"A setting does not fit: {', '.join(_unfit(each) for each in error.errors())}.",
        code="bad_setting",
        next_step="Correct it, or take it away for its default.",
    )


def _unfit(found: ErrorDetails) -> str:
    name, why = "_".join(map(str, found["loc"])).upper(), found["msg"].removeprefix("Value error, ")
    return f"ASKFIRST_{name}: {why}" if name else why


def _fault(error: Exception) -> Broken:
    return Broken(
        f"This is a fault of Askfirst: {type(error).__name__}: {error}",
        code="fault",
        next_step="Report it with what you did; ASKFIRST_TRACE=1 shows where it happened.",
    )


def _of_the_machine(error: OSError) -> Refused:
    _LOG.debug("the machine refused", exc_info=error)
    where = f" {error.filename}:" if error.filename else ""
    return Refused(
        f"The machine said no:{where} {error.strerror or error}.",
        code="machine",
        next_step="`askfirst doctor` checks this installation.",
    )
