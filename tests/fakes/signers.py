"""Keys that sign warrants as OpenSSH and security keys do, with everything that they put into a signature in reach.

They are real signatures by real keys, written here byte by byte, so that a test can write one thing wrong; the
ssh-keygen of the machine takes the right ones.
"""

import base64
import hashlib
from collections.abc import Callable
from struct import pack

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

NAMESPACE = "askfirst-warrant"
KINDS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
TOUCHED, VERIFIED = 1, 4


def string(value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return pack(">I", len(data)) + data


def mpint(number: int) -> bytes:
    return string(number.to_bytes(number.bit_length() // 8 + 1, "big"))


class Signer:
    """One key of a kind. A kind that begins with ``sk-`` is a security key's, made for ``site``."""

    def __init__(self, kind: str = "sk-ssh-ed25519@openssh.com", site: str = "ssh:") -> None:
        self.kind, self.site = kind, site
        self.is_touched = kind.startswith("sk-")
        self.is_ed25519 = "ed25519" in kind
        raw = (Encoding.Raw, PublicFormat.Raw)
        point = (Encoding.X962, PublicFormat.UncompressedPoint)
        if self.is_ed25519:
            ed25519 = Ed25519PrivateKey.generate()
            self._sign: Callable[[bytes], bytes] = ed25519.sign
            fields = [ed25519.public_key().public_bytes(*raw)]
        else:
            ecdsa = ec.generate_private_key(ec.SECP256R1())
            self._sign = lambda data: _numbers(ecdsa.sign(data, ec.ECDSA(SHA256())))
            fields = [b"nistp256", ecdsa.public_key().public_bytes(*point)]
        if self.is_touched:
            fields.append(site.encode())
        self.blob = string(kind) + b"".join(string(each) for each in fields)

    @property
    def public_key(self) -> str:
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"

    def line(self, *mails: str) -> str:
        """A line of an allowed-signers file."""
        return f'{",".join(mails)} namespaces="{NAMESPACE}" {self.public_key}\n'

    def sign(
        self,
        text: str,
        *,
        flags: int = TOUCHED | VERIFIED,
        counter: int = 7,
        namespace: str = NAMESPACE,
        hashed: str = "sha512",
        key: bytes | None = None,
    ) -> str:
        """An armored signature over a text; ``key`` puts another public key into it than the one that signed."""
        digest = hashlib.new(hashed, text.encode()).digest()
        asked = b"SSHSIG" + string(namespace) + string(b"") + string(hashed) + string(digest)
        rest = pack(">BI", flags, counter) if self.is_touched else b""
        if self.is_touched:
            asked = hashlib.sha256(self.site.encode()).digest() + rest + hashlib.sha256(asked).digest()
        signed = string(self.kind) + string(self._sign(asked)) + rest
        return envelope(self.blob if key is None else key, signed, namespace, hashed)


def envelope(
    key: bytes,
    signed: bytes,
    namespace: str = NAMESPACE,
    hashed: str = "sha512",
    *,
    version: int = 1,
    reserved: bytes = b"",
    after: bytes = b"",
) -> str:
    """Put a signature in its envelope, right or wrong."""
    parts = (key, namespace.encode(), reserved, hashed.encode(), signed)
    return armor(b"SSHSIG" + pack(">I", version) + b"".join(string(each) for each in parts) + after)


def armor(blob: bytes) -> str:
    text = base64.b64encode(blob).decode()
    lines = [text[start : start + 70] for start in range(0, len(text), 70)]
    return "\n".join(("-----BEGIN SSH SIGNATURE-----", *lines, "-----END SSH SIGNATURE-----")) + "\n"


def dearmor(armored: str) -> bytes:
    return base64.b64decode("".join(armored.split("\n")[1:-2]))


def _numbers(der: bytes) -> bytes:
    return b"".join(mpint(number) for number in decode_dss_signature(der))
