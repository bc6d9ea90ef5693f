"""The findings of the judge: one function for each aspect of a claim, claimed beside observed.

Each looks at its own aspect alone and knows no other finding, so that one disagreement never hides another. What could
not be seen has ``agrees`` None, which is never agreement. Text from the host is masked and made visible here (law 13).
"""

from dataclasses import replace

from app.core import advice
from app.core.display import argv, span, visible
from app.core.errors import Refused
from app.core.facts import Facts, Process
from app.core.manager import Found, Missing, Several, Unseen
from app.core.service import Service
from app.core.verdict import Code, Finding
from app.core.warrant import WORD
from app.core.ways import Holder, Ways

UNCLAIMED = "not claimed"
CLOCK_SKEW_SECONDS = 2.0


def manager(ways: Ways) -> Finding:
    """Who runs the processes that hold the claimed ports (or path), and those that the name leads to."""
    claimed = ways.manager.label if ways.manager else visible(ways.service.manager)
    met = (*ways.heads, *ways.holders, *ways.owners)
    if ways.manager is None:
        return _unseen("manager", claimed, "this version knows no such manager", advice.unknown_manager(ways))
    if ways.is_by_hand:
        seen = advice.owner_words(met[0], ways) if met else "nothing runs"
        return _agrees("manager", claimed, f"restarted by a person; it is run by {seen}" if met else seen)
    foreign = [holder for holder in met if holder.owner.manager != ways.service.manager]
    if foreign:
        each = {(holder.owner.manager, holder.owner.unit, holder.port): holder for holder in reversed(foreign)}
        runs = [f"{advice.holder_words(one, ways)} is run by {advice.owner_words(one, ways)}" for one in each.values()]
        observed = "; ".join(list(reversed(runs))[:4])
        return _differs("manager", claimed, observed, Code.WRONG_MANAGER, advice.wrong_manager(foreign[0], ways))
    for holder in met:
        if not holder.owner.is_believed:
            return _unbelieved(holder, claimed, ways)
    if met:
        return _agrees("manager", claimed, f"{claimed} ({visible(met[0].owner.evidence, 200)})")
    if ways.found:
        return _agrees("manager", claimed, f"{claimed} knows the name; nothing runs under it")
    return _nothing_met("manager", claimed, ways)


def name(ways: Ways) -> Finding:
    """Whether the manager knows the claimed name, and whether the way up ends at the same one."""
    claimed = visible(ways.service.unit)
    match ways.lookup:
        case None:
            return _unseen("name", claimed, "there is no manager to ask", advice.unknown_manager(ways))
        case Unseen(why=why, next_step=step):
            return _unseen("name", claimed, f"could not be asked: {visible(why, 300)}", visible(step, 500))
        case Missing(near=near):
            like = ", ".join(visible(each, 100) for each in near[:5])
            observed = f"no such name; like it: {like}" if like else "no such name"
            return _differs("name", claimed, observed, Code.NO_SUCH_UNIT, advice.no_such_unit(near, ways))
        case Several(units=units):
            like = ", ".join(visible(each, 100) for each in units[:5])
            return _differs("name", claimed, f"fits more than one: {like}", Code.AMBIGUOUS, advice.several(units, ways))
        case Found() as found:
            return _found(found, claimed, ways)


def process(ways: Ways) -> Finding:
    """Whether the name leads to live processes that were seen."""
    may_start = ways.service.start
    claimed = "running, or to be started" if may_start else "running"
    if ways.is_down and may_start:
        return _agrees("process", claimed, "nothing runs: this would be a start, not a restart")
    if ways.is_down:
        return _differs("process", claimed, "nothing runs: this would be a start", Code.DOWN, advice.down(ways))
    missing = [pid for pid in ways.mains if pid not in ways.facts.processes]
    if missing:
        observed = f"{ways.unit} is said to be process {missing[0]}, which was not there when it was looked at"
        return _unseen("process", claimed, visible(observed), advice.AGAIN)
    if not ways.live:
        nothing = _nothing_met("process", claimed, ways)
        met = [f"met instead: {_process_words(each, ways)}" for each in ways.subjects[:4]]
        return replace(nothing, observed="; ".join([nothing.observed, *met]))
    return _agrees("process", claimed, "; ".join(_process_words(each, ways) for each in ways.live[:4]))


