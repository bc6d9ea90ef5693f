"""A signature counts here only if this machine's ssh-keygen takes it too; and everything written wrong is refused."""

import base64
import hashlib
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from struct import pack

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.credential import Credential, fingerprint
from app.core.errors import Refused
from app.core.policy import Kind
from app.core.sshsig import armored, challenge
from app.identity.sshkeys import prove, verify
from tests.fakes.authenticator import Authenticator as Passkey
from tests.fakes.signers import KINDS, NAMESPACE, TOUCHED, VERIFIED, Signer, armor, dearmor, envelope, mpint, string
from tests.unit.core.samples import WARRANT
from tests.unit.core.test_sshsig import ORIGIN, Authenticator

TEXT = WARRANT.text()
SIGNERS = {kind: Signer(kind) for kind in KINDS}
BO = SIGNERS["sk-ssh-ed25519@openssh.com"]
PASSKEY = Authenticator()


def by_passkey(text: str = TEXT) -> str:
    return armored(PASSKEY.public, ORIGIN, PASSKEY.sign(challenge(text)))


def credential(signer: Signer, kind: Kind = Kind.SECURITY_KEY) -> Credential:
    return Credential("SHA256:x", "p-bo", kind, "blue", signer.public_key, 0, 1.0, "p-cy", 2.0, 3.0)


def openssh_takes(folder: Path, signature: str, line: str, text: str = TEXT) -> bool:
    """Ask the ssh-keygen of this machine, which knows nothing of us."""
    (folder / "signers").write_text(line)
    (folder / "signature").write_text(signature)
    asked = ["ssh-keygen", "-Y", "verify", "-f", "signers", "-I", "bo@example.org", "-n", NAMESPACE, "-s", "signature"]
    return subprocess.run(asked, cwd=folder, input=text.encode(), capture_output=True, check=False).returncode == 0


def why_not(signature: str, text: str = TEXT) -> str:
    with pytest.raises(Refused) as refused:
        verify(signature, text)
    assert refused.value.code == "bad_signature"
    return refused.value.message


@pytest.mark.law(5)
@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_of_every_kind_of_key_counts_here_and_for_openssh(tmp_path: Path, kind: str) -> None:
    signer = SIGNERS[kind]
    signature = signer.sign(TEXT)
    read = verify(signature, TEXT)
    assert (read.public_key, read.armored) == (signer.public_key, signature)
    assert read.fingerprint == fingerprint(signer.public_key)
    assert (read.is_present, read.is_user_verified) == (signer.is_touched, signer.is_touched)
    assert openssh_takes(tmp_path, signature, signer.line("bo@example.org"))


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_what_ssh_keygen_signs_counts(tmp_path: Path, kind: str) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", tmp_path / "key"], check=True)
    asked = ["ssh-keygen", "-q", "-Y", "sign", "-n", NAMESPACE, "-f", str(tmp_path / "key")]
    signature = subprocess.run(asked, input=TEXT.encode(), capture_output=True, check=True).stdout.decode()
    read = verify(signature, TEXT)
    assert (tmp_path / "key.pub").read_text().startswith(read.public_key)
    assert read.armored == signature
    assert verify(signature.replace("\n", "\r\n"), TEXT) == read


@pytest.mark.law(5)
def test_a_passkeys_answer_counts_as_the_signature_that_it_is(tmp_path: Path) -> None:
    read = verify(by_passkey(), TEXT)
    assert (read.is_present, read.is_user_verified, read.site) == (True, True, "askfirst.example.org")
    assert read.public_key == PASSKEY.public.line("bo").split('" ')[1].strip()
    assert openssh_takes(tmp_path, by_passkey(), PASSKEY.public.line("bo@example.org"))


@pytest.mark.law(5)
@pytest.mark.parametrize("signature", [*(each.sign(TEXT) for each in SIGNERS.values()), by_passkey()])
def test_a_signature_over_another_warrant_does_not_count(signature: str) -> None:
    for other in (TEXT.replace("pypnm-gui", "billing"), TEXT[:-1], TEXT + "\n", ""):
        assert "this warrant's text" in (said := why_not(signature, other)) or "another text" in said


