"""An SSH signature as it is read: which key it says made it, and the very bytes that this key must have signed.

It verifies nothing: ``identity.sshkeys`` does, with these bytes. Whatever is not written exactly as OpenSSH writes it
is refused, so that there is one way to write a signature, and nothing rides along with it. Taken are the kinds of keys
that may be enrolled: Ed25519 and ECDSA on P-256, each plain or in a security key, and passkeys of the kind ES256.

Keeps the other half of law 5 in a signature: namespace and hash are part of what is signed, and only ours are taken.
Formats: OpenSSH's PROTOCOL.sshsig and PROTOCOL.u2f.
"""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from struct import error, pack, unpack_from

from app.core import sshsig
from app.core.errors import Refused

ED25519, ECDSA = "ssh-ed25519", "ecdsa-sha2-nistp256"
SK_ED25519, SK_ECDSA, WEBAUTHN = "sk-ssh-ed25519@openssh.com", sshsig.KEY_TYPE, sshsig.SIGNATURE_TYPE
_KEY_OF = {ED25519: ED25519, ECDSA: ECDSA, SK_ED25519: SK_ED25519, SK_ECDSA: SK_ECDSA, WEBAUTHN: SK_ECDSA}
_MOST_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature that was read, not verified. ``type`` is the signature's own, ``blob`` the whole in wire format.

    ``point`` is the public key: 32 bytes of Ed25519, or 65 of a point on P-256. ``raw`` is the 64 bytes of Ed25519, or
    the two numbers of ECDSA, 32 bytes each. The rest is empty for a plain key; ``client_data`` and what follows is a
    passkey's.
    """

    blob: bytes
    type: str
    key: bytes
    point: bytes
    raw: bytes
    site: str = ""
    flags: int = 0
    counter: int = 0
    origin: str = ""
    client_data: bytes = b""
    extensions: bytes = b""

    @property
    def armored(self) -> str:
        """The signature as ``ssh-keygen -Y sign`` would have written it."""
        return sshsig.armor(self.blob)

    @property
    def public_key(self) -> str:
        """The key that it says it was made with, ``TYPE BASE64``."""
        return f"{_KEY_OF[self.type]} {base64.b64encode(self.key).decode()}"

    @property
    def fingerprint(self) -> str:
        """That key's ``SHA256:…``."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.key).digest()).decode().rstrip("=")

    @property
    def is_present(self) -> bool:
        """Whether somebody touched the key. Of a plain key this is never known."""
        return bool(self.flags & sshsig.PRESENT)

    @property
    def is_user_verified(self) -> bool:
        """Whether the key knew who touched it, by finger, face or PIN."""
        return sshsig.is_user_verified(self.flags)

    def covered(self, text: str) -> bytes:
        """Return the bytes that the key must have signed for this text. Raises Refused where it is for another one."""
        asked = sshsig.challenge(text)
        if self.type in {ED25519, ECDSA}:
            return asked
        head = hashlib.sha256(self.site.encode()).digest() + pack(">BI", self.flags, self.counter)
        if self.type != WEBAUTHN:
            return head + hashlib.sha256(asked).digest()
        said = base64.urlsafe_b64encode(asked).rstrip(b"=")
        start = b'{"type":"webauthn.get","challenge":"' + said + b'","origin":"' + self.origin.encode() + b'"'
        if not self.client_data.startswith((start + b",", start + b"}")):
            raise _bad("it was made for another text, or on another page")
        return head + self.extensions + hashlib.sha256(self.client_data).digest()


def read(armored: str) -> Signature:
    """Read a signature that ``ssh-keygen -Y sign`` or ``core.sshsig`` has written. Raises Refused ``bad_signature``."""
    blob = _blob(armored)
    try:
        signature = _envelope(_Wire(blob))
    except (error, UnicodeDecodeError) as cut:
        raise _bad("it is cut or changed") from cut
    if signature.type == WEBAUTHN:
        _refuse_odd_client(signature)
    return signature