def user(ways: Ways) -> Finding:
    """Whether the process runs as the claimed user."""
    told = _told(ways, ways.found.user if ways.found else None)
    observed = [told] if told is not None else sorted({each.user for each in ways.subjects})
    return _plain("user", ways.service.user, list(observed), ways, Code.WRONG_USER)


def path(ways: Ways) -> Finding:
    """Whether the process works in the claimed path."""
    told = _told(ways, ways.found.path if ways.found else None)
    places = [told] if told is not None else [each.cwd for each in ways.subjects]
    if ways.service.path is not None and None in places:
        return _unseen("path", ways.service.path, "where it works could not be seen", advice.grant_sight(ways))
    return _plain("path", ways.service.path, sorted({each for each in places if each}), ways, Code.WRONG_PATH)


def ports(ways: Ways) -> Finding:
    """Whether each claimed port is held by the service's own processes, and by nobody else."""
    service = ways.service
    if not service.ports:
        return _agrees("ports", UNCLAIMED, advice.listening_words(ways) or "none seen")
    claimed = ", ".join(map(str, service.ports))
    stranger = next((holder for holder in (*ways.heads, *ways.holders) if not ways.meets(holder)), None)
    observed = "; ".join(_port_words(port, ways) for port in service.ports)
    published = ways.found.ports if ways.found else ()
    if ways.hidden:
        return _unseen("ports", claimed, observed, advice.grant_sight(ways))
    if stranger is not None and (ways.lookup is None or isinstance(ways.lookup, Unseen)):
        return _unseen("ports", claimed, observed, "")
    if stranger is not None:
        is_near = stranger.owner.manager == service.manager and ways.found is not None
        code = Code.AMBIGUOUS if is_near else Code.WRONG_PORT
        return _differs("ports", claimed, observed, code, advice.wrong_port(ways, stranger))
    if ways.is_down:
        if service.start:
            return _agrees("ports", claimed, f"{observed}; judged again once it is started")
        return _differs("ports", claimed, observed, Code.DOWN, advice.down(ways))
    if any(port not in published for port in ways.free):
        return _differs("ports", claimed, observed, Code.WRONG_PORT, advice.wrong_port(ways, None))
    return _agrees("ports", claimed, observed)


def safety(ways: Ways) -> Finding:
    """Whether root would run or read something that an ordinary user can write."""
    claimed = "only root can write what root would run"
    open_to = ways.facts.writable.get(ways.service.name, ())
    dark = next((each for each in ways.live if each.uid == 0 and each.exe is None), None)
    if not open_to and dark is not None and not ways.is_contained:
        observed = f"what process {dark.pid} of root executes could not be seen"
        return _unseen("safety", claimed, observed, advice.grant_sight(ways))
    if not open_to:
        return _agrees("safety", claimed, "nothing found that an ordinary user can write")
    observed = "; ".join(f"{visible(each.path, 300)} can be written by {visible(each.by, 60)}" for each in open_to[:4])
    return _differs("safety", claimed, observed, Code.UNSAFE, advice.unsafe(open_to))


def restart(ways: Ways) -> Finding:
    """What would be run; a manager that this version only recognises has nothing to run."""
    claimed = "can be restarted"
    if ways.manager is None:
        return _unseen("restart", claimed, "there is no manager to ask", advice.unknown_manager(ways))
    if ways.is_by_hand:
        return _agrees("restart", claimed, "a person does it by hand")
    if ways.manager.is_driven and ways.found is None:
        return _nothing_met("restart", claimed, ways)
    try:
        make = ways.manager.start if ways.is_down and ways.service.start else ways.manager.restart
        command = make(ways.service, ways.unit, ways.facts)
    except Refused as refused:
        return _unseen("restart", claimed, visible(refused.message), visible(refused.next_step))
    if not ways.manager.is_driven:
        observed = f"this version recognises {ways.manager.label} and does not restart through it"
        return _unseen("restart", claimed, observed, advice.not_driven(ways))
    odd = next((word for word in command.argv if not WORD.fullmatch(word)), None)
    if odd is not None:
        observed = f"no warrant can hold the word {visible(odd, 100)}"
        return _unseen("restart", claimed, observed, advice.not_driven(ways))
    if ways.facts.uid != 0 and command.user != ways.facts.user:
        observed = f"{visible(ways.facts.user)} may not run it as {visible(command.user)}"
        return _unseen("restart", claimed, observed, advice.grant_sight(ways))
    return _agrees("restart", claimed, f"{argv(command.argv)}, as {visible(command.user)}")


