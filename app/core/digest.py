"""The digest of a text: what a secret is kept as, and what tells whether two texts are one."""

import hashlib


def sha256_hex(text: str) -> str:
    """Return the SHA-256 of a text's UTF-8 (lone surrogates too, which hostile text may hold), as lower-case hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
