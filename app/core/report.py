"""A host's deployment document: Markdown that follows from the registry and the last proofs alone, so that it can lie
in a repository and be compared.

The same values in any order give the same bytes: all is sorted, and no clock is read. A command is in it only where the
last proof says VERIFIED, as it followed from that proof; what nobody has registered is not in it. Every value, whoever
wrote it, is made visible and cannot become markup, a link or a heading (law 13)::

    # Deployment of alpha
    ...
    ## pypnm-gui

    - Owner: lab-team
    - Manager: supervisor, which knows it as `lab:pypnm-gui`
    - Last proof: VERIFIED, 2026-01-27 10:15:00 UTC
"""

import difflib
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from app.core.display import masked, moment, span, visible
from app.core.level import STOLEN, Level
from app.core.manager import Offered
from app.core.policy import Rule
from app.core.service import Check, Host, HttpCheck, JsonCheck, Service, TcpCheck

_MARKUP = re.compile(r"[\\`*_\[\]<>|~&!:@#]|(?<=www)\.")
_BEGINNING = re.compile(r"^(\s*)([-+=>]|\d+[.)])", re.MULTILINE)
_DATED = re.compile(r"^(- Last proof: [A-Z_]+), [^(\n]*?(?= \(|$)", re.MULTILINE)
_TITLES = {
    "daemon-reload": "Read changed files again, gentler than a restart",
    "reload": "Reload, gentler than a restart",
    "start": "Start where nothing runs",
    "restart": "Restart",
}


@dataclass(frozen=True, slots=True)
class LastProof:
    """What the last proof said, and when (epoch seconds). ``differs`` are the aspects that did not agree.

    ``unseen`` is the verdict of later looks that could not see the service, empty where there is none.
    """

    verdict: str
    at: float
    differs: tuple[str, ...] = ()
    commands: tuple[Offered, ...] = ()
    unseen: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One service with its manager's label, the rule for its approval (None where no policy fits), its last proof."""

    service: Service
    manager: str
    is_by_hand: bool
    rule: Rule | None = None
    proof: LastProof | None = None


def document(host: Host, keys: Iterable[str], entries: Iterable[Entry]) -> str:
    """Write a host's document. ``keys`` are its pinned keys' fingerprints."""
    sorted_entries = sorted(entries, key=lambda each: each.service.name)
    lines = [*_head(host, keys), "", "## Services", "", *_table(sorted_entries)]
    for each in sorted_entries:
        lines += ["", *_section(each)]
    return "\n".join(lines) + "\n"


def difference(copy: str, fresh: str, name: str) -> str:
    """Return how a copy differs from the document, as a unified diff; empty where it is still true.

    That a service was proved again since, with the same result, makes no copy untrue.
    """
    old, new = (_DATED.sub(r"\1", text.replace("\r\n", "\n")) for text in (copy, fresh))
    found = difflib.unified_diff(old.split("\n"), new.split("\n"), name, "as it is now", lineterm="")
    return "".join(f"{visible(line, 4_000)}\n" for line in found)


def without(text: str, services: Iterable[str]) -> str:
    """Return a document without what it says of some services."""
    for name in services:
        text = re.sub(rf"^\| {re.escape(name)} \|.*\n", "", text, flags=re.MULTILINE)
        text = re.sub(rf"^## {re.escape(name)}\n(?:(?!## ).*\n)*", "", text, flags=re.MULTILINE)
    return text


def code(value: str) -> str:
    """Write a value as Markdown code, from which nothing inside can break out."""
    shown = visible(value)
    fence = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    pad = " " if not shown.strip() or shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def prose(value: str) -> str:
    """Write what a person wrote as Markdown text of one line, from which nothing becomes markup."""
    return _BEGINNING.sub(r"\1\\\2", _MARKUP.sub(r"\\\g<0>", visible(value.strip())))


def _head(host: Host, keys: Iterable[str]) -> Iterator[str]:
    yield f"# Deployment of {host.name}"
    yield ""
    yield "Written by Askfirst from its registry and the last proof of each service. Change the registry, not this"
    yield f"file: `askfirst docs {host.name} --check FILE` tells whether a copy is still true. Nothing here is"
    yield "restarted without a proof and a human yes: ask with `askfirst request SERVICE --reason TEXT`."
    yield ""
    yield f"- Address: {code(f'{host.user}@{host.address}')}, port {host.port}"
    if host.jump:
        yield f"- By way of: {host.jump}"
    yield f"- Environment: {host.environment}"
    by_kit = "no" if host.level is Level.OPEN else "yes, by its kit"
    yield f"- Looked at as root: {'yes, by sudo' if host.sudo else by_kit}"
    yield f"- Level: {host.level}. {STOLEN[host.level]}"
    for key in sorted(set(keys)):
        yield f"- Host key: {code(key)}"