def identity(ways: Ways) -> Finding:
    """Whether the host printed what the run will be bound to, and for the very processes that were proved."""
    claimed = "bound to what was proved"
    lines = ways.facts.identity.get(ways.service.name, ())
    if not ways.live and not (ways.is_down and ways.service.start):
        return _nothing_met("identity", claimed, ways)
    starts = {tuple(line.split(" ")[1:3]) for line in lines if line.startswith("process ")}
    loose = [each for each in ways.live if (str(each.pid), str(each.start)) not in starts]
    if not any(line.startswith("boot ") for line in lines):
        return _unseen("identity", claimed, "the host printed no identity for this service", advice.AGAIN)
    if loose or len(starts) != len(ways.live):
        observed = "the processes changed while they were looked at" if starts else "no process is named in it"
        return _unseen("identity", claimed, observed, advice.AGAIN)
    if ways.live and ways.manager is not None and not ways.manager.mark(lines):
        return _unseen("identity", claimed, "nothing in it would tell a new incarnation from this one", advice.AGAIN)
    return _agrees("identity", claimed, f"{len(lines)} lines: {visible('; '.join(lines), 600)}")


def strange_gate(service: Service, facts: Facts, gate: str, level: str) -> Finding | None:
    """Say that the gate is not this version's own, or not of the level that the registry says; None where it is."""
    if facts.gate != gate:
        observed = f"the gate on the host is {visible(facts.gate, 40) or 'unknown'}, this version's is {gate}"
        return _unseen("gate", f"{level}, of this version", observed, advice.renew_kit(service))
    if facts.level != level:
        observed = f"the host's own files say {visible(facts.level, 40)}, the registry says {level}"
        return _unseen("gate", f"{level}, of this version", observed, advice.set_level(service, facts, level))
    return None


def sight(ways: Ways) -> Finding:
    """Whether the gate was asked about this service, and saw all that it needs."""
    facts, service = ways.facts, ways.service
    claimed = "all that is needed"
    if service.name not in facts.asked:
        return _unseen("sight", claimed, "the host was not asked about this service", advice.AGAIN)
    # What is said about a manager is in its own answer already, and about ports with each port.
    blind = [each for each in facts.blind if each.about in {"", service.name}]
    if blind:
        observed = "; ".join(f"{visible(each.what, 200)}: {visible(each.why, 300)}" for each in blind[:4])
        return _unseen("sight", claimed, f"not seen: {observed}", advice.grant_sight(ways))
    return _agrees("sight", claimed, f"seen by {visible(facts.user, 60)} on {visible(facts.hostname, 100)}")


def clock(ways: Ways) -> Finding:
    """How far the host's clock is from Askfirst's. It is shown, and decides nothing before the host itself does."""
    skew = ways.facts.now - ways.facts.taken_at
    if abs(skew) <= CLOCK_SKEW_SECONDS:
        return _agrees("clock", UNCLAIMED, f"within {CLOCK_SKEW_SECONDS:.0f} s of Askfirst's")
    observed = f"the host's clock is {span(skew)} {'ahead of' if skew > 0 else 'behind'} Askfirst's"
    return Finding("clock", UNCLAIMED, observed, agrees=True, next_step=advice.SET_CLOCK)


def _found(found: Found, claimed: str, ways: Ways) -> Finding:
    shown = f"{visible(found.unit, 200)} {visible(found.state, 100)}".strip()
    if found.obstacle:
        observed = f"{shown}: {visible(found.obstacle, 300)}"
        return _differs("name", claimed, observed, Code.NO_SUCH_UNIT, advice.obstacle(ways))
    for holder in (*ways.holders, *ways.owners):
        if holder.owner.manager == ways.service.manager and holder.owner.unit != found.unit:
            other = visible(holder.owner.unit or "a name that could not be asked", 200)
            observed = f"{shown}; yet {advice.holder_words(holder, ways)} belongs to {other}"
            return _differs("name", claimed, observed, Code.AMBIGUOUS, advice.another_unit(holder, ways))
    if found.unit != ways.service.unit:
        return _agrees("name", claimed, f"{shown} (the claimed name is another name of it)")
    return _agrees("name", claimed, shown)


