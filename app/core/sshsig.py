"""A yes that anybody can check: what a passkey signs for a warrant, and that signature as OpenSSH reads it.

The challenge of the browser's assertion is the blob that an SSH signature of the warrant signs, so that the assertion
is such a signature: written out here, ``ssh-keygen -Y verify`` takes it, on the host or on anybody's desk, with no code
of ours. Only ES256 passkeys can be written so. That no human was verified, ssh-keygen does not see: whoever relies on
it reads the flag byte, here ``is_user_verified``.

It verifies no signature and holds no key (``identity`` does, and the host). Keeps the passkey half of law 5: the click
binds one warrant's text. Formats: OpenSSH's PROTOCOL.sshsig and PROTOCOL.u2f; W3C WebAuthn, authenticator data.
"""

import base64
import hashlib
from dataclasses import dataclass
from struct import pack, unpack_from

from app.core.errors import Refused

NAMESPACE = "askfirst-warrant"
KEY_TYPE = "sk-ecdsa-sha2-nistp256@openssh.com"
SIGNATURE_TYPE = "webauthn-sk-ecdsa-sha2-nistp256@openssh.com"
MAGIC = b"SSHSIG"
HASH = "sha512"
BEGIN, END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_WIDTH = 70
_RP_HASH, _FLAGS, _COUNTER = 32, 1, 4
_HEAD = _RP_HASH + _FLAGS + _COUNTER
# The bits of the flag byte.
PRESENT, VERIFIED, HAS_KEY, HAS_EXTENSIONS = 0x01, 0x04, 0x40, 0x80


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A passkey's public key: the two coordinates on P-256, 32 bytes each, and the site (``rp_id``) it was made for."""

    x: bytes
    y: bytes
    rp_id: str

    def blob(self) -> bytes:
        """Write it as SSH's wire format has it."""
        point = b"\x04" + self.x + self.y
        return b"".join(string(each) for each in (KEY_TYPE.encode(), b"nistp256", point, self.rp_id.encode()))

    def line(self, principal: str) -> str:
        """Write it as a line of an allowed-signers file, good for warrants only."""
        return f'{principal} namespaces="{NAMESPACE}" {KEY_TYPE} {base64.b64encode(self.blob()).decode()}\n'


@dataclass(frozen=True, slots=True)
class Assertion:
    """What an authenticator answered, as the browser hands it on: bytes, the signature in DER."""

    authenticator_data: bytes
    client_data: bytes
    signature: bytes

    @property
    def flags(self) -> int:
        """The flag byte: 1 says that somebody was there, 4 that it was found out who."""
        return self.authenticator_data[_RP_HASH]

    @property
    def is_user_verified(self) -> bool:
        """Whether the authenticator knew its user, by finger, face or PIN."""
        return is_user_verified(self.flags)


def is_user_verified(flags: int) -> bool:
    """Whether a flag byte says that somebody was there and that the authenticator knew who."""
    return flags & (PRESENT | VERIFIED) == PRESENT | VERIFIED


def challenge(text: str) -> bytes:
    """Return what a passkey has to sign for this text: the blob that an SSH signature of it signs."""
    digest = hashlib.sha512(text.encode("ascii")).digest()
    return MAGIC + b"".join(string(each) for each in (NAMESPACE.encode(), b"", HASH.encode(), digest))


def armored(key: PublicKey, origin: str, assertion: Assertion) -> str:
    """Write an assertion as the SSH signature that it is. Raises Refused where OpenSSH could not read it as one."""
    signature = _signature(origin, assertion)
    parts = (key.blob(), NAMESPACE.encode(), b"", HASH.encode(), signature)
    return armor(MAGIC + pack(">I", 1) + b"".join(string(each) for each in parts))


def armor(blob: bytes) -> str:
    """Write a signature's bytes as ``ssh-keygen -Y sign`` does: in lines of base64 between BEGIN and END."""
    text = base64.b64encode(blob).decode()
    lines = [text[start : start + _WIDTH] for start in range(0, len(text), _WIDTH)]
    return "\n".join((BEGIN, *lines, END)) + "\n"


def _signature(origin: str, assertion: Assertion) -> bytes:
    data = assertion.authenticator_data
    if len(data) < _HEAD:
        raise _unreadable("its authenticator data is cut")
    has_extensions = bool(assertion.flags & HAS_EXTENSIONS)
    if assertion.flags & HAS_KEY or has_extensions != (len(data) > _HEAD):
        raise _unreadable("its authenticator data is not that of an assertion")
    if not assertion.client_data.startswith(b'{"type":"webauthn.get","challenge":"'):
        raise _unreadable("its client data is not written in the order that browsers write it")
    (counter,) = unpack_from(">I", data, _RP_HASH + _FLAGS)
    r, s = _numbers(assertion.signature)
    return b"".join(
        (
            string(SIGNATURE_TYPE.encode()),
            string(mpint(r) + mpint(s)),
            pack(">BI", assertion.flags, counter),
            string(origin.encode()),
            string(assertion.client_data),
            string(data[_HEAD:]),
        )
    )


def _numbers(der: bytes) -> tuple[int, int]:
    """Read a DER sequence of two integers, which for P-256 needs short lengths only."""
    if len(der) < 2 or der[0] != 0x30 or der[1] != len(der) - 2:
        raise _unreadable("its signature is no ECDSA signature")
    numbers: list[int] = []
    at = 2
    while at + 2 <= len(der) and der[at] == 0x02:
        end = at + 2 + der[at + 1]
        numbers.append(int.from_bytes(der[at + 2 : end], "big", signed=True))
        at = end
    if at != len(der) or len(numbers) != 2 or min(numbers) <= 0:
        raise _unreadable("its signature is no ECDSA signature")
    return numbers[0], numbers[1]


def mpint(number: int) -> bytes:
    """Write a positive number in SSH's wire format."""
    return string(number.to_bytes(number.bit_length() // 8 + 1, "big"))


def string(value: bytes) -> bytes:
    """Write bytes in SSH's wire format: their length, then they."""
    return pack(">I", len(value)) + value


def _unreadable(why: str) -> Refused:
    return Refused(
        f"This passkey's answer cannot be checked offline: {why}.",
        code="assertion_unreadable",
        next_step="Use another passkey, of the kind ES256.",
    )
