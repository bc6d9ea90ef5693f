"""The kit: what a host's administrator puts there, so that the host itself refuses everything but its own table.

Values in, texts out: one POSIX sh script, or the same as a folder of files for Ansible. It writes nothing, and neither
does Askfirst: the administrator reads the script and runs it. ``kit.sh`` is the half of it that is the same for every
host. Keeps law 4: sudo is told whole command lines and no pattern, and the argv of a restart stands in a table of
root's, of words in which nothing could be read as anything else.

What is set up, all of it root's and writable by nobody else::

    /usr/local/lib/askfirst/door      the one command of the key that Askfirst signs in with
    /usr/local/lib/askfirst/gate      the one program that the account may run as root
    /etc/askfirst/host                lines `key value`: name, level, per-hour, plain-keys
    /etc/askfirst/restarts            a line `SERVICE MANAGER UNIT ACTION USER COOLDOWN APPROVALS ARGV…` for each
    /etc/askfirst/approvers/SERVICE   where the host is sealed: whose signatures count (OpenSSH's allowed signers)
    /etc/sudoers.d/askfirst           a whole command line for each verb, and for each service's restart
    /etc/ssh/sshd_config.d/askfirst.conf    a Match block: how the account signs in, and to which ports it forwards
    ~askfirst/.ssh/authorized_keys    the key; with certificates /etc/askfirst/ca.pub and principals instead
    /var/lib/askfirst/runs            the spool, which outlives the kit: what is spent stays spent
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files as resources

from app.core.errors import Refused
from app.core.level import Level
from app.core.service import ACCOUNT, ADDRESS, NAME
from app.core.warrant import WORD
from app.gate import build

LIB = "/usr/local/lib/askfirst"
ETC = "/etc/askfirst"
HOME = "/var/lib/askfirst-home"
SPOOL = "/var/lib/askfirst/runs"
SUDOERS = "/etc/sudoers.d/askfirst"
SSHD = "/etc/ssh/sshd_config.d/askfirst.conf"
KEYS = f"{HOME}/.ssh/authorized_keys"
NAMESPACE = "askfirst-warrant"
_SHELL = ("kit.sh", "kit_remove.sh")  # the half of the script that is the same for every host
END = "ASKFIRST-END"  # closes each here-document of the script

_KEY = re.compile(r"[a-z0-9@.-]{4,60} [A-Za-z0-9+/]{40,4000}={0,3}")
# No '%', which a warrant would write otherwise, and nothing that OpenSSH reads as a pattern or a list.
_MAIL = re.compile(r"[A-Za-z0-9._+=/~'-]{1,64}(?:@[A-Za-z0-9.-]{1,190})?")
_DEFAULTS = (
    f'Defaults!{LIB}/gate env_reset, !env_keep, !env_check, !requiretty, !use_pty, secure_path="/usr/local/sbin:'
    '/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"'
)
_RULE = re.compile(
    rf"[a-z_][a-z0-9_-]{{0,31}} ALL=\(root\) NOPASSWD: {LIB}/gate (probe|burn|result|restart [a-z0-9-]{{1,40}})"
)


@dataclass(frozen=True, slots=True)
class Allowed:
    """One thing that the host may run: a line of its table, but for what holds for all of a service's lines."""

    service: str
    manager: str
    unit: str
    action: str
    user: str
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Signer:
    """One human whose signatures count: all addresses of that human, the account's first, and the public keys."""

    mails: tuple[str, ...]
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kit:
    """Everything that a host's kit follows from.

    ``key`` is the public key that signs in, or with ``certificates`` that of the authority that makes them; keys are
    ``TYPE BASE64``. ``ports`` are the addresses of registered checks, ``approvals`` how many signatures each service
    asks for, ``left_out`` what is registered and not in the table, with why. ``cooldown`` is in seconds.
    """

    host: str
    account: str
    level: Level
    host_keys: tuple[str, ...]
    key: str
    cooldown: int
    per_hour: int
    certificates: bool = False
    ports: tuple[tuple[str, int], ...] = ()
    allowed: tuple[Allowed, ...] = ()
    approvals: Mapping[str, int] = field(default_factory=dict)
    signers: Mapping[str, tuple[Signer, ...]] = field(default_factory=dict)
    plain_keys: bool = False
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def services(self) -> tuple[str, ...]:
        """The services that have a line in the table."""
        return tuple(sorted({each.service for each in self.allowed}))


