"""People with their roles and groups, the first run's secret, sessions, failed sign-ins and tokens.

Secrets are here only as digests (SHA-256 of 256 random bits), passwords only as argon2id.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    _people()
    _ways_in()


def _people() -> None:
    op.create_table(
        "people",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("human", "name", "email")),
        sa.Column("is_enabled", sa.Boolean, nullable=False),
        sa.Column("password_hash", sa.Text),
        sa.Column("created_at", sa.Double, nullable=False),
    )
    op.create_index("people_email", "people", ["email"], unique=True)
    op.create_table("roles", _person(primary_key=True), sa.Column("role", sa.Text, primary_key=True))
    op.create_table(
        "groups",
        _person(primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("joined_at", sa.Double, nullable=False),
    )


def _ways_in() -> None:
    op.create_table(
        "bootstrap", sa.Column("id", sa.Integer, primary_key=True), sa.Column("digest", sa.Text, nullable=False)
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.Text, primary_key=True),
        _person(),
        *(sa.Column(name, sa.Double, nullable=False) for name in ("opened_at", "seen_at", "signed_in_at")),
    )
    op.create_index("sessions_person", "sessions", ["person"])
    op.create_table(
        "attempts",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("last_at", sa.Double, nullable=False),
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        _person(),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("name", "scopes")),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("revoked_at", sa.Double),
    )
    op.create_index("tokens_digest", "tokens", ["digest"], unique=True)
    op.create_index("tokens_person", "tokens", ["person"])


def downgrade() -> None:
    for table in ("tokens", "attempts", "sessions", "bootstrap", "groups", "roles", "people"):
        op.drop_table(table)


def _person(primary_key: bool = False) -> "sa.Column[str]":
    return sa.Column("person", sa.Text, sa.ForeignKey("people.id"), primary_key=primary_key, nullable=False)
