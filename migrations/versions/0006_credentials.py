"""Passkeys and SSH keys that people enrolled, and what browsers were asked to sign."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "credentials",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("person", sa.Text, sa.ForeignKey("people.id"), nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("kind", "name", "public_key", "fingerprint")),
        sa.Column("counter", sa.BigInteger, nullable=False),
        sa.Column("enrolled_at", sa.Double, nullable=False),
        sa.Column("confirmed_by", sa.Text),
        *(sa.Column(name, sa.Double) for name in ("confirmed_at", "usable_at", "used_at")),
    )
    op.create_index("credentials_fingerprint", "credentials", ["fingerprint"], unique=True)
    op.create_index("credentials_person", "credentials", ["person"])
    op.create_table(
        "challenges",
        sa.Column("digest", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("purpose", "bound_to")),
        sa.Column("made_at", sa.Double, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("challenges")
    op.drop_table("credentials")
