"""Brings a database's tables to this version, or says why it cannot. The migrations stand in ``migrations/``.

There is no ``alembic.ini``: the folder is found by ``app.paths``. All migrations of one call are one transaction, so
that a database is never left half-way.
"""

from enum import Enum

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from app.core.errors import Refused
from app.paths import MIGRATIONS


class Found(Enum):
    """What there is of our tables."""

    NOTHING = 0
    OLDER = 1
    CURRENT = 2


def move(connection: Connection, revision: str) -> None:
    """Bring the tables up or down to one revision."""
    config = _config(connection)
    scripts = ScriptDirectory.from_config(config)
    newest_first = [script.revision for script in scripts.walk_revisions()] + ["base"]
    target = scripts.get_current_head() if revision == "head" else revision
    up = newest_first.index(target or "base") < newest_first.index(_revision(connection) or "base")
    (command.upgrade if up else command.downgrade)(config, revision)


def found(connection: Connection) -> Found:
    """Say what there is. Raises Refused where the tables are newer than this version knows."""
    scripts = ScriptDirectory.from_config(_config(connection))
    here = _revision(connection)
    if here is None:
        return Found.NOTHING
    if here not in {script.revision for script in scripts.walk_revisions()}:
        raise Refused(
            f"The database was written by a newer version of Askfirst (schema {here}).",
            code="schema_newer",
            next_step="Start that version or a newer one, or restore the backup made before the upgrade.",
        )
    return Found.CURRENT if here == scripts.get_current_head() else Found.OLDER


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
