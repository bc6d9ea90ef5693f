"""The sentences that say what a person does next, and the words for processes and owners in findings.

Each verdict has one; it names the person, the process or the setting that it is about. A like name is offered as a
question and never taken. Text from the host is masked and made visible here (law 13).
"""

from collections.abc import Sequence

from app.core.display import argv, moment, span, visible
from app.core.facts import Facts, Writable
from app.core.manager import Nearness
from app.core.owner import NOBODY
from app.core.service import Service
from app.core.ways import Holder, Ways

AGAIN = "Ask again: the host changed while it was looked at."
# Whoever has run for less may be about to listen.
MAY_STILL_START_SECONDS = 60.0
SET_CLOCK = (
    "Let the host's administrator set its clock: times from this host are off by that much, and it runs nothing that is"
    " over by its own."
)


def verified(ways: Ways) -> str:
    """What follows a complete proof."""
    if ways.is_by_hand:
        return "Ask for the restart; after the yes a person does it by hand, and the host is asked again."
    if ways.is_down:
        return "Ask for it; this would be a start, since nothing runs now."
    return "Ask for the restart; nothing runs before a human's yes."


def unknown_manager(ways: Ways) -> str:
    """The registry names a manager that this version does not have."""
    return f"An editor corrects the manager in the entry {ways.service.name}: one of {_claimable(ways)}."


def grant_sight(ways: Ways) -> str:
    """Something needed was not seen."""
    facts, host = ways.facts, ways.service.host
    if facts.uid != 0:
        return (
            f"The gate ran as {visible(facts.user, 60)}, who may not see this. An editor sets `sudo: true` for the host"
            f" {host}, and its administrator lets {visible(facts.user, 60)} run `sudo -n sh -s` as root."
        )
    return f"The gate ran as root and still could not see this. Mend on {host} what the finding names, then ask again."


def renew_kit(service: Service) -> str:
    """The gate on the host is another version's."""
    return f"Renew the kit on {service.host}: its gate is another version's than this Askfirst."


def set_level(service: Service, facts: Facts, level: str) -> str:
    """The host's own files say another level than the registry."""
    host = service.host
    return (
        f"Renew the kit on {host}, which brings its files to {level}; or an editor sets the level of {host} to"
        f" {visible(facts.level, 40)}, where that is what it should be."
    )


def not_driven(ways: Ways) -> str:
    """The manager is recognised only."""
    return (
        f"An editor registers {ways.service.name} as `manager: manual`; then a person restarts it by hand, and Askfirst"
        " proves before and after."
    )


def no_such_unit(near: Sequence[str], ways: Ways) -> str:
    """The manager does not know the name."""
    owners = [holder.owner for holder in ways.holders]
    own = [each.unit for each in owners if each.manager == ways.service.manager and each.is_believed and each.unit]
    like = list(dict.fromkeys([*own, *near]))[:3]
    if ways.heads and not own:
        return wrong_manager(ways.heads[0], ways)
    if like:
        return f"Did you mean {_names(like)}? If so, an editor corrects the unit in the entry {ways.service.name}."
    return f"Ask {_owner(ways)} what it is called there, then let an editor correct the entry {ways.service.name}."


def several(units: Sequence[str], ways: Ways) -> str:
    """The name fits more than one unit."""
    return f"Which of {_names(list(units)[:5])} is meant? Ask {_owner(ways)}; an editor writes the full name."


def obstacle(ways: Ways) -> str:
    """The manager would refuse."""
    return f"Ask {_owner(ways)}: the manager itself refuses to restart this until that is changed on the host."


def down(ways: Ways) -> str:
    """Nothing runs, and the claim allows no start."""
    return (
        f"Find out why it is down first. If a start is wanted, an editor sets `start: true` in the entry"
        f" {ways.service.name}; then ask again."
    )


def wrong_manager(holder: Holder, ways: Ways) -> str:
    """Another manager runs it, or none."""
    owner = holder.owner
    manager = ways.managers.get(owner.manager)
    who = process_words(holder, ways)
    if owner.manager == NOBODY or manager is None:
        return f"No manager runs {who}, so nothing can restart it. {_ask_and_register(holder, ways)}"
    if not manager.is_claimable and owner.nearness is Nearness.CONTAINER:
        return f"It is {who}, in {manager.label}: it is restarted there, and not on this host. Ask {_owner(ways)}."
    if not manager.is_claimable:
        return f"It is {who}, in {manager.label}, which restarts nothing. {_ask_and_register(holder, ways)}"
    unit = f" as `{visible(owner.unit, 200)}`" if owner.unit else ""
    if not manager.is_driven:
        return f"{manager.label} seems to run it{unit}. {not_driven(ways)}"
    if not owner.is_believed or not owner.unit:
        return f"What runs it calls itself {manager.label}, without proof. Ask {_person(holder, ways)}, whose {who} is."
    return (
        f"Did you mean `{visible(owner.unit, 200)}` under {manager.label}? Ask {_owner(ways)}; if so, an editor"
        f" corrects manager and unit in the entry {ways.service.name}."
    )


