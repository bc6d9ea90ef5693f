"""What the store keeps of a secret: its digest. The secret itself is made here, told once, and forgotten."""

import hashlib
import secrets


def new(prefix: str = "") -> str:
    """Return 256 random bits as 43 letters, digits, '-' and '_', after a prefix that says what it is."""
    return prefix + secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """Return the SHA-256 of a secret, as lower-case hex; 256 random bits need no slower hash."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
