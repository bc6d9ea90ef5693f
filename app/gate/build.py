"""The gate as one text, and what is sent to it: the remote command and its whole standard input.

It sends nothing itself. Keeps law 4: each field of what is asked is of a character set in which nothing could be
misread, and is refused here otherwise.

On an **open** host nothing is installed: the constant command is ``sh -s``, and what is asked rides behind
``program()`` in a quoted here-document that no shell reads as anything but data. On an **enforced** or **sealed** host
the command is one of four verbs for ``door()``, which the host's sshd starts whatever is asked, and which starts
``installed()`` through sudo; what is asked is the standard input alone: the nonce, the data, ``end``.

A gate is the same for one version of Askfirst: ``DIGEST`` and ``INSTALLED_DIGEST`` (the first 16 hex digits of the
SHA-256 of what it does, comments left out) are built in, and each answer's first line tells it. Comments and
indentation are not sent to an open host: they would cost a slow line two round trips. What is installed keeps them, for
whoever reads it there.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.resources import files

from app.core.errors import Refused
from app.core.level import Level
from app.core.service import NAME, PATH, UNIT, USER, Service
from app.managers import MANAGERS

_SHELL = ("frame.sh", "probe.sh", "run.sh")
# What other programs on the host are given as their text, by the variable that holds it.
_TEXTS = {
    "AF_AWK": ("escape.awk", "library.awk"),
    "AF_SCAN": ("scan.awk",),
    "AF_PROCESSES": ("processes.awk",),
    "AF_WRITABLE": ("writable.awk",),
    "AF_ANSWER": ("answer.awk",),
    "AF_READ_CODE": ("code.sh",),
    "AF_CODE_AWK": ("code.awk",),
    "AF_RUNNER": ("spend.sh", "runner.sh"),
}
# What an installed gate has besides: a later definition stands for an earlier one of the same name.
_INSTALLED_SHELL = (*_SHELL, "log.sh", "enforced.sh", "sealed.sh")
_INSTALLED_TEXTS = {
    **_TEXTS,
    "AF_ESCAPE": ("escape.awk",),
    "AF_SIGNATURE": ("signature.awk",),
    "AF_APPROVERS": ("approvers.awk",),
    "AF_RUNNER": ("spend.sh", "caps.sh", "runner.sh"),
}
_DOOR_SHELL = ("log.sh", "door.sh")
_DOOR_TEXTS = {"AF_ESCAPE": ("escape.awk",)}
_NONCE = re.compile(r"[0-9a-f]{32}")
_ID = re.compile(r"[0-9A-Za-z]{20,64}")
_WARRANT = re.compile(r"askfirst-warrant [ -~]+\n(?:[a-z-]+ [ -~]+\n)+")
_SIGNATURE = re.compile(r"-----BEGIN SSH SIGNATURE-----\n((?:[A-Za-z0-9+/=]+\n)+)-----END SSH SIGNATURE-----\n?")
_MOST_BYTES = 100_000  # a shell variable of the host's that goes through its environment


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _spare(text: str) -> str:
    lines = (line.strip() for line in text.splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("#"))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _as_it_is(text: str) -> str:
    return text


def _assemble(shell: Iterable[str], texts: Mapping[str, Iterable[str]], written: Callable[[str], str]) -> str:
    parts = [written(_read(name)) for name in shell]
    for variable, names in texts.items():
        parts.append(f"{variable}={_quoted(''.join(written(_read(name)) for name in names))}\n")
    return "".join(parts)


def _managed(written: Callable[[str], str]) -> str:
    parts = [f"AF_MANAGER={manager.name}\n{written(manager.shell)}" for manager in MANAGERS.values()]
    return "".join([*parts, f"AF_MANAGERS='{' '.join(MANAGERS)}'\n"])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]


def _whole(written: Callable[[str], str]) -> str:
    return _assemble(_INSTALLED_SHELL, _INSTALLED_TEXTS, written) + _managed(written)


_TEXT = _assemble(_SHELL, _TEXTS, _spare) + _managed(_spare)
DIGEST = _digest(_TEXT)
_PROGRAM = f"{_TEXT}AF_DIGEST={DIGEST}\n"
INSTALLED_DIGEST = _digest(_whole(_spare))
_INSTALLED = f'#!/bin/sh\n{_whole(_as_it_is)}AF_DIGEST={INSTALLED_DIGEST}\naf_installed "$@"\n'
_DOOR = f'#!/bin/sh\n{_assemble(_DOOR_SHELL, _DOOR_TEXTS, _as_it_is)}door "$@"\n'


def program() -> str:
    """Return the gate for an open host: definitions only, it does nothing until it is called."""
    return _PROGRAM


def installed() -> str:
    """Return the gate that the kit installs: the same and what refuses; its last line calls it."""
    return _INSTALLED


def door() -> str:
    """Return the forced command that the kit installs."""
    return _DOOR


def expected(level: Level) -> str:
    """Return the digest that the gate of a host of this level has to tell."""
    return DIGEST if level is Level.OPEN else INSTALLED_DIGEST


def command(level: Level, verb: str, argument: str = "", *, sudo: bool = False) -> str:
    """Return the remote command; ``argument`` is the service of a restart, the request's id of a burn or result.

    On an open host it is the same for every verb, and ``sudo`` is what the registry says of the host.
    """
    if level is Level.OPEN:
        return "sudo -n sh -s" if sudo else "sh -s"
    if verb == "probe":
        return verb
    form = NAME if verb == "restart" else _ID
    if verb not in {"restart", "burn", "result"} or not form.fullmatch(argument):
        raise _unfit(f"{verb[:20]!a} of {argument[:80]!a} is nothing that a host's door knows")
    return f"{verb} {argument}"


def probe_input(
    nonce: str,
    services: Sequence[Service],
    *,
    whole: bool = False,
    git: bool = False,
    level: Level = Level.OPEN,
) -> bytes:
    """Ask for the facts that these services need, or for the ``whole`` host, with git's word on their code.

    Raises Refused where a claim cannot be written.
    """
    lines = [_claim(service) for service in services] + ["whole"] * whole + ["git"] * git
    if sum(map(len, lines)) > _MOST_BYTES:
        raise _unfit("there are too many services on one host for one probe")
    return _input(level, "probe", nonce, lines)


def restart_input(nonce: str, warrant: str, signatures: Sequence[str] = (), *, level: Level = Level.OPEN) -> bytes:
    """Ask for the one run of a warrant, given as its text.

    ``signatures`` are armored SSH signatures, one for each approval; only a sealed host is sent them.
    """
    if not _WARRANT.fullmatch(warrant):
        raise _unfit("the warrant is not lines of a key and printable ASCII")
    signed = map(_signature, signatures) if level is Level.SEALED else ()
    return _input(level, "restart", nonce, [*warrant.splitlines(), *signed])


def burn_input(nonce: str, request_id: str, *, level: Level = Level.OPEN) -> bytes:
    """Ask that a warrant can never run, or what became of it."""
    return _about(level, "burn", nonce, request_id)


def result_input(nonce: str, request_id: str, *, level: Level = Level.OPEN) -> bytes:
    """Ask what became of a warrant."""
    return _about(level, "result", nonce, request_id)


def _about(level: Level, verb: str, nonce: str, request_id: str) -> bytes:
    """A door puts the id that its command names into the data itself."""
    line = _id(request_id)
    return _input(level, verb, nonce, [line] if level is Level.OPEN else [])


def _input(level: Level, verb: str, nonce: str, lines: Iterable[str]) -> bytes:
    if not _NONCE.fullmatch(nonce):
        raise _unfit("a nonce is 32 hexadecimal digits")
    data = "".join(f"{line}\n" for line in lines)
    if level is not Level.OPEN:
        return f"{nonce}\n{data}end\n".encode("ascii")
    return f"{_PROGRAM}af_main {verb} {nonce} <<'{nonce}'\n{data}end\n{nonce}\n".encode("ascii")


def _id(request_id: str) -> str:
    if not _ID.fullmatch(request_id):
        raise _unfit("a request's id is 20 to 64 letters and digits")
    return f"id {request_id}"


def _signature(armored: str) -> str:
    found = _SIGNATURE.fullmatch(armored)
    if found is None:
        raise _unfit("a signature is not an armored SSH signature")
    return "signature " + found[1].replace("\n", "")


def _claim(service: Service) -> str:
    forms = (
        (NAME, service.name),
        (NAME, service.manager),
        (UNIT, service.unit),
        (USER, service.user),
        (PATH, service.path),
        (PATH, service.config),
    )
    for form, value in forms:
        if value is not None and not form.fullmatch(value):
            raise _unfit(f"{value[:80]!a} of service {service.name[:40]!a} is not of its form")
    ports = ",".join(str(int(port)) for port in service.ports)
    return " ".join(["service", *(value or "-" for _, value in forms), ports or "-"])


def _unfit(why: str) -> Refused:
    return Refused(
        f"Nothing was sent to the host: {why}.",
        code="not_sendable",
        next_step="Correct the service's entry in the registry, then ask again.",
    )
