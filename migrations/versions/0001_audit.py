"""The audit log: append-only, chained, with every shown column generated from the stored bytes; and its texts.

On SQLite `INSERT OR REPLACE` deletes the row it collides with and fires no delete trigger for it, so the insert trigger
itself refuses a value that any unique column holds already. On PostgreSQL the triggers fire whatever a session calls
itself; their functions look for tables where they were made and nowhere else. A database's owner can still drop a
trigger; then the chain tells. Going down is refused while the log holds anything: no command of ours deletes it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

GENERATED = {
    "event_id": ("id", "TEXT"),
    "type": ("type", "TEXT"),
    "at": ("at", "TEXT"),
    "by": ("by", "TEXT"),
    "request": ("request", "TEXT"),
    "version": ("version", "INTEGER"),
    "service": ("service", "TEXT"),
    "host": ("host", "TEXT"),
}

SQLITE_COLUMNS = ", ".join(
    f"\"{column}\" {kind} GENERATED ALWAYS AS (json_extract(CAST(body AS TEXT), '$.{key}')) VIRTUAL"
    for column, (key, kind) in GENERATED.items()
)

SQLITE = (
    f"""CREATE TABLE audit (
        seq INTEGER NOT NULL PRIMARY KEY, body BLOB NOT NULL, prev BLOB NOT NULL, hash BLOB NOT NULL, {SQLITE_COLUMNS},
        CHECK (typeof(body) = 'blob' AND length(prev) = 32 AND length(hash) = 32),
        CHECK (event_id IS NOT NULL AND type IS NOT NULL AND at IS NOT NULL AND "by" IS NOT NULL),
        CHECK ((request IS NULL) = (version IS NULL)),
        CHECK (json_extract(CAST(body AS TEXT), '$.seq') IS seq))""",
    """CREATE TRIGGER audit_is_never_updated BEFORE UPDATE ON audit
       BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
    """CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit
       BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
    """CREATE TRIGGER audit_is_only_appended BEFORE INSERT ON audit
       BEGIN
         SELECT RAISE(ABORT, 'the audit log holds this already') WHERE EXISTS (
           SELECT 1 FROM audit WHERE event_id = NEW.event_id
           UNION ALL SELECT 1 FROM audit WHERE request = NEW.request AND version = NEW.version);
         SELECT RAISE(ABORT, 'this is not the next row of the audit log')
           WHERE NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM audit)
           OR NEW.prev IS NOT coalesce((SELECT hash FROM audit ORDER BY seq DESC LIMIT 1), zeroblob(32));
       END""",
    """CREATE TRIGGER audit_head_is_never_deleted BEFORE DELETE ON audit_head
       BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
    """CREATE TRIGGER audit_head_is_alone BEFORE INSERT ON audit_head
       BEGIN SELECT RAISE(ABORT, 'the audit log has one head'); END""",
    """CREATE TRIGGER audit_head_follows BEFORE UPDATE ON audit_head
       WHEN NEW.id <> 1 OR NEW.seq IS NOT (SELECT max(seq) FROM audit)
         OR NEW.hash IS NOT (SELECT hash FROM audit ORDER BY seq DESC LIMIT 1)
       BEGIN SELECT RAISE(ABORT, 'the head is not the last row of the audit log'); END""",
)

# A JSON value cannot be taken out of a text that holds an escaped NUL anywhere; what is shown has U+FFFD instead.
POSTGRES_COLUMNS = ", ".join(
    f'"{column}" {kind} COLLATE "C" GENERATED ALWAYS AS (audit_field(body, \'{key}\')) STORED'
    if kind == "TEXT"
    else f"\"{column}\" {kind} GENERATED ALWAYS AS (audit_field(body, '{key}')::{kind}) STORED"
    for column, (key, kind) in GENERATED.items()
)

