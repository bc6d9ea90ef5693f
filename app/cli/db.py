"""The database: its schema, its move from SQLite to PostgreSQL, and the roles that a PostgreSQL server gives us."""

from typing import Annotated

import typer

from app.cli.answers import Answer, AsJson, Wiring, finish
from app.store import copying, roles
from app.store.dialect import shown
from app.store.engine import open_database

app = typer.Typer(help="The database: upgrade, copy, roles.", no_args_is_help=True)


@app.command("upgrade")
def upgrade(context: typer.Context, as_json: AsJson = False) -> None:
    """Bring the database to this version, as every start does too. Make a backup of it first."""
    wiring: Wiring = context.obj

    async def run() -> Answer:
        settings = wiring.settings
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        db = await open_database(settings.database_url, upgrade=True)
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
        rows = sum(copied.rows.values())
        log = f"The log's {copied.rows['audit']} events are whole on both ends and end with {copied.head[:16]}…"
        said = (f"{rows} rows of {len(copied.rows)} tables are now in {shown(target)}.", log)
        return Answer({"database": shown(target), "rows": copied.rows, "head": copied.head}, said)

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