@pytest.mark.parametrize(
    ("expected", "signature"),
    [
        ("for b'file'", BO.sign(TEXT, namespace="file")),
        ("for b''", BO.sign(TEXT, namespace="")),
        ("over b'sha256'", BO.sign(TEXT, hashed="sha256")),
        ("not by the key", BO.sign(TEXT, key=Signer().blob)),
        ("another kind", BO.sign(TEXT, key=SIGNERS["ssh-ed25519"].blob)),
        ("another kind", BO.sign(TEXT, key=PASSKEY.public.blob())),
        ("something follows", armor(dearmor(BO.sign(TEXT)) + b"\0")),
        ("something follows", BO.sign(TEXT, key=BO.blob + b"\0")),
        ("version", envelope(BO.blob, b"", version=2)),
        ("version", envelope(BO.blob, b"", reserved=b"x")),
        ("cut", armor(b"SSHSIG")),
        ("something follows", armor(b"\0" * 100)),
        ("no lines BEGIN", ""),
        ("no lines BEGIN", BO.sign(TEXT) + "more"),
        ("no lines BEGIN", "more\n" + BO.sign(TEXT)),
        ("no lines BEGIN", BO.sign(TEXT).replace("SSH SIGNATURE", "PGP SIGNATURE")),
        ("longer than any", BO.sign(TEXT).replace("\n", "\n" * 20_000)),
        ("no base64", BO.sign(TEXT).replace("U1NI", "U1N!")),
        ("not taken", envelope(string("ssh-rsa") + mpint(65537) + mpint(1 << 2047), string("rsa-sha2-512"))),
        ("another curve", envelope(string(KINDS[1]) + string("nistp384") + string(b""), string(KINDS[1]))),
        ("as OpenSSH writes", envelope(SIGNERS[KINDS[1]].blob, string(KINDS[1]) + string(mpint(5) + string(b"\0\5")))),
        ("as OpenSSH writes", envelope(SIGNERS[KINDS[1]].blob, string(KINDS[1]) + string(mpint(0) + mpint(5)))),
        ("as OpenSSH writes", envelope(SIGNERS[KINDS[1]].blob, string(KINDS[1]) + string(mpint(5) + string(b"\xff")))),
    ],
)
def test_what_is_written_wrong_is_refused_with_its_reason(expected: str, signature: str) -> None:
    assert expected in why_not(signature)


def test_a_point_that_lies_on_no_curve_is_no_key() -> None:
    key = string(KINDS[1]) + string("nistp256") + string(b"\x04" + b"\x01" * 64)
    assert "not by the key" in why_not(SIGNERS[KINDS[1]].sign(TEXT, key=key))


@pytest.mark.threat("A6")
@pytest.mark.parametrize("flags", [0, TOUCHED, VERIFIED, TOUCHED | VERIFIED])
def test_the_flag_byte_of_a_security_key_is_told_as_it_was_signed(flags: int) -> None:
    proof = prove(credential(BO), BO.sign(TEXT, flags=flags), TEXT)
    assert proof.is_present is bool(flags & TOUCHED)
    assert proof.is_user_verified is (flags == TOUCHED | VERIFIED)
    lied = dearmor(BO.sign(TEXT, flags=TOUCHED)).replace(b"\1\0\0\0\7", b"\5\0\0\0\7")
    assert "not by the key" in why_not(armor(lied))


@pytest.mark.threat("A6")
def test_a_good_signature_by_a_key_that_the_person_did_not_enrol_is_no_proof() -> None:
    eve = Signer()
    with pytest.raises(Refused) as refused:
        prove(credential(BO), eve.sign(TEXT), TEXT)
    assert refused.value.code == "other_key"
    elsewhere = Signer(site="ssh:other")
    with pytest.raises(Refused):
        prove(credential(BO), elsewhere.sign(TEXT), TEXT)


def test_a_proof_names_the_warrant_the_key_and_when_it_may_begin() -> None:
    proof = prove(credential(BO), BO.sign(TEXT), TEXT)
    assert (proof.digest, proof.key) == (WARRANT.digest, fingerprint(BO.public_key))
    assert (proof.kind, proof.usable_at) == (Kind.SECURITY_KEY, 3.0)
    assert verify(proof.signature, TEXT).fingerprint == proof.key


