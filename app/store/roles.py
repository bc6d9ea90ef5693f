"""The four roles of a PostgreSQL database, what each may do there, and the script that an administrator makes them by.

========== ==================================================================================================
owner      owns the tables, and nobody signs in as it
migrator   signs in to change the tables (``askfirst db upgrade``), acting as the owner
app        what the server signs in as: adds to the log, and can neither change it nor any table's shape
auditor    reads all that ``askfirst audit verify`` needs, and no secret, not even as a digest
========== ==================================================================================================

Askfirst makes no role itself: that takes rights which it must not have. Without them all works too, as the owner of the
tables; then only the triggers keep the log. Rights are given anew after each migration.
"""

import re

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.errors import Refused

_OWNER = "askfirst_owner"
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")

_SCRIPT = """\
-- Run as an administrator of the PostgreSQL server: psql -v ON_ERROR_STOP=1 -f FILE
-- It makes the roles and an empty database where they are absent, and gives anew what belongs to whom and who may do
-- what: it may be run again at any time. Then, and at each later version, make the tables as the migrator:
--   ASKFIRST_DATABASE_URL=postgresql+psycopg://askfirst_migrator@HOST/{database} askfirst db upgrade
-- and let the server sign in as the app:
--   ASKFIRST_DATABASE_URL=postgresql+psycopg://askfirst_app@HOST/{database}
-- Passwords are better kept in a file that PGPASSFILE names (mode 0600) than in the URL.
\\set ON_ERROR_STOP on

SELECT 'CREATE ROLE askfirst_owner NOLOGIN' WHERE to_regrole('askfirst_owner') IS NULL \\gexec
SELECT 'CREATE ROLE askfirst_migrator LOGIN' WHERE to_regrole('askfirst_migrator') IS NULL \\gexec
SELECT 'CREATE ROLE askfirst_app LOGIN' WHERE to_regrole('askfirst_app') IS NULL \\gexec
SELECT 'CREATE ROLE askfirst_auditor LOGIN' WHERE to_regrole('askfirst_auditor') IS NULL \\gexec
SELECT 'GRANT askfirst_owner TO askfirst_migrator'
  WHERE NOT pg_has_role('askfirst_migrator', 'askfirst_owner', 'MEMBER') \\gexec
-- Give each that signs in by a password one: \\password askfirst_app

SELECT $$CREATE DATABASE {database} OWNER askfirst_owner
  TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'$$
  WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{database}') \\gexec

\\connect {database}
DO $$
BEGIN
  IF to_regclass('public.audit_head') IS NULL
    AND EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace('public') AND relkind = 'r') THEN
    RAISE EXCEPTION 'the database {database} holds tables of something else than Askfirst';
  END IF;
END $$;
ALTER DATABASE {database} OWNER TO askfirst_owner;
ALTER ROLE askfirst_migrator IN DATABASE {database} SET role = 'askfirst_owner';
REVOKE ALL ON DATABASE {database} FROM PUBLIC;
GRANT CONNECT ON DATABASE {database} TO askfirst_migrator, askfirst_app, askfirst_auditor;
ALTER SCHEMA public OWNER TO askfirst_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO askfirst_app, askfirst_auditor;
SELECT format('ALTER TABLE %s OWNER TO askfirst_owner', oid::regclass) FROM pg_class
  WHERE relnamespace = to_regnamespace('public') AND relkind = 'r' \\gexec
SELECT format('ALTER ROUTINE %s OWNER TO askfirst_owner', oid::regprocedure) FROM pg_proc
  WHERE pronamespace = to_regnamespace('public') \\gexec
{grant};
"""

# One statement, so that it is one round trip. It does nothing where the roles are not there, or the tables another's.
_GRANT = """
DO $$
DECLARE
  one record;
BEGIN
  IF to_regrole('askfirst_app') IS NULL OR to_regrole('askfirst_auditor') IS NULL OR NOT EXISTS (
    SELECT FROM pg_class WHERE oid = to_regclass('audit') AND pg_has_role(relowner, 'USAGE')) THEN
    RETURN;
  END IF;
  FOR one IN SELECT relname, oid::regclass AS name FROM pg_class
    WHERE relnamespace = to_regnamespace(current_schema()) AND relkind = 'r' LOOP
    EXECUTE format('REVOKE ALL ON %s FROM askfirst_app, askfirst_auditor', one.name);
    EXECUTE format('GRANT %s ON %s TO askfirst_app', CASE one.relname
      WHEN 'audit' THEN 'SELECT, INSERT'
      WHEN 'late' THEN 'SELECT, INSERT'
      WHEN 'audit_head' THEN 'SELECT, UPDATE'
      WHEN 'texts' THEN 'SELECT, INSERT, DELETE'
      WHEN 'alembic_version' THEN 'SELECT'
      ELSE 'SELECT, INSERT, UPDATE, DELETE' END, one.name);
    IF one.relname NOT IN ('sessions', 'challenges', 'attempts', 'bootstrap', 'keys', 'people', 'tokens') THEN
      EXECUTE format('GRANT SELECT ON %s TO askfirst_auditor', one.name);
    END IF;
  END LOOP;
  IF to_regclass('people') IS NOT NULL THEN
    GRANT SELECT (id, human, name, email, is_enabled, created_at) ON people TO askfirst_auditor;
    GRANT SELECT (id, person, name, scopes, created_at, revoked_at) ON tokens TO askfirst_auditor;
  END IF;
END $$
"""

_WHO = """
SELECT current_user, rolsuper, pg_has_role(relowner, 'USAGE'), pg_get_userbyid(relowner), EXISTS (
  SELECT FROM pg_database, aclexplode(COALESCE(datacl, acldefault('d', datdba)))
  WHERE datname = current_database() AND grantee = 0 AND privilege_type = 'CONNECT')
FROM pg_roles, pg_class WHERE rolname = current_user AND pg_class.oid = to_regclass('audit')
"""


def script(database: str) -> str:
    """Return the SQL that makes the roles and the database. Raises Refused for a name that would need quoting."""
    if not _NAME.fullmatch(database):
        raise Refused(
            f"{database!r} is no name for a database.",
            code="database_name",
            next_step="Use small letters, digits and underscores.",
        )
    return _SCRIPT.format(database=database, grant=_GRANT.strip())


async def grant(connection: AsyncConnection) -> None:
    """Give each role its rights on every table there is, where the roles are there and the tables ours to give."""
    await connection.execute(text(_GRANT))


async def weakness(connection: AsyncConnection) -> str:
    """Say what rights let somebody do whom they should stop, or nothing: then not only triggers keep the log."""
    name, is_superuser, owns, owner, is_open = (await connection.execute(text(_WHO))).one()
    if is_superuser:
        return f"we sign in as {name}, an administrator of the server, whom no right stops"
    if owns:
        return f"we sign in as {name}, who owns the tables and could take their triggers away"
    if owner != _OWNER:
        return f"the tables belong to {owner}, who can sign in and take their triggers away, and not to {_OWNER}"
    return "every role of the server may connect to the database" if is_open else ""