@dataclass(frozen=True, slots=True)
class File:
    """A file on the host: root's, with this mode (octal digits) and content."""

    path: str
    mode: str
    text: str


def script(kit: Kit) -> str:
    """Write the kit as one script. Raises Refused where ``problems`` finds any."""
    files, ways_in = contents(kit)
    keys = " ".join(key.replace(" ", ":") for key in kit.host_keys)
    head = [
        "#!/bin/sh",
        *_about(kit),
        "",
        f"account='{kit.account}'",
        f"host='{kit.host}'",
        f"home='{HOME}'",
        f"host_keys='{keys}'",
        f"sealed='{'yes' if kit.level is Level.SEALED else ''}'",
        "",
        _listing("files", files),
        _listing("ways_in", ways_in),
    ]
    shown = (*files, *ways_in)
    body = "\n".join(resources(__package__).joinpath(name).read_text(encoding="utf-8") for name in _SHELL)
    return "\n".join(
        [
            *head,
            _texts("text", [each for each in shown if not each.path.startswith(LIB)], 'program "$1"'),
            body,
            "# The two programs that stay on the host, each with its own words on what it does.",
            _texts("program", [each for each in shown if each.path.startswith(LIB)], "return 1"),
            'main "$@" </dev/null\n',
        ]
    )


def contents(kit: Kit) -> tuple[tuple[File, ...], tuple[File, ...]]:
    """Return the files that refuse, and those that let in, each in the order in which they have to be put there.

    Raises Refused where ``problems`` finds any.
    """
    found = problems(kit)
    files = (
        File(f"{LIB}/gate", "755", build.installed()),
        File(f"{LIB}/door", "755", build.door()),
        File(f"{ETC}/host", "644", _host(kit)),
        *(File(f"{ETC}/approvers/{name}", "600", _approvers(kit, name)) for name in _sealed_services(kit)),
        File(f"{ETC}/restarts", "644", _restarts(kit)),
        File(SUDOERS, "440", sudoers(kit)),
    )
    ways_in = tuple(_ways_in(kit))
    found += sudoers_problems(sudoers(kit))
    found += [f"{each.path} holds the script's own mark" for each in (*files, *ways_in) if END in each.text]
    if found:
        raise Refused(
            f"No kit can be made for {kit.host}: {'; '.join(found)}.",
            code="no_kit",
            next_step="Correct that in the registry, or on the page People, then ask for the kit again.",
        )
    return files, ways_in


