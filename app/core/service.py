"""What the registry says: hosts, services and their checks, as values.

A service here is a *claim*; whether it is true is for the judge. This file checks the form of single fields and knows
no manager: what a manager asks of a claim stands in that manager's own file. Keeps law 4: no field can hold a shell
word that is read differently on a host.
"""

import re
from dataclasses import dataclass, field

from app.core.level import Level

NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
UNIT = re.compile(r"[A-Za-z0-9_/][A-Za-z0-9@._:/\\-]{0,199}")
# The account that Askfirst signs in as: what useradd makes, since sudo and sshd read it too.
ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
# Who a process runs as: a directory's names too (`ada.lovelace`, `svc@corp.example`), and the number of one without.
USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,63}")
PATH = re.compile(r"/[A-Za-z0-9@._:/+=,-]{0,399}")
ARG = re.compile(r"[A-Za-z0-9@._:/=+,-]{1,200}")
MOST_ARGS = 20
ADDRESS = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.:-]{0,252}[A-Za-z0-9])?")
HTTP_URL = re.compile(r"http://(127\.0\.0\.1|localhost|\[::1\]|[A-Za-z0-9.-]+)(:\d{1,5})?(/[!-~]*)?")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with what somebody wrote: the field (dotted), and a sentence that says what to write instead."""

    field: str
    message: str


@dataclass(frozen=True, slots=True)
class TcpCheck:
    """The port accepts a connection on the host's own ``address``."""

    port: int
    address: str = "127.0.0.1"

    @property
    def label(self) -> str:
        """A short name for pages and logs."""
        return f"tcp {self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class HttpCheck:
    """A GET of ``url``, made from the host itself, answers with ``status``."""

    url: str
    status: int = 200

    @property
    def label(self) -> str:
        """A short name for pages and logs."""
        return f"http {self.url} is {self.status}"


@dataclass(frozen=True, slots=True)
class JsonCheck:
    """A GET of ``url`` answers JSON whose dotted ``field`` equals ``equals``."""

    url: str
    field: str
    equals: str

    @property
    def label(self) -> str:
        """A short name for pages and logs."""
        return f"{self.field} is {self.equals}"


Check = TcpCheck | HttpCheck | JsonCheck


@dataclass(frozen=True, slots=True)
class Host:
    """A machine reached over SSH, with pinned host keys (``ssh-ed25519 AAAA…`` each).

    ``level`` is what its administrator has installed there. ``certificates`` replaces the key that Askfirst signs in
    with by a certificate for each run.
    """

    name: str
    address: str
    environment: str
    host_keys: tuple[str, ...] = ()
    port: int = 22
    user: str = "askfirst"
    sudo: bool = False
    jump: str | None = None
    level: Level = Level.OPEN
    certificates: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """A claim: what runs where, under which manager, by which of the manager's own names.

    ``config`` is the manager's own configuration file where it is not the default one (several supervisord on a host).
    ``args`` are the words behind ``unit`` where that is a program itself (a script): no shell reads them.
    ``start`` allows a run when nothing runs now, which would be a start.
    """

    name: str
    host: str
    owner: str
    manager: str
    unit: str
    user: str | None = None
    path: str | None = None
    ports: tuple[int, ...] = ()
    config: str | None = None
    args: tuple[str, ...] = ()
    settle_seconds: float = 5.0
    start: bool = False
    checks: tuple[Check, ...] = field(default=())
    docs: str = ""


def host_problems(host: Host) -> list[Problem]:
    """Say what is wrong with the fields of one host, each by itself."""
    found = [
        _form("name", host.name, NAME, "1 to 40 of a-z, 0-9 and '-', not '-' at an end"),
        _form("address", host.address, ADDRESS, "a host name or an IP address"),
        _form("environment", host.environment, NAME, "1 to 40 of a-z, 0-9 and '-'"),
        _form("user", host.user, ACCOUNT, "the account to sign in as: a-z, 0-9, '_' and '-', not a digit first"),
        _form("jump", host.jump, NAME, "the registry's name of another host"),
        _port("port", host.port),
        _either(host.jump != host.name, "jump", "a host cannot be its own jump host"),
        _either(host.level is Level.OPEN or not host.sudo, "sudo", "leave it out: the kit's own door uses sudo"),
        _either(host.level is not Level.OPEN or not host.certificates, "certificates", "only with the host's kit"),
    ]
    return [problem for problem in found if problem]


def service_problems(service: Service) -> list[Problem]:
    """Say what is wrong with the fields of one service, each by itself."""
    found = [
        _form("name", service.name, NAME, "1 to 40 of a-z, 0-9 and '-', not '-' at an end"),
        _form("host", service.host, NAME, "the registry's name of a host"),
        _either(0 < len(service.owner.strip()) <= 200, "owner", "name the person or team who answers for it"),
        _form("unit", service.unit, UNIT, "the manager's own name, of letters, digits and @ . _ : / - only"),
        _form("user", service.user, USER, "the user name of its process, of letters, digits and . _ @ - only"),
        _path("path", service.path),
        _path("config", service.config),
        _either(0 <= service.settle_seconds <= 600, "settle", "between 0s and 10m"),
        _either(len(service.docs) <= 10_000, "docs", "at most 10,000 characters"),
        _either(len(set(service.ports)) == len(service.ports), "ports", "each port once"),
        _either(len(service.args) <= MOST_ARGS, "args", f"at most {MOST_ARGS} words"),
        *(
            _form(f"args.{index}", arg, ARG, "one word of letters, digits and @ . _ : / = + , - only")
            for index, arg in enumerate(service.args)
        ),
        *(_port(f"ports.{index}", port) for index, port in enumerate(service.ports)),
        *(problem for index, check in enumerate(service.checks) for problem in _check(f"checks.{index}", check)),
    ]
    return [problem for problem in found if problem]


def _either(holds: bool, name: str, message: str) -> Problem | None:
    return None if holds else Problem(name, message)


def _form(name: str, value: str | None, pattern: re.Pattern[str], message: str) -> Problem | None:
    return _either(value is None or pattern.fullmatch(value) is not None, name, message)


def _port(name: str, value: int) -> Problem | None:
    return _either(1 <= value <= 65535, name, "a port is a number from 1 to 65535")


def _path(name: str, value: str | None) -> Problem | None:
    parts = value[1:].split("/") if value not in {None, "/"} else []
    plain = value is None or (PATH.fullmatch(value) is not None and not {"..", ".", ""} & set(parts))
    hint = "an absolute path as the host writes it, without '..' or a '/' at its end, of letters, digits, @._:+=,/-"
    return _either(plain, name, hint)


def _check(name: str, check: Check) -> list[Problem | None]:
    match check:
        case TcpCheck(port, address):
            return [
                _port(f"{name}.tcp.port", port),
                _form(f"{name}.tcp.address", address, ADDRESS, "an address of the host"),
            ]
        case HttpCheck(url, status):
            return [
                _form(f"{name}.http.url", url, HTTP_URL, "a plain http:// URL as seen from the host itself"),
                _either(100 <= status <= 599, f"{name}.http.status", "a status from 100 to 599"),
            ]
        case JsonCheck(url, path, equals):
            return [
                _form(f"{name}.json.url", url, HTTP_URL, "a plain http:// URL as seen from the host itself"),
                _either(0 < len(path) <= 200, f"{name}.json.field", "a dotted field such as tftp.server"),
                _either(len(equals) <= 1000, f"{name}.json.equals", "at most 1,000 characters"),
            ]
