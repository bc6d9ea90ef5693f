"""Names that are like the one asked for, offered as a question and never taken."""

from collections.abc import Iterable
from difflib import get_close_matches

_MOST = 3
_LONGEST = 200


def near(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """Return up to three known names, the most alike first: spelled alike, or one holding the other."""
    names = sorted({each for each in known if each != name and len(each) <= _LONGEST})
    alike = get_close_matches(name, names, n=_MOST, cutoff=0.6)
    holding = [each for each in names if each not in alike and min(len(each), len(name)) > 2 and _holds(each, name)]
    return tuple((alike + holding)[:_MOST])


def _holds(one: str, other: str) -> bool:
    return one.lower() in other.lower() or other.lower() in one.lower()
