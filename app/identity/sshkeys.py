"""SSH keys: whether a signature over a warrant is by the key that it names, and that by the one somebody enrolled.

It decides nothing about what the signature is worth: that is the guard's, which gets a ``Proof``. It holds no private
key and reads no store; ``core.sshsig_reading`` says which bytes a key must have signed, and here they are checked.
Keeps law 5 where the click is a signature. Passkeys are checked here too, as whoever holds only the log checks them.
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from app.core import sshsig_reading
from app.core.credential import Credential
from app.core.errors import Refused
from app.core.policy import Proof
from app.core.sshsig_reading import Signature
from app.core.warrant import digest_of


def verify(armored: str, text: str) -> Signature:
    """Return the signature, which is over exactly this text and by the key that it names. Raises ``bad_signature``.

    Whose key that is, and whether anybody touched it, the caller asks.
    """
    signature = sshsig_reading.read(armored)
    covered = signature.covered(text)
    try:
        _check(signature, covered)
    except (InvalidSignature, ValueError) as error:
        raise Refused(
            "This signature is not over this warrant's text, or not by the key that it names.",
            code="bad_signature",
            next_step="Sign the warrant again, as it is shown, with `askfirst approve` or on the request's page.",
        ) from error
    return signature


def prove(credential: Credential, armored: str, text: str) -> Proof:
    """Return the proof that a person's key signed a warrant's text. Raises ``bad_signature``, or ``other_key``."""
    signature = verify(armored, text)
    if signature.public_key != credential.public_key:
        raise Refused(
            "This signature is by another key than the one enrolled.",
            code="other_key",
            next_step="Sign with the key that stands in Settings.",
        )
    return Proof(
        digest=digest_of(text),
        key=signature.fingerprint,
        kind=credential.kind,
        is_present=signature.is_present,
        is_user_verified=signature.is_user_verified,
        usable_at=credential.usable_at if credential.usable_at is not None else float("inf"),
        signature=signature.armored,
    )


def _check(signature: Signature, covered: bytes) -> None:
    """Raise InvalidSignature, or ValueError for a point that lies on no curve."""
    if len(signature.point) == 32:
        Ed25519PublicKey.from_public_bytes(signature.point).verify(signature.raw, covered)
        return
    r, s = (int.from_bytes(half, "big") for half in (signature.raw[:32], signature.raw[32:]))
    key = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), signature.point)
    key.verify(encode_dss_signature(r, s), covered, ECDSA(SHA256()))