def problems(kit: Kit) -> list[str]:
    """Say what in these values sudo, sshd, ssh-keygen or the gate could read as something else than it is."""
    rows = [word for each in kit.allowed for word in (each.unit, each.action, each.user, *each.argv)]
    names = [
        *(kit.host, *kit.signers, *(name for name, _ in kit.left_out)),
        *(name for each in kit.allowed for name in (each.service, each.manager)),
    ]
    mails = [mail for signers in kit.signers.values() for each in signers for mail in each.mails]
    keys = [kit.key, *kit.host_keys, *(key for signers in kit.signers.values() for s in signers for key in s.keys)]
    lines = [(each.service, each.action) for each in kit.allowed]
    checks = (
        (kit.level is not Level.OPEN, "an open host needs no kit"),
        (bool(kit.host_keys), "no host key is pinned"),
        (ACCOUNT.fullmatch(kit.account) is not None and kit.account != "root", f"{kit.account!a} is no account for it"),
        (len(set(lines)) == len(lines), "a service has two lines for one action"),
        (0 <= kit.cooldown <= 86_400 and 1 <= kit.per_hour <= 3600, "the caps are out of range"),
        (all(1 <= kit.approvals.get(name, 0) <= 9 for name in kit.services), "a service asks for no approval"),
        *((NAME.fullmatch(name) is not None, f"{name[:60]!a} is no name of a-z, 0-9 and '-'") for name in names),
        *((WORD.fullmatch(word) is not None, f"{word[:60]!a} is no plain word") for word in rows),
        *((_MAIL.fullmatch(mail) is not None, f"{mail[:60]!a} holds a sign that may be a pattern") for mail in mails),
        *((_KEY.fullmatch(key) is not None, f"{key[:60]!a} is no public key") for key in keys),
        *(
            (0 < port < 65536 and (ADDRESS.fullmatch(name) or name == "::1"), f"{name[:60]!a}:{port} is no address")
            for name, port in kit.ports
        ),
    )
    return [message for holds, message in checks if not holds]


def sudoers(kit: Kit) -> str:
    """Write what the account may run as root: whole command lines."""
    commands = ["probe", "burn", "result", *(f"restart {name}" for name in kit.services)]
    rules = [f"{kit.account} ALL=(root) NOPASSWD: {LIB}/gate {command}" for command in commands]
    return _lines(_mark(kit, "what its account may run as root, word for word"), _DEFAULTS, *rules)


def sudoers_problems(text: str) -> list[str]:
    """Refuse every line of a sudoers file but the kit's own comment, its one line of settings, and literal rules.

    A wildcard there matches blanks and options too: ``restart gui*`` lets ``restart gui --root=/tmp/evil`` through.
    """
    lines = [line for line in text.split("\n") if line and not line.startswith("# ") and line != _DEFAULTS]
    return [f"sudo could read {line[:120]!a} as more than one command" for line in lines if not _RULE.fullmatch(line)]


def _host(kit: Kit) -> str:
    words = {
        "name": kit.host,
        "level": str(kit.level),
        "per-hour": str(kit.per_hour),
        "plain-keys": "yes" if kit.plain_keys else "no",
    }
    return _lines(_mark(kit, "what it is"), *(f"{key} {value}" for key, value in words.items()))


def _restarts(kit: Kit) -> str:
    rows = sorted(kit.allowed, key=lambda each: (each.service, each.action))
    return _lines(
        _mark(kit, "all that may be run here (SERVICE MANAGER UNIT ACTION USER COOLDOWN APPROVALS ARGV...)"),
        *(
            f"{each.service} {each.manager} {each.unit} {each.action} {each.user} {kit.cooldown}"
            f" {kit.approvals.get(each.service, 0)} {' '.join(each.argv)}"
            for each in rows
        ),
    )


def _sealed_services(kit: Kit) -> tuple[str, ...]:
    return kit.services if kit.level is Level.SEALED else ()


def _approvers(kit: Kit, service: str) -> str:
    signers = sorted(kit.signers.get(service, ()), key=lambda each: each.mails)
    return _lines(
        _mark(kit, f"whose signatures let {service} be restarted"),
        *(f'{",".join(each.mails)} namespaces="{NAMESPACE}" {key}' for each in signers for key in sorted(each.keys)),
    )


def _ways_in(kit: Kit) -> Iterator[File]:
    ports = [f"[{name}]:{port}" if ":" in name else f"{name}:{port}" for name, port in sorted(set(kit.ports))]
    forwarding = "".join(f',permitopen="{each}"' for each in ports)
    forwarding = f",port-forwarding{forwarding}" if forwarding else ""
    door = f'restrict,command="{LIB}/door'
    if not kit.certificates:
        yield File(SSHD, "644", _sshd(kit, ports))
        yield File(KEYS, "644", _lines(_mark(kit, "its key"), f'{door}"{forwarding} {kit.key}'))
        return
    runs = [f'{door} restart {name}" restart-{name}' for name in kit.services]
    yield File(f"{ETC}/ca.pub", "644", _lines(kit.key))
    yield File(f"{ETC}/principals", "644", _lines(f'{door} look"{forwarding} look', *runs))
    yield File(SSHD, "644", _sshd(kit, ports))


