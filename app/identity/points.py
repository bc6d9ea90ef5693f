"""Whether an enrolled key is a key at all: its point has to lie on the curve. It checks no signature."""

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey

from app.core.credential import point_of
from app.core.errors import Refused


def refuse_no_key(public_key: str) -> None:
    """Raise Refused ``bad_key`` for a line whose point is on no curve: no signature could ever be by it."""
    point = point_of(public_key)
    try:
        if point:
            EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)
    except ValueError as error:
        raise Refused(
            "This public key is broken: it is no point of its curve.",
            code="bad_key",
            next_step="Make a new key, or copy the line again.",
        ) from error