def another_unit(holder: Holder, ways: Ways) -> str:
    """Another unit of the right manager is met on the way up."""
    other = visible(holder.owner.unit or "the other", 200)
    return f"Is `{visible(ways.unit, 200)}` or `{other}` meant? Ask {_owner(ways)}; an editor corrects the entry."


def wrong_port(ways: Ways, stranger: Holder | None) -> str:
    """A claimed port is not held by the service's own processes."""
    if stranger is not None and stranger.owner.manager != ways.service.manager:
        return wrong_manager(stranger, ways)
    if stranger is not None:
        return f"The port is held by {process_words(stranger, ways)}. Ask {_owner(ways)} what it is."
    there = listening_words(ways)
    listens = f"It listens on {there}. " if there else "It listens on no port. "
    otherwise = f"{listens}Ask {_owner(ways)}; an editor corrects the ports in the entry {ways.service.name}."
    age = min((ways.facts.now - each.started_at for each in ways.live), default=-1.0)
    if not 0.0 <= age <= MAY_STILL_START_SECONDS:
        return otherwise
    return f"It was started {span(age)} ago and may not listen yet: look again in a moment. If that stays: {otherwise}"


def wrong_word(aspect: str, seen: str, ways: Ways) -> str:
    """User or path differ."""
    return f"Is `{seen}` right? Ask {_owner(ways)}; if so, an editor corrects the {aspect} in {ways.service.name}."


def unsafe(open_to: Sequence[Writable]) -> str:
    """Root would run what somebody else can write."""
    first = visible(open_to[0].path, 300)
    return f"Let root own {first} and take away others' right to write (chown root, chmod go-w), then ask again."


def owner_words(holder: Holder, ways: Ways) -> str:
    """Name an owner: the manager, its name for it, and how it was found."""
    owner = holder.owner
    manager = ways.managers.get(owner.manager)
    label = manager.label if manager else visible(owner.manager, 40)
    unit = f" as `{visible(owner.unit, 200)}`" if owner.unit else ""
    doubt = "" if owner.is_believed else ", not proved"
    return f"{label}{unit} ({visible(owner.evidence, 400)}{doubt})"


def holder_words(holder: Holder, ways: Ways) -> str:
    """Name a process in few words."""
    process = ways.facts.processes.get(holder.pid)
    what = f" ({visible(process.comm, 40)} of {visible(process.user, 60)})" if process else ""
    return f"process {holder.pid}{what}{f' on port {holder.port}' if holder.port else ''}"


def stranger_words(holder: Holder, ways: Ways) -> str:
    """Name a process that should not be there, with who runs it."""
    process = ways.standing(holder)
    manager = ways.managers.get(holder.owner.manager)
    label = manager.label if manager else visible(holder.owner.manager, 40)
    unit = f" as `{visible(holder.owner.unit, 200)}`" if holder.owner.unit else ""
    whose = f" of {visible(process.user, 60)}" if process else ""
    return f"process {process.pid if process else holder.pid}{whose}, run by {label}{unit}"


def process_words(holder: Holder, ways: Ways) -> str:
    """Name a process so that a person can find it: whose it is, since when, and its command line."""
    process = ways.standing(holder)
    if process is None:
        return f"process {holder.pid}"
    since = f"since {moment(process.started_at)} ({span(ways.facts.now - process.started_at)})"
    command = argv(process.argv) or visible(process.comm)
    return f"process {process.pid} of {visible(process.user, 60)}, {since}, `{command}`"


def listening_words(ways: Ways) -> str:
    """Name the ports that the main processes and those below them hold."""
    members = {pid for pid in ways.facts.processes if set(ways.mains) & {each.pid for each in ways.facts.chain(pid)}}
    held = {each.port for each in ways.facts.listeners if members & set(each.pids)}
    published = set(ways.found.ports) if ways.found else set()
    return ", ".join(map(str, sorted(held | published)))


def _ask_and_register(holder: Holder, ways: Ways) -> str:
    return (
        f"Ask {_person(holder, ways)}, whose it is; if it shall stay so, an editor registers {ways.service.name} as"
        " `manager: manual`."
    )


def _person(holder: Holder, ways: Ways) -> str:
    process = ways.standing(holder)
    return visible(process.user, 60) if process else _owner(ways)


def _owner(ways: Ways) -> str:
    return visible(ways.service.owner, 100)


def _names(names: Sequence[str]) -> str:
    return " or ".join(f"`{visible(each, 100)}`" for each in names)


def _claimable(ways: Ways) -> str:
    return ", ".join(sorted(name for name, each in ways.managers.items() if each.is_claimable))