def _sshd(kit: Kit, ports: list[str]) -> str:
    """Write what holds for the account alone. The options of a key cannot forbid listening where they allow a port."""
    by_key = ("AuthorizedKeysFile .ssh/authorized_keys", "TrustedUserCAKeys none")
    by_certificate = (
        "AuthorizedKeysFile none",
        f"TrustedUserCAKeys {ETC}/ca.pub",
        f"AuthorizedPrincipalsFile {ETC}/principals",
        "ExposeAuthInfo yes",
    )
    settings = (
        *(by_certificate if kit.certificates else by_key),
        "AuthorizedKeysCommand none",
        "AuthenticationMethods publickey",
        f"AllowTcpForwarding {'local' if ports else 'no'}",
        f"PermitOpen {' '.join(ports) or 'none'}",
        "PermitListen none",
        "AllowStreamLocalForwarding no",
        "AllowAgentForwarding no",
        "X11Forwarding no",
        "PermitTunnel no",
        "PermitTTY no",
        "PermitUserRC no",
        "LogLevel VERBOSE",
    )
    how = "a certificate for one thing" if kit.certificates else "its key, to the door"
    head = _mark(kit, f"its account signs in by {how}, and by nothing else")
    return _lines(head, f"Match User {kit.account}", *(f"    {each}" for each in settings))


def _mark(kit: Kit, what: str) -> str:
    """Write the first line by which the script knows its own files again."""
    return f"# Askfirst's kit for {kit.host}: {what}."


def _about(kit: Kit) -> Iterator[str]:
    sealed = " Each needs the signature of an approver's own key." if kit.level is Level.SEALED else ""
    yield f"# Askfirst's kit for the host {kit.host}, level {kit.level}. Read it, then run it there as root:"
    yield "#"
    yield "#   sh kit.sh             sets all of it up; run again, it changes only what differs"
    yield "#   sh kit.sh --check     says what differs and changes nothing; exit status 1 where anything does"
    yield "#   sh kit.sh --remove    takes it away again, and gives back what was there before it"
    yield "#"
    yield "# Exit status 2: it could not work here, and says why. What is spent stays spent: the spool of runs"
    yield f"# ({SPOOL}) is kept by --remove too. To stop every restart here at once:"
    yield f"#   echo 'why' >{ETC}/disabled"
    yield "#"
    yield f"# Afterwards the account {kit.account} can have the facts of this host read, have these run, and nothing"
    yield f"# else: a service at most every {kit.cooldown} seconds, at most {kit.per_hour} restarts in an hour.{sealed}"
    for each in sorted(kit.allowed, key=lambda one: (one.service, one.action)):
        yield f"#   {each.service}: {each.action}, by {each.user}: {' '.join(each.argv)}"
    if not kit.allowed:
        yield "#   (none)"
    if kit.left_out:
        yield "#"
        yield "# Registered here, and not among them:"
    for service, why in kit.left_out:
        yield f"#   {service}: {re.sub('[^ -~]', '?', why)}"


def _listing(name: str, files: tuple[File, ...]) -> str:
    return "\n".join([f"{name}() {{", f"    cat <<'{END}'", *(f"{f.mode}:{f.path}" for f in files), END, "}", ""])


def _texts(name: str, files: list[File], otherwise: str) -> str:
    cases = [f"    {each.path}) cat <<'{END}' ;;\n{each.text}{END}" for each in files]
    return "\n".join([f"{name}() {{", "    case $1 in", *cases, f"    *) {otherwise} ;;", "    esac", "}", ""])


def _lines(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)
