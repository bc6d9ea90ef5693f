"""A request's evidence bundle: one JSON file with all that somebody needs to check it far from here.

It holds the request's rows of the log as they are stored, those by which the signers' keys were enrolled, and the texts
that they name, each with its salt; a text that was deleted is simply not there. It checks nothing: ``bundle_check``
does, with this file alone::

    {"askfirst-bundle": 1,
     "request": "01JF3W6V9Q0Z7E5M2T8X4K1B6N",
     "rows": [{"seq": 41, "body": "{\\"at\\":…}", "prev": "9f86…", "hash": "60303…"}],
     "keys": [{"seq": 12, "body": "{\\"at\\":…}", "prev": "2c62…", "hash": "fcde…"}],
     "texts": {"sha256:9f86…": {"salt": "00ff…", "body": "askfirst-warrant 1\\n…"}},
     "mails": {"01JF3W6V9Q0Z7E5M2T8X4K1B6N": "bo@example.org"}}
"""

import json
from typing import Any

from app.core.lifecycle import Request
from app.store import bundle as stored
from app.store import requests
from app.store.bundle import LogRow
from app.store.engine import Database
from app.store.log import body_in

VERSION = 1


async def make(db: Database, request_id: str) -> dict[str, Any]:
    """Return a request's bundle as one JSON object. Raises NotFound."""
    request = await requests.load(db, request_id)
    rows = await stored.rows_of(db, request.id)
    keys = await stored.rows_of_keys(db, [each.key for each in request.approvals if each.key])
    texts = await stored.texts(db, named(rows))
    return {
        "askfirst-bundle": VERSION,
        "request": request.id,
        "rows": [_plain(row) for row in rows],
        "keys": [_plain(row) for row in keys],
        "texts": {text.commitment: {"salt": text.salt.hex(), "body": text.body} for text in texts},
        "mails": await stored.mails(db, _people(request)),
    }


def written(bundle: dict[str, Any]) -> str:
    """Write a bundle as its file."""
    return json.dumps(bundle, indent=1) + "\n"


def named(rows: list[LogRow]) -> list[str]:
    """Return the commitments that rows name."""
    data = [body_in(row.body)["data"] for row in rows]
    return [value for each in data for name, value in each.items() if name.endswith("_text") and value]


def _people(request: Request) -> set[str]:
    return {request.requester, *(each.person for each in request.approvals)}


def _plain(row: LogRow) -> dict[str, Any]:
    return {"seq": row.seq, "body": row.body.decode(), "prev": row.prev.hex(), "hash": row.hash.hex()}
