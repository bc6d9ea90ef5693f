"""Secrets that a machine makes: told once, and kept as their digest alone. 256 random bits need no slower hash."""

import secrets


def new_secret() -> str:
    """Return 256 random bits as 43 letters, digits, '-' and '_'."""
    return secrets.token_urlsafe(32)
