"""What a holder of Askfirst's key tries on a host with the kit, and by which words the host's own log refuses it.

Data alone: test_refusals.py tries them. A reason is looked for in the lines of the program that has to refuse.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from app.core.warrant import Warrant

DOOR, SSHD = "askfirst", "sshd"
NONCE = "0" * 32
UNKNOWN = "this is not probe, restart SERVICE, burn ID or result ID"
NO_NAME, NO_ID = "this is no name of a service", "this is no request id"
BAD = "not of its form or not in its place"
ID = "01JF3W6V9Q0Z7E5M2T8X4K1B6N"


@dataclass(frozen=True)
class Attempt:
    """One thing to try: what is asked of ssh, what is sent, and who has to refuse it with which words."""

    name: str
    remote: str = ""
    reason: str = UNKNOWN
    by: str = DOOR
    options: tuple[str, ...] = ()
    data: str = f"{NONCE}\nend\n"


def _asked(*pairs: tuple[str, str]) -> list[Attempt]:
    return [Attempt(f"ask for {remote[:40]!a}", remote, reason) for remote, reason in pairs]


COMMANDS = _asked(
    ("", "there is no shell here"),
    *(
        (remote, UNKNOWN)
        for remote in (
            "id", "sh -s", "bash -c id", "sudo -n sh -s", "sudo -n /usr/local/lib/askfirst/gate probe",
            "/usr/local/lib/askfirst/gate probe", "systemctl restart gui-5054.service", "probe; touch /tmp/canary",
            "probe && touch /tmp/canary", "probe | sh", "probe > /tmp/canary", "probe $(touch /tmp/canary)",
            "probe `touch /tmp/canary`", "probe\ntouch /tmp/canary", "probe\tx", "probe\r", "probe ", " probe", "PROBE",
            "probe probe", "probe --whole", "probe #", "exec probe", "env probe", "PATH=/tmp probe",
            "LD_PRELOAD=/tmp/x probe",
            "${IFS}probe", "'probe'", "~", "*", "reload gui-unit", "stop gui-unit", "restart", "burn", "result",
            "scp -t /tmp", "/usr/lib/openssh/sftp-server", "rsync --server . /tmp", "git-upload-pack /srv", "pröbe",
            "probe\u202e", "\x1b[2Jprobe",
        )
    ),
    *(
        (f"restart {name}", NO_NAME)
        for name in (
            " gui-unit", "gui-unit gui-unit", "gui-unit;id", "gui-unit --root=/tmp/evil", "--root=/tmp/evil", "gui*",
            "?ui-unit", "[g]ui-unit", "../gui-unit", "GUI-UNIT", "gui-unit-", "$(id)", "gui-unit\nx", "g" * 41,
        )
    ),
    *(
        (f"{verb} {what}", NO_ID)
        for verb, what in (
            ("burn", "../../etc/passwd0123456789"), ("burn", f"{ID};id"), ("burn", "*"), ("burn", "0123"),
            ("result", "/etc/shadow"), ("result", f"{ID} {ID}"), ("result", "$(cat /etc/shadow)"),
        )
    ),
    ("x" * 5000, "longer than anything that can be asked here"),
)  # fmt: skip
OTHERS = [
    Attempt("restart a service that no line names", "restart nginx", "this host allows no restart of that name"),
    Attempt("the subsystem sftp", "sftp", reason=UNKNOWN, options=("-s",)),
    Attempt("an own environment", "env", options=("-o", 'SetEnv="LC_ALL=() { :; }; touch /tmp/canary"')),
    Attempt("the name of what is asked as environment", "id", options=("-o", "SetEnv=SSH_ORIGINAL_COMMAND=probe")),
    Attempt("a terminal", "probe -i", options=("-tt",)),
    Attempt("the agent", "ssh-add -l", options=("-A",)),
    Attempt("X11", "xterm", options=("-X",)),
    Attempt("a nonce that is none", "probe", "does not begin with a nonce", data="$(id)\nend\n"),
    Attempt("nothing sent", "probe", "does not begin with a nonce", data=""),
    Attempt("no end", "probe", "cut short", data=f"{NONCE}\nwhole\n"),
    Attempt("a claim for a shell", "probe", "not of its form", data=f"{NONCE}\nservice $(id) a b - - - -\nend\n"),
    Attempt("megabytes", "probe", "far too long", data=f"{NONCE}\n" + "whole\n" * 200_000 + "end\n"),
    Attempt("a burn without a nonce", f"burn {ID}", "this is no nonce", data="x\nend\n"),
]
FORWARDS = [
    Attempt("a port of the host's that is not a check's", "", "the request was denied", SSHD, ("-W", "127.0.0.1:22")),
    Attempt("a machine behind the host", "", "the request was denied", SSHD, ("-W", "172.31.77.1:22")),
    Attempt("the port of another service", "", "the request was denied", SSHD, ("-W", "127.0.0.1:5061")),
    Attempt("the port by another of its names", "", "the request was denied", SSHD, ("-W", "localhost:5054")),
]

Lines = Callable[[Warrant], list[str]]


@dataclass(frozen=True)
class Sent:
    """What is sent as the warrant of a restart that the table has, and the words that refuse it."""

    name: str
    make: Lines
    reason: str


def _with(name: str, reason: str, **fields: object) -> Sent:
    return Sent(name, lambda one: replace(one, **fields).text().splitlines(), reason)  # type: ignore[arg-type]


def _lines(name: str, reason: str, change: Callable[[list[str]], list[str]]) -> Sent:
    return Sent(name, lambda one: change(one.text().splitlines()), reason)


def _instead(key: str, line: str) -> Callable[[list[str]], list[str]]:
    return lambda text: [line if f"{each} ".startswith(f"{key} ") else each for each in text]


TABLE = "is not what this host's table says of gui-unit"
ANOTHER = "the service is not what the warrant says"
WARRANTS = [
    _with("a changed argv", TABLE, argv=("systemctl", "restart", "ssh.service")),
    _with("an argv with an option more", TABLE, argv=("systemctl", "--root=/tmp/evil", "restart", "gui-5054.service")),
    _with("an argv with a word less", TABLE, argv=("systemctl", "restart")),
    _with("an argv of another program", TABLE, argv=("/tmp/systemctl", "restart", "gui-5054.service")),
    _with("another unit", TABLE, unit="guitpl@5061.service"),
    _with("another manager", TABLE, manager="script"),
    _with("another user", TABLE, argv_user="rbron"),
    _with("an action that is not listed", "this host's table has no start of gui-unit", action="start"),
    _with("another service", "the warrant is for gui-other, and gui-unit was asked for", service="gui-other"),
    _with("another host", "the warrant is for the host bravo, and this is alpha", host="bravo"),
    _with("another host's key", "none of this host's", host_key="SHA256:bm90IHRoaXMgaG9zdCdzIGtleQ"),
    _with("an expired one", "the warrant held until 2026-01-01T00:00:00Z", not_after=1767225600),
    _with("one of before the boot", ANOTHER, identity=("boot 00000000-0000-0000-0000-000000000000", "process 1 1 x /")),
    _with("one without a command", "a person does this one by hand", argv=()),
    _lines("one whose process is another", ANOTHER, _instead("identity process", "identity process 1 2 rbron /")),
    _lines("one without its facts", "no identity", lambda text: [e for e in text if not e.startswith("identity ")]),
    _lines("a truncated one", "the warrant is cut short", lambda text: text[:-1]),
    _lines("half a line", BAD, lambda text: [*text[:6], text[6][:3]]),
    _lines("a reordered one", BAD, lambda text: [*text[:2], text[3], text[2], *text[4:]]),
    _lines("one with two ids", BAD, lambda text: [*text[:2], text[1], *text[2:]]),
    _lines("one with a key more", BAD, lambda text: [*text[:2], "sudo yes", *text[2:]]),
    _lines("one of another version", "no warrant of a version", _instead("askfirst-warrant", "askfirst-warrant 2")),
    _lines("an id that is a path", BAD, _instead("id", "id ../../../../etc/passwd012345")),
    _lines("a shell's words", BAD, _instead("argv restart", "argv $(touch /tmp/canary)")),
    _lines("an escape in the reason", BAD, _instead("reason", "reason \x1b[2J")),
    _lines("a signature where none is asked", "this host is not sealed", lambda text: [*text, "signature AAAA"]),
    _lines("nothing", "no warrant of a version", lambda _: []),
]  # fmt: skip

SUDO_TRICKS = (
    "sudo -n sh -c 'touch /tmp/canary'",
    "sudo -n {gate}",
    "sudo -n {gate} restart",
    "sudo -n {gate} restart nginx",
    "sudo -n {gate} restart gui-unit --root=/tmp/evil",
    "sudo -n {gate} restart 'gui*'",
    "sudo -n {gate} probe probe",
    "sudo -n {gate} burn x",
    "sudo -n {gate} --help",
    "sudo -n -u rbron {gate} probe",
    "sudo -n -g docker {gate} probe",
    "sudo -n -D /tmp {gate} probe",
    "sudo -n -R /tmp {gate} probe",
    "sudo -n PATH=/tmp {gate} probe",
    "sudo -n LD_PRELOAD=/tmp/x.so {gate} probe",
    "ENV=/tmp/x sudo -n --preserve-env=ENV {gate} probe",
    "sudo -n -E {gate} probe",
    "sudo -n -e /etc/askfirst/restarts",
    "sudo -n -s",
    "sudo -n -i",
    "sudo -n systemctl restart gui-5054.service",
    "sudo -n visudo",
)
FILE_TRICKS = (
    "echo x >>{gate}",
    "echo x >>/usr/local/lib/askfirst/door",
    "mv {gate} /tmp/",
    "touch /usr/local/lib/askfirst/x",
    "echo x >>/etc/askfirst/restarts",
    "echo x >>/etc/askfirst/host",
    "touch /etc/askfirst/x",
    "rm -f /etc/askfirst/restarts",
    "cat /etc/sudoers.d/askfirst",
    "echo x >>/etc/sudoers.d/askfirst",
    "ls /var/lib/askfirst/runs",
    "touch /var/lib/askfirst/runs/{id}",
    "rm -rf /var/lib/askfirst",
    "touch ~/.profile",
    "touch ~/.ssh/rc",
    "touch ~/.ssh/environment",
    "echo x >>~/.ssh/authorized_keys",
    "mv ~/.ssh ~/.ssh-old",
    "mkdir ~/x",
    "systemctl restart gui-5054.service",
    "cat /proc/1/environ",
)
