"""The registry with its proposals, the last proofs, and the freezes."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "registry",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
    )
    op.create_table(
        "registry_revision",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.CheckConstraint("id = 1", name="registry_has_one_revision"),
    )
    op.execute(sa.text("INSERT INTO registry_revision (id, revision) VALUES (1, 0)"))
    op.create_table(
        "proposals",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("base_revision", sa.Integer, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("changes", "note_text", "state")),
        sa.Column("decided_by", sa.Text),
        sa.Column("decided_at", sa.Double),
    )
    op.create_table(
        "proofs",
        sa.Column("service", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("host", "verdict", "need", "findings")),
        sa.Column("at", sa.Double, nullable=False),
    )
    op.create_table(
        "freezes",
        sa.Column("scope", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("by", "reason_text")),
        sa.Column("at", sa.Double, nullable=False),
    )


def downgrade() -> None:
    for table in ("freezes", "proofs", "proposals", "registry_revision", "registry"):
        op.drop_table(table)
