"""The database's schema: brought to this version by ``upgrade``, which every start does too."""

import typer

from app.cli.answers import Answer, AsJson, Wiring, finish
from app.store.engine import open_database

app = typer.Typer(help="The database: upgrade.", no_args_is_help=True)


@app.command("upgrade")
def upgrade(context: typer.Context, as_json: AsJson = False) -> None:
    """Bring the database to this version. Make a copy of its file first."""
    wiring: Wiring = context.obj

    async def run() -> Answer:
        settings = wiring.settings
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        db = await open_database(settings.database_url, upgrade=True)
        await db.close()
        return Answer({"database": settings.database_url}, (f"{settings.database_url} is of this version.",))

    finish(run, as_json=as_json)
