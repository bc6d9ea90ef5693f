"""Names that are like the one asked for, offered as a question and never taken."""

from collections.abc import Iterable
from difflib import get_close_matches

_MOST = 3
_LONGEST = 200


def near(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """Return up to three known names, the most alike first: spelled alike, or one holding the other.

    An ending that they share (``.service``) makes no two names alike: only what stands before it is compared.
    """
    ending = name[name.rindex(".") :] if "." in name else ""
    wanted = name.removesuffix(ending)
    others = sorted(each for each in set(known) if each != name and len(each) <= _LONGEST)
    stems = {each.removesuffix(ending): each for each in others}
    alike = get_close_matches(wanted, stems, n=_MOST, cutoff=0.6)
    holding = [stem for stem in stems if stem not in alike and min(len(stem), len(wanted)) > 2 and _holds(stem, wanted)]
    return tuple(stems[stem] for stem in (alike + holding)[:_MOST])


def _holds(one: str, other: str) -> bool:
    return one.lower() in other.lower() or other.lower() in one.lower()