class _Wire:
    """SSH's wire format, read from the front."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def raw(self, length: int) -> bytes:
        found = self._data[self._at : self._at + length]
        if len(found) != length:
            raise _bad("it is cut or changed")
        self._at += length
        return found

    def string(self) -> bytes:
        return self.raw(self.number())

    def text(self) -> str:
        return self.string().decode("ascii")

    def number(self) -> int:
        (found,) = unpack_from(">I", self.raw(4))
        return int(found)

    def end(self) -> None:
        if self._at != len(self._data):
            raise _bad("something follows it")


def _blob(armored: str) -> bytes:
    lines = armored.strip().split("\n")
    lines = [line.removesuffix("\r") for line in lines]
    if len(lines) < 3 or len(armored) > 2 * _MOST_BYTES or (lines[0], lines[-1]) != (sshsig.BEGIN, sshsig.END):
        raise _bad("it has no lines BEGIN and END SSH SIGNATURE around it, or is longer than any")
    try:
        return base64.b64decode("".join(lines[1:-1]), validate=True)
    except (binascii.Error, ValueError) as broken:
        raise _bad("its letters are no base64") from broken


def _envelope(wire: _Wire) -> Signature:
    start, version = wire.raw(len(sshsig.MAGIC)), wire.number()
    key, namespace, reserved, hashed, signed = (wire.string() for _ in range(5))
    wire.end()
    if (start, version) != (sshsig.MAGIC, 1) or reserved:
        raise _bad("it is of a version that is not known here")
    if namespace != sshsig.NAMESPACE.encode():
        raise _bad(f"it was made for {namespace[:40]!r}, not for {sshsig.NAMESPACE}")
    if hashed != sshsig.HASH.encode():
        raise _bad(f"it is over {hashed[:20]!r}, not over {sshsig.HASH}")
    whole = sshsig.MAGIC + pack(">I", version)
    whole += b"".join(sshsig.string(each) for each in (key, namespace, reserved, hashed, signed))
    return _signature(whole, key, _Wire(signed))


def _signature(blob: bytes, key: bytes, wire: _Wire) -> Signature:
    kind = wire.text()
    if kind not in _KEY_OF:
        raise _bad(f"keys of the kind {kind[:60]!a} are not taken")
    point, site = _key(_Wire(key), _KEY_OF[kind])
    raw = wire.string()
    raw = _numbers(_Wire(raw)) if kind in {ECDSA, SK_ECDSA, WEBAUTHN} else _exactly(raw, 64)
    flags, counter = (wire.raw(1)[0], wire.number()) if kind not in {ED25519, ECDSA} else (0, 0)
    origin, client, extensions = "", b"", b""
    if kind == WEBAUTHN:
        origin, client, extensions = wire.text(), wire.string(), wire.string()
    wire.end()
    return Signature(blob, kind, key, point, raw, site, flags, counter, origin, client, extensions)


def _key(wire: _Wire, kind: str) -> tuple[bytes, str]:
    if wire.text() != kind:
        raise _bad("its key is of another kind than its signature")
    is_ecdsa = kind in {ECDSA, SK_ECDSA}
    if is_ecdsa and wire.string() != b"nistp256":
        raise _bad("its key is on another curve than P-256")
    point = _exactly(wire.string(), 65 if is_ecdsa else 32)
    site = wire.text() if kind in {SK_ED25519, SK_ECDSA} else ""
    wire.end()
    return point, site


def _numbers(wire: _Wire) -> bytes:
    """Read r and s: positive, and without a byte more than they need."""
    found = b""
    for _ in range(2):
        written = wire.string()
        number = int.from_bytes(written, "big", signed=True)
        if number <= 0 or number >= 1 << 256 or sshsig.mpint(number) != sshsig.string(written):
            raise _bad("its two numbers are not written as OpenSSH writes them")
        found += number.to_bytes(32, "big")
    wire.end()
    return found


def _refuse_odd_client(signature: Signature) -> None:
    """Hold to what OpenSSH holds to, so that nothing is taken that a host refuses, and to JSON with one reading."""
    if signature.flags & sshsig.HAS_KEY or bool(signature.flags & sshsig.HAS_EXTENSIONS) != bool(signature.extensions):
        raise _bad("its flags are not those of a signature")
    try:
        said = json.loads(signature.client_data, object_pairs_hook=lambda pairs: pairs)
        names = [name for name, _ in said]
        is_plain = len(set(names)) == len(names) and dict(said)["origin"] == signature.origin
    except (ValueError, TypeError, KeyError, RecursionError):
        is_plain = False
    if not is_plain or '"' in signature.origin:
        raise _bad("what the browser said is not written as browsers write it")


def _exactly(value: bytes, length: int) -> bytes:
    if len(value) != length:
        raise _bad("it is cut or changed")
    return value


def _bad(why: str) -> Refused:
    return Refused(
        f"This is no signature that counts: {why}.",
        code="bad_signature",
        next_step="Sign the warrant again, as it is shown, with `askfirst approve` or on the request's page.",
    )
