"""Keys that sign warrants as people's keys do: ssh-keygen's own, security keys and passkeys."""

import base64
import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path
from struct import pack

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.core.sshsig import NAMESPACE, Assertion, PublicKey, armored, challenge
from tests.unit.core.test_sshsig import ORIGIN, Authenticator

SITE = b"ssh:"
PRESENT, VERIFIED = 1, 4


def string(value: bytes) -> bytes:
    return pack(">I", len(value)) + value


def mpint(number: int) -> bytes:
    return string(number.to_bytes(number.bit_length() // 8 + 1, "big"))


def envelope(key: bytes, signature: bytes, namespace: bytes = b"askfirst-warrant", digest: bytes = b"sha512") -> str:
    """An SSH signature as text, of whatever is put into it."""
    parts = (key, namespace, b"", digest, signature)
    return wrapped(b"SSHSIG" + pack(">I", 1) + b"".join(map(string, parts)))


def wrapped(blob: bytes) -> str:
    text = base64.b64encode(blob).decode()
    lines = [text[at : at + 70] for at in range(0, len(text), 70)]
    return "\n".join(["-----BEGIN SSH SIGNATURE-----", *lines, "-----END SSH SIGNATURE-----", ""])


def unwrapped(text: str) -> bytes:
    return base64.b64decode("".join(text.splitlines()[1:-1]))


class Plain:
    """A key that ssh-keygen makes and signs with: nobody need touch it."""

    def __init__(self, folder: Path, name: str, kind: str = "ed25519") -> None:
        self._file = folder / f"{name}-{kind}"
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", self._file], check=True)
        self.line = " ".join(self._file.with_suffix(".pub").read_text().split()[:2])

    def sign(self, text: str, namespace: str = NAMESPACE, *options: str) -> str:
        asked = ["ssh-keygen", "-Y", "sign", "-q", "-n", namespace, "-f", str(self._file), *options]
        return subprocess.run(asked, input=text.encode(), capture_output=True, check=True).stdout.decode()


class SecurityKey:
    """A FIDO key in ssh's own way, Ed25519 or on P-256, with its byte of flags in reach."""

    def __init__(self, kind: str = "sk-ssh-ed25519@openssh.com") -> None:
        self.kind = kind.encode()
        if "ed25519" in kind:
            own = ed25519.Ed25519PrivateKey.generate()
            self._sign: Callable[[bytes], bytes] = own.sign
            self._public = string(own.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
        else:
            other = ec.generate_private_key(ec.SECP256R1())
            self._sign = lambda data: self._pair(other.sign(data, ec.ECDSA(SHA256())))
            point = other.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            self._public = string(b"nistp256") + string(point)
        self.blob = string(self.kind) + self._public + string(SITE)
        self.line = f"{kind} {base64.b64encode(self.blob).decode()}"

    def sign(self, text: str, flags: int = PRESENT | VERIFIED, said: int | None = None) -> str:
        """Sign with these flags; ``said`` are those that the signature then shows."""
        state = pack(">BI", flags, 9)
        signed = self._sign(hashlib.sha256(SITE).digest() + state + hashlib.sha256(challenge(text)).digest())
        shown = state if said is None else pack(">BI", said, 9)
        return envelope(self.blob, string(self.kind) + string(signed) + shown)

    @staticmethod
    def _pair(der: bytes) -> bytes:
        r, s = utils.decode_dss_signature(der)
        return mpint(r) + mpint(s)


class Passkey:
    """A browser's passkey, whose challenge is the warrant."""

    def __init__(self) -> None:
        self._authenticator = Authenticator()
        self.public: PublicKey = self._authenticator.public
        self.line = " ".join(self.public.line("x").split()[2:])

    def sign(self, text: str, flags: int = PRESENT | VERIFIED) -> str:
        return armored(self.public, ORIGIN, self._authenticator.sign(challenge(text), flags=flags))

    def lie(self, text: str) -> str:
        """Sign without the user's verification, and write afterwards that there was one."""
        answer = self._authenticator.sign(challenge(text), flags=PRESENT)
        data = answer.authenticator_data
        changed = data[:32] + bytes([PRESENT | VERIFIED]) + data[33:]
        return armored(self.public, ORIGIN, Assertion(changed, answer.client_data, answer.signature))
