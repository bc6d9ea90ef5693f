"""Salted commitments: how a text is named in the audit log without being in it.

The log keeps only the commitment, so that a reason, an output or a name can be deleted and the log still verifies,
while nobody can guess a short text from its bare hash. The salt is an argument: this ring rolls no dice.
"""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """A text kept apart, with its salt (16 bytes)."""

    salt: bytes
    body: str

    @property
    def commitment(self) -> str:
        """``sha256:`` and the hex of SHA-256 over salt and UTF-8 body."""
        return "sha256:" + hashlib.sha256(self.salt + self.body.encode("utf-8", "surrogateescape")).hexdigest()
