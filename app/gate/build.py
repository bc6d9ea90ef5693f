"""The gate as one text, and what is sent to it: the whole standard input of the constant remote command ``sh -s``.

It sends nothing itself. Keeps law 4: what is asked rides behind the program in a quoted here-document that no shell
reads as anything but data, each field of a character set in which nothing could be misread, and is refused here
otherwise.

The program is the same for one version of Askfirst: ``DIGEST`` (the first 16 hex digits of its SHA-256) is built into
it, and each answer's first line tells it. Comments and indentation are left out: they would cost a slow line two
round trips.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from importlib.resources import files

from app.core.errors import Refused
from app.core.service import NAME, PATH, UNIT, USER, Service
from app.managers import MANAGERS

_SHELL = ("frame.sh", "probe.sh", "run.sh")
# What other programs on the host are given as their text, by the variable that holds it.
_TEXTS = {
    "AF_AWK": "library.awk",
    "AF_SCAN": "scan.awk",
    "AF_PROCESSES": "processes.awk",
    "AF_WRITABLE": "writable.awk",
    "AF_ANSWER": "answer.awk",
    "AF_READ_CODE": "code.sh",
    "AF_CODE_AWK": "code.awk",
    "AF_RUNNER": "runner.sh",
}
_NONCE = re.compile(r"[0-9a-f]{32}")
_ID = re.compile(r"[0-9A-Za-z]{20,64}")
_WARRANT = re.compile(r"askfirst-warrant [ -~]+\n(?:[a-z-]+ [ -~]+\n)+")
_MOST_BYTES = 100_000  # a shell variable of the host's that goes through its environment


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _spare(text: str) -> str:
    lines = (line.strip() for line in text.splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("#"))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _assemble() -> str:
    parts = [_spare(_read(name)) for name in _SHELL]
    parts += [f"{variable}={_quoted(_spare(_read(name)))}\n" for variable, name in _TEXTS.items()]
    for manager in MANAGERS.values():
        parts.append(f"AF_MANAGER={manager.name}\n{_spare(manager.shell)}")
    parts.append(f"AF_MANAGERS='{' '.join(MANAGERS)}'\n")
    return "".join(parts)


_TEXT = _assemble()
DIGEST = hashlib.sha256(_TEXT.encode("ascii")).hexdigest()[:16]
_PROGRAM = f"{_TEXT}AF_DIGEST={DIGEST}\n"


def program() -> str:
    """Return the gate: definitions only, it does nothing until it is called."""
    return _PROGRAM


def probe_input(nonce: str, services: Sequence[Service], *, whole: bool = False, git: bool = False) -> bytes:
    """Ask for the facts that these services need, or for the ``whole`` host, with git's word on their code.

    Raises Refused where a claim cannot be written.
    """
    lines = [_claim(service) for service in services] + ["whole"] * whole + ["git"] * git
    if sum(map(len, lines)) > _MOST_BYTES:
        raise _unfit("there are too many services on one host for one probe")
    return _input("probe", nonce, lines)


def restart_input(nonce: str, warrant: str) -> bytes:
    """Ask for the one run of a warrant, given as its text."""
    if not _WARRANT.fullmatch(warrant):
        raise _unfit("the warrant is not lines of a key and printable ASCII")
    return _input("restart", nonce, warrant.splitlines())


def burn_input(nonce: str, request_id: str) -> bytes:
    """Ask that a warrant can never run, or what became of it."""
    return _input("burn", nonce, [_id(request_id)])


def result_input(nonce: str, request_id: str) -> bytes:
    """Ask what became of a warrant."""
    return _input("result", nonce, [_id(request_id)])


def _input(verb: str, nonce: str, lines: Iterable[str]) -> bytes:
    if not _NONCE.fullmatch(nonce):
        raise _unfit("a nonce is 32 hexadecimal digits")
    data = "".join(f"{line}\n" for line in lines)
    return f"{_PROGRAM}af_main {verb} {nonce} <<'{nonce}'\n{data}end\n{nonce}\n".encode("ascii")


def _id(request_id: str) -> str:
    if not _ID.fullmatch(request_id):
        raise _unfit("a request's id is 20 to 64 letters and digits")
    return f"id {request_id}"


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