@pytest.mark.threat("A8")
def test_a_key_that_nobody_confirmed_may_never_begin() -> None:
    proof = prove(replace(credential(BO), usable_at=None), BO.sign(TEXT), TEXT)
    assert proof.usable_at == float("inf")


def by_browser(client: Callable[[bytes], bytes], flags: int = 5, extensions: bytes = b"") -> str:
    """A passkey's signature over whatever a browser is made to say."""
    key, origin = Passkey(), "https://askfirst.example.org"
    asked = base64.urlsafe_b64encode(challenge(TEXT)).rstrip(b"=")
    start = b'{"type":"webauthn.get","challenge":"' + asked + b'","origin":"' + origin.encode() + b'"'
    said = client(start + b',"crossOrigin":false}')
    data = hashlib.sha256(key.rp_id.encode()).digest() + pack(">BI", flags, 1) + extensions
    signature = key.key.sign(data + hashlib.sha256(said).digest(), ECDSA(SHA256()))
    blob = b"".join(string(each) for each in (KINDS[3], "nistp256", b"\4" + key.point[0] + key.point[1], key.rp_id))
    r, s = decode_dss_signature(signature)
    behind = string(origin) + string(said) + string(extensions)
    signed = string(f"webauthn-{KINDS[3]}") + string(mpint(r) + mpint(s)) + data[32:37] + behind
    return envelope(blob, signed)


def test_what_a_browser_says_counts() -> None:
    for client in (bytes, lambda said: said.replace(b',"crossOrigin":false', b"")):
        assert verify(by_browser(client), TEXT).is_user_verified
    assert verify(by_browser(bytes, flags=0x85, extensions=b"\xa1\x61a\x01"), TEXT).is_user_verified


@pytest.mark.threat("A6")
@pytest.mark.parametrize(
    "client",
    [
        lambda said: said.replace(b'"crossOrigin":false', b'"challenge":"x"'),
        lambda said: said.replace(b'"crossOrigin":false', b'"origin":"https://askfirst.example.org"'),
        lambda said: said.replace(b'"crossOrigin":false', b'"origin":"https://evil.example"'),
        lambda said: said.replace(b'"crossOrigin":false', b'"x":' + b"[" * 4000),
        lambda said: said[:-1],
        lambda said: b" " + said,
        lambda said: said.replace(b'.org"', b'.org":'),
        lambda said: said.replace(b"webauthn.get", b"webauthn.create"),
        lambda said: said.replace(b"askfirst.example", b"evil.example"),
    ],
)
def test_what_a_browser_would_not_have_said_does_not_count_though_it_is_signed(
    client: Callable[[bytes], bytes],
) -> None:
    assert why_not(by_browser(client))


@pytest.mark.parametrize(("flags", "extensions"), [(0x45, b""), (0x85, b""), (0x05, b"x"), (0xC5, b"x")])
def test_flags_that_openssh_refuses_are_refused(flags: int, extensions: bytes) -> None:
    assert "flags" in why_not(by_browser(bytes, flags, extensions))


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    kind=st.sampled_from([*KINDS, "passkey"]),
    where=st.floats(0, 1, exclude_max=True),
    change=st.sampled_from(["flip", "cut", "insert", "swap"]),
    byte=st.integers(0, 255),
)
def test_a_signature_with_any_byte_changed_counts_no_more(kind: str, where: float, change: str, byte: int) -> None:
    good = dearmor(by_passkey() if kind == "passkey" else SIGNERS[kind].sign(TEXT))
    at = int(where * len(good))
    spoilt = {
        "flip": good[:at] + bytes([good[at] ^ (byte or 1)]) + good[at + 1 :],
        "cut": good[:at],
        "insert": good[:at] + bytes([byte]) + good[at:],
        "swap": good[at:] + good[:at],
    }[change]
    if spoilt == good:
        return
    with pytest.raises(Refused) as refused:
        verify(armor(spoilt), TEXT)
    assert refused.value.code == "bad_signature"