def _unbelieved(holder: Holder, claimed: str, ways: Ways) -> Finding:
    """Say that what calls itself the manager is not proved to be it: unseen where it could not be asked."""
    observed = f"{advice.holder_words(holder, ways)} seems to be run by {claimed}, which is not proved"
    evidence = f"{observed}: {visible(holder.owner.evidence, 400)}"
    if ways.manager is not None and not ways.manager.is_driven:
        return _unseen("manager", claimed, evidence, advice.not_driven(ways))
    is_asked = isinstance(ways.lookup, Found | Missing | Several)
    if is_asked and ways.is_clear_above(holder):
        return _differs("manager", claimed, evidence, Code.WRONG_MANAGER, advice.wrong_manager(holder, ways))
    return _unseen("manager", claimed, evidence, advice.grant_sight(ways))


def _told(ways: Ways, word: str | None) -> str | None:
    """Take the manager's word only where no process on the host can tell: in a container, or while nothing runs."""
    return word if ways.is_contained or not ways.live else None


def _plain(aspect: str, claimed: str | None, observed: list[str], ways: Ways, code: Code) -> Finding:
    """Compare a plain word with all that was observed of it."""
    seen = ", ".join(visible(each, 400) for each in observed[:4])
    if claimed is None:
        return _agrees(aspect, UNCLAIMED, seen or "nothing runs")
    if not observed:
        if ways.is_down and ways.service.start:
            return _agrees(aspect, claimed, "nothing runs: judged once it is started")
        return _nothing_met(aspect, claimed, ways)
    if observed == [claimed]:
        return _agrees(aspect, claimed, seen)
    return _differs(aspect, claimed, seen, code, advice.wrong_word(aspect, seen, ways))


def _nothing_met(aspect: str, claimed: str, ways: Ways) -> Finding:
    """Say that there was nothing to look at, with the verdict of what stood in the way."""
    if ways.hidden:
        return _unseen(aspect, claimed, "who holds the port could not be seen", advice.grant_sight(ways))
    match ways.lookup:
        case Missing():
            return Finding(aspect, claimed, "nothing runs by this name", None, Code.NO_SUCH_UNIT)
        case Several():
            return Finding(aspect, claimed, "not looked at: the name fits more than one", None, Code.AMBIGUOUS)
        case Found():
            return Finding(aspect, claimed, "nothing runs", None, Code.DOWN)
    return _unseen(aspect, claimed, "could not be seen", "")


def _process_words(each: Process, ways: Ways) -> str:
    below = sum(each.pid in {above.pid for above in ways.facts.chain(other)[1:]} for other in ways.facts.processes)
    others = f" and {below} below it" if below else ""
    age, command = span(ways.facts.now - each.started_at), argv(each.argv) or visible(each.comm)
    return f"{each.pid} of {visible(each.user, 60)}{others}, up {age}: {command}"


def _port_words(port: int, ways: Ways) -> str:
    found = {each.address for each in ways.facts.listeners if each.port == port}
    places = [f"[{each}]:{port}" if ":" in each else f"{each}:{port}" for each in sorted(found)]
    where = visible(", ".join(places), 200) or str(port)
    if port in ways.hidden:
        return f"{where} is held by a process that could not be seen"
    met = [holder for holder in (*ways.heads, *ways.holders) if holder.port == port]
    stranger = next((holder for holder in met if not ways.meets(holder)), None)
    if stranger is not None:
        return f"{where} is held by {advice.stranger_words(stranger, ways)}"
    if met:
        stand = ways.standing(met[0])
        return f"{where} is held by its own process {stand.pid if stand else met[0].pid}"
    if ways.found and port in ways.found.ports:
        return f"{where} is published by {visible(ways.found.unit, 100)}"
    return f"{where} is held by nobody"


def _agrees(aspect: str, claimed: str, observed: str) -> Finding:
    return Finding(aspect, claimed, observed, agrees=True)


def _differs(aspect: str, claimed: str, observed: str, code: Code, next_step: str) -> Finding:
    return Finding(aspect, claimed, observed, agrees=False, code=code, next_step=next_step)


def _unseen(aspect: str, claimed: str, observed: str, next_step: str) -> Finding:
    return Finding(aspect, claimed, observed, agrees=None, code=Code.BLIND, next_step=next_step)
