"""The database: its schema, its move from SQLite to PostgreSQL, its backups, and the roles of a PostgreSQL server."""

import time
from pathlib import Path
from typing import Annotated

import typer

from app.cli.answers import Answer, AsJson, Line, Wiring, finish
from app.flow import anchoring
from app.store import backup as backups
from app.store import copying, roles
from app.store.copying import Copied
from app.store.dialect import shown
from app.store.engine import lock_for_serving, open_database

app = typer.Typer(help="The database: upgrade, copy, backup, restore, roles.", no_args_is_help=True)


@app.command("upgrade")
def upgrade(context: typer.Context, as_json: AsJson = False) -> None:
    """Bring the database to this version, as a start does too where it may change tables. Make a backup of it first."""
    wiring: Wiring = context.obj

    async def run() -> Answer:
        settings = wiring.settings
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        db = await open_database(settings.database_url)
        await db.close()
        name = shown(settings.database_url)
        return Answer({"database": name}, (f"{name} is of this version.",))

    finish(run, as_json=as_json)


@app.command("copy")
def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="The URL of the database that holds all there is.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="The URL of an empty one.")],
    as_json: AsJson = False,
) -> None:
    """Move an installation from one database to another, all of it or nothing; the log is verified on both ends.

    Stop the server first. The first database is not changed: name the second in ASKFIRST_DATABASE_URL, then put the
    first away.
    """

    async def run() -> Answer:
        copied = await copying.copy(source, target)
        return Answer({"database": shown(target), **_data(copied)}, _said(copied, shown(target)))

    finish(run, as_json=as_json)


@app.command("backup")
def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A new file. Keep it as you keep a password: it holds all there is.")],
    as_json: AsJson = False,
) -> None:
    """Write all there is into one new file, also beside a running server; its log is verified before it counts."""
    wiring: Wiring = context.obj

    async def run() -> Answer:
        copied = await backups.backup(wiring.settings.database_url, file)
        return Answer({"file": str(file), **_data(copied)}, _said(copied, str(file)))

    finish(run, as_json=as_json)


@app.command("restore")
def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The file that `askfirst db backup` wrote, by this version or before.")],
    reason: Annotated[str, typer.Option(help="Why; it is shown and logged.")] = "No reason was given.",
    as_json: AsJson = False,
) -> None:
    """Put a backup into the empty database that the settings name, say so in its log, and freeze everything.

    Stop every server first. What ran since the backup is known to the hosts: they refuse to run it again.
    """
    wiring: Wiring = context.obj

    async def run() -> Answer:
        anchor = wiring.settings.anchor_file
        url = wiring.settings.database_url
        copied, lost = await backups.restore(file, url, lambda db: anchoring.recovered(db, anchor, reason, time.time()))
        name = shown(url)
        return Answer({"database": name, **_data(copied), "lost": lost}, (*_said(copied, name), *_after(lost)))

    finish(run, as_json=as_json)


@app.command("recover")
def recover(
    context: typer.Context,
    reason: Annotated[str, typer.Option(help="Why; it is shown and logged.")],
    as_json: AsJson = False,
) -> None:
    """Say in the log that an older state of the database was put back by other means, and freeze everything.

    Stop every server first. It forgives what ASKFIRST_ANCHOR_FILE holds: run it with the servers' own settings.
    """
    wiring: Wiring = context.obj

    async def run() -> Answer:
        settings = wiring.settings
        async with wiring.open_world() as world:
            with lock_for_serving(settings.database_url, alone=True):
                lost = await anchoring.recovered(world.db, settings.anchor_file, reason, world.clock.now())
        return Answer({"lost": lost}, _after(lost))

    finish(run, as_json=as_json)


@app.command("roles")
def print_roles(
    database: Annotated[str, typer.Option(help="The name of the database that is made.")] = "askfirst",
    as_json: AsJson = False,
) -> None:
    """Print the SQL by which a PostgreSQL server's administrator makes the database and its four roles.

    Askfirst never runs it itself.
    """

    async def run() -> Answer:
        script = roles.script(database)
        return Answer({"sql": script}, tuple(script.splitlines()))

    finish(run, as_json=as_json)


def _data(copied: Copied) -> dict[str, object]:
    return {"rows": copied.rows, "head": copied.head}


def _said(copied: Copied, where: str) -> tuple[str, ...]:
    rows = sum(copied.rows.values())
    log = f"The log's {copied.rows['audit']} events are whole on both ends and end with {copied.head[:16]}…"
    return (f"{rows} rows of {len(copied.rows)} tables are now in {where}.", log)


def _after(lost: int) -> tuple[Line | str, ...]:
    gone = f"At least {lost} events are gone" if lost else "No event is known to be gone"
    return (
        f"{gone}: the log says so in its next row, `log_recovered`. Everybody has to sign in again.",
        Line("Everything is frozen: who was disabled, what was denied or revoked since is not known here.", "bad"),
        "When you have looked: askfirst freeze off --reason TEXT",
    )
