"""The warrant: the exact plain text that is approved, written in the one way there is to write it, and its digest.

It does not decide whether a warrant may be given or used, and reads no clock. Keeps law 5 (the click binds): the page
is rendered from this text, the approval names its digest, and the host compares its identity lines byte for byte.

The format: one ``key value`` a line, keys in the order of ``_KEYS``, repeated keys for lists, LF after each line,
printable ASCII; in values every other byte and ``%`` is a ``%XX`` of its UTF-8. ``argv`` words are of
``[A-Za-z0-9@._:/=+,-]`` and ``identity`` lines are taken as the gate printed them, both verbatim, so that a host
needs to decode nothing::

    askfirst-warrant 1
    id 01JF3W6V9Q0Z7E5M2T8X4K1B6N
    service pypnm-gui
    host alpha
    host-key SHA256:QmXo4n0h
    manager supervisor
    unit lab:pypnm-gui
    action restart
    argv supervisorctl
    argv restart
    argv lab:pypnm-gui
    argv-user root
    identity boot 6f0c2a9e
    identity process 4711 8812345 rbron /opt/pypnm-gui-lab
    identity program lab:pypnm-gui RUNNING
    requester ada@example.org
    reason TFTP fix 6ed8c30 is pulled, the process is older
    policy production 7
    not-after 2026-01-27T10:15:00Z
    evidence sha256:9f86d081884c7d65
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote_from_bytes, unquote_to_bytes

from app.core.errors import Refused

HEADER = "askfirst-warrant 1"
_KEYS = (
    *("id", "service", "host", "host-key", "manager", "unit", "action", "argv", "argv-user", "identity"),
    *("requester", "reason", "policy", "not-after", "evidence"),
)
_LISTS = frozenset({"argv", "identity"})
_PLAIN = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
WORD = re.compile(r"[A-Za-z0-9@._:/=+,-]+")
_IDENTITY = re.compile(r"[!-~]+(?: [!-~]+)*")
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass(frozen=True, slots=True)
class Warrant:
    """One warrant. ``not_after`` is in whole epoch seconds; ``evidence`` is ``sha256:…`` of the evidence text.

    A ``manual`` service has an empty ``argv``: a person does it by hand.
    """

    id: str
    service: str
    host: str
    host_key: str
    manager: str
    unit: str
    action: str
    argv: tuple[str, ...]
    argv_user: str
    identity: tuple[str, ...]
    requester: str
    reason: str
    policy: str
    not_after: int
    evidence: str

    def text(self) -> str:
        """Write the warrant. Raises Refused where a field cannot be written so that it is read back the same."""
        values: dict[str, str | tuple[str, ...]] = {
            **{key: _one(str(getattr(self, key.replace("-", "_"))), key) for key in _KEYS if key not in _LISTS},
            "not-after": datetime.fromtimestamp(self.not_after, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "argv": _all(self.argv, WORD, "argv"),
            "identity": _all(self.identity, _IDENTITY, "identity"),
        }
        lines = [HEADER]
        for key in _KEYS:
            value = values[key]
            lines.extend(f"{key} {item}" for item in (value if isinstance(value, tuple) else (value,)))
        return "\n".join(lines) + "\n"

    @property
    def digest(self) -> str:
        """The SHA-256 of the text, as lower-case hex."""
        return digest_of(self.text())


def read(text: str) -> Warrant:
    """Read a warrant back. Raises Refused unless the text is exactly what ``Warrant.text`` writes."""
    lines = text.split("\n")
    if lines[0] != HEADER or lines[-1] != "":
        raise _unreadable("it does not begin with its version or is cut")
    values: dict[str, list[str]] = {key: [] for key in _KEYS}
    for line in lines[1:-1]:
        key, blank, value = line.partition(" ")
        if key not in values or not blank:
            raise _unreadable(f"the line {line[:40]!a} has no known key")
        values[key].append(value)
    if any(len(values[key]) != 1 for key in _KEYS if key not in _LISTS):
        raise _unreadable("a key is missing or written twice")
    warrant = _from_values(values)
    if warrant.text() != text:
        raise _unreadable("it is not written in the one way that a warrant is written")
    return warrant


def digest_of(text: str) -> str:
    """Return the SHA-256 of a warrant's text, as lower-case hex."""
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def short_digest(digest: str) -> str:
    """Return the first 40 bits as eight letters that can be read over a phone, ``7F3K-92QD``."""
    number = int(digest[:10], 16)
    letters = "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(35, -1, -5))
    return f"{letters[:4]}-{letters[4:]}"


def escape(value: str) -> str:
    """Escape all but printable ASCII, and ``%`` itself."""
    return quote_from_bytes(value.encode("utf-8", "surrogateescape"), safe=_PLAIN)


def unescape(value: str) -> str:
    """Undo ``escape``; bytes that are no UTF-8 become surrogates, so that nothing is lost."""
    return unquote_to_bytes(value).decode("utf-8", "surrogateescape")


def _from_values(values: dict[str, list[str]]) -> Warrant:
    one = {key: unescape(values[key][0]) for key in _KEYS if key not in _LISTS}
    try:
        until = datetime.strptime(one["not-after"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise _unreadable("its not-after is no UTC time") from error
    fields = {key.replace("-", "_"): value for key, value in one.items() if key != "not-after"}
    return Warrant(
        **fields,
        argv=tuple(values["argv"]),
        identity=tuple(values["identity"]),
        not_after=int(until.timestamp()),
    )


def _one(value: str, key: str) -> str:
    """Escape a value. Two texts of the same bytes would be one warrant: only the one that is read back is written."""
    try:
        written = escape(value)
    except UnicodeEncodeError:
        written = ""
    if unescape(written) != value:
        raise _unwritable(key, value)
    return written


def _all(items: Iterable[str], pattern: re.Pattern[str], key: str) -> tuple[str, ...]:
    for item in items:
        if not pattern.fullmatch(item):
            raise _unwritable(key, item)
    return tuple(items)


def _unwritable(key: str, value: str) -> Refused:
    return Refused(
        f"{key} cannot hold {value[:80]!a}",
        code="warrant_field",
        next_step="Correct the service's entry in the registry, then ask again.",
    )


def _unreadable(why: str) -> Refused:
    return Refused(
        f"This is not a warrant: {why}.", code="warrant_unreadable", next_step="Ask again for a new request."
    )
