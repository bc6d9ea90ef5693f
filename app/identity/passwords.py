"""Passwords as argon2id. Both functions take a tenth of a second and much memory on purpose: call them in a thread.

It knows no account. An unknown name costs what a wrong password costs, so that time does not tell which names exist.
"""

import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_HASHER = PasswordHasher()  # argon2id with RFC 9106's second recommendation: 64 MiB, three passes
_NOBODY = _HASHER.hash(secrets.token_urlsafe(32))  # nobody's, compared with only to spend the time


def hash_password(password: str) -> str:
    """Return the hash to store, with its own salt and cost in it."""
    return _HASHER.hash(password)


def verify_password(stored: str | None, password: str) -> bool:
    """Whether the password is the stored one. ``stored`` is None for an unknown name, which takes as long and is no."""
    try:
        _HASHER.verify(stored or _NOBODY, password)
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None
