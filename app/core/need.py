"""The judge's second answer: is a restart called for? NEEDED with signs, NOT_NEEDED, or UNSURE.

Signs are looked for in five places: code that was checked out or changed after the process started; an executable or
libraries that were replaced under it; what only its manager can tell (an edited unit, another image); red checks; and
that nothing runs. ``looked_for`` names the places that could be looked at. NOT_NEEDED is never said of a service whose
claimed code could not be seen: unseen is never absent.

It does not decide whether the claim is true (``judge`` does), and stops nobody. A container is judged by its own view:
the code on the host is not what it runs.
"""

from collections.abc import Mapping, Sequence

from app.core.display import span, visible
from app.core.facts import Facts, Process
from app.core.manager import Found, Manager
from app.core.service import Service
from app.core.verdict import Answer, Need, Sign
from app.core.ways import Ways, walk

CODE = "code newer than the process"
FILES = "replaced executable or libraries"
CHECKS = "red checks"


def assess(
    service: Service, facts: Facts, managers: Mapping[str, Manager], checks: Sequence[tuple[str, bool, str]]
) -> Need:
    """Look for signs. ``checks`` are label, whether it is green, and what was seen."""
    ways = walk(service, facts, managers)
    looked: list[str] = []
    signs: list[Sign] = []
    if ways.is_down:
        signs.append(Sign("down", "Nothing runs under this name."))
    family = _family(ways)
    if ways.live and not ways.is_contained and service.name in facts.code:
        looked.append(CODE)
        signs += _code(service, facts, ways.live)
    if family and all(each.exe is not None for each in family):
        looked.append(FILES)
    signs += [_replaced(each) for each in family if each.deleted]
    if isinstance(ways.lookup, Found) and ways.manager is not None and not ways.is_by_hand:
        looked.append(f"what {ways.manager.label} itself says")
        signs += ways.manager.signs(service, facts)
    if checks:
        looked.append(CHECKS)
    signs += [
        Sign("check", f"The check {visible(label)} is red: {visible(seen)}.") for label, ok, seen in checks if not ok
    ]
    return Need(_answer(signs, looked, service, is_contained=ways.is_contained), tuple(signs), tuple(looked))


def _answer(signs: Sequence[Sign], looked: Sequence[str], service: Service, *, is_contained: bool) -> Answer:
    if signs:
        return Answer.NEEDED
    is_code_unseen = service.path is not None and not is_contained and CODE not in looked
    return Answer.UNSURE if not looked or is_code_unseen else Answer.NOT_NEEDED


def _family(ways: Ways) -> tuple[Process, ...]:
    """Return the main processes and those below them, as far as they were seen."""
    mains = {each.pid for each in ways.live}
    everyone = ways.facts.processes
    return tuple(everyone[pid] for pid in sorted(everyone) if mains & {above.pid for above in ways.facts.chain(pid)})


def _code(service: Service, facts: Facts, live: Sequence[Process]) -> list[Sign]:
    code = facts.code[service.name]
    oldest = min(live, key=lambda each: each.started_at)
    signs: list[Sign] = []
    if code.commit_at is not None and code.commit_at > oldest.started_at:
        after = span(code.commit_at - oldest.started_at)
        what = f"Commit {visible((code.commit or '?')[:12])} ({visible(code.subject, 100)})"
        text = f"{what} was checked out {after} after process {oldest.pid} started."
        signs.append(Sign("code", text, code.commit_at))
    if code.newest_at is not None and code.newest_at > oldest.started_at:
        after = span(code.newest_at - oldest.started_at)
        text = f"{visible(code.newest_file or '?', 300)} was changed {after} after process {oldest.pid} started."
        signs.append(Sign("file", text, code.newest_at))
    return signs


def _replaced(process: Process) -> Sign:
    named = ", ".join(visible(each, 200) for each in process.deleted[:3])
    more = f" and {len(process.deleted) - 3} more" if len(process.deleted) > 3 else ""
    return Sign("replaced", f"Process {process.pid} still runs {named}{more}, which was replaced or removed.")
