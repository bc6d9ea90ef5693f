"""What a check found, and how all that was found is told: to programs, to people, and as an exit status."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from app.cli.answers import Answer, Exit, Line


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What one check found. ``holds`` is None where it could not be told."""

    holds: bool | None
    seen: str
    next_step: str = ""


def told(found: Mapping[str, Diagnosis]) -> Answer:
    """Tell what each check found, by its name."""
    data = [
        {"name": name, "holds": each.holds, "seen": each.seen, "next": each.next_step} for name, each in found.items()
    ]
    return Answer(data, tuple(_lines(found)), _exit(found))


def _lines(found: Mapping[str, Diagnosis]) -> Iterator[Line | str]:
    for name, each in found.items():
        mark, tone = {True: ("ok", "good"), False: ("NO", "bad"), None: ("?", "wait")}[each.holds]
        yield Line(f"{mark:<3} {name:<16} {each.seen}", tone)
        if each.next_step:
            yield f"{'':20} {each.next_step}"


def _exit(found: Mapping[str, Diagnosis]) -> Exit:
    if any(each.holds is False for each in found.values()):
        return Exit.NO
    return Exit.COULD_NOT_TELL if any(each.holds is None for each in found.values()) else Exit.YES
