"""Secrets that a machine makes and keeps only as a digest: 256 random bits, so that a plain hash of them is enough."""

import hashlib
import secrets


def new_secret(prefix: str = "") -> str:
    """Return 256 random bits as 43 letters, digits, '-' and '_', after a prefix that says what it is."""
    return prefix + secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """Return the SHA-256 of a secret, as lower-case hex."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