POSTGRES = (
    """DO $$ BEGIN
         IF current_setting('server_encoding') <> 'UTF8' THEN
           RAISE EXCEPTION 'its encoding is not UTF8';
         END IF;
       END $$""",
    "SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true)",
    r"""CREATE FUNCTION audit_field(body bytea, field text) RETURNS text
       LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
       RETURN CASE WHEN position('\u0000' IN convert_from(body, 'UTF8')) = 0
         THEN convert_from(body, 'UTF8')::json ->> field
         ELSE regexp_replace(convert_from(body, 'UTF8'), '(?<!\\)((?:\\\\)*)\\u0000', '\1\\ufffd', 'g')::json ->> field
       END""",
    f"""CREATE TABLE audit (
        seq INTEGER NOT NULL PRIMARY KEY, body BYTEA NOT NULL, prev BYTEA NOT NULL, hash BYTEA NOT NULL,
        {POSTGRES_COLUMNS},
        CHECK (octet_length(prev) = 32 AND octet_length(hash) = 32),
        CHECK (event_id IS NOT NULL AND type IS NOT NULL AND at IS NOT NULL AND "by" IS NOT NULL),
        CHECK ((request IS NULL) = (version IS NULL)),
        CHECK (audit_field(body, 'seq') IS NOT DISTINCT FROM seq::text))""",
    """CREATE FUNCTION audit_refuses_a_change() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
       BEGIN
         RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = '23AF1';
       END $$""",
    """CREATE FUNCTION audit_takes_the_next_row() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
       DECLARE
         last record;
       BEGIN
         SELECT seq, hash INTO last FROM audit ORDER BY seq DESC LIMIT 1;
         IF NEW.seq IS DISTINCT FROM coalesce(last.seq, 0) + 1
           OR NEW.prev IS DISTINCT FROM coalesce(last.hash, decode(repeat('00', 32), 'hex')) THEN
           RAISE EXCEPTION 'this is not the next row of the audit log' USING ERRCODE = '23AF1';
         END IF;
         RETURN NEW;
       END $$""",
    """CREATE FUNCTION audit_head_is_the_last_row() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
       DECLARE
         last record;
       BEGIN
         SELECT seq, hash INTO last FROM audit ORDER BY seq DESC LIMIT 1;
         IF NEW.id <> 1 OR NEW.seq IS DISTINCT FROM last.seq OR NEW.hash IS DISTINCT FROM last.hash THEN
           RAISE EXCEPTION 'the head is not the last row of the audit log' USING ERRCODE = '23AF1';
         END IF;
         RETURN NEW;
       END $$""",
    *(
        statement
        for name, when, table, each, function in (
            ("audit_is_never_changed", "UPDATE OR DELETE", "audit", "ROW", "audit_refuses_a_change"),
            ("audit_is_never_emptied", "TRUNCATE", "audit", "STATEMENT", "audit_refuses_a_change"),
            ("audit_is_only_appended", "INSERT", "audit", "ROW", "audit_takes_the_next_row"),
            ("audit_head_is_alone", "INSERT OR DELETE", "audit_head", "ROW", "audit_refuses_a_change"),
            ("audit_head_is_never_emptied", "TRUNCATE", "audit_head", "STATEMENT", "audit_refuses_a_change"),
            ("audit_head_follows", "UPDATE", "audit_head", "ROW", "audit_head_is_the_last_row"),
        )
        for statement in (
            f"CREATE TRIGGER {name} BEFORE {when} ON {table} FOR EACH {each} EXECUTE FUNCTION {function}()",
            f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}",
        )
    ),
)
POSTGRES_FUNCTIONS = ("audit_head_is_the_last_row", "audit_takes_the_next_row", "audit_refuses_a_change")


def upgrade() -> None:
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("latest", sa.Double, nullable=False),
        sa.CheckConstraint("id = 1", name="audit_has_one_head"),
    )
    op.execute(
        sa.text("INSERT INTO audit_head (id, seq, hash, latest) VALUES (1, 0, :none, 0)").bindparams(none=bytes(32))
    )
    for statement in {"sqlite": SQLITE, "postgresql": POSTGRES}[op.get_bind().dialect.name]:
        op.execute(sa.text(statement))
    op.create_index("audit_event", "audit", ["event_id"], unique=True)
    op.create_index("audit_request_version", "audit", ["request", "version"], unique=True)
    for column in ("type", "by", "service", "host", "at"):
        op.create_index(f"audit_{column}", "audit", [column, "seq"])
    op.create_table(
        "late",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
    )
    op.create_table(
        "texts",
        sa.Column("commitment", sa.Text, primary_key=True),
        sa.Column("salt", sa.LargeBinary, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    if op.get_bind().scalar(sa.text("SELECT seq FROM audit_head")):
        raise RuntimeError("the audit log holds events; no command deletes it")
    for table in ("texts", "late", "audit", "audit_head"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        for function in POSTGRES_FUNCTIONS:
            op.execute(sa.text(f"DROP FUNCTION {function}()"))
        op.execute(sa.text("DROP FUNCTION audit_field(bytea, text)"))
