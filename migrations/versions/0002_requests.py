"""Requests as lists and workers need them, who decided what, the words of their reasons, keys and output.

One request of a service can be open at a time, one requester can use a key once, one human says yes to a request once:
each is a unique index, so that of many racing writers one wins.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

SINGLE = ("service", "host", "requester", "state", "verdict")
PAIRS = (("service", "state"), ("service", "requester"), ("service", "verdict"), ("host", "state"), ("host", "verdict"))
MORE_PAIRS = (("host", "requester"), ("requester", "state"), ("requester", "verdict"), ("state", "verdict"))


def upgrade() -> None:
    _requests()
    _decisions()
    _words_keys_output()


def _requests() -> None:
    op.create_table(
        "requests",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("seq", sa.Integer, nullable=False),
        *(_text(name) for name in ("short", "state", "service", "host", "environment", "requester")),
        *(_text(name) for name in ("requester_human", "verdict", "need", "outcome")),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("is_open", sa.Boolean, nullable=False),
        *(sa.Column(name, sa.Double, nullable=False) for name in ("asked_at", "changed_at", "not_after")),
    )
    op.create_index("requests_seq", "requests", ["seq"], unique=True)
    op.create_index("requests_short", "requests", ["short"])
    op.create_index("requests_asked_at", "requests", ["asked_at", "seq"])
    still_open = sa.text("is_open")
    op.create_index(
        "requests_one_open", "requests", ["service"], unique=True, sqlite_where=still_open, postgresql_where=still_open
    )
    for columns in (*((one,) for one in SINGLE), *PAIRS, *MORE_PAIRS):
        op.create_index("requests_" + "_".join(columns), "requests", [*columns, "seq"])


def _decisions() -> None:
    op.create_table(
        "decisions",
        sa.Column("request", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        _text("person"),
        sa.Column("human", sa.Text),
        _text("answer"),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
    )
    op.create_index("decisions_one_yes", "decisions", ["request", "human"], unique=True)
    op.create_index("decisions_person", "decisions", ["person", "seq"])


def _words_keys_output() -> None:
    op.create_table(
        "words",
        sa.Column("word", sa.Text, primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "keys",
        sa.Column("requester", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        _text("digest"),
        _text("request"),
    )
    op.create_table(
        "output",
        sa.Column("request", sa.Text, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    for table in ("output", "keys", "words", "decisions", "requests"):
        op.drop_table(table)


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=False)
