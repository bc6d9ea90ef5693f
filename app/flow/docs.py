"""A host's deployment document, from the registry and the last proofs as they stand. It asks no host."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.core.errors import Refused, Unreachable
from app.core.policy import rule_for
from app.core.registry import Registry
from app.core.report import Entry, LastProof, difference, document, without
from app.core.service import Host, Service
from app.core.verdict import Code
from app.flow.evidence import read
from app.flow.ports import World
from app.flow.prove import place
from app.managers import MANAGERS
from app.ssh.keys import fingerprint, pinned
from app.store import proofs, services
from app.store.proofs import Proof


@dataclass(frozen=True, slots=True)
class Document:
    """The text, and the services that could not be seen when they were last looked at."""

    host: str
    text: str
    unseen: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Whether a copy is still true (None: that cannot be told), and how it differs."""

    is_true: bool | None
    difference: str


async def write(world: World, host_name: str) -> Document:
    """Write a host's document. Raises NotFound."""
    registry = await services.registry(world.db)
    host, _ = place(registry, host_name)
    known = await proofs.proofs(world.db)
    entries = [_entry(each, host, registry, known) for each in registry.services_on(host.name)]
    unseen = tuple(each.service.name for each in entries if each.proof and each.proof.unseen)
    return Document(host.name, document(host, _keys(host), entries), unseen)


def compare(found: Document, copy: str, name: str) -> Comparison:
    """Compare a copy with the document. What differs only for services that cannot be seen now cannot be told."""
    differs = difference(copy, found.text, name)
    if not differs:
        return Comparison(True, "")
    old, new = (without(text.replace("\r\n", "\n"), found.unseen) for text in (copy, found.text))
    is_unsure = bool(found.unseen) and not difference(old, new, name)
    return Comparison(None if is_unsure else False, differs)


def _entry(service: Service, host: Host, registry: Registry, known: Mapping[str, Proof]) -> Entry:
    manager = MANAGERS.get(service.manager)
    try:
        rule = rule_for(service, host, registry.policies, registry.revision)
    except Refused:
        rule = None
    return Entry(
        service=service,
        manager=manager.label if manager else service.manager,
        is_by_hand=manager is not None and manager.is_by_hand,
        rule=rule,
        proof=_proof(known.get(service.name)),
    )


def _proof(last: Proof | None) -> LastProof | None:
    if last is None:
        return None
    seen = last.seen
    if seen.unseen:
        return LastProof(seen.proved, seen.proved_at, unseen=seen.verdict)
    evidence = read(last.findings_json)
    is_proved = evidence.verdict.code is Code.VERIFIED
    return LastProof(
        verdict=seen.proved,
        at=seen.proved_at,
        differs=() if is_proved else tuple({each.aspect for each in evidence.verdict.findings if not each.agrees}),
        commands=evidence.commands,
    )


def _keys(host: Host) -> tuple[str, ...]:
    try:
        return tuple(fingerprint(key) for key in pinned(host)) if host.host_keys else ()
    except Unreachable:
        return ()
