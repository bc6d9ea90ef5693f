"""An authenticator of our own: it holds ES256 keys and answers as a browser would hand it on.

Whatever stands in its answers can be said otherwise, so that a test can lie in each place. It is no mock: what it signs
is signed, and what stands in an answer is written as WebAuthn has it.
"""

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from struct import pack
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

PRESENT, VERIFIED, HAS_KEY = 0x01, 0x04, 0x40
# Browsers put such a word in, so that nobody compares what they write with a pattern.
_MORE = {"crossOrigin": False, "other_keys_can_be_added_here": "do not compare clientDataJSON against a template"}


def b64(value: bytes) -> str:
    """Write bytes as WebAuthn's JSON has them."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """Read what ``b64`` wrote."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Authenticator:
    """One key. ``counter`` goes on with each use; a passkey that is kept in several places never counts: set it off."""

    origin: str = "http://localhost:8770"
    rp_id: str = "localhost"
    flags: int = PRESENT | VERIFIED
    counter: int = 0
    counts: bool = True
    user: str = ""
    id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def point(self) -> tuple[bytes, bytes]:
        """The public key's two coordinates."""
        numbers = self.key.public_key().public_numbers()
        return numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")

    def make(self, options: dict[str, Any], *, algorithm: int = -7, **client: Any) -> str:
        """Answer to ``navigator.credentials.create``."""
        self.user = options["user"]["id"]
        x, y = self.point
        cose = cbor2.dumps({1: 2, 3: algorithm, -1: 1, -2: x, -3: y})
        told = pack(">16sH", bytes(16), len(self.id)) + self.id + cose
        data = self._data(self.flags | HAS_KEY) + told
        attested = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        said = self._client("webauthn.create", options["challenge"], client)
        return self._answer(
            {"clientDataJSON": b64(said), "attestationObject": b64(attested), "transports": ["internal"]}
        )

    def get(self, options: dict[str, Any], **client: Any) -> str:
        """Answer to ``navigator.credentials.get``."""
        self.counter += self.counts
        data = self._data(self.flags)
        said = self._client("webauthn.get", options["challenge"], client)
        signature = self.key.sign(data + hashlib.sha256(said).digest(), ec.ECDSA(SHA256()))
        told = {"clientDataJSON": b64(said), "authenticatorData": b64(data), "signature": b64(signature)}
        return self._answer({**told, "userHandle": self.user or None})

    def _data(self, flags: int) -> bytes:
        return hashlib.sha256(self.rp_id.encode()).digest() + pack(">BI", flags, self.counter)

    def _client(self, kind: str, challenge: str, other: dict[str, Any]) -> bytes:
        said = {"type": kind, "challenge": challenge, "origin": self.origin, **_MORE, **other}
        return json.dumps(said, separators=(",", ":")).encode()

    def _answer(self, response: dict[str, Any]) -> str:
        name = b64(self.id)
        whole = {"id": name, "rawId": name, "type": "public-key", "response": response, "clientExtensionResults": {}}
        return json.dumps(whole)