def _table(entries: Sequence[Entry]) -> Iterator[str]:
    if not entries:
        yield "None is registered."
        return
    yield "| Service | Manager | Its name there | Ports | Owner | Last proof |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for each in entries:
        service = each.service
        ports = ", ".join(map(str, sorted(service.ports))) or "none"
        proof = each.proof.verdict if each.proof else "never"
        cells = (
            service.name,
            prose(each.manager),
            code(service.unit).replace("|", "\\|"),
            ports,
            prose(service.owner),
            proof,
        )
        yield f"| {' | '.join(cells)} |"


def _section(entry: Entry) -> Iterator[str]:
    service = entry.service
    yield f"## {service.name}"
    yield ""
    yield f"- Owner: {prose(service.owner)}"
    known = "; called" if entry.is_by_hand else ", which knows it as"
    yield f"- Manager: {prose(entry.manager)}{known} {code(service.unit)}"
    for label, value in (("User", service.user), ("Path", service.path), ("Configuration", service.config)):
        if value is not None:
            yield f"- {label}: {code(value)}"
    yield f"- Ports: {', '.join(map(str, sorted(service.ports))) or 'none is claimed'}"
    yield f"- Stable: after {span(service.settle_seconds)}"
    yield f"- Where nothing runs: {'a start may be asked for' if service.start else 'nothing is started'}"
    yield f"- Approval: {_approval(entry.rule)}"
    yield f"- Last proof: {_proved(entry.proof)}"
    yield ""
    yield from _commands(entry)
    if service.checks:
        yield ""
        yield "Checks, made from the host itself:"
        yield ""
        yield from sorted(f"- {_check(each)}" for each in service.checks)
    if service.docs.strip():
        yield ""
        yield "Notes:"
        yield ""
        lines = service.docs.strip().splitlines()
        # Two blanks at the end keep the lines apart, as they were written.
        yield from (f"> {prose(line)}  ".rstrip() if not line.strip() else f"> {prose(line)}  " for line in lines)


def _approval(rule: Rule | None) -> str:
    if rule is None:
        return "no policy fits, so nobody can approve it"
    groups = " and ".join(" or ".join(sorted(each)) for each in sorted(set(rule.groups)))
    return f"{rule.approvers} of {groups}, by {rule.assurance.name.lower()}, within {span(rule.expires_seconds)}"


def _proved(proof: LastProof | None) -> str:
    if proof is None:
        return "never"
    if not proof.verdict:
        return f"never (it could not be seen: {proof.unseen})"
    notes = [f"differs: {', '.join(sorted(proof.differs))}"] if proof.differs else []
    notes += [f"not seen since: {proof.unseen}"] if proof.unseen else []
    return f"{proof.verdict}, {moment(proof.at)}" + (f" ({'; '.join(notes)})" if notes else "")


def _commands(entry: Entry) -> Iterator[str]:
    proof = entry.proof
    if proof is None or not proof.commands:
        verdict = proof.verdict if proof else ""
        why = (
            "it was never proved"
            if not verdict
            else "it could not be seen since"
            if proof and proof.unseen
            else verdict
        )
        yield f"Restart: no command is given, since what it would do is not proved ({why})."
        return
    order = list(_TITLES)
    for index, each in enumerate(sorted(proof.commands, key=lambda one: (order.index(one.action), one.argv, one.user))):
        if index:
            yield ""
        title = _TITLES[each.action]
        if not each.argv:
            yield f"{title}: by a person's hand. Askfirst runs nothing; it proves before and after."
            continue
        yield f"{title}, as {code(each.user)}:"
        yield ""
        yield "```sh"
        yield visible(masked(shlex.join(each.argv)), 4_000)
        yield "```"


def _check(check: Check) -> str:
    match check:
        case TcpCheck(port, address):
            return f"TCP: {code(f'{address}:{port}')} accepts a connection"
        case HttpCheck(url, status):
            return f"HTTP: {code(masked(url))} answers {status}"
        case JsonCheck(url, field, equals):
            return f"JSON: in {code(masked(url))} the field {code(field)} is {code(equals)}"
