"""The checklist of one request, from its events, its proofs and its warrant: what every door shows.

It looks at nothing anew and decides nothing; what counts as proved stands in ``core.checklist``.
"""

from collections.abc import Mapping

from app.core.checklist import Point, points
from app.core.display import argv, visible
from app.core.lifecycle import SETTLED, Request
from app.core.warrant import Warrant
from app.flow.evidence import Evidence


def checklist(
    request: Request, before: Evidence | None, after: Evidence | None, warrant: Warrant | None, names: Mapping[str, str]
) -> tuple[Point, ...]:
    """Return the points of a request as they stand now. ``names`` are people's, by id."""
    asker = visible(names.get(request.requester, "The requester"), 60)
    return points(
        before.verdict.code if before else "",
        before.committed if before else None,
        after.checks if after and request.state in SETTLED else None,
        said=request.said,
        asker=asker,
        who=_who(request, warrant, names) if warrant else "",
    )


def _who(request: Request, warrant: Warrant, names: Mapping[str, str]) -> str:
    if not warrant.argv:
        person = names.get(request.by_hand_of or request.requester, "The person named")
        return f"{visible(person, 60)}, by hand. Askfirst runs nothing."
    return f"Askfirst, by `{argv(warrant.argv)}` as {visible(warrant.argv_user, 60)}, once a person has approved it."
