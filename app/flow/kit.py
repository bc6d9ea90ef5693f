"""A host's kit, gathered: the registry's entry, a fresh look at the host, and the people whose signatures count there.

It looks and changes nothing, here or there. What comes into the host's table is what a look just proved; where the host
cannot be looked at now, what its last look proved. The rest is told, each with what has to be done.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from app.core.credential import Credential
from app.core.display import moment, visible
from app.core.errors import HostKeyChanged, Refused, Unreachable
from app.core.facts import Facts
from app.core.judge import judge
from app.core.level import Level
from app.core.manager import Action, Command
from app.core.policy import Kind, Rule, approver_refusal, rule_for
from app.core.registry import Registry
from app.core.service import Host, HttpCheck, JsonCheck, Service, TcpCheck
from app.core.verdict import Code, Verdict
from app.core.warrant import WORD
from app.flow.evidence import offered, read
from app.flow.ports import World
from app.flow.prove import place
from app.gate.kit import Allowed, Kit, Signer
from app.managers import MANAGERS
from app.store import credentials, people, proofs, services
from app.store.people import Account


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of a kit beyond the registry. ``level`` and ``certificates`` are None for the host's own.

    ``key`` is the public key that Askfirst signs in with, ``authority`` the one that its certificates are signed by
    (empty where there is none), both ``TYPE BASE64``. ``cooldown`` is in seconds, ``per_hour`` the most runs.
    """

    key: str
    cooldown: int
    per_hour: int
    authority: str = ""
    level: Level | None = None
    certificates: bool | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """A kit, and what whoever installs it has to know."""

    kit: Kit
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the table may hold of one service, or why it holds nothing; ``says`` tells what else is to be known."""

    allowed: tuple[Allowed, ...] = ()
    why_not: str = ""
    says: str = ""


async def make(world: World, host_name: str, wish: Wish) -> Made:
    """Gather a host's kit. Raises NotFound, HostKeyChanged, and Refused where it cannot be made."""
    registry = await services.registry(world.db)
    registered, via = place(registry, host_name)
    level = wish.level or (Level.ENFORCED if registered.level is Level.OPEN else registered.level)
    certificates = registered.certificates if wish.certificates is None else wish.certificates
    if certificates and not wish.authority:
        raise Refused(
            "There is no key that certificates are signed with, so no host can be told to trust it.",
            code="no_authority",
            next_step="Start `askfirst signer`, and name its key's .pub file with --authority; or use --key.",
        )
    host = replace(registered, level=level, sudo=False, certificates=certificates)
    claims = registry.services_on(host.name)
    rules = {each.name: _rule(each, host, registry) for each in claims}
    seen = await _look(world, registered, host, via, claims)
    allowed = tuple(line for name, each in seen.items() if isinstance(rules[name], Rule) for line in each.allowed)
    ruled = {name: rule for name, rule in rules.items() if isinstance(rule, Rule)}
    signers, unready = await _signers(world, ruled, {each.service for each in allowed}, level)
    kit = Kit(
        host=host.name,
        account=host.user,
        level=level,
        host_keys=tuple(" ".join(key.split()[:2]) for key in host.host_keys),
        key=wish.authority if certificates else wish.key,
        certificates=certificates,
        ports=tuple(sorted({port for each in claims for port in _check_ports(each)})),
        allowed=allowed,
        approvals={name: rule.approvers for name, rule in ruled.items()},
        signers=signers,
        plain_keys=level is Level.SEALED and any(rule.plain_keys for rule in ruled.values()),
        cooldown=wish.cooldown,
        per_hour=wish.per_hour,
        left_out=tuple(_left_out(seen, rules)),
    )
    return Made(kit, tuple(_notes(kit, registered, seen, unready)))


def _rule(service: Service, host: Host, registry: Registry) -> Rule | Refused:
    try:
        return rule_for(service, host, registry.policies, registry.revision)
    except Refused as refused:
        return refused


async def _look(
    world: World, registered: Host, host: Host, via: Sequence[Host], claims: Sequence[Service]
) -> Mapping[str, _Seen]:
    """Look at the host as the registry reaches it, or as its kit does, which may be there before the registry knows."""
    if not claims:
        return {}
    ways = (registered, host) if registered.level is Level.OPEN else (registered,)
    error: Unreachable | None = None
    found: list[Mapping[str, _Seen]] = []
    for way in ways:
        try:
            facts = await world.hosts.probe(way, claims, via)
        except HostKeyChanged:
            raise
        except Unreachable as unreachable:
            error = error or unreachable
            continue
        found.append({each.name: _judged(each, facts) for each in claims})
        if any(each.allowed for each in found[-1].values()):
            break
    if found:
        return max(found, key=lambda each: sum(bool(one.allowed) for one in each.values()))
    known = await proofs.proofs(world.db)
    why = f"{error.message} {error.next_step}" if error else ""
    return {each.name: _remembered(each, known.get(each.name), why) for each in claims}


def _judged(service: Service, facts: Facts) -> _Seen:
    """Judge by whatever gate is there: an older one than this version's is what the kit is going to renew."""
    verdict = judge(service, facts, MANAGERS, facts.gate, facts.level)
    if not verdict.is_verified:
        return _Seen(why_not=f"{verdict.code}. {verdict.next_step}")
    manager = MANAGERS[service.manager]
    commands = {each.action: Command(each.argv, each.user) for each in offered(service, verdict, facts, manager)}
    ever = manager.gentler(service, verdict.unit, facts, ever=True)
    commands |= {str(action): command for action, command in ever.items()}
    return _lines(service, verdict, commands)


