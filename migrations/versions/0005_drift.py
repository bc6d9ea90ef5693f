"""The drift watch: what holds of each service, when each host was last swept, and who has not seen what changed.

What holds is rebuilt from the log, which has it from the first version on. A proof that is there already is what was
last seen, unless it says that nothing could be.
"""

import json
from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

SEEN = "UPDATE proofs SET proved = verdict, proved_at = at WHERE verdict NOT IN ('UNREACHABLE', 'BLIND')"
UNSEEN = "UPDATE proofs SET unseen = 1, unseen_since = at WHERE verdict IN ('UNREACHABLE', 'BLIND')"
ADDED = ("proved", "proved_at", "unseen", "unseen_since")


def upgrade() -> None:
    _tables()
    op.add_column("proofs", sa.Column("proved", sa.Text, nullable=False, server_default=""))
    op.add_column("proofs", sa.Column("proved_at", sa.Double, nullable=False, server_default="0"))
    op.add_column("proofs", sa.Column("unseen", sa.Integer, nullable=False, server_default="0"))
    op.add_column("proofs", sa.Column("unseen_since", sa.Double, nullable=False, server_default="0"))
    op.execute(sa.text(SEEN))
    op.execute(sa.text(UNSEEN))
    _rebuild()


def _tables() -> None:
    op.create_table(
        "verdicts",
        sa.Column("service", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("host", "verdict")),
        sa.Column("since", sa.Double, nullable=False),
    )
    op.create_table(
        "notices",
        sa.Column("person", sa.Text, sa.ForeignKey("people.id"), primary_key=True, nullable=False),
        sa.Column("service", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("host", "was", "verdict")),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("changes", "seq")),
        sa.Column("at", sa.Double, nullable=False),
    )
    op.create_index("notices_service", "notices", ["service"])
    op.create_table(
        "sweeps",
        sa.Column("host", sa.Text, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("misses", sa.Integer, nullable=False),
    )


def _rebuild() -> None:
    """Say what holds of each service, as the log tells it."""
    held: dict[str, dict[str, object]] = {}
    bind = op.get_bind()
    wanted = "SELECT body FROM audit WHERE type IN ('verdict_changed', 'registry_changed') ORDER BY seq"
    for (raw,) in bind.execute(sa.text(wanted)):
        body = json.loads(raw)
        if body["type"] == "verdict_changed":
            row = {"service": body["service"], "host": body["host"], "verdict": body["data"]["after"]}
            held[body["service"]] = {**row, "since": datetime.fromisoformat(body["at"]).timestamp()}
            continue
        for each in body["data"]["changes"]:
            key = {"service": "service", "host": "host"}.get(each["kind"])
            held = {name: row for name, row in held.items() if key is None or row[key] != each["name"]}
    for row in held.values():
        bind.execute(sa.text("INSERT INTO verdicts VALUES (:service, :host, :verdict, :since)"), row)


def downgrade() -> None:
    for column in ADDED:
        op.drop_column("proofs", column)
    for table in ("sweeps", "notices", "verdicts"):
        op.drop_table(table)
