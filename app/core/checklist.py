"""The checklist of a request: is the code pushed, is the method verified, who restarts, are the checks green after it.

Each point is proved, not proved, or said. What the host cannot tell may be ticked by the requester: that is *said*, by
somebody with a name, and never becomes a proof; where the host shows the contrary, that stands. It stops nobody and
reads no store.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.core.display import span, visible
from app.core.facts import Checkout
from app.core.run import Checked
from app.core.verdict import Finding

COMMITTED = "committed"
# What a requester may tick, in the words of the tick.
SAYABLE = {COMMITTED: "I have committed and pushed the code."}


class Certainty(StrEnum):
    """How certain a point of the list is. LATER: only what comes after can tell."""

    PROVED = "proved"
    NOT_PROVED = "not proved"
    SAID = "said"
    LATER = "not yet"


@dataclass(frozen=True, slots=True)
class Point:
    """One point: its short name, the question, how it stands, and what that rests on."""

    name: str
    question: str
    certainty: Certainty
    text: str


def pushed(code: Checkout | None, path: str | None, now: float) -> Finding:
    """Compare what git told of a path with "all of it is committed and pushed"; ``now`` is the host's time."""
    observed, agrees = _pushed(code, path, now)
    return Finding(COMMITTED, "all of it is committed and pushed", observed, agrees)


def points(
    verdict: str,
    committed: Finding | None,
    after: Sequence[Checked] | None,
    *,
    said: Sequence[str],
    asker: str,
    who: str,
) -> tuple[Point, ...]:
    """Return the four points.

    ``after`` are the checks after the run, None before it; ``asker`` said what is ``said``; ``who`` is who restarts, in
    a sentence, empty while it is not known.
    """
    return (
        _code(committed, said, asker),
        Point(
            "method",
            "Is the deployment method verified?",
            Certainty.PROVED if verdict == "VERIFIED" else Certainty.NOT_PROVED,
            "The host proved manager, name and process from both ends."
            if verdict == "VERIFIED"
            else f"The host did not prove it: {verdict or 'it was not asked yet'}.",
        ),
        _restarts(who),
        _checks(after),
    )


def _pushed(code: Checkout | None, path: str | None, now: float) -> tuple[str, bool | None]:
    if path is None:
        return "no path is claimed, so nothing was looked at", None
    if code is None or code.commit is None:
        return f"no git checkout was seen at {path}", None
    commit = f"commit {visible(code.commit[:12])}"
    if code.changed is None or code.untracked is None:
        why = visible(code.untold, 300) or "it was not asked"
        return f"{commit}; git told no more: {why}", None
    loose = [
        f"{count} {'file' if count == 1 else 'files'} {what}"
        for count, what in ((code.changed, "changed"), (code.untracked, "not tracked"))
        if count
    ]
    if loose:
        return f"{' and '.join(loose)}, over {commit}", False
    upstream = visible(code.upstream, 100)
    if code.ahead is None:
        return f"{commit}, with nothing changed; its branch follows none, so whether it is pushed cannot be told", None
    fetched = f" by the last fetch, {span(now - code.fetched_at)} before" if code.fetched_at is not None else ""
    if code.ahead:
        count = "1 commit is" if code.ahead == 1 else f"{code.ahead} commits are"
        return f"{count} not on {upstream}{fetched}", False
    return f"{commit} is on {upstream}{fetched}, and nothing is changed", True


def _code(committed: Finding | None, said: Sequence[str], asker: str) -> Point:
    question = "Is the code committed and pushed?"
    seen = committed.observed if committed else "the host was not asked"
    agrees = committed.agrees if committed else None
    if agrees:
        return Point(COMMITTED, question, Certainty.PROVED, f"The host shows: {seen}.")
    if COMMITTED not in said:
        return Point(COMMITTED, question, Certainty.NOT_PROVED, f"The host shows: {seen}.")
    if agrees is None:
        return Point(COMMITTED, question, Certainty.SAID, f"{asker} says so. The host cannot tell: {seen}.")
    return Point(COMMITTED, question, Certainty.NOT_PROVED, f"{asker} says so, yet the host shows: {seen}.")


def _restarts(who: str) -> Point:
    if not who:
        return Point("who", "Who restarts?", Certainty.LATER, "Known once the host has proved what runs it.")
    # Askfirst runs what its warrant says; that a person does what they are asked to, nobody can prove beforehand.
    return Point("who", "Who restarts?", Certainty.PROVED if who.startswith("Askfirst, ") else Certainty.SAID, who)


def _checks(after: Sequence[Checked] | None) -> Point:
    question = "Are the checks green afterwards?"
    if after is None:
        return Point("checks", question, Certainty.LATER, "They are made once it has run.")
    if not after:
        return Point("checks", question, Certainty.NOT_PROVED, "No check was made: what it does was not looked at.")
    red = [each for each in after if not each.is_green]
    if red:
        return Point("checks", question, Certainty.NOT_PROVED, f"{len(red)} of {len(after)} are red: {red[0].label}.")
    return Point("checks", question, Certainty.PROVED, f"{len(after)} of {len(after)} are green.")