def _remembered(service: Service, last: proofs.Proof | None, why: str) -> _Seen:
    evidence = read(last.findings_json) if last is not None else None
    if last is None or evidence is None or evidence.verdict.code is not Code.VERIFIED:
        return _Seen(why_not=f"It could not be looked at: {why}")
    commands = {each.action: Command(each.argv, each.user) for each in evidence.commands}
    said = f"{service.name} is in as it was proved at {moment(last.at)}: the host could not be looked at now. {why}"
    return replace(_lines(service, evidence.verdict, commands), says=said)


def _lines(service: Service, verdict: Verdict, commands: Mapping[str, Command]) -> _Seen:
    if not any(command.argv for command in commands.values()):
        return _Seen(why_not="A person restarts it by hand; Askfirst proves before and after.")
    words = [verdict.unit, *(word for each in commands.values() for word in (each.user, *each.argv))]
    if strange := next((word for word in words if not WORD.fullmatch(word)), None):
        return _Seen(why_not=f"No warrant can name {visible(strange, 200)}: it holds a sign that warrants do not have.")
    return _Seen(
        tuple(
            Allowed(service.name, service.manager, verdict.unit, str(Action(action)), command.user, command.argv)
            for action, command in sorted(commands.items())
        )
    )


def _check_ports(service: Service) -> Iterator[tuple[str, int]]:
    """Yield where the checks of a service go, as they name it."""
    for check in service.checks:
        match check:
            case TcpCheck(port, address):
                yield address, port
            case HttpCheck(url) | JsonCheck(url):
                yield url_place(url)


def url_place(url: str) -> tuple[str, int]:
    """Return the host and port of a check's URL, as the channel to it names them."""
    authority = url.removeprefix("http://").partition("/")[0]
    if authority.startswith("["):
        name, _, rest = authority[1:].partition("]")
        return name, int(rest.removeprefix(":") or 80)
    name, _, port = authority.partition(":")
    return name, int(port or 80)


async def _signers(
    world: World, rules: Mapping[str, Rule], allowed: set[str], level: Level
) -> tuple[dict[str, tuple[Signer, ...]], list[str]]:
    """Return whose signatures count for each service, and what is not ready. Only a sealed host asks for any."""
    if level is not Level.SEALED:
        return {}, []
    accounts, keys, now = await people.everyone(world.db), await credentials.everybody(world.db), world.clock.now()
    unready = [
        f"A key of {account.email} ({each.name}) is not in the kit yet: it may approve from"
        f" {moment(each.usable_at)} on. Install the kit again then."
        for account in accounts
        for each in keys
        if each.person == account.person.id and each.usable_at is not None and not each.may_approve(now)
    ]
    usable = [each for each in keys if each.may_approve(now)]
    found = {name: tuple(_of_rule(rules[name], accounts, usable)) for name in sorted(allowed)}
    for name, signers in found.items():
        if len(signers) < rules[name].approvers:
            unready.append(
                f"{name} needs {rules[name].approvers} signatures, and {len(signers)} of its approvers have a key that"
                f" counts: let them enrol passkeys in Settings, then install the kit again."
            )
    return found, unready


def _of_rule(rule: Rule, accounts: Sequence[Account], keys: Sequence[Credential]) -> Iterator[Signer]:
    """Yield the humans who may approve by a rule, each once, with every address of theirs."""
    able = [each for each in accounts if approver_refusal(each.person, rule.groups) is None]
    for human in dict.fromkeys(each.person.human for each in able):
        own = [each for each in able if each.person.human == human]
        ids = {each.person.id for each in own}
        held = [key for key in keys if key.person in ids and (rule.plain_keys or key.kind is not Kind.PLAIN)]
        others = sorted(each.email for each in accounts if each.person.human == human and each not in own)
        if held:
            mails = (*sorted(each.email for each in own), *others)
            yield Signer(mails, tuple(sorted({key.public_key for key in held})))


def _left_out(seen: Mapping[str, _Seen], rules: Mapping[str, Rule | Refused]) -> Iterator[tuple[str, str]]:
    for name, each in sorted(seen.items()):
        rule = rules[name]
        if isinstance(rule, Refused):
            yield name, f"{rule.message} {rule.next_step}"
        elif not each.allowed:
            yield name, visible(each.why_not, 600)


def _notes(kit: Kit, registered: Host, seen: Mapping[str, _Seen], unready: Sequence[str]) -> Iterator[str]:
    yield from (f"{name} is not in the kit. {why}" for name, why in kit.left_out)
    yield from (each.says for each in seen.values() if each.says)
    yield from unready
    if not kit.allowed:
        yield (
            f"Nothing could be proved, so with this kit Askfirst may look at {kit.host} and restart nothing there."
            " Install it, let it prove the services, then install the kit again."
        )
    yield f"Read the kit, and run it on {kit.host} as root."
    wanted = [f"level: {kit.level}"] if registered.level is not kit.level else []
    wanted += ["certificates: true"] if kit.certificates and not registered.certificates else []
    without = ["sudo: true"] if registered.sudo else []
    without += ["certificates: true"] if registered.certificates and not kit.certificates else []
    if wanted or without:
        taken = f"take out {' and '.join(without)}" if without else ""
        given = f"write {' and '.join(wanted)}" if wanted else ""
        yield (
            f"Then {' and '.join(filter(None, (given, taken)))} in the registry's entry of {kit.host}; until then"
            " Askfirst can tell nothing of it, and runs nothing there."
        )
