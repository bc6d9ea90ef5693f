"""A key of a person: a passkey, a security key or an SSH key, from its enrolment until it may say yes.

Whoever steals a session could enrol a key of their own, so a new key counts for nothing until it is confirmed: by a key
of the same person that may approve already, or by another human who asked them. And even then it may approve only some
time later, so that its owner can still notice it. Who may confirm: an enabled admin or approver who is another human
being; a second account of the same one is not, nor is whoever has added the owner or set their password: they could be
both.

It verifies nothing and holds no secret. Keeps the half of law 7 that keys could undo.
"""

import base64
import binascii
import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from struct import error, unpack_from

from app.core import sshsig
from app.core.errors import Conflict, Refused
from app.core.policy import Kind, Person, Role

# Each type that people may paste, with the lengths of its fields after the type's own name: None is any length.
_FIELDS: dict[str, tuple[Kind, tuple[int | None, ...]]] = {
    "ssh-ed25519": (Kind.PLAIN, (32,)),
    "ecdsa-sha2-nistp256": (Kind.PLAIN, (8, 65)),
    "sk-ssh-ed25519@openssh.com": (Kind.SECURITY_KEY, (32, None)),
    sshsig.KEY_TYPE: (Kind.SECURITY_KEY, (8, 65, None)),
}
LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class Credential:
    """One enrolled key. ``id`` is a passkey's own id (base64url), or the fingerprint of an SSH key.

    ``public_key`` is what OpenSSH would write, ``TYPE BASE64``; that of a passkey holds its site. ``usable_at`` is None
    until it is confirmed. Times are epoch seconds.
    """

    id: str
    person: str
    kind: Kind
    name: str
    public_key: str
    counter: int
    enrolled_at: float
    confirmed_by: str | None = None
    confirmed_at: float | None = None
    usable_at: float | None = None
    used_at: float | None = None

    @property
    def fingerprint(self) -> str:
        """The key's fingerprint, as ``ssh-keygen -l`` writes it."""
        return fingerprint(self.public_key)

    def may_approve(self, now: float) -> bool:
        """Whether a yes that it signs now counts."""
        return self.usable_at is not None and self.usable_at <= now


def fingerprint(public_key: str) -> str:
    """Return ``SHA256:…`` of a public key's line."""
    digest = hashlib.sha256(base64.b64decode(public_key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def ssh_key(line: str) -> tuple[Kind, str]:
    """Read what somebody pasted: the kind of key, and its line without the comment. Raises Refused ``bad_key``."""
    words = line.split()
    if len(words) < 2 or words[0] not in _FIELDS or "\n" in line.strip():
        raise _bad("it is no line such as `sk-ssh-ed25519@openssh.com AAAA…`")
    kind, lengths = _FIELDS[words[0]]
    wanted, fields = (len(words[0]), *lengths), _fields(words[1])
    fits = len(fields) == len(wanted) and all(
        length in {None, len(each)} for length, each in zip(wanted, fields, strict=True)
    )
    if not fits or fields[0] != words[0].encode():
        raise _bad("its letters are cut, or of another key")
    return kind, f"{words[0]} {words[1]}"


def point_of(public_key: str) -> bytes:
    """Return the point of a key on P-256, empty for a key of another kind."""
    return next((each for each in _fields(public_key.split()[1]) if len(each) == 65), b"")


def passkey_of(public_key: str) -> sshsig.PublicKey:
    """Read a passkey's line back."""
    _, _, point, rp_id = _fields(public_key.split()[1])
    return sshsig.PublicKey(point[1:33], point[33:], rp_id.decode())


def confirmation_refusal(
    credential: Credential, owner: Person, by: Person, setters: Collection[str] = ()
) -> Refused | None:
    """Say why this person cannot vouch for a key of the owner, or None where they can.

    ``setters`` are the humans who have set the owner's password once, the first one too: each could have signed in as
    the owner.
    """
    if credential.usable_at is not None:
        return Conflict("This key is confirmed already.", code="key_confirmed", next_step="Nothing is left to do.")
    if by.human == owner.human:
        return _no("own_key", "Your own key waits for another human being.", "Ask an approver or an admin.")
    if not by.is_enabled or not by.roles & {Role.ADMIN, Role.APPROVER}:
        return _no("not_voucher", "Only an approver or an admin confirms a key.", "Ask one of them.")
    if by.human in setters:
        others = "Ask another approver or admin to confirm it."
        return _no(
            "set_password", f"You have added {owner.name} or set their password, so this key could be yours.", others
        )
    if not owner.is_enabled:
        return _no("disabled", f"{owner.name} is disabled.", "An admin can enable the account.")
    return None


def _fields(letters: str) -> list[bytes]:
    """Cut SSH's wire format into its strings; empty where it is not whole, or its letters are not the shortest."""
    try:
        blob = base64.b64decode(letters, validate=True)
        found, at = [], 0
        while at < len(blob):
            (length,) = unpack_from(">I", blob, at)
            at += 4 + length
            found.append(blob[at - length : at])
    except (binascii.Error, ValueError, error):
        return []
    return found if at == len(blob) and base64.b64encode(blob).decode() == letters else []


def _bad(why: str) -> Refused:
    types = ", ".join(_FIELDS)
    return _no("bad_key", f"This is no public key that can sign here: {why}.", f"Paste a line of one of: {types}.")


def _no(code: str, message: str, next_step: str) -> Refused:
    return Refused(message, code=code, next_step=next_step)
