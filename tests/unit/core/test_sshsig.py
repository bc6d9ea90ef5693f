"""A passkey's answer over a warrant is an SSH signature: the ssh-keygen of this machine takes it, and nothing else."""

import base64
import hashlib
import json
import subprocess
from pathlib import Path
from struct import pack

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from app.core.errors import Refused
from app.core.sshsig import NAMESPACE, Assertion, PublicKey, armored, challenge

TEXT = "askfirst-warrant 1\nid 01JF3W6V9Q0Z7E5M2T8X4K1B6N\nservice pypnm-gui\n"
ORIGIN, SITE = "https://askfirst.example.org", "askfirst.example.org"
PRESENT, VERIFIED, EXTENSIONS = 1, 4, 0x80


class Authenticator:
    """An authenticator of the kind ES256, with what it puts into its answers in reach."""

    def __init__(self, site: str = SITE) -> None:
        self.site = site
        self._key = ec.generate_private_key(ec.SECP256R1())
        numbers = self._key.public_key().public_numbers()
        self.public = PublicKey(numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big"), site)

    def sign(self, blob: bytes, *, flags: int = PRESENT | VERIFIED, extensions: bytes = b"") -> Assertion:
        said = base64.urlsafe_b64encode(blob).rstrip(b"=").decode()
        client = json.dumps(
            {"type": "webauthn.get", "challenge": said, "origin": ORIGIN, "crossOrigin": False}, separators=(",", ":")
        ).encode()
        data = hashlib.sha256(self.site.encode()).digest() + pack(">BI", flags, 7) + extensions
        return Assertion(data, client, self._key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(SHA256())))


def is_good(tmp_path: Path, key: PublicKey, signature: str, text: str = TEXT) -> bool:
    """Ask this machine's ssh-keygen, which knows nothing of us."""
    signers, file = tmp_path / "approvers", tmp_path / "signature"
    signers.write_text(key.line("bo@example.org"))
    file.write_text(signature)
    asked = ["ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", "bo@example.org", "-n", NAMESPACE, "-s", str(file)]
    return subprocess.run(asked, input=text.encode(), capture_output=True, check=False).returncode == 0


@pytest.mark.law(5)
@pytest.mark.parametrize("extensions", [b"", b"\xa1\x61a\x01"], ids=["plain", "with extensions"])
def test_ssh_keygen_takes_a_passkeys_answer_over_the_warrant(tmp_path: Path, extensions: bytes) -> None:
    bo = Authenticator()
    flags = PRESENT | VERIFIED | (EXTENSIONS if extensions else 0)
    answer = bo.sign(challenge(TEXT), flags=flags, extensions=extensions)
    assert is_good(tmp_path, bo.public, armored(bo.public, ORIGIN, answer))


@pytest.mark.law(5)
@pytest.mark.threat("A6")
def test_ssh_keygen_refuses_what_was_not_signed(tmp_path: Path) -> None:
    bo, eve = Authenticator(), Authenticator()
    good = bo.sign(challenge(TEXT))
    signature = armored(bo.public, ORIGIN, good)
    assert not is_good(tmp_path, bo.public, signature, TEXT.replace("pypnm-gui", "billing"))
    assert not is_good(tmp_path, eve.public, signature)
    assert not is_good(tmp_path, bo.public, armored(bo.public, "https://askfirst.evil.example", good))
    assert not is_good(tmp_path, bo.public, armored(bo.public, ORIGIN, bo.sign(challenge(TEXT + "x"))))
    elsewhere = Authenticator("evil.example")
    assert not is_good(
        tmp_path,
        PublicKey(elsewhere.public.x, elsewhere.public.y, SITE),
        armored(elsewhere.public, ORIGIN, elsewhere.sign(challenge(TEXT))),
    )


@pytest.mark.threat("A6")
@pytest.mark.parametrize(("flags", "is_verified"), [(PRESENT, False), (VERIFIED, False), (PRESENT | VERIFIED, True)])
def test_the_flag_byte_says_whether_the_authenticator_knew_its_user(flags: int, is_verified: bool) -> None:
    assert Authenticator().sign(challenge(TEXT), flags=flags).is_user_verified is is_verified


def test_a_flag_byte_changed_afterwards_breaks_the_signature(tmp_path: Path) -> None:
    bo = Authenticator()
    answer = bo.sign(challenge(TEXT), flags=PRESENT)
    data = answer.authenticator_data
    lied = Assertion(data[:32] + bytes([PRESENT | VERIFIED]) + data[33:], answer.client_data, answer.signature)
    assert lied.is_user_verified
    assert not is_good(tmp_path, bo.public, armored(bo.public, ORIGIN, lied))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda good: Assertion(good.authenticator_data[:36], good.client_data, good.signature),
        lambda good: Assertion(good.authenticator_data + b"x", good.client_data, good.signature),
        lambda good: Assertion(good.authenticator_data, b'{"challenge":"x"}', good.signature),
        lambda good: Assertion(good.authenticator_data, good.client_data, good.signature[:-1]),
        lambda good: Assertion(good.authenticator_data, good.client_data, b""),
        lambda good: Assertion(good.authenticator_data, good.client_data, b"\x30\x06\x02\x01\xff\x02\x01\x01"),
        lambda good: Assertion(good.authenticator_data, good.client_data, b"\x30\x03\x02\x01\x01"),
    ],
)
def test_what_openssh_could_not_read_is_refused_where_it_is_made(spoil: object) -> None:
    bo = Authenticator()
    assert callable(spoil)
    with pytest.raises(Refused, match="cannot be checked offline"):
        armored(bo.public, ORIGIN, spoil(bo.sign(challenge(TEXT))))
